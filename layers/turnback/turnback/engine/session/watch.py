"""Watching a statement from a second session while it has no answer.

Its blockers can only be seen while it waits: after the lock timeout nothing blocks it any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from psycopg.rows import class_row, scalar_row

from turnback.engine.session.message import Connection, ServerError, Watcher, send
from turnback.engine.session.query import load, object_oids, query
from turnback.errors import TurnbackError
from turnback.sql.locks import ACCESS_EXCLUSIVE, TableLock
from turnback.sql.quoting import joined as quoted

EVERY_S = 0.25
# Who cancels waits so long at most; each look is a request to S3.
ASK_EVERY_S = 1.0
# What is dropped: the parser's words, and those of queries/cascade.sql; others are relations.
_KINDS = {
    "OBJECT_SCHEMA": "schema",
    "OBJECT_EXTENSION": "extension",
    "OBJECT_TYPE": "type",
    "OBJECT_DOMAIN": "type",
    "OBJECT_FUNCTION": "function",
    "OBJECT_PROCEDURE": "function",
    "OBJECT_ROUTINE": "function",
    "OBJECT_AGGREGATE": "function",
}


class Detached(Exception):
    """The client leaves, and the statement continues in the server.

    Attributes:
        cleanup: whether the statement is not the migration's own, but clears up before it.
    """

    def __init__(self, *, cleanup: bool = False) -> None:
        super().__init__()
        self.cleanup = cleanup


def send_cleanup(connection: Connection, sql: str, watch: Watcher | None) -> None:
    """Send a statement that clears up before the migration's own.

    Raises:
        Detached: it is time to leave; the statement that continues is not the migration's.
    """
    try:
        send(connection, sql, watch)
    except Detached:
        raise Detached(cleanup=True) from None


@dataclass(frozen=True, slots=True)
class Blocker:
    """A session that holds a lock which another one waits for.

    Its ``query`` may have values of rows in it: ``str()`` omits it, and turnback locks shows it.

    Attributes:
        state: what it does, such as ``idle in transaction``, for so many seconds; empty if that is
            not shown to this user.
        since: when its transaction began, UTC; empty if that is not shown to this user.
        transaction: the server's number of it, which no other transaction gets.
        yields: whether it ends by itself when somebody has waited for it for a second, as
            autovacuum does (deadlock_timeout).
    """

    pid: int
    user: str
    application: str
    state: str
    seconds: int
    query: str
    since: str
    transaction: str
    yields: bool

    @property
    def is_dump(self) -> bool:
        """Whether it is pg_dump, which keeps a lock on every table until it has read them all."""
        return self.application == "pg_dump"

    def __str__(self) -> str:
        began = f", in its transaction since {self.since} UTC" if self.since else ""
        state = f", {self.state} for {self.seconds} s" if self.state else ""
        return f"pid {self.pid} ({self.user}, {self.application or 'unnamed'}){state}{began}"


@dataclass(frozen=True, slots=True)
class CommandProgress:
    """Progress of a command that the server reports (manual, 27.4).

    Attributes:
        command: ``index`` (CREATE INDEX and REINDEX), ``cluster``, ``vacuum full``, ``vacuum``,
            ``analyze`` or ``copy``.
        phase: what it does now, in the server's words.
        done: of ``total``, in blocks, rows or bytes.
    """

    command: str
    phase: str
    done: int
    total: int

    @property
    def percent(self) -> int | None:
        """Of this phase, where the server knows the total."""
        return min(100 * self.done // self.total, 100) if self.total else None

    def __str__(self) -> str:
        text = self.phase if self.command == "index" else f"{self.command}: {self.phase}"
        return text if self.percent is None else f"{text}: {self.percent} %"


def blockers(
    connection: Connection,
    pid: int | None = None,
    *,
    locks: Sequence[TableLock] = (),
    transactions: Sequence[str] = (),
) -> list[Blocker]:
    """Who is in the way, the oldest transaction first.

    Args:
        connection: the session that looks; its own locks are left out.
        pid: a backend that waits for a lock.
        locks: those that will be asked for, on relations as the session's first search_path
            finds them.
        transactions: some that were in the way before.

    Raises as ``query`` does.
    """
    named = [lock for lock in locks if lock.reach != "cascade"]
    found = object_oids(connection, [quoted(lock.parts) for lock in named]) if named else []
    known = [(oid, lock) for oid, lock in zip(found, named, strict=True) if oid is not None]
    dropped = [lock for lock in locks if lock.reach == "cascade"]
    cascade = _dropped_by_cascade(connection, dropped) if dropped else []
    params = {
        "pid": pid,
        "oids": [*(oid for oid, _ in known), *cascade],
        "levels": [*(lock.level for _, lock in known), *(ACCESS_EXCLUSIVE for _ in cascade)],
        "reach": [*(lock.reach for _, lock in known), *("" for _ in cascade)],
        "transactions": list(transactions),
    }
    return query(connection, load("blockers"), class_row(Blocker), params)


def _dropped_by_cascade(connection: Connection, dropped: Sequence[TableLock]) -> list[int]:
    """The oids of the relations that are locked when these are dropped with CASCADE."""
    kinds = [_KINDS.get(one.kind, "relation") for one in dropped]
    names = [quoted(one.parts) for one in dropped]
    relations = object_oids(connection, names)
    types = object_oids(connection, names, "type") if "type" in kinds else relations
    params = {
        "kinds": kinds,
        "oids": [
            of_type if kind == "type" else relation
            for kind, relation, of_type in zip(kinds, relations, types, strict=True)
        ],
        "schemas": [one.parts[-2] if len(one.parts) > 1 else "" for one in dropped],
        "names": [one.parts[-1] for one in dropped],
        "members": [one.member for one in dropped],
    }
    return query(connection, load("cascade"), scalar_row, params)


def command_progress(connection: Connection, pid: int) -> CommandProgress | None:
    """How far the command of this backend is; None where the server does not report it."""
    found = query(connection, load("progress"), class_row(CommandProgress), {"pid": pid})
    return found[0] if found else None


class Watch:
    """Watches one backend from a second session, and remembers who blocked it.

    Args:
        monitor: opens the second session, when it is first needed.
        pid: the backend to watch.
        first_look_s: how long to wait before the first look, seconds.
        tell: called with progress as text, and as a percentage where there is one.
        leave: whether it is time to leave the statement to the server.
        reached: looks how far a message of several migrations is, once a second, by the second
            session.
        cancelled: whether the run was cancelled; asked once a second while there is a migration
            behind the one under way.
        stop: makes the server begin none of them, by the second session; False to try it again.
    """

    def __init__(
        self,
        monitor: Callable[[], Connection],
        pid: int,
        *,
        first_look_s: float,
        tell: Callable[[str, int | None], None],
        leave: Callable[[], bool],
        reached: Callable[[Connection], None],
        cancelled: Callable[[], bool],
        stop: Callable[[Connection], bool],
    ) -> None:
        self._open = monitor
        self._pid = pid
        self._first_look_s = first_look_s
        self._tell = tell
        self._leave = leave
        self._reached = reached
        self._cancelled = cancelled
        self._stop = stop
        self._next_question = 0.0
        self._stopped = False
        self._connection: Connection | None = None
        self._next_look = 0.0
        self._last = ""
        self.blocked_by: list[Blocker] = []

    def begin(self) -> None:
        """A new statement is on its way."""
        self._next_look = time.monotonic() + self._first_look_s
        self.blocked_by = []

    def no_answer(self) -> None:
        """Nothing came for a moment: look who blocks, and how far it is.

        Raises:
            Detached: it is time to leave.
        """
        if self._leave():
            raise Detached
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + EVERY_S
        connection = self.connection()
        if connection is None:
            return
        try:
            self._each_second(connection)
            self.blocked_by = blockers(connection, self._pid) or self.blocked_by
            progress = command_progress(connection, self._pid)
        except (ServerError, TurnbackError) as error:
            self._say(f"the progress cannot be read: {error}")
            return
        if progress:
            self._say(str(progress), progress.percent)

    def _each_second(self, connection: Connection) -> None:
        """See how far the message is, and tell the server if the run was cancelled."""
        if time.monotonic() < self._next_question:
            return
        self._next_question = time.monotonic() + ASK_EVERY_S
        self._reached(connection)
        if not self._stopped and self._cancelled():
            self._stopped = self._stop(connection)
            if not self._stopped:
                self._next_question = 0.0

    def connection(self) -> Connection | None:
        """The second session; None when it cannot be opened."""
        if self._connection is None:
            try:
                self._connection = self._open()
            except TurnbackError as error:
                self._say(f"the progress cannot be read: {error}")
                self._next_look = float("inf")
        return self._connection

    def close(self) -> None:
        """End the second session."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _say(self, text: str, percent: int | None = None) -> None:
        if text != self._last:
            self._last = text
            self._tell(text, percent)


def blocked_text(found: list[Blocker]) -> str:
    """The blockers, as an addition to an error; empty if none was seen."""
    if not found:
        return ""
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f"; blocked by {found[0]}{more}"
