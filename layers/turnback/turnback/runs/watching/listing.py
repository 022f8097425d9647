"""One row for each run, for a list of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from turnback.runs.order import ARTIFACT_KEY, field_of
from turnback.runs.records import Records
from turnback.runs.reporting.execution import outcome_of
from turnback.runs.stated import Stated
from turnback.runs.status import Status
from turnback.runs.turn import TurnRecord
from turnback.runs.watching import follow
from turnback.store import Store

# The status of a run in progress, by its state; in all other states it is ``started``.
_IN_PROGRESS = {
    "CheckArtifact": Status.WAITING,
    "AnnounceWaiting": Status.WAITING,
    "WaitForTurn": Status.WAITING,
    "LookAgain": Status.WAITING,
    "PassTurnToAsk": Status.AWAITING_APPROVAL,
    "AskApproval": Status.AWAITING_APPROVAL,
    "AskRestore": Status.AWAITING_APPROVAL,
    "Apply": Status.APPLYING,
    "WaitForApply": Status.APPLYING,
}


class Execution(follow.Execution, Protocol):
    """An execution of the state machine, with its name and time."""

    @property
    def name(self) -> str: ...
    @property
    def started(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class RunRow(Stated):
    """A run as ``turnback runs --json`` prints it.

    Attributes:
        run: its id.
        release: its release, or None where that is not known yet.
        rollback_to: the release to go back to, of a run downwards.
        status: what it is at.
        state: the state that it entered last.
        execution: its status in the words of Step Functions.
        dry_run: whether it stops at the plan.
        trigger: what started it, and who.
        started_at: when, ISO 8601.
        duration_ms: how long it took, or has taken so far, in milliseconds.
        error: the name of the error that ended it.
        waits_for: what it waits for before its turn, as the end of a sentence; or None.
        backfilling: whether a backfill of it continues in the background.
    """

    run: str
    release: str | None
    rollback_to: str | None
    status: str
    state: str
    execution: str
    dry_run: bool
    trigger: str | None
    started_at: str
    duration_ms: int
    error: str | None
    waits_for: str | None = None
    backfilling: bool = False


def run_row(
    execution: Execution,
    state: str,
    store: Store,
    turns: TurnRecord,
    unfinished: Collection[str],
) -> RunRow:
    """One row of the list.

    Args:
        execution: the run's execution.
        state: the state that it entered last.
        store: the bucket with its records.
        turns: whose turn it is.
        unfinished: the runs with a backfill that is not done.
    """
    order = execution.order
    until = execution.stopped or datetime.now(UTC)
    return RunRow(
        run=execution.name,
        release=_release(order, store, execution.name),
        rollback_to=_text(order, "rollback_to"),
        status=_status(execution, state).value,
        state=state,
        execution=execution.status,
        dry_run=field_of(order, "dry_run") is True,
        trigger=_text(order, "trigger"),
        started_at=execution.started.isoformat(timespec="seconds"),
        duration_ms=max(round((until - execution.started).total_seconds() * 1000), 0),
        error=execution.error or None,
        waits_for=turns.waits_for(execution.name),
        backfilling=execution.name in unfinished,
    )


def _text(order: object, name: str) -> str | None:
    value = field_of(order, name)
    return None if value is None else str(value)


def _status(execution: Execution, state: str) -> Status:
    if execution.stopped is None:
        return _IN_PROGRESS.get(state, Status.STARTED)
    return outcome_of(execution.status, state, execution.error, execution.cause).status


def _release(order: object, store: Store, run: str) -> str | None:
    named = ARTIFACT_KEY.fullmatch(str(field_of(field_of(order, "artifact"), "key")))
    if named:
        return named["release"]
    # The artifacts of pipelines and dry runs are not named after their release.
    return Records(store, run).plan().release
