"""What a run is given: who runs, its options and controls, and who hears of its events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from turnback.settings.environment import CodeRule


@dataclass(frozen=True, slots=True)
class RunContext:
    """Who runs: written into every row of the log.

    Attributes:
        run: the run's id.
        release: the release it runs, if it runs one.
        actor: the person or the trigger.
    """

    run: str
    release: str | None = None
    actor: str = "unknown"


LOCK_TIMEOUT_MS = 2000


@dataclass(frozen=True, slots=True)
class Options:
    """Timeouts and modes of a run.

    Attributes:
        lock_timeout_ms: how long a statement may wait for a lock at most, milliseconds; every
            other client that wants the table waits behind it for as long. None: as the address or
            its environment says, else ``LOCK_TIMEOUT_MS``.
        lock_retry_s: for how long a migration that ran into the lock timeout is retried, seconds.
        runner_wait_s: how long to wait for another run to end, seconds.
        statement_timeout_ms: how long a statement may run, milliseconds; 0 is without limit.
        batch: whether several migrations may share one message.
        detachable: whether a message may have to be left to the server; the server then sends no
            notices, because sending one to a client that has gone would abort the transaction.
        code: whether migrations in Python may run.
        backfills_later: whether a migration with a backfill is applied at once, and its backfill
            continues in the background.
    """

    lock_timeout_ms: int | None = None
    lock_retry_s: float = 60.0
    runner_wait_s: float = 60.0
    statement_timeout_ms: int = 0
    batch: bool = True
    detachable: bool = False
    code: CodeRule = CodeRule.REFUSED
    backfills_later: bool = False


class EventKind(StrEnum):
    """What can happen in a run; runs.reporting.progress has the words for each."""

    WAITING = "waiting"
    """Another run works on the database."""
    ORPHAN = "orphan"
    """The idle session of a run that is gone was ended."""
    STARTED = "started"
    """A migration is sent; or the server has come to it, in a message of several."""
    PROGRESS = "progress"
    RETRYING = "retrying"
    """A lock was not available."""
    RESUMED = "resumed"
    """A migration continues at a later statement."""
    RECOGNISED = "recognised"
    """A statement was done by an earlier attempt."""
    SKIPPED = "skipped"
    """There was nothing to undo."""
    LOST = "lost"
    """A migration that was left to the server ended without a record; it is run again."""
    APPLIED = "applied"
    ROLLED_BACK = "rolled_back"
    NOTICE = "notice"
    """A notice of the server."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a run.

    Attributes:
        kind: what happened.
        version: the migration's version, where it is about one.
        name: its name.
        execution_ms: how long it took in the server, milliseconds.
        text: details.
        whole: of a notice, all that the server says, which may have values of rows: for a terminal.
        position: which of the run's migrations it is, from 1.
        total: how many there are.
        percent: progress of a command that reports it, in its current phase; or of a large file.
    """

    kind: EventKind
    version: str | None = None
    name: str | None = None
    execution_ms: int | None = None
    text: str = ""
    whole: str = ""
    position: int | None = None
    total: int | None = None
    percent: int | None = None


Listener = Callable[[Event], None]


def silent(_: Event) -> None:
    """A listener that ignores every event."""


@dataclass(frozen=True, slots=True)
class RunControl:
    """What steers a run from outside while it works.

    Attributes:
        keep_going: asked before each message and while one has no answer; after a no, the report
            says what remains, and a message that is under way is left to the server.
        cancelled: asked before each message, and once a second while several migrations are under
            way in one; a reason ends the run after the current migration, as RunCancelled. A
            statement that is under way is never interrupted for it.
        begins: asked before each message; after a no, the report says what remains. It may wait,
            and read in the session.
        apart: whether each migration gets a message of its own.
        before_first_change: called with the lock held, before the first change of this call.
        total: how many migrations the run does, over all its calls; None for those of the plan.
    """

    keep_going: Callable[[], bool] = lambda: True
    begins: Callable[[], bool] = lambda: True
    apart: bool = False
    cancelled: Callable[[], str | None] = lambda: None
    before_first_change: Callable[[], None] = lambda: None
    total: int | None = None
