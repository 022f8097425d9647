"""The database as a dump sees it: everything of one and the same moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from turnback.engine.session.connection import Connection, connect
from turnback.engine.session.events import Options
from turnback.errors import SnapshotFailed
from turnback.recovery.counters import counters
from turnback.recovery.dumps.programs import refuse_newer_server
from turnback.recovery.endpoint import Endpoint
from turnback.sql.quoting import identifier

MEGABYTE = 1_000_000
MANAGED = "set the parameter SnapshotKind to rds or aurora"


@dataclass(frozen=True, slots=True)
class Source:
    """The database as the dump sees it: everything of one and the same transaction.

    Attributes:
        exported: name of the transaction's snapshot, for pg_dump to join.
        taken_at: its start, ISO 8601 in UTC.
        bytes: size of the database.
        server_version: as the server says it.
        schema_version: the version last applied.
        counters: the row counters.
        program: the pg_dump that can dump it.
    """

    exported: str
    taken_at: str
    bytes: int
    server_version: str
    schema_version: str | None
    counters: dict[str, Any]
    program: Path


@contextmanager
def open_source(endpoint: Endpoint, history_schema: str, limit_megabytes: int) -> Iterator[Source]:
    """The database at one moment, held for the ``with`` block so that pg_dump can join it.

    Args:
        endpoint: the database.
        history_schema: schema of the history tables.
        limit_megabytes: size from which it is refused; 0 is without limit.

    Raises:
        SnapshotFailed: it is larger than a dump is good for, or pg_dump is too old for it.
        DatabaseUnreachable, DatabaseRefused: there is no answer, or it is no.
    """
    with connect(
        endpoint.conninfo(), application_name="turnback dump", options=Options()
    ) as connection:
        program = refuse_newer_server(connection.info.server_version)
        try:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            source = _look(connection, history_schema, program)
        except psycopg.Error as error:
            raise SnapshotFailed(
                f"the dump could not begin: {error}",
                sqlstate=error.sqlstate,
                hint="the user must be able to connect and to read every table",
            ) from error
        if limit_megabytes and source.bytes > limit_megabytes * MEGABYTE:
            raise SnapshotFailed(
                f"the database has {source.bytes // MEGABYTE} MB; a dump is made of up to "
                f"{limit_megabytes} MB (DUMP_LIMIT_MEGABYTES)",
                hint=f"{MANAGED}: a snapshot of RDS does not depend on the size; nothing was "
                "changed",
            )
        yield source


def _look(connection: Connection, history_schema: str, program: Path) -> Source:
    row = connection.execute(
        "SELECT pg_catalog.pg_export_snapshot(), "
        "to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), "
        "pg_catalog.pg_database_size(pg_catalog.current_database()), "
        "pg_catalog.current_setting('server_version')"
    ).fetchone()
    assert row is not None
    exported, taken_at, size, version = row
    assert isinstance(size, int)
    return Source(
        exported=str(exported),
        taken_at=str(taken_at),
        bytes=size,
        server_version=str(version),
        schema_version=last_applied(connection, history_schema),
        counters=counters(connection),
        program=program,
    )


def last_applied(connection: Connection, schema: str) -> str | None:
    """The version last applied, by number; None where there is no history of ours."""
    table = f"{identifier(schema)}.migrations"
    row = connection.execute(
        "SELECT pg_catalog.obj_description(pg_catalog.to_regclass(%s), 'pg_class')", [table]
    ).fetchone()
    if row is None or not str(row[0] or "").startswith("turnback history"):
        return None
    row = connection.execute(
        f"SELECT version FROM {table} WHERE success AND rolled_back_at IS NULL "
        "ORDER BY version::numeric DESC LIMIT 1".encode()
    ).fetchone()
    return str(row[0]) if row else None
