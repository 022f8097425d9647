"""Announce: collect what is known of a run, and publish it as a status event."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from turnback.errors import ConfigurationError, TurnbackError
from turnback.runs import told
from turnback.runs.caught import error_of, settled
from turnback.runs.checklist import Evidence, checklist
from turnback.runs.order import Order
from turnback.runs.records import Records
from turnback.runs.state import RunSnapshot
from turnback.runs.status import Status, StatusEvent
from turnback.runs.summary import progress_of, summary


class Publisher(Protocol):
    """Everywhere that statuses are published."""

    def publish(self, event: StatusEvent) -> Sequence[TurnbackError]:
        """Publish it; returns the errors of the places that are not the status topic."""


@dataclass(frozen=True, slots=True)
class Announcer:
    """Publishes the statuses of one run.

    Attributes:
        records: the run's plan and report.
        channels: where to publish.
        environment: the stack's environment.
        execution_arn: the execution.
        started_at: when it began.
        warn: gets the error of each place, other than the status topic, that failed.
        subscribers: how many subscribe to the ``statuses`` and the ``alarms``; None where that is
            unknown.
    """

    records: Records
    channels: Publisher
    environment: str
    execution_arn: str
    started_at: datetime
    warn: Callable[[TurnbackError], None]
    subscribers: Callable[[], Mapping[str, int | None]] = dict

    def announce(
        self,
        status: Status,
        state: Mapping[str, Any],
        *,
        approval: dict[str, Any] | None = None,
    ) -> StatusEvent:
        """Publish a status; of the last one, also keep the checklist.

        Args:
            status: what the run is at.
            state: the state machine's state: the order, and what the steps so far left in it.
            approval: what is asked of a person, with ``awaiting_approval``.

        Raises:
            AwsError: SNS did not accept it; the run goes on all the same.
        """
        event = self._event(status, state, approval)
        for error in self.channels.publish(event):
            self.warn(error)
        if event.checklist:
            self.records.write_checklist(list(event.checklist))
        return event

    def _event(
        self, status: Status, state: Mapping[str, Any], approval: dict[str, Any] | None
    ) -> StatusEvent:
        now = datetime.now(UTC)
        plan, report = self.records.plan().to_state(), self.records.report().to_state()
        error = settled(error_of(state.get("error")), status)
        rows = told.migrations(status, plan, report, error)
        known = {**_order(state), "release": plan.get("release")}
        snapshot = state.get("snapshot") or {}
        loss = told.loss(status, state, report)
        gone = told.destroyed(plan, report)
        return StatusEvent(
            **known,
            status=status,
            environment=self.environment,
            at=now.isoformat(timespec="milliseconds"),
            direction="down" if plan.get("direction") == "down" else "up",
            summary=summary(status, state, rows, known, approval=approval, gone=gone, loss=loss),
            migration_count=len(rows),
            done_count=told.done_count(status, plan, report),
            migrations=tuple(rows),
            progress=progress_of(status, state),
            rolled_back=tuple(row["version"] for row in report.get("rolled_back", [])),
            duration_ms=int((now - self.started_at).total_seconds() * 1000),
            rehearsal=state.get("rehearsal"),
            approval=approval or told.approval(state),
            snapshot=_snapshot(snapshot),
            loss=loss,
            restore=told.restore(status, state),
            application=told.application(state),
            checklist=self._checklist(state, plan) if status.final and rows else (),
            error=error,
            rollback_error=settled(error_of(state.get("rollback_error")), status),
            restore_error=told.restore_error(status, state),
            execution_arn=self.execution_arn,
        )

    def _checklist(
        self, state: Mapping[str, Any], plan: Mapping[str, Any]
    ) -> tuple[dict[str, str], ...]:
        subscribers = self.subscribers()
        known = Evidence(
            source=plan.get("source") or {},
            undocumented=plan.get("undocumented"),
            rehearsal=self.records.rehearsal(),
            snapshot=RunSnapshot.from_state(state.get("snapshot") or {}),
            alarms=subscribers.get("alarms"),
            audience=subscribers.get("statuses"),
        )
        return tuple(item.to_dict() for item in checklist(known))


def _order(state: Mapping[str, Any]) -> dict[str, Any]:
    """The order's fields, even where the order itself is what was refused."""
    try:
        order = Order.from_state(state)
    except ConfigurationError:
        return {
            "run": str(state.get("run")),
            "target": str(state.get("target")),
            "trigger": str(state.get("trigger")),
        }
    return {
        "run": order.run,
        "target": order.target,
        "trigger": order.trigger,
        "dry_run": order.dry_run,
    }


def _snapshot(snapshot: Mapping[str, Any]) -> dict[str, Any] | None:
    if not snapshot.get("id"):
        return None
    return {"kind": snapshot["kind"], "id": snapshot["id"]}
