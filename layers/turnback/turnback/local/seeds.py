"""Rows for the embedded database of a project: ``seed.sql``, after the migrations.

As with ``supabase db reset``: the files are those of ``[db.seed]`` in a ``config.toml`` beside the
folder of the migrations, else ``seed.sql`` there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from glob import glob
from os.path import normpath
from pathlib import Path

from turnback.engine.session.connection import connect
from turnback.engine.session.events import Options
from turnback.errors import ConfigurationError
from turnback.migrations.checksums import digest
from turnback.migrations.model import Script
from turnback.migrations.text import decode
from turnback.rehearsal.script import run_script

_CONFIG = "config.toml"


def seeds_of(folder: Path, warn: Callable[[str], None]) -> list[str]:
    """The files in their order, those of one pattern by their names; each once.

    Args:
        folder: beside the migrations; the files are named from there.
        warn: called with a sentence about a pattern that no file has.

    Raises:
        ConfigurationError: ``config.toml`` is not valid.
    """
    config = folder / _CONFIG
    try:
        text = config.read_text("utf-8") if config.is_file() else ""
        section = tomllib.loads(text).get("db", {}).get("seed", {})
    except ValueError as error:
        raise ConfigurationError(f"not valid TOML: {error}", file=_CONFIG) from error
    if not section.get("enabled", True):
        return []
    found: list[str] = []
    for pattern in section.get("sql_paths", ["seed.sql"]):
        # Not that of pathlib, which takes no absolute one.
        matching = sorted(glob(normpath(pattern), root_dir=folder, recursive=True))  # noqa: PTH207
        if not matching and section:
            warn(f"{_CONFIG} names {pattern}, and there is no such file")
        found += matching
    return list(dict.fromkeys(found))


def run_seeds(url: str, folder: Path, names: Iterable[str]) -> None:
    """Run each file in a transaction of its own.

    Args:
        url: of the embedded database.
        folder: beside the migrations.
        names: as ``seeds_of`` returns them.

    Raises:
        ConfigurationError: one does not run; the error names the place.
        InvalidMigration: one has psql commands, or is not UTF-8.
    """
    for name in names:
        data = (folder / name).read_bytes()
        script = Script(name, decode(name, data), digest(data))
        with connect(url, application_name="turnback seed", options=Options()) as connection:
            run_script(
                connection,
                script,
                where="the embedded database",
                hint="correct it, then: turnback db reset",
            )
