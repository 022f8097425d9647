"""Announce: put together what is known of a run, and publish it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from turnback.errors import ConfigurationError, TurnbackError
from turnback.runs import told
from turnback.runs.caught import error_of, settled
from turnback.runs.checklist import Evidence, checklist
from turnback.runs.order import Order
from turnback.runs.records import Records
from turnback.runs.status import Status, StatusEvent
from turnback.runs.summary import progress_of, summary


class Publisher(Protocol):
    """Everywhere that statuses are told."""

    def publish(self, event: StatusEvent) -> Sequence[TurnbackError]:
        """Tell it; returns what kept a lesser place from hearing it."""


def announce(
    status: Status,
    state: Mapping[str, Any],
    *,
    execution_arn: str,
    started_at: datetime,
    environment: str,
    records: Records,
    channels: Publisher,
    untold: Callable[[TurnbackError], None],
    subscribers: Callable[[], Mapping[str, int | None]] = dict,
    approval: dict[str, Any] | None = None,
) -> StatusEvent:
    """Publish a run's status.

    Args:
        status: what the run is at.
        state: the state machine's state: the order, and what the steps so far left in it.
        execution_arn: the execution.
        started_at: when it began.
        environment: the stack's environment.
        records: the run's plan and report.
        channels: where to publish.
        untold: told what kept a lesser place than the status topic from hearing it.
        subscribers: how many hear the ``statuses`` and the ``alarms``; None where that is unknown.
        approval: what is asked of a person, with ``awaiting_approval``.

    Raises:
        AwsError: SNS did not take it; the run goes on all the same.
    """
    now = datetime.now(UTC)
    plan, report = records.plan(), records.report()
    error = settled(error_of(state.get("error")), status)
    rows = told.migrations(status, plan, report, error)
    known = {**_order(state), "release": plan.get("release")}
    snapshot = state.get("snapshot") or {}
    loss = told.loss(status, state, report)
    event = StatusEvent(
        **known,
        status=status,
        environment=environment,
        at=now.isoformat(timespec="milliseconds"),
        direction="down" if plan.get("direction") == "down" else "up",
        summary=summary(
            status,
            state,
            rows,
            known,
            approval=approval,
            gone=told.destroyed(plan, report),
            loss=loss,
        ),
        migration_count=len(rows),
        done_count=told.done_count(status, plan, report),
        migrations=tuple(rows),
        progress=progress_of(status, state),
        rolled_back=tuple(row["version"] for row in report.get("rolled_back", [])),
        duration_ms=int((now - started_at).total_seconds() * 1000),
        rehearsal=state.get("rehearsal"),
        approval=approval or told.approval(state),
        snapshot=_snapshot(snapshot),
        loss=loss,
        restore=told.restore(status, state),
        application=told.application(state),
        checklist=_checklist(state, plan, records, subscribers()) if status.final and rows else (),
        error=error,
        rollback_error=settled(error_of(state.get("rollback_error")), status),
        restore_error=told.restore_error(status, state),
        execution_arn=execution_arn,
    )
    for error_of_a_place in channels.publish(event):
        untold(error_of_a_place)
    if event.checklist:
        records.write_checklist(list(event.checklist))
    return event


def _order(state: Mapping[str, Any]) -> dict[str, Any]:
    """What the order says, even where the order itself is what was refused."""
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


def _checklist(
    state: Mapping[str, Any],
    plan: Mapping[str, Any],
    records: Records,
    subscribers: Mapping[str, int | None],
) -> tuple[dict[str, str], ...]:
    known = Evidence(
        source=plan.get("source") or {},
        undocumented=plan.get("undocumented"),
        rehearsal=records.rehearsal(),
        snapshot=state.get("snapshot") or {},
        alarms=subscribers.get("alarms"),
        audience=subscribers.get("statuses"),
    )
    return tuple(item.to_dict() for item in checklist(known))
