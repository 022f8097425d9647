"""One swap in the session of its run: names, attempts at locks, errors."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from turnback.engine.run.failure import point, refused_by_us
from turnback.engine.run.ladder import LOOK_EVERY_S, Ladder
from turnback.engine.run.plan import Step
from turnback.engine.run.session import Session
from turnback.engine.session.events import Event, EventKind
from turnback.engine.session.message import Connection, ServerError, rows, send
from turnback.engine.session.query import OURSELVES, relation_oid
from turnback.engine.session.watch import blocked_text
from turnback.engine.swap.parts import Names
from turnback.errors import MigrationFailed, MigrationIncomplete, RollbackFailed, TurnbackError
from turnback.sql.locks import ACCESS_EXCLUSIVE, TableLock
from turnback.sql.quoting import NAME, plain
from turnback.sql.swap import TableChange
from turnback.wording import counted

TRANSIENT = ("55P03", "40P01")
_SHOWN = 5


@dataclass(slots=True)
class Work:
    """One migration's swap.

    Attributes:
        ladder: how long an attempt may wait for its locks.
        names: of the tables.
        key: the columns by which rows are copied, as the table has them before the swap.
        kept: what was done and is kept, for an error.
    """

    session: Session
    step: Step
    change: TableChange
    ladder: Ladder
    names: Names
    key: list[str] = field(default_factory=list)
    kept: str = ""

    @property
    def connection(self) -> Connection:
        return self.session.connection

    def oid(self, name: str) -> int:
        """The oid of a table that should be there."""
        found = relation_oid(self.connection, name)
        if found is None:
            raise self.refused(f"there is no table {name} any more", "make it again")
        return found

    def send_all(self, statements: Iterable[str]) -> None:
        """Send them in one message; nothing without any."""
        if text := "; ".join(statements):
            send(self.connection, text)

    def path(self) -> str:
        """The session's search_path."""
        return rows(send(self.connection, "SHOW search_path")[-1])[0][0] or '""'

    def own(self, ladder: Ladder, path: str = "pg_catalog") -> str:
        """SQL before what turnback itself does in one attempt."""
        return (
            f"{OURSELVES} {self.session.recorder.lock_assertion} SET LOCAL search_path = {path}; "
            f"SET LOCAL lock_timeout = {ladder.rung_ms};"
        )

    def with_locks(self, attempt: Callable[[Ladder], None], tables: Sequence[str] = ()) -> None:
        """Try it until it gets its locks, each time for as long as the ladder says.

        Args:
            attempt: does all or nothing.
            tables: which it locks against everybody, quoted.

        Raises:
            LockTimeout: there was no more time.
            ServerError: it failed for another reason.
        """
        ladder = self.ladder.anew()
        locks = [TableLock(_parts(one), ACCESS_EXCLUSIVE) for one in tables]
        while True:
            ladder.wait_for(locks)
            try:
                attempt(ladder)
            except ServerError as error:
                if error.sqlstate not in TRANSIENT:
                    raise
                found = ladder.look()
                text = f"{error.message}{blocked_text(found)}{ladder.allow_for(found)}"
                if time.monotonic() > ladder.deadline:
                    failure = self.failure(error)
                    failure.message = text
                    raise failure from error
                ladder.climb()
                ladder.blocked_by = found
                self.say(EventKind.RETRYING, f"did not get its lock: {text}")
                time.sleep(LOOK_EVERY_S)
                ladder.meanwhile()
            else:
                return

    def say(self, kind: EventKind, text: str, percent: int | None = None) -> None:
        """Report what it does."""
        step = self.step
        self.session.listener(Event(kind, step.version, step.name, text=text, percent=percent))

    def failure(self, error: ServerError) -> TurnbackError:
        """The error for what the server refused."""
        if refused := refused_by_us(self.step, error, self.kept or None):
            return refused
        again = f"fix it and run turnback {self.step.direction} again: it goes on there"
        where = self.change.first
        kept = f"{self.kept}; {again}" if self.kept else None
        return point(self.step, error, where.offset, where, incomplete=kept)

    def refused(self, message: str, hint: str) -> TurnbackError:
        """The error for a swap that cannot begin."""
        kind = RollbackFailed if self.step.direction == "down" else MigrationFailed
        return self._error(kind, message, hint)

    def incomplete(self, message: str, hint: str) -> TurnbackError:
        """The error for a swap that stops in its middle."""
        return self._error(MigrationIncomplete, message, hint)

    def named(self, failed: Mapping[tuple[str, ...], str]) -> TurnbackError:
        """The error that names rows that the other table does not take."""
        columns = ", ".join(self.key)
        shown = "; ".join(
            f"{columns} = {', '.join(key)}: {text}"
            for key, text in itertools.islice(failed.items(), _SHOWN)
        )
        return self.incomplete(
            f"{counted(len(failed), 'row')} of {self.names.shown} cannot be written to the other "
            f"table: {shown}",
            f"correct these rows, and run turnback {self.step.direction} again: it goes on there",
        )

    def _error(self, kind: type[TurnbackError], message: str, hint: str) -> TurnbackError:
        return kind(
            message,
            file=self.step.runnable.script.path,
            line=self.change.options.line,
            version=self.step.version,
            hint=hint,
        )


def _parts(name: str) -> tuple[str, ...]:
    """The parts of a name as the server writes it."""
    return tuple(plain(one) for one in re.findall(NAME, name))
