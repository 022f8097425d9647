"""What a run is told beforehand, and what it tells while it works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


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


@dataclass(frozen=True, slots=True)
class Options:
    """How patient a run is.

    Attributes:
        lock_timeout_ms: how long a statement may wait for a lock, milliseconds; every other
            client that wants the table waits behind it for as long.
        lock_retry_s: for how long a migration that ran into it is tried again, seconds.
        runner_wait_s: how long to wait for another run to end, seconds.
        statement_timeout_ms: how long a statement may run, milliseconds; 0 is without limit.
        batch: whether many migrations may travel in one message.
        detachable: whether a message may have to be left to the server; no notices are then sent,
            because to send one to a client that has gone would abort it.
    """

    lock_timeout_ms: int = 2000
    lock_retry_s: float = 60.0
    runner_wait_s: float = 60.0
    statement_timeout_ms: int = 0
    batch: bool = True
    detachable: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a run.

    Attributes:
        kind: ``waiting`` for another run, ``orphan`` of one ended, ``started``, ``progress``,
            ``retrying`` after a lock was not to be had, ``resumed`` at a later statement,
            ``recognised`` as done by an earlier try, ``skipped`` for there was nothing to undo,
            ``lost`` without a record, ``applied``, ``rolled_back`` or ``notice`` of the server.
        version: the migration's version, where it is about one.
        name: its name.
        execution_ms: how long it took in the server, milliseconds.
        text: what else there is to say.
        position: which of the run's migrations it is, from 1.
        total: how many there are.
        percent: how far the migration's index is built, in this phase of building it.
    """

    kind: str
    version: str | None = None
    name: str | None = None
    execution_ms: int | None = None
    text: str = ""
    position: int | None = None
    total: int | None = None
    percent: int | None = None


Listener = Callable[[Event], None]


Going = Callable[[], bool]
Cancelled = Callable[[], str | None]


def never() -> str | None:
    """Of a run that nobody cancels."""
    return None


def silent(_: Event) -> None:
    """A listener that says nothing."""
