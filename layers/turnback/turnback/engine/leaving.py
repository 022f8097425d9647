"""Leaving for another tool: what is applied, and the table in which that tool looks for it."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.rows import scalar_row

from turnback.engine.look.history import Entry
from turnback.engine.look.status import statuses
from turnback.engine.run.session import Session
from turnback.engine.session.message import send
from turnback.engine.session.query import CATALOG_ONLY, OURSELVES, own_statements, query
from turnback.errors import ChecksumMismatch, HistoryConflict, MigrationMissing, OutOfOrder
from turnback.migrations.leaving import Leaving, Target
from turnback.migrations.model import Project
from turnback.migrations.versions import key
from turnback.sql.quoting import identifier, literal

_COLUMNS = """
    SELECT a.attname::text FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = pg_catalog.to_regclass(%(table)s) AND a.attnum > 0 AND NOT a.attisdropped
"""


def applied(
    project: Project, entries: Sequence[Entry], target: Target, versions: Sequence[str]
) -> list[Leaving]:
    """What the new tool must count as applied.

    Args:
        project: the files.
        entries: the rows of turnback's history.
        target: the new tool.
        versions: those that the migrations get, in their order.

    Raises:
        ChecksumMismatch, MigrationMissing: a file was edited since it was applied, or is gone.
        OutOfOrder: the tool keeps one version only, and a migration before it is not applied.
    """
    found = []
    rows = {key(entry.version): entry for entry in entries}
    for one in statuses(project, entries):
        if one.status == "changed":
            raise ChecksumMismatch(
                f"{one.version} was edited since it was applied",
                version=one.version,
                hint="turnback status names each; put them right before you leave",
            )
        if one.status == "missing":
            raise MigrationMissing(
                f"{one.version} ({one.name}) is applied, but its file is gone",
                version=one.version,
                hint="restore the file from version control",
            )
    numbered = dict(zip((one.version for one in project.migrations), versions, strict=True))
    for migration in project.migrations:
        entry = rows.get(migration.key)
        if entry is None or not entry.applied:
            continue
        version = numbered[migration.version]
        files = target.files(migration, version)
        found.append(Leaving(migration, version, files, entry.applied_at, entry.execution_ms))
    if target.one_version:
        for migration, leaving in zip(project.migrations, found, strict=False):
            if migration is not leaving.migration:
                raise OutOfOrder(
                    f"{migration.version} is not applied, and a later one is; {target.name} keeps "
                    "one version, and counts all before it as applied",
                    file=migration.forward.path,
                    version=migration.version,
                    hint="apply it first: turnback up --out-of-order",
                )
    return found


@own_statements()
def write_history(
    session: Session, target: Target, found: Sequence[Leaving], schema: str = "public"
) -> int:
    """Write the table of the new tool, in one transaction; what it had before is replaced.

    Returns:
        How many rows it has.

    Raises:
        HistoryConflict: a table of that name is not the tool's.
        RunnerBusy, DatabaseRefused: as ``Session.lock``.
    """
    table = f"{identifier(schema)}.{identifier(target.table)}"
    rows = target.rows(found)
    session.lock()
    try:
        there = set(query(session.connection, _COLUMNS, scalar_row, {"table": table}))
        if there and not set(target.columns) <= there:
            raise HistoryConflict(
                f"{schema}.{target.table} is there already, and is not a table of {target.name}",
                hint="rename it, or name another schema with --table-schema",
            )
        parts = [
            OURSELVES,
            CATALOG_ONLY,
            f"DELETE FROM {table};" if there else f"{target.create.format(table=table)};",
        ]
        if rows:
            values = ", ".join(
                "(" + ", ".join(literal(value) for value in row.values()) + ")" for row in rows
            )
            names = ", ".join(identifier(name) for name in rows[0])
            parts.append(f"INSERT INTO {table} ({names}) VALUES {values}")
        send(session.connection, "\n".join(parts))
    finally:
        if session.usable:
            session.release_lock()
    return len(rows)
