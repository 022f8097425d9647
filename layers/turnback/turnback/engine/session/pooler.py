"""Connection poolers: one that gives each client a session of its own can be used, others cannot.

A lock, a setting and a transaction are of a session. In session mode a pooler keeps one for each
client until it leaves; in transaction mode the next transaction may be in another client's.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

import psycopg
from psycopg import conninfo

from turnback.engine.session.connect_errors import DIRECT, explain
from turnback.engine.session.message import Connection, send, value
from turnback.errors import DatabaseNotReady, DatabaseRefused
from turnback.sql.quoting import literal

# What a script may leave behind in its session, undone before the next one. RESET ALL goes back
# to the settings of the startup packet, which are turnback's (connection.py).
RESET = (
    "RESET ALL; RESET SESSION AUTHORIZATION; RESET ROLE; DEALLOCATE ALL; CLOSE ALL; UNLISTEN *; "
    "DISCARD TEMP;"
)
_IN_TRANSACTION_MODE = (
    (re.compile(r"\.proxy-[^.]+\.[^.]+\.rds\.amazonaws\.com"), "RDS Proxy"),
    (re.compile(r"-pooler\.[^.]+\..*neon\.tech$"), "Neon's pooler"),
)
_SUPABASE = re.compile(r"\.pooler\.supabase\.com$|^db\.[^.]+\.supabase\.co$")
_SUPABASE_TRANSACTIONS = "6543"
_SESSION_POOLER = re.compile(r"\.pooler\.supabase\.com$")
# So often the session is looked at while another client is in a transaction.
_LOOKS = 10
_TEST_S = 10.0
_PID = "SELECT pg_catalog.pg_backend_pid()"


class PooledConnection(psycopg.Connection[tuple[object, ...]]):
    """A session through a pooler, found to be ours alone.

    Attributes:
        settings: SQL with turnback's settings. A pooler passes no startup options on, so RESET ALL
            does not return to them.
    """

    settings = ""


def reset_of(connection: Connection) -> str:
    """What undoes in this session what a script has left behind in it."""
    return f"{RESET} {connection.settings}" if isinstance(connection, PooledConnection) else RESET


def refuse_in_transaction_mode(parameters: Mapping[str, object]) -> None:
    """Refuse the address of a pooler that is known to share sessions.

    Raises:
        DatabaseRefused: names it, and the address to use instead.
    """
    host, port = str(parameters.get("host") or ""), str(parameters.get("port") or "")
    for mark, name in _IN_TRANSACTION_MODE:
        if mark.search(host):
            raise DatabaseRefused(f"{host} is {name}, a connection pooler", hint=DIRECT)
    if _SUPABASE.search(host) and port == _SUPABASE_TRANSACTIONS:
        raise DatabaseRefused(
            f"{host}:{port} is Supabase's pooler in transaction mode, which shares sessions",
            hint=f"use {host}:5432, which keeps the session of each client",
        )


def is_pooler(parameters: Mapping[str, object]) -> bool:
    """Whether the address is known as one of a pooler in session mode."""
    return bool(_SESSION_POOLER.search(str(parameters.get("host") or "")))


def takes_no_options(exc: psycopg.OperationalError) -> bool:
    """Whether a pooler has refused the settings in the startup packet (PgBouncer's words)."""
    return "unsupported startup parameter" in str(exc)


def connect_through(
    parameters: Mapping[str, str | int | None], settings: Mapping[str, int | str], where: str
) -> PooledConnection:
    """A session through a pooler, with these settings.

    Args:
        parameters: of the connection; its options are those of the address, without ours.
        settings: of the session.
        where: the database, for people.

    Raises:
        DatabaseRefused: the session is not ours alone.
        DatabaseNotReady: the pooler has no session left to find that out.
        DatabaseUnreachable: no answer.
    """
    address = conninfo.make_conninfo("", **parameters)
    try:
        connection = PooledConnection.connect(address, autocommit=True, prepare_threshold=None)
        try:
            connection.settings = " ".join(
                f"SET {name} = {literal(str(one))};" for name, one in settings.items()
            )
            send(connection, connection.settings)
            _refuse_shared(connection, address, where)
        except BaseException:
            connection.close()
            raise
    except psycopg.OperationalError as exc:
        raise explain(exc, parameters, address, where) from exc
    return connection


def _refuse_shared(connection: Connection, address: str, where: str) -> None:
    """Refuse a session that others use as well.

    In transaction mode another client gets the one that is idle, ours; and we get another one
    while they are in a transaction.
    """
    ours = value(send(connection, _PID)[0])
    with psycopg.connect(address, autocommit=True, prepare_threshold=None) as other:
        theirs = value(send(other, f"BEGIN; {_PID}", _Patience(where))[1])
        seen = {value(send(connection, _PID)[0]) for _ in range(_LOOKS)}
    if theirs == ours or seen != {ours}:
        raise DatabaseRefused(
            f"{where} is a connection pooler that shares sessions (transaction mode)",
            hint=f"use its session mode (pool_mode = session); or {DIRECT}",
        )


class _Patience:
    """Waits for a session of the pool, which may have none left, but not for ever."""

    def __init__(self, where: str) -> None:
        self._where = where

    def begin(self) -> None:
        """It begins now."""
        self._until = time.monotonic() + _TEST_S

    def no_answer(self) -> None:
        """Give up, or go on waiting.

        Raises:
            DatabaseNotReady: it took too long.
        """
        if time.monotonic() > self._until:
            raise DatabaseNotReady(
                f"{self._where} is a connection pooler, and has no second session now",
                hint="turnback uses two or three sessions at once: make the pool larger "
                "(pool_size), end what uses it, or name the direct endpoint",
            )


def refuse_pooler(connection: Connection, server_pid: int, where: str) -> None:
    """Refuse a session that goes through a pooler which ignores our settings.

    A pooler reports a process number of its own when the session begins, which differs from the
    server's.

    Args:
        connection: the session.
        server_pid: what pg_backend_pid() says in it.
        where: the database, for people.

    Raises:
        DatabaseRefused: the two numbers differ.
    """
    if isinstance(connection, PooledConnection):
        return
    if connection.info.backend_pid != server_pid:
        raise DatabaseRefused(
            f"{where} is a connection pooler that ignores the settings of a session",
            hint=f"{DIRECT}; PgBouncer in session mode can be used without options in "
            "ignore_startup_parameters",
        )
