"""One runner at a time: a session advisory lock, which lasts exactly as long as its session.

It is tried and polled, never waited in: a blocked pg_advisory_lock holds a snapshot, for which
the holder's CREATE INDEX CONCURRENTLY waits in turn, and so both wait for ever.
"""

from __future__ import annotations

import hashlib
import random
import time
from dataclasses import dataclass

from psycopg.pq.abc import PGresult

from turnback.engine.session.events import Event, Listener
from turnback.engine.session.message import Connection, rows, send, value
from turnback.errors import RunnerBusy
from turnback.sql.quoting import literal

APPLICATION = "turnback/"
# Longer than the longest pause between two tries of a run (runner.py).
ORPHAN_S = 30
_ENDED = "it has just ended"
_STUCK = "idle in the middle of a message"
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
_SAY_EVERY_S = 5.0


def application_of(run: str) -> str:
    """What the sessions of a run are called; longer names are cut by the server (NAMEDATALEN)."""
    return f"{APPLICATION}{run}"[:63]


def lock_key(schema: str) -> int:
    """The lock's number: a signed 64-bit hash of the history's schema."""
    digest = hashlib.sha256(f"turnback:{schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def acquire(
    connection: Connection, schema: str, *, wait_s: float, listener: Listener, then: str = ""
) -> list[PGresult]:
    """Take the lock of this database's history, or say who has it.

    An idle session of ours that holds it belongs to a run that was frozen or cut off and never
    comes back; it is ended. One that works is awaited.

    Args:
        connection: the session that will work; the lock ends with it.
        schema: the schema of the history.
        wait_s: how long to go on trying, seconds.
        listener: told who holds the lock, while we wait.
        then: SQL to run in the same message as the try; it must only read.

    Returns:
        The results of ``then``.

    Raises:
        RunnerBusy: another run held it all the time; the message says who.
    """
    key = lock_key(schema)
    deadline = time.monotonic() + wait_s
    pause, next_word = _FIRST_PAUSE_S, time.monotonic()
    while True:
        results = send(connection, f"SELECT pg_catalog.pg_try_advisory_lock({key}); {then}")
        if value(results[0]) == "t":
            return results[1:]
        found = holder(connection, key)
        now = time.monotonic()
        if found and found.orphaned:
            listener(Event("orphan", text=str(found)))
            send(connection, f"SELECT pg_catalog.pg_terminate_backend({found.pid})")
        elif now >= deadline:
            raise RunnerBusy(
                f"another run is working on this database: {found or _ENDED}",
                hint="wait for it, or give it more time: --wait 10min",
            )
        elif now >= next_word:
            listener(Event("waiting", text=str(found or _ENDED)))
            next_word = now + _SAY_EVERY_S
        time.sleep(min(pause * random.uniform(0.7, 1.3), max(deadline - now, 0.01)))
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)


def release(connection: Connection, schema: str) -> None:
    """Give the lock back."""
    send(connection, f"SELECT pg_catalog.pg_advisory_unlock({lock_key(schema)})")


def working(connection: Connection, schema: str, *, wait_s: float) -> Holder | None:
    """Who works on the database; None where nobody does, or where it ended meanwhile.

    Whatever a run does, it does under the lock, so whoever gets it knows. A session that a run
    left behind, and that does nothing any more, is ended by asking.

    Args:
        connection: a session that does not hold the lock.
        schema: the history's schema.
        wait_s: how long it may take to end, seconds.
    """
    try:
        acquire(connection, schema, wait_s=wait_s, listener=lambda _: None)
    except RunnerBusy:
        return holder(connection, lock_key(schema))
    release(connection, schema)
    return None


@dataclass(frozen=True, slots=True)
class Holder:
    """The session that has the lock."""

    pid: int
    user: str
    application: str
    address: str
    state: str
    connected_s: int
    in_state_s: int
    query: str

    @property
    def ours(self) -> bool:
        """Whether it is a run of turnback."""
        return self.application.startswith(APPLICATION)

    @property
    def working(self) -> bool:
        """Whether a statement of it is running now."""
        return self.state == "active"

    @property
    def orphaned(self) -> bool:
        """Whether it is a run of ours that does nothing, for longer than a run ever pauses."""
        return self.ours and self.state.startswith("idle") and self.in_state_s >= ORPHAN_S

    def __str__(self) -> str:
        return (
            f"{self.application or 'unnamed'} (pid {self.pid}, user {self.user}, from "
            f"{self.address or 'this host'}, connected for {self.connected_s} s, "
            f"{self.state or 'state unknown'} for {self.in_state_s} s: {self.query or '?'})"
        )


def holder(connection: Connection, key: int) -> Holder | None:
    """Who holds the lock, since when, and what its session does now; None if it is free."""
    high, low = (key >> 32) & 0xFFFFFFFF, key & 0xFFFFFFFF
    age = "extract(epoch FROM pg_catalog.clock_timestamp() - a.{})::integer"
    # Of a pipeline whose client froze, only a part may have arrived; the server waits for the rest.
    doing = (
        f"CASE WHEN a.state = 'active' AND a.wait_event = 'ClientRead' THEN {literal(_STUCK)} "
        "ELSE a.state END"
    )
    query = (
        f"SELECT a.pid, a.usename, a.application_name, a.client_addr, {doing}, "
        f"{age.format('backend_start')}, {age.format('state_change')}, "
        "pg_catalog.left(pg_catalog.regexp_replace(a.query, '\\s+', ' ', 'g'), 80) "
        "FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid) "
        "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
        f"AND l.classid = {high} AND l.objid = {low} "
        "AND l.database = (SELECT oid FROM pg_catalog.pg_database "
        "WHERE datname = pg_catalog.current_database())"
    )
    found = rows(send(connection, query)[0])
    if not found:
        return None
    pid, user, application, address, state, connected, in_state, query_text = found[0]
    return Holder(
        int(pid or 0),
        user or "?",
        application or "",
        address or "",
        state or "",
        int(connected or 0),
        int(in_state or 0),
        query_text or "",
    )
