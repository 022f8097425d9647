"""The extensions of the embedded Postgres: those it is built without, and who may create them.

Its build has most of contrib, and ``vector``. pgcrypto comes from another build of the same major
version, where that was fetched; uuid-ossp and sslinfo are written in SQL, and do the same as the
originals (on a server without TLS). For what no build has, a shadow server gets stand-ins: the
schema, types and functions of an extension, with which migrations can be rehearsed. What a
stand-in computes proves nothing, so the result names it.

Each file of ``stand_ins`` is one extension. Its first lines have what goes into the control file
(``-- control:``) and its versions, oldest first (``-- versions:``).

On RDS the master user creates extensions that PostgreSQL leaves to superusers. So they are marked
as trusted here: their scripts run with the rights they need, and what they make belongs to the
superuser (PostgreSQL manual, 36.17.1).
"""

from __future__ import annotations

import ctypes
import itertools
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from turnback.engine.session.message import Connection, rows, send
from turnback.sql.quoting import NAME, literal, plain

StandIns = Literal["all", "platform", "none"]
FOLDER = Path(__file__).with_name("stand_ins")
# What the comment of a stand-in begins with; of the others in the folder it does not.
STAND_IN = "stand-in of turnback"
# Not for the shadow alone: nobody would take these for what they are not.
_EVERYWHERE = ("pgcrypto", "sslinfo", "uuid-ossp")
# What Supabase's users find in each database, and what records what it is asked for.
_OF_PLATFORM = (
    *("pg_cron", "pg_graphql", "pg_jsonschema", "pg_net", "pgsodium", "supabase_vault"),
)
# Those of the embedded build that RDS supports, and the four of spi, which reach nothing outside
# of their tables. Left out are file_fdw and what reads or writes pages and the log by number.
TRUSTED = (
    *("amcheck", "autoinc", "bloom", "dblink", "dict_xsyn", "earthdistance", "insert_username"),
    *("intagg", "moddatetime", "pg_buffercache", "pg_freespacemap", "pg_prewarm"),
    *("pg_stat_statements", "pg_visibility", "pgrowlocks", "pgstattuple", "postgres_fdw"),
    *("refint", "vector"),
)
_CREATED = re.compile(rf"\bCREATE\s+EXTENSION\s+(?:IF\s+NOT\s+EXISTS\s+)?({NAME})", re.IGNORECASE)
# What pgcrypto is linked with. Every system that is supported has them, but a container need not.
_LIBRARIES = ("libcrypto.so.3", "libz.so.1")


def extension_settings(
    data_dir: Path,
    install: Path,
    contrib: Path | None,
    which: StandIns,
) -> dict[str, str]:
    """Put extensions where the server can read them; the settings that make it look there.

    See ``extension_control_path`` and ``dynamic_library_path`` (PostgreSQL 18 manual, 19.11.4).
    The server's own extensions come first, then those of ``contrib``, then ours.

    Args:
        data_dir: the data directory of the server.
        install: where the server is installed.
        contrib: the folders ``extension`` and ``lib`` of another build; None where there are none.
        which: the stand-ins it gets: ``all`` is for the server of a rehearsal, ``platform`` for the
            database of a project on this machine that is of a platform elsewhere.
    """
    trusted, added, ours = (data_dir / f"turnback_{n}" for n in ("trusted", "contrib", "stand_ins"))
    for place in (trusted, added, ours):
        (place / "extension").mkdir(parents=True, exist_ok=True)
    own = install / "share" / "extension"
    for name in TRUSTED:
        control = own / f"{name}.control"
        if control.is_file():
            # The first value of a parameter counts for nothing; its scripts stay where they are.
            lines = (
                control.read_text(encoding="utf-8"),
                "trusted = true",
                f"directory = '{own}'",
                "",
            )
            (trusted / "extension" / control.name).write_text("\n".join(lines), encoding="utf-8")
    if contrib and _linkable():
        for kind in ("extension", "lib"):
            shutil.copytree(contrib / kind, added / kind, dirs_exist_ok=True)
    names = {"all": None, "platform": (*_EVERYWHERE, *_OF_PLATFORM), "none": _EVERYWHERE}[which]
    for file in sorted(FOLDER.glob("*.sql")):
        if names is None or file.stem in names:
            _write(file, ours / "extension")
    for path in (trusted, added, ours):
        for one in (path, *path.rglob("*")):
            one.chmod(0o755 if one.is_dir() else 0o644)
    return {
        "extension_control_path": f"{trusted}:$system:{added}:{ours}",
        "dynamic_library_path": f"$libdir:{added / 'lib'}",
    }


def stand_ins(connection: Connection, scripts: Iterable[str]) -> list[str]:
    """The stand-ins that a rehearsal has used.

    Args:
        connection: with the shadow database.
        scripts: what has run there; an extension may be gone again.
    """
    named = {literal(plain(name)) for text in scripts for name in _CREATED.findall(text)}
    found = send(
        connection,
        "SELECT name FROM pg_catalog.pg_available_extensions "
        f"WHERE pg_catalog.starts_with(comment, {literal(STAND_IN)}) "
        f"AND (installed_version IS NOT NULL OR name IN ({', '.join(sorted(named)) or 'NULL'})) "
        "ORDER BY 1",
    )[0]
    return [str(name) for (name,) in rows(found)]


def _write(file: Path, folder: Path) -> None:
    """Write an extension as the server reads it.

    Its script makes version 0, from which empty scripts lead to each version, and from each
    version to the next one.
    """
    name, script = file.stem, file.read_text(encoding="utf-8")
    lines = script.splitlines()
    control = [line.removeprefix("-- control: ") for line in lines if line[:12] == "-- control: "]
    [versions] = [line.split()[2:] for line in lines if line.startswith("-- versions: ")]
    control += [f"default_version = '{versions[-1]}'", "trusted = true", ""]
    (folder / f"{name}.control").write_text("\n".join(control), encoding="utf-8")
    (folder / f"{name}--0.sql").write_text(script, encoding="utf-8")
    for old, new in (*(("0", one) for one in versions), *itertools.pairwise(versions)):
        (folder / f"{name}--{old}--{new}.sql").touch()


def _linkable() -> bool:
    """Whether this system has the libraries of pgcrypto."""
    if sys.platform != "linux":
        return False
    try:
        for name in _LIBRARIES:
            ctypes.CDLL(name)
    except OSError:
        return False
    return True
