"""One run at a time: a session advisory lock, which lasts exactly as long as its session.

It is polled: a blocked pg_advisory_lock holds a snapshot, the holder's CREATE INDEX CONCURRENTLY
waits for that snapshot, and both wait forever.
"""

from __future__ import annotations

import hashlib
import random
import time
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row, scalar_row

from turnback.engine.session.events import Event, EventKind, Listener
from turnback.engine.session.message import Connection, ServerError, send
from turnback.engine.session.query import (
    CANCELLED,
    LOCK_LOST,
    READ_ONLY,
    execute,
    fetch,
    load,
    query,
    refusal,
    scalar,
)
from turnback.errors import RunnerBusy

APPLICATION = "turnback/"
MONITOR = "turnback-monitor/"
_NOT_PERMITTED = "42501"
# Longer than the longest pause between two attempts of a run (runner.py).
ORPHAN_S = 30
_ENDED = "it has just ended"
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
_EVENT_EVERY_S = 5.0


def application_of(run: str, kind: str = APPLICATION) -> str:
    """The application_name of a run's sessions; the server cuts longer ones (NAMEDATALEN)."""
    return f"{kind}{run}"[:63]


def lock_key(schema: str) -> int:
    """The lock's number: a signed 64-bit hash of the history's schema."""
    digest = hashlib.sha256(f"turnback:{schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _cancel_key(schema: str) -> int:
    return lock_key(f"{schema}: cancelled")


def go_on(schema: str) -> str:
    """A statement that fails once ``stop`` was called for the run; it leaves no lock."""
    key = _cancel_key(schema)
    return (
        f"SELECT CASE WHEN pg_catalog.pg_try_advisory_lock_shared({key}) THEN "
        f"pg_catalog.pg_advisory_unlock_shared({key})::integer ELSE {refusal(CANCELLED)} END;"
    )


def stop(connection: Connection, schema: str) -> bool:
    """Make the next ``go_on`` fail, for as long as this session lasts; False to be tried again.

    Args:
        connection: another session than that of the run.
        schema: the schema of the history.
    """
    return bool(
        scalar(connection, f"SELECT pg_catalog.pg_try_advisory_lock({_cancel_key(schema)})")
    )


def acquire(
    connection: Connection, schema: str, *, wait_s: float, listener: Listener, then: str = ""
) -> psycopg.Cursor[Any]:
    """Take the lock of this database's history.

    An idle session of turnback that holds it belongs to a run that was frozen or cut off; it is
    terminated. A session that works is waited for.

    Args:
        connection: the session that will work; the lock ends with it.
        schema: the schema of the history.
        wait_s: how long to keep trying, seconds.
        listener: hears who holds the lock, while this waits.
        then: statements for the same message; they must only read.

    Returns:
        A cursor at the first statement of ``then``.

    Raises:
        RunnerBusy: another run held it all the time; the message names it.
    """
    key = lock_key(schema)
    deadline = time.monotonic() + wait_s
    pause, next_event = _FIRST_PAUSE_S, time.monotonic()
    while True:
        cursor = execute(connection, f"SELECT pg_catalog.pg_try_advisory_lock({key}); {then}")
        if fetch(cursor, scalar_row) == [True]:
            return cursor
        found = holder(connection, key)
        now = time.monotonic()
        if found and found.orphaned and _end(connection, found):
            listener(Event(EventKind.ORPHAN, text=str(found)))
        elif now >= deadline:
            raise _busy(found)
        elif now >= next_event:
            listener(Event(EventKind.WAITING, text=str(found or _ENDED)))
            next_event = now + _EVENT_EVERY_S
        time.sleep(min(pause * random.uniform(0.7, 1.3), max(deadline - now, 0.01)))
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)


def _end(connection: Connection, orphan: Holder) -> bool:
    """End a session; False where this user may not, because it is another role's."""
    try:
        send(connection, f"SELECT pg_catalog.pg_terminate_backend({orphan.pid})")
    except ServerError as error:
        if error.sqlstate != _NOT_PERMITTED:
            raise
        return False
    return True


def _busy(found: Holder | None) -> RunnerBusy:
    hint = "wait for it, or give it more time: --wait 10min"
    if found and found.orphaned:
        hint = (
            f"its client is gone, and only {found.user}, a member of that role or of "
            f"pg_signal_backend may end its session: SELECT pg_terminate_backend({found.pid})"
        )
    return RunnerBusy(f"another run is working on this database: {found or _ENDED}", hint=hint)


def release(connection: Connection) -> None:
    """Release the lock, however often ``assertion`` has taken it."""
    send(connection, "SELECT pg_catalog.pg_advisory_unlock_all()")


