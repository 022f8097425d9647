"""Announce: put together what is known of a run, and publish it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from turnback.errors import ConfigurationError
from turnback.runs.checklist import Evidence, checklist
from turnback.runs.order import Order
from turnback.runs.records import Records
from turnback.runs.status import Status, StatusEvent

TEXT_LENGTH = 4000


class Publisher(Protocol):
    """The topic."""

    def publish(self, message: str, attributes: Mapping[str, str]) -> None:
        """Publish a message with attributes to filter by."""


def announce(
    status: Status,
    state: Mapping[str, Any],
    *,
    execution_arn: str,
    started_at: datetime,
    environment: str,
    records: Records,
    topic: Publisher,
    subscribers: Callable[[], Mapping[str, int | None]] = dict,
) -> StatusEvent:
    """Publish a run's status.

    Args:
        status: what the run is at.
        state: the state machine's state: the order, and what the steps so far left in it.
        execution_arn: the execution.
        started_at: when it began.
        environment: the stack's environment.
        records: the run's plan and report.
        topic: where to publish.
        subscribers: how many hear the ``statuses`` and the ``alarms``; None where that is unknown.

    Raises:
        AwsError: SNS did not take it; the run goes on all the same.
    """
    now = datetime.now(UTC)
    plan, report = records.plan(), records.report()
    error = error_of(state.get("error"))
    rows = _migrations(status, plan, report, error)
    known = {**_order(state), "release": plan.get("release")}
    snapshot = state.get("snapshot") or {}
    event = StatusEvent(
        **known,
        status=status,
        environment=environment,
        at=now.isoformat(timespec="milliseconds"),
        summary=_summary(status, state, rows, known),
        migration_count=len(rows),
        migrations=tuple(rows),
        progress=_progress(status, state),
        rolled_back=tuple(row["version"] for row in report.get("rolled_back", [])),
        duration_ms=int((now - started_at).total_seconds() * 1000),
        rehearsal=state.get("rehearsal"),
        snapshot=_snapshot(snapshot),
        checklist=_checklist(state, plan, records, subscribers()) if status.final and rows else (),
        error=error,
        rollback_error=error_of(state.get("rollback_error")),
        execution_arn=execution_arn,
    )
    topic.publish(event.to_json(), event.attributes())
    if event.checklist:
        records.write_checklist(list(event.checklist))
    return event


def error_of(caught: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The error that a Catch put into the state, taken out of its wrappings.

    A function that raises one of our errors says it as JSON, with file and line; anything else
    (a timeout, a bug) is said by its name and whatever text there is.
    """
    if not caught:
        return None
    told: dict[str, Any] = {"type": str(caught.get("Error") or "Unknown"), "message": ""}
    cause = caught.get("Cause") or ""
    told |= _fields(cause, {"errorMessage": "message", "errorType": "type"})
    told |= _fields(told["message"])
    if not told["message"]:
        told["message"] = str(cause) or told["type"]
    return {
        name: value[:TEXT_LENGTH] if isinstance(value, str) else value
        for name, value in told.items()
    }


def _fields(text: str, names: Mapping[str, str] | None = None) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except (ValueError, TypeError):
        return {}
    if not isinstance(fields, dict):
        return {}
    if names is None:
        return fields
    return {ours: fields[theirs] for theirs, ours in names.items() if theirs in fields}


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


def _progress(status: Status, state: Mapping[str, Any]) -> str | None:
    return (state.get("apply") or {}).get("running") if status is Status.APPLYING else None


def _migrations(
    status: Status,
    plan: Mapping[str, Any],
    report: Mapping[str, Any],
    error: Mapping[str, Any] | None,
) -> list[dict[str, Any]]:
    times = {row["version"]: row["execution_ms"] for row in report.get("applied", [])}
    undone = {row["version"] for row in report.get("rolled_back", [])}
    rows = []
    for step in plan.get("migrations", []):
        version = step["version"]
        if version in undone:
            word = "rolled_back"
        elif version in times or (status is Status.SUCCEEDED and "applied" in report):
            # An invocation that was cut off applied migrations it could not report.
            word = "applied"
        else:
            word = "failed" if error and error.get("version") == version else "pending"
        rows.append(
            {
                "version": version,
                "name": step["name"],
                "status": word,
                "execution_ms": times.get(version),
            }
        )
    return rows


def _proof(state: Mapping[str, Any]) -> str:
    found = state.get("rehearsal") or {}
    one_way = int(found.get("irreversible") or 0)
    if found.get("status") != "proven":
        return "not every rollback is proven"
    return "every rollback is proven" + (f", {one_way} irreversible by intent" if one_way else "")


def _summary(
    status: Status,
    state: Mapping[str, Any],
    rows: list[dict[str, Any]],
    known: Mapping[str, Any],
) -> str:
    what = f"release {known['release'] or 'of unknown number'} on {known['target']}"
    count = f"{len(rows)} migration{'' if len(rows) == 1 else 's'}"
    decision = (state.get("plan") or {}).get("decision")
    undone = sum(row["status"] == "rolled_back" for row in rows)
    return {
        Status.STARTED: f"{what} started: {count} to apply",
        Status.REHEARSED: f"{what} is rehearsed: {_proof(state)}",
        Status.SNAPSHOT_TAKEN: f"{what}: snapshot taken, applying {count}",
        Status.APPLYING: f"{what}: {_progress(status, state)}",
        Status.SUCCEEDED: {
            "nothing_to_do": f"{what}: nothing to do, every migration is already applied",
            "dry_run": f"{what}: dry run, {count} would be applied, nothing was changed"
            + (f"; rehearsed: {_proof(state)}" if state.get("rehearsal") else ""),
        }.get(str(decision), f"{what} succeeded: {count} applied"),
        Status.REFUSED: f"{what} was refused: nothing was changed",
        Status.ROLLED_BACK: f"{what} failed and was rolled back: the database is as before"
        + (f", {undone} of {count} undone" if undone else ""),
        Status.NEEDS_A_PERSON: f"{what} failed and could not be rolled back: a person is needed",
    }[status]
