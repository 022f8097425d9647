"""Migrations, histories and logs made in memory, for what is decided without a server."""

from __future__ import annotations

from pathlib import Path

from turnback.engine.look.history import Entry
from turnback.migrations.checksums import digest
from turnback.migrations.headers import read_directives
from turnback.migrations.model import Migration, Project, Script


def script(path: str, sql: str) -> Script:
    return Script(
        path,
        sql,
        digest(sql.encode()),
        read_directives(path, sql, rollback=path.startswith("rollback/")),
    )


def migration(
    version: str,
    sql: str = "SELECT 1;\n",
    back: str | None = "SELECT 2;\n",
    verify: str | None = None,
    name: str | None = None,
) -> Migration:
    name = name or f"m{int(version)}"
    return Migration(
        version,
        name,
        script(f"sql/{version}_{name}.sql", sql),
        script(f"rollback/{version}_rollback.sql", back) if back is not None else None,
        script(f"verify/{version}_verify.sql", verify) if verify is not None else None,
    )


def project(*migrations: Migration) -> Project:
    return Project(Path("migrations"), migrations)


def entry(
    done: Migration,
    *,
    checksum: str | None = None,
    success: bool = True,
    rolled_back_at: str | None = None,
) -> Entry:
    """The history's row of a migration: applied, unless it says otherwise."""
    return Entry(
        version=done.version,
        name=done.name,
        checksum=checksum or done.forward.checksum,
        applied_at="2026-11-01T10:00:00.000Z",
        execution_ms=12,
        success=success,
        error=None if success else "it failed",
        rolled_back_at=rolled_back_at,
    )
