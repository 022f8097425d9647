"""``runs``: the runs of a stack, newest first."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from turnback.cli import options as opt
from turnback.cli.output import Output, count, human_ms, reported
from turnback.cli.stack import open_stack, stack_option
from turnback.runs.artifacts import KEY
from turnback.runs.records import Records
from turnback.runs.status import Status
from turnback.runs.watching.outcome import outcome_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from turnback.aws.stepfunctions import Execution, StateMachine
    from turnback.store import Store

_COLORS = {
    Status.SUCCEEDED: "green",
    Status.REFUSED: "yellow",
    Status.ROLLED_BACK: "yellow",
    Status.RESTORED: "yellow",
    Status.NEEDS_A_PERSON: "red",
}
# The word of a run that goes on, by the state that it is in; the others are on their way there.
_UNDER_WAY = {
    "AskApproval": Status.AWAITING_APPROVAL,
    "AskRestore": Status.AWAITING_APPROVAL,
    "Apply": Status.APPLYING,
    "WaitForApply": Status.APPLYING,
}


@click.command(epilog="Example: turnback runs --limit 5 --stack turnback")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="How many of the newest to show.",
)
@stack_option
@opt.as_json
@reported
def runs(*, limit: int, stack: str, out: Output) -> None:
    """Show the runs of a stack, newest first. Step Functions keeps them for 90 days."""
    from turnback.aws.s3 import Bucket
    from turnback.aws.stepfunctions import StateMachine

    deployed = open_stack(stack, reading=True)
    executions = StateMachine(deployed.machine_arn)
    store = Bucket(deployed.bucket)
    out.document |= {"stack": deployed.name, "target": deployed.target, "runs": []}
    if not out.as_json:
        head = f"{'run':<23} {'release':<12} {'status':<18} {'started':<20} {'took':>12}  trigger"
        out.result(click.style(head, bold=True))
    for name in itertools.islice(executions.names(), limit):
        execution = executions.describe(name)
        if execution is None:
            continue
        row = _row(execution, executions, store)
        out.document["runs"].append(row)
        if not out.as_json:
            out.result(_line(row))
    out.document["status"] = "succeeded"
    out.result(f"{count(len(out.document['runs']), 'run')} of {deployed.target}.")


def _row(execution: Execution, executions: StateMachine, store: Store) -> dict[str, Any]:
    order = execution.order
    state = executions.last_state(execution.name)
    return {
        "run": execution.name,
        "release": _release(order, store, execution.name),
        "rollback_to": order.get("rollback_to"),
        "status": _word(execution, state).value,
        "state": state,
        "execution": execution.status,
        "dry_run": order.get("dry_run") is True,
        "trigger": order.get("trigger"),
        "started_at": execution.started.isoformat(timespec="seconds"),
        "duration_ms": _milliseconds(execution),
        "error": execution.error or None,
    }


def _word(execution: Execution, state: str) -> Status:
    if execution.stopped is None:
        return _UNDER_WAY.get(state, Status.STARTED)
    return outcome_of(execution.status, state, execution.error, execution.cause).status


def _release(order: Mapping[str, Any], store: Store, run: str) -> str | None:
    artifact = order.get("artifact")
    named = KEY.fullmatch(str(artifact.get("key"))) if isinstance(artifact, dict) else None
    if named:
        return named["release"]
    # A pipeline's artifact, a dry run's and a rollback's are not called by their release.
    planned = Records(store, run).plan().get("release")
    return str(planned) if planned else None


def _milliseconds(execution: Execution) -> int:
    until = execution.stopped or datetime.now(UTC)
    return max(round((until - execution.started).total_seconds() * 1000), 0)


def _line(row: Mapping[str, Any]) -> str:
    started = datetime.fromisoformat(row["started_at"]).astimezone()
    word = click.style(f"{row['status']:<18}", fg=_COLORS.get(Status(row["status"])))
    release = f"to {row['rollback_to']}" if row["rollback_to"] else row["release"] or "?"
    took = human_ms(row["duration_ms"]) + ("" if row["execution"] != "RUNNING" else " …")
    dry = "  (dry run)" if row["dry_run"] else ""
    return (
        f"{row['run']:<23} {release:<12} {word} {started:%Y-%m-%d %H:%M:%S}  {took:>12}  "
        f"{row['trigger'] or '?'}{dry}"
    )
