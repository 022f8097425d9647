"""How long an attempt waits for its first lock: milliseconds, so that nobody queues behind it.

Whoever wants a table waits behind whoever already waits for it. So a migration does not wait while
somebody is in its way: it looks in ``pg_locks`` until they have gone, and then waits for
milliseconds, twice as long each time, up to the lock timeout. Only the first lock of a message
climbs: a later one waits up to the lock timeout, because another attempt would repeat the work
before it.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from turnback.engine.run.plan import Step
from turnback.engine.session.message import Connection, ServerError, send
from turnback.engine.session.watch import ASK_EVERY_S, Blocker, blocked_text, blockers
from turnback.sql.bulk import BulkStatements
from turnback.sql.locks import TableLock
from turnback.sql.statements import Statement
from turnback.sql.tree import joined
from turnback.sql.waits import first_lock, locks_by_statement

LOWEST_MS = 10
# Nobody waits longer than this behind an attempt while there is time for more of them.
_GENTLE_MS = 160
_GENTLE_S = 30.0
LOOK_EVERY_S = 0.1


class Ladder:
    """The attempts at one migration.

    Args:
        connection: the session that runs it.
        top_ms: the lock timeout, milliseconds; 0 is without limit.
        retry_s: for how long there are attempts, seconds; without any, the first one waits for as
            long as the lock timeout says.
        say: called with the blockers, as text, when they are seen first.
        meanwhile: called once a second while they are in the way; raises to stop waiting.

    Attributes:
        meanwhile: as given.
        rung_ms: how long the next attempt waits for its first lock, milliseconds.
        blocked_by: who was in the way of the last attempt.
    """

    def __init__(
        self,
        connection: Connection,
        top_ms: int,
        retry_s: float,
        *,
        say: Callable[[str], None],
        meanwhile: Callable[[], None],
    ) -> None:
        self._connection = connection
        self.top_ms = top_ms
        self._say = say
        self.meanwhile = meanwhile
        self._retry_s = retry_s
        began = time.monotonic()
        self.deadline = began + retry_s if top_ms or not retry_s else math.inf
        self._gentle_until = began + min(_GENTLE_S, retry_s / 2)
        self._highest_ms = top_ms or math.inf
        self.rung_ms = int(min(LOWEST_MS, self._highest_ms)) if retry_s else top_ms
        self.blocked_by: Sequence[Blocker] = ()
        self._locks: Sequence[TableLock] = ()

    def anew(self) -> Ladder:
        """Another one like it, whose time for attempts begins now."""
        return Ladder(
            self._connection,
            self.top_ms,
            self._retry_s,
            say=self._say,
            meanwhile=self.meanwhile,
        )

    def climb(self) -> None:
        """The next attempt waits twice as long."""
        limit = self._highest_ms
        if time.monotonic() < self._gentle_until:
            limit = min(limit, max(_GENTLE_MS, self.rung_ms))
        self.rung_ms = int(min(self.rung_ms * 2, limit))

    def look(self) -> list[Blocker]:
        """Who is in the way of the attempt, or was in that of the last one and has not gone.

        Nobody, where this user may not look: then the attempt shows it.
        """
        before = [one.transaction for one in self.blocked_by]
        if not self._locks and not before:
            return []
        try:
            return blockers(self._connection, locks=self._locks, transactions=before)
        except ServerError:
            return []

    def allow_for(self, found: Iterable[Blocker]) -> str:
        """Begin the time for attempts anew while a dump is in the way, which ends by itself.

        Returns:
            What is said of it; empty without a dump.
        """
        if not self._retry_s or not any(one.is_dump for one in found):
            return ""
        self.deadline = max(self.deadline, time.monotonic() + self._retry_s)
        return "; a dump is waited for until its end"

    def wait_for(self, locks: Sequence[TableLock]) -> None:
        """Wait until those who are in the way now have gone, as far as there is time.

        Others may have come meanwhile: the attempt that follows waits for them, for its rung.

        Args:
            locks: what the next message will lock.
        """
        self._locks = locks
        standing: set[str] | None = None
        said = {one.transaction for one in self.blocked_by}
        asks_at = 0.0
        while time.monotonic() < self.deadline:
            found = self.look()
            now = {one.transaction for one in found}
            standing = now if standing is None else standing & now
            if not standing:
                break
            dump = self.allow_for(found)
            if all(one.yields for one in found):
                # Autovacuum gives way to who waits for a second (deadlock_timeout).
                self.rung_ms = self.top_ms
                break
            if not said >= now:
                said |= now
                self._say(f"waits{_lock_on(locks)}{blocked_text(found)}{dump}")
            if time.monotonic() >= asks_at:
                self.meanwhile()
                asks_at = time.monotonic() + ASK_EVERY_S
            time.sleep(LOOK_EVERY_S)
        self.blocked_by = ()


def _lock_on(locks: Sequence[TableLock]) -> str:
    names = ", ".join(dict.fromkeys(joined(list(lock.parts)) for lock in locks))
    return f" for its lock on {names}" if names else ""


class Attempt:
    """A script's text with the timeout of an attempt around the statement that waits first.

    Args:
        step: the migration.
        ladder: how long that statement may wait, and those behind it; None for no limit but the
            session's.
    """

    def __init__(self, step: Step, ladder: Ladder | None) -> None:
        self._runnable = step.runnable
        bulk = isinstance(step.runnable.statements, BulkStatements)
        climbs = ladder is not None and ladder.rung_ms != ladder.top_ms and not bulk
        self._first = first_lock(step.runnable) if climbs else None
        if self._first is None or ladder is None:
            return
        statement = self._first.statement
        self._span = tuple(map(step.runnable.in_text, (statement.offset, statement.end)))
        directive = step.runnable.script.directives.lock_timeout_ms
        after = ladder.top_ms if directive is None else directive
        self._before = f"SET LOCAL lock_timeout = {ladder.rung_ms}; "
        self._behind = f"\n; {self._first.timeout or f'SET LOCAL lock_timeout = {after}'}"

    @contextlib.contextmanager
    def around(self, connection: Connection, statement: Statement) -> Iterator[None]:
        """Where statements are sent one by one, the timeout of the one that waits first."""
        first = self._first is not None and self._first.statement is statement
        if first:
            send(connection, self._before)
        yield
        if first:
            send(connection, self._behind)

    @property
    def text(self) -> str:
        """The text to send."""
        if self._first is None:
            return self._runnable.text
        start, end = self._span
        text = self._runnable.text
        return text[:start] + self._before + text[start:end] + self._behind + text[end:]

    def locate(self, error: ServerError, sent_before: int, statements_before: int) -> None:
        """Correct the places in an error to those in the text as the file has it.

        Args:
            error: the error.
            sent_before: characters of the message before the text.
            statements_before: statements of the message before those of the text.
        """
        if self._first is None:
            return
        number = error.index - statements_before
        # What was inserted is a statement each, before and behind this one.
        error.index -= (number > self._first.number) + (number > self._first.number + 1)
        if error.position is not None:
            place = error.position - 1 - sent_before
            begins, behind = self._span[0], self._span[1] + len(self._before)
            error.position -= len(self._before) * (place > begins)
            error.position -= len(self._behind) * (place > behind)


def locks_of_each(step: Step) -> list[list[TableLock]]:
    """The locks that each statement of a migration asks for; nothing of a very large one."""
    bulk = isinstance(step.runnable.statements, BulkStatements)
    return [] if bulk else locks_by_statement(step.runnable)


def locks_beforehand(step: Step) -> list[TableLock]:
    """What a migration will lock in its one message, each lock once."""
    each = [] if step.runnable.one_by_one else locks_of_each(step)
    return list(dict.fromkeys(lock for locks in each for lock in locks))
