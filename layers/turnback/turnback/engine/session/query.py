"""Queries of turnback's own, with their rows as objects.

Migrations are not sent from here: their messages go out as they are, and their results are counted
(message.py). The longer queries are files in ``engine/queries``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import RowFactory, scalar_row

from turnback.engine.session.disclosure import hidden, public_hint
from turnback.engine.session.message import (
    Connection,
    ServerError,
    lost,
    said_by,
    server_error,
    server_trouble,
)
from turnback.errors import DatabaseNotReady, DatabaseRefused, DatabaseUnreachable
from turnback.sql.quoting import identifier, literal

T = TypeVar("T")
CATALOG_ONLY = "SET LOCAL search_path = pg_catalog;"
# A script may have switched role. What is turnback's runs as who the session was at its beginning:
# the user who connected, or the role that ALTER ROLE ... SET role gives that user.
OURSELVES = "SET LOCAL SESSION AUTHORIZATION DEFAULT; SET LOCAL role TO DEFAULT;"
# What the SQL of a message refuses by itself, before its COMMIT; ``refusal`` makes it fail.
LOCK_LOST = "turnback: another run has the lock"
CANCELLED = "turnback: the run was cancelled"
TRANSACTION_ENDED = "turnback: the script has ended its transaction"
DONE_ALREADY = "turnback: another run has done it"
READ_ONLY = "turnback: the server accepts no writes"
READ_ONLY_STATE = "25006"
HISTORY_REMOVED = "turnback: rows of the history are gone"


def query(
    connection: Connection,
    sql: str,
    into: RowFactory[T],
    params: Mapping[str, object] | None = None,
) -> list[T]:
    """Run one statement of turnback's own, and return its rows.

    The session commits by itself, so this begins no transaction; in one that is open, it runs.

    Args:
        connection: the session.
        sql: one statement; with ``params``, a percent sign in it is doubled.
        into: makes an object of a row, such as ``class_row(Entry)``.
        params: the values of its ``%(name)s``.

    Raises:
        ServerError: the server refused it.
        DatabaseUnreachable: the connection broke.
    """
    return fetch(execute(connection, sql, params), into)


def scalar(connection: Connection, sql: str, params: Mapping[str, object] | None = None) -> Any:
    """The first column of the first row; None where there is no row. Raises as ``query`` does."""
    found = query(connection, sql, scalar_row, params)
    return found[0] if found else None


def no_writes(kept: str) -> DatabaseNotReady:
    """The error for a server that has become read-only.

    Args:
        kept: says what was kept, as the end of a sentence; or empty.
    """
    return DatabaseNotReady(
        f"the server accepts no writes any more{kept}",
        sqlstate=READ_ONLY_STATE,
        hint="a failover or a switchover ends within minutes: run it again then; it continues from "
        "what the database has recorded",
    )


def outage(error: psycopg.Error) -> DatabaseUnreachable | None:
    """The error for what passes: a lost connection, a server without writes; None for others."""
    if error.sqlstate == READ_ONLY_STATE:
        return no_writes("")
    said = said_by(error)
    return said if isinstance(said, DatabaseUnreachable) else None


@contextlib.contextmanager
def outages() -> Iterator[None]:
    """Around statements that psycopg runs: what passes becomes an error that is tried again.

    Raises:
        DatabaseUnreachable: the connection was lost, or the server accepts no writes.
    """
    try:
        yield
    except psycopg.Error as error:
        if passing := outage(error):
            raise passing from error
        raise


def refusal(reason: str) -> str:
    """An expression of type integer that fails when it is evaluated; its message has the reason."""
    # concat() is not immutable, so the planner does not evaluate it in advance.
    return f"pg_catalog.concat({literal(reason)})::integer"


def relation_oid(connection: Connection, name: str) -> int | None:
    """The oid of a relation, found as the session's search_path says; None if it does not exist.

    Raises as ``query`` does.
    """
    sql = "SELECT pg_catalog.to_regclass(%(name)s)::pg_catalog.oid"
    found: int | None = fetch(_send(connection, sql, {"name": name}), scalar_row)[0]
    return found


def object_oids(
    connection: Connection, names: Sequence[str], what: str = "class"
) -> list[int | None]:
    """The oid of each relation, as the search_path says that the session began with.

    Args:
        what: ``class``, or ``type`` for types.

    Raises as ``query`` does.
    """
    sql = (
        "SET LOCAL search_path TO DEFAULT; "
        f"SELECT pg_catalog.to_reg{what}(name)::pg_catalog.oid "
        "FROM pg_catalog.unnest(%(names)s::pg_catalog.text[]) WITH ORDINALITY AS n (name, place) "
        "ORDER BY place"
    )
    cursor = _send(connection, sql, {"names": list(names)})
    cursor.nextset()
    return fetch(cursor, scalar_row)


def execute(
    connection: Connection, sql: str, params: Mapping[str, object] | None = None
) -> psycopg.Cursor[Any]:
    """Run own statements in one message; ``fetch`` reads the rows of the first of them.

    They run as the user who connected, and see pg_catalog alone. With the session's search_path, an
    operator that somebody has planted in one of its schemas could match the operands better than
    the server's own, and would run with the rights of this session. A transaction that is open
    keeps its role and its path.

    Raises as ``query`` does.
    """
    if connection.info.transaction_status != TransactionStatus.IDLE:
        return _send(connection, sql, params)
    # Together with another statement it is a transaction, and the settings end with it.
    before = f"{OURSELVES} {CATALOG_ONLY}"
    cursor = _send(connection, f"{before} {sql}", params)
    for _ in range(before.count(";")):
        cursor.nextset()
    return cursor


def _send(
    connection: Connection, sql: str, params: Mapping[str, object] | None
) -> psycopg.Cursor[Any]:
    # One simple query message, with the parameters in its text: less to send, and less to be cut
    # off in, than the messages of the extended protocol.
    try:
        return psycopg.ClientCursor(connection).execute(sql.encode(), params)
    except psycopg.Error as error:
        if error.pgresult is None:
            raise lost(error) from error
        raise server_error(0, error.pgresult) from error


def fetch(cursor: psycopg.Cursor[Any], into: RowFactory[T]) -> list[T]:
    """The rows of the current statement; the cursor then moves to the next one."""
    cursor.row_factory = into
    found: list[T] = cursor.fetchall()
    cursor.nextset()
    return found


@cache
def load(name: str, schema: str = "public") -> str:
    """The query of that name in ``engine/queries``, for a history in this schema.

    In the files ``"history_schema"`` stands for the schema as an identifier, ``'history_schema'``
    for its name as a literal, and ``"history_versions"`` for the query ``versions``.
    """
    file = resources.files("turnback.engine").joinpath("queries", f"{name}.sql")
    text = in_schema(file.read_text("utf-8"), schema).strip().removesuffix(";")
    if '"history_versions"' in text:
        text = text.replace('"history_versions"', f"({load('versions', schema)})")
    return text


def in_schema(sql: str, schema: str) -> str:
    """SQL of ours with the schema of a history in it; see ``load``."""
    sql = sql.replace("'history_schema'", literal(schema))
    return sql.replace('"history_schema"', identifier(schema))


@contextlib.contextmanager
def own_statements() -> Iterator[None]:
    """Around turnback's own statements: what the server refuses becomes an error for the user.

    Raises:
        DatabaseNotReady: the server accepts no writes (any more).
        DatabaseRefused: the server refused a statement that is not of a migration.
    """
    try:
        yield
    except ServerError as error:
        if error.sqlstate == READ_ONLY_STATE:
            raise no_writes("") from error
        hint = server_trouble(error.sqlstate) or public_hint(error) or "correct what it says"
        raise DatabaseRefused(
            f"the database refuses a statement of turnback itself: {error}",
            sqlstate=error.sqlstate,
            hint=f"{hint.rstrip('.')}; then run it again",
            detail=hidden(error),
        ) from error
