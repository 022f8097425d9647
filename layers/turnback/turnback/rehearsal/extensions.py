"""The extensions of the embedded Postgres: those it is built without, and who may create them.

Real migrations create pgcrypto and uuid-ossp. The stand-ins have their signatures, and do what
the core has functions for; the rest raises. The server finds its own extensions first.

On RDS the master user creates extensions that PostgreSQL leaves to superusers. So they are marked
as trusted here: their scripts run with the rights they need, and what they make belongs to the
superuser (PostgreSQL manual, 36.17.1).
"""

from __future__ import annotations

import shutil
from pathlib import Path

FOLDER = Path(__file__).with_name("stand_ins") / "extension"
# Those of the embedded build that RDS supports, and the four of spi, which reach nothing outside
# of their tables. Left out are file_fdw and what reads or writes pages and the log by number.
TRUSTED = (
    *("amcheck", "autoinc", "bloom", "dblink", "dict_xsyn", "earthdistance", "insert_username"),
    *("intagg", "moddatetime", "pg_buffercache", "pg_freespacemap", "pg_prewarm"),
    *("pg_stat_statements", "pg_visibility", "pgrowlocks", "pgstattuple", "postgres_fdw"),
    *("refint", "vector"),
)


def control_path(data_dir: Path, share: Path) -> str:
    """Copy the stand-ins to where the server can read them; the setting that makes it look there.

    The value is for ``extension_control_path`` (PostgreSQL 18 manual, 19.11.4).

    Args:
        data_dir: the data directory of the server.
        share: where the extensions of the server's own are.
    """
    place, trusted = data_dir / "turnback_stand_ins", data_dir / "turnback_trusted"
    shutil.copytree(FOLDER, place / "extension", dirs_exist_ok=True)
    (trusted / "extension").mkdir(parents=True, exist_ok=True)
    own = share / "extension"
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
    for path in (place, trusted, *place.rglob("*"), *trusted.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return f"{trusted}:$system:{place}"