def assertion(schema: str) -> str:
    """A statement that fails where another run has the lock, and takes it where nobody has.

    A migration can release every lock of its session. The lock of the transaction lasts until the
    transaction ends, whatever the migration does.

    It also fails where the server accepts no writes. A transaction is read-only from its beginning
    or by a statement of its own, so what is refused behind this one is the script's doing.
    """
    key = lock_key(schema)
    return (
        "SELECT CASE WHEN pg_catalog.current_setting('transaction_read_only')::pg_catalog.bool "
        f"THEN {refusal(READ_ONLY)} WHEN pg_catalog.pg_try_advisory_lock({key}) "
        f"AND pg_catalog.pg_try_advisory_xact_lock({key}) THEN 1 ELSE {refusal(LOCK_LOST)} END;"
    )


def held_by(schema: str, pid: int) -> str:
    """A statement that fails unless a session has the lock, which is another one of this run."""
    key = lock_key(schema)
    return (
        "SELECT CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype "
        f"OPERATOR(pg_catalog.=) 'advisory' AND granted AND pid OPERATOR(pg_catalog.=) {pid} "
        f"AND classid OPERATOR(pg_catalog.=) {(key >> 32) & 0xFFFFFFFF}::pg_catalog.oid "
        f"AND objid OPERATOR(pg_catalog.=) {key & 0xFFFFFFFF}::pg_catalog.oid) "
        f"THEN 1 ELSE {refusal(LOCK_LOST)} END;"
    )


def share(name: str) -> str:
    """A statement that holds off ``take_over`` to the end of its transaction, or fails."""
    key = _share_key(name)
    return (
        f"SELECT CASE WHEN pg_catalog.pg_try_advisory_xact_lock_shared({key}) THEN 1 "
        f"ELSE {refusal(LOCK_LOST)} END;"
    )


def _share_key(name: str) -> int:
    return lock_key(f"{name}: shared")


def take_over(connection: Connection, name: str, *, patience_s: float, wait_s: float) -> None:
    """Take a lock of this name, and end the session that does not give it up.

    Only for what may be cut off anywhere. Then wait for what others do under ``share``.

    Args:
        connection: the session that has the locks from now on.
        name: what the lock is of.
        patience_s: how long to wait before the session is ended, seconds.
        wait_s: how long to wait after that, seconds.

    Raises:
        RunnerBusy: the session could not be ended, or something goes on under ``share``.
    """
    try:
        acquire(connection, name, wait_s=patience_s, listener=lambda _: None)
    except RunnerBusy:
        if found := holder(connection, lock_key(name)):
            _end(connection, found)
        acquire(connection, name, wait_s=wait_s, listener=lambda _: None)
    deadline = time.monotonic() + wait_s
    key = _share_key(name)
    while not scalar(connection, f"SELECT pg_catalog.pg_try_advisory_lock({key})"):
        if time.monotonic() > deadline:
            raise _busy(holder(connection, key))
        time.sleep(_FIRST_PAUSE_S)


def wait_until_free(connection: Connection, schema: str, *, wait_s: float) -> Holder | None:
    """Wait for a run that works on the database; returns who still does, None where nobody does.

    A run changes nothing without the lock, so getting it proves that nobody works. An orphaned
    session that holds it is terminated.

    Args:
        connection: a session that does not hold the lock.
        schema: the history's schema.
        wait_s: how long to wait, seconds.
    """
    try:
        acquire(connection, schema, wait_s=wait_s, listener=lambda _: None)
    except RunnerBusy:
        return holder(connection, lock_key(schema))
    release(connection)
    return None


@dataclass(frozen=True, slots=True)
class Holder:
    """The session that has the lock; its ``query`` is not in the text, as of a Blocker.

    Attributes:
        watched_s: how long ago the second session of the same run has looked at it, seconds; None
            where it has none.
    """

    pid: int
    user: str
    application: str
    address: str
    state: str
    connected_s: int
    in_state_s: int
    query: str
    watched_s: int | None

    @property
    def ours(self) -> bool:
        """Whether it is a run of turnback."""
        return self.application.startswith(APPLICATION)

    @property
    def working(self) -> bool:
        """Whether it runs a statement now."""
        return self.state == "active"

    @property
    def orphaned(self) -> bool:
        """Whether it is a run of turnback that has been idle for longer than a run ever pauses.

        A run that is still sending a large message is idle for the server; but it looks at that
        session from its second one.
        """
        watched = self.watched_s is not None and self.watched_s < ORPHAN_S / 2
        idle = self.state.startswith("idle") and self.in_state_s >= ORPHAN_S
        return self.ours and idle and not watched

    def __str__(self) -> str:
        return (
            f"{self.application or 'unnamed'} (pid {self.pid}, user {self.user}, from "
            f"{self.address or 'this host'}, connected for {self.connected_s} s, "
            f"{self.state or 'state unknown'} for {self.in_state_s} s)"
        )


def holder(connection: Connection, key: int) -> Holder | None:
    """The session that holds the lock, and what it does now; None if the lock is free."""
    params = {
        "high": (key >> 32) & 0xFFFFFFFF,
        "low": key & 0xFFFFFFFF,
        "run": APPLICATION,
        "monitor": MONITOR,
    }
    found = query(connection, load("lock_holder"), class_row(Holder), params)
    return found[0] if found else None
