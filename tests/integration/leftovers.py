"""Shadow databases as a killed rehearsal leaves them."""

from __future__ import annotations

import psycopg
from psycopg import sql
from turnback.rehearsal.shadow import mark_in


def make_leftover(admin: psycopg.Connection, name: str) -> None:
    """A database with the mark of a rehearsal that connected where this session is connected."""
    oid = admin.execute(
        "SELECT oid::text FROM pg_database WHERE datname = current_database()"
    ).fetchone()
    assert oid
    admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    mark = sql.SQL("COMMENT ON DATABASE {} IS {}")
    admin.execute(mark.format(sql.Identifier(name), sql.Literal(mark_in(oid[0]))))


def wait_until_empty(admin: psycopg.Connection, name: str) -> None:
    """Wait until no session is left in a database: a client has gone before its session has."""
    admin.execute(
        sql.SQL(
            "DO $$BEGIN WHILE EXISTS (SELECT FROM pg_stat_activity WHERE datname = {}) LOOP "
            "PERFORM pg_stat_clear_snapshot(), pg_sleep(0.01); END LOOP; END$$"
        ).format(sql.Literal(name))
    )
