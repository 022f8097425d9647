"""Looking at our own statement from a second session while it gets no answer.

Who blocks it can only be seen while it waits: the server cancels it at the lock timeout, and then
nobody blocks anybody any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from turnback.engine.session.message import Connection, Quiet, ServerError, rows, send
from turnback.errors import TurnbackError

EVERY_S = 0.25
_QUERY_CHARACTERS = 100


class Detached(Exception):
    """We leave, and the statement goes on in the server.

    Attributes:
        mending: whether it is not the migration's own, but one that clears up before it.
    """

    def __init__(self, *, mending: bool = False) -> None:
        super().__init__()
        self.mending = mending


def mend(connection: Connection, sql: str, watch: Quiet | None) -> None:
    """Send a statement that clears up before the migration's own.

    Raises:
        Detached: it is time to leave; the one that goes on is not the migration's.
    """
    try:
        send(connection, sql, watch)
    except Detached:
        raise Detached(mending=True) from None


@dataclass(frozen=True, slots=True)
class Blocker:
    """A session that another one waits for."""

    pid: int
    user: str
    application: str
    state: str
    seconds: int
    query: str

    def __str__(self) -> str:
        return (
            f"pid {self.pid} ({self.user}, {self.application or 'unnamed'}), {self.state} for "
            f"{self.seconds} s: {self.query}"
        )


@dataclass(frozen=True, slots=True)
class IndexProgress:
    """How far CREATE INDEX or REINDEX is (manual, pg_stat_progress_create_index)."""

    phase: str
    done: int
    total: int

    @property
    def percent(self) -> int | None:
        """Of this phase, where the server knows how much there is."""
        return min(100 * self.done // self.total, 100) if self.total else None

    def __str__(self) -> str:
        return self.phase if self.percent is None else f"{self.phase}: {self.percent} %"


def blockers(connection: Connection, pid: int) -> list[Blocker]:
    """Who keeps this backend waiting for a lock, the holders first."""
    query = (
        "SELECT a.pid, a.usename, a.application_name, a.state, "
        "extract(epoch FROM pg_catalog.clock_timestamp() - "
        "coalesce(a.state_change, a.backend_start))::integer, pg_catalog.left("
        f"pg_catalog.regexp_replace(a.query, '\\s+', ' ', 'g'), {_QUERY_CHARACTERS}) "
        f"FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids({pid})) AS b (pid) "
        "JOIN pg_catalog.pg_stat_activity a USING (pid) ORDER BY a.xact_start"
    )
    return [
        Blocker(int(pid or 0), user or "?", app or "", state or "?", int(age or 0), sql or "")
        for pid, user, app, state, age, sql in rows(send(connection, query)[0])
    ]


def index_progress(connection: Connection, pid: int) -> IndexProgress | None:
    """How far the index is that this backend builds; None if it builds none."""
    query = (
        "SELECT phase, greatest(blocks_done, tuples_done), "
        "CASE WHEN blocks_done >= tuples_done THEN blocks_total ELSE tuples_total END "
        f"FROM pg_catalog.pg_stat_progress_create_index WHERE pid = {pid}"
    )
    found = rows(send(connection, query)[0])
    if not found:
        return None
    phase, done, total = found[0]
    return IndexProgress(str(phase), int(done or 0), int(total or 0))


class Watch:
    """Called while a statement of ours gets no answer; knows who blocked it when it is over.

    Args:
        monitor: opens the second session; not before it is needed.
        pid: the backend that is watched.
        first_look_s: how long to wait before looking, seconds.
        tell: told of progress, as text, and as a percentage where there is one.
        leave: whether it is time to leave the statement to the server.
    """

    def __init__(
        self,
        monitor: Callable[[], Connection],
        pid: int,
        *,
        first_look_s: float,
        tell: Callable[[str, int | None], None],
        leave: Callable[[], bool],
    ) -> None:
        self._open = monitor
        self._pid = pid
        self._first_look_s = first_look_s
        self._tell = tell
        self._leave = leave
        self._connection: Connection | None = None
        self._next_look = 0.0
        self._told = ""
        self.blocked_by: list[Blocker] = []

    def begin(self) -> None:
        """A new statement is on its way."""
        self._next_look = time.monotonic() + self._first_look_s
        self.blocked_by = []

    def quiet(self) -> None:
        """Nothing has come from the server for a moment.

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
            self.blocked_by = blockers(connection, self._pid) or self.blocked_by
            progress = index_progress(connection, self._pid)
        except (ServerError, TurnbackError) as error:
            self._say(f"cannot look at the server meanwhile: {error}")
            return
        if progress:
            self._say(str(progress), progress.percent)

    def connection(self) -> Connection | None:
        """The second session; None when the server has no room for one."""
        if self._connection is None:
            try:
                self._connection = self._open()
            except TurnbackError as error:
                self._say(f"cannot look at the server meanwhile: {error}")
                self._next_look = float("inf")
        return self._connection

    def close(self) -> None:
        """End the second session."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _say(self, text: str, percent: int | None = None) -> None:
        if text != self._told:
            self._told = text
            self._tell(text, percent)


def blocked_text(found: list[Blocker]) -> str:
    """Who blocked, as an addition to an error; empty when nobody was seen."""
    if not found:
        return ""
    others = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f"; blocked by {found[0]}{others}"
