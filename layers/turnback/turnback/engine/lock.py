"""One runner at a time: a session advisory lock, which lasts exactly as long as its session.

It is tried and polled, never waited in: a blocked pg_advisory_lock holds a snapshot, for which
the holder's CREATE INDEX CONCURRENTLY waits in turn, and so both wait for ever.
"""

from __future__ import annotations

import hashlib
import random
import time

from turnback.engine.events import Event, Listener
from turnback.engine.message import Connection, rows, send, value
from turnback.errors import RunnerBusy

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
_SAY_EVERY_S = 5.0


def lock_key(schema: str) -> int:
    """The lock's number: a signed 64-bit hash of the history's schema."""
    digest = hashlib.sha256(f"turnback:{schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def acquire(connection: Connection, schema: str, *, wait_s: float, listener: Listener) -> None:
    """Take the lock of this database's history, or say who has it.

    Args:
        connection: the session that will work; the lock ends with it.
        schema: the schema of the history.
        wait_s: how long to go on trying, seconds.
        listener: told who holds the lock, while we wait.

    Raises:
        RunnerBusy: another run held it all the time.
    """
    key = lock_key(schema)
    deadline = time.monotonic() + wait_s
    pause, next_word = _FIRST_PAUSE_S, time.monotonic()
    while True:
        result = send(connection, f"SELECT pg_catalog.pg_try_advisory_lock({key})")[0]
        if value(result) == "t":
            return
        now = time.monotonic()
        if now >= deadline:
            raise RunnerBusy(
                f"another run is working on this database: {holder(connection, key)}",
                hint="wait for it, or give it more time: --wait 10min",
            )
        if now >= next_word:
            listener(Event("waiting", text=holder(connection, key)))
            next_word = now + _SAY_EVERY_S
        time.sleep(min(pause * random.uniform(0.7, 1.3), max(deadline - now, 0.01)))
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)


def release(connection: Connection, schema: str) -> None:
    """Give the lock back."""
    send(connection, f"SELECT pg_catalog.pg_advisory_unlock({lock_key(schema)})")


def holder(connection: Connection, key: int) -> str:
    """Who holds the lock, since when, and what its session does now."""
    high, low = (key >> 32) & 0xFFFFFFFF, key & 0xFFFFFFFF
    query = (
        "SELECT a.pid, a.usename, a.application_name, a.client_addr, a.state, "
        "extract(epoch FROM pg_catalog.clock_timestamp() - a.backend_start)::integer, "
        "pg_catalog.left(pg_catalog.regexp_replace(a.query, '\\s+', ' ', 'g'), 80) "
        "FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid) "
        "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
        f"AND l.classid = {high} AND l.objid = {low} "
        "AND l.database = (SELECT oid FROM pg_catalog.pg_database "
        "WHERE datname = pg_catalog.current_database())"
    )
    found = rows(send(connection, query)[0])
    if not found:
        return "it has just ended"
    pid, user, application, address, state, seconds, query_text = found[0]
    return (
        f"{application or 'unnamed'} (pid {pid}, user {user}, from {address or 'this host'}, "
        f"connected for {seconds} s, {state or 'state unknown'}: {query_text or '?'})"
    )
