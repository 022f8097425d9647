"""``cancel``: a run stopped by a person, and what became of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from turnback.cli import options as opt
from turnback.cli.output import Output, reported
from turnback.cli.stack import Stack, open_stack, stack_option
from turnback.cli.watch import INTERRUPTED, find_run, watched
from turnback.errors import (
    ApprovalRefused,
    AwsError,
    CheckFailed,
    RunCancelled,
    VerificationFailed,
)
from turnback.runs.approvals.record import LOOK
from turnback.runs.records import Records
from turnback.runs.status import Status
from turnback.runs.watching.outcome import Outcome
from turnback.runs.watching.story import Story

if TYPE_CHECKING:
    from turnback.aws.s3 import Bucket
    from turnback.aws.stepfunctions import StateMachine

# The run ended, but not by this.
NOT_CANCELLED = CheckFailed.exit_code


@click.command(epilog="Example: turnback cancel r-4a7d1e --reason 'wrong release'")
@click.argument("run", type=opt.Given())
@click.option("--reason", default="", help="Why; kept with the run, and told with its end.")
@stack_option
@opt.as_json
@reported
def cancel(*, run: str, reason: str, stack: str, out: Output) -> int:
    """Stop a run, and say what that did.

    RUN is the run's id, or enough of its beginning. Before anything is changed, the run is refused.
    While it applies, it stops after the current migration, and what it had applied is rolled back.
    A run that is on its way back already, or over, is left alone.

    \b
    Exit codes: 0 cancelled, 3 the run ended, or goes on, without having been cancelled,
    6 it was cancelled and could not be rolled back.
    """
    from turnback.aws.s3 import Bucket
    from turnback.aws.stepfunctions import Position, StateMachine

    deployed = open_stack(stack, reading=True)
    executions = StateMachine(deployed.machine_arn)
    name = find_run(executions, run, deployed)
    store = Bucket(deployed.bucket)
    out.document["run"] = name
    story = Story()
    story.read(executions.events(name, Position())[0])
    if story.outcome:
        return _over(out, name, story.outcome)
    if story.failed:
        step = story.current.title if story.current else story.state
        out.document |= {"status": "running", "cancelled": False, "error": None}
        out.result(f"the run {name} has failed and is on its way back ({step}): left alone")
        out.result(f"watch it: turnback watch {name} --stack {deployed.name}")
        return NOT_CANCELLED
    _ask_to_stop(out, store, name, reason)
    _wake(out, deployed, name, executions)
    outcome = watched(
        out, deployed, executions, name, on_interrupt="the run was asked to stop, and will"
    )
    return _said(out, outcome, Records(store, name)) if outcome else INTERRUPTED


def _over(out: Output, run: str, outcome: Outcome) -> int:
    cancelled = _was_cancelled(outcome)
    out.document |= {"status": outcome.status.value, "cancelled": cancelled, "error": outcome.error}
    out.result(f"the run {run} is over: it {outcome.sentence}")
    if not cancelled:
        return NOT_CANCELLED
    return _code(outcome)


def _ask_to_stop(out: Output, store: Bucket, run: str, reason: str) -> None:
    from turnback.aws.sts import caller

    wish: dict[str, Any] = {
        "by": caller().arn,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "reason": reason,
    }
    if store.create(f"runs/{run}/cancel.json", json.dumps(wish, indent=2).encode()):
        out.note(f"asked {run} to stop; it does so before its next step or migration")
    else:
        out.note(f"{run} was asked to stop before; waiting for it")


def _wake(out: Output, stack: Stack, run: str, executions: StateMachine) -> None:
    """Let the question that the run waits with be looked at; it would not look before the hour."""
    from turnback.aws.invocation import invoke

    # What it has come to by now: a run that asks later sees for itself that it is to stop.
    if executions.last_state(run) != "AskApproval" or not stack.answer_function:
        return
    try:
        invoke(stack.answer_function, {"run": run, "gate": "release", "decision": LOOK})
    except (ApprovalRefused, AwsError) as error:
        out.note(f"{error.message}; the run looks for itself within the hour")


def _said(out: Output, outcome: Outcome, records: Records) -> int:
    cancelled = _was_cancelled(outcome)
    out.document["cancelled"] = cancelled
    if not cancelled:
        out.result(f"too late: the run {outcome.sentence}")
        return NOT_CANCELLED if outcome.status is not Status.NEEDS_A_PERSON else _code(outcome)
    undone = [str(row["version"]) for row in records.report().get("rolled_back", [])]
    out.document["rolled_back"] = undone
    if undone:
        out.result(f"cancelled; rolled back: {', '.join(undone[:20])}")
    elif outcome.status is not Status.NEEDS_A_PERSON:
        out.result("cancelled before anything was changed")
    return _code(outcome)


def _was_cancelled(outcome: Outcome) -> bool:
    return (outcome.error or {}).get("type") == RunCancelled.__name__


def _code(outcome: Outcome) -> int:
    return VerificationFailed.exit_code if outcome.status is Status.NEEDS_A_PERSON else 0
