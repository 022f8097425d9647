"""One row for each run, for a list of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from turnback.runs.order import ARTIFACT_KEY
from turnback.runs.records import Records
from turnback.runs.reporting.execution import outcome_of
from turnback.runs.status import Status
from turnback.runs.watching import follow
from turnback.store import Store

# The status of a run in progress, by its state; in all other states it is ``started``.
_IN_PROGRESS = {
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


def run_row(execution: Execution, state: str, store: Store) -> dict[str, Any]:
    """A run as ``turnback runs --json`` prints it.

    Args:
        execution: its execution.
        state: the state that it entered last.
        store: the bucket with its records.
    """
    order = execution.order
    until = execution.stopped or datetime.now(UTC)
    return {
        "run": execution.name,
        "release": _release(order, store, execution.name),
        "rollback_to": order.get("rollback_to"),
        "status": _status(execution, state).value,
        "state": state,
        "execution": execution.status,
        "dry_run": order.get("dry_run") is True,
        "trigger": order.get("trigger"),
        "started_at": execution.started.isoformat(timespec="seconds"),
        "duration_ms": max(round((until - execution.started).total_seconds() * 1000), 0),
        "error": execution.error or None,
    }


def _status(execution: Execution, state: str) -> Status:
    if execution.stopped is None:
        return _IN_PROGRESS.get(state, Status.STARTED)
    return outcome_of(execution.status, state, execution.error, execution.cause).status


def _release(order: Mapping[str, Any], store: Store, run: str) -> str | None:
    artifact = order.get("artifact")
    named = ARTIFACT_KEY.fullmatch(str(artifact.get("key"))) if isinstance(artifact, dict) else None
    if named:
        return named["release"]
    # The artifacts of pipelines and dry runs are not named after their release.
    return Records(store, run).plan().release
