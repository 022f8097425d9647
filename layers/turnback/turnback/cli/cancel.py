"""``cancel``: ask a run to stop, and report what became of it."""

from __future__ import annotations

import click

from turnback.aws.cloudformation import Stack, open_stack
from turnback.aws.functions import invoke
from turnback.aws.s3 import Bucket
from turnback.aws.stepfunctions import StateMachine
from turnback.aws.sts import caller
from turnback.cli import options as opt
from turnback.cli import param_types as types
from turnback.cli.output import INTERRUPTED, Output, reported
from turnback.cli.watch import find_run, watched
from turnback.errors import (
    ApprovalRefused,
    AwsError,
    CheckFailed,
    RunCancelled,
    VerificationFailed,
)
from turnback.runs.approvals.record import LOOK
from turnback.runs.records import Records
from turnback.runs.reporting.execution import RunOutcome, Story
from turnback.runs.status import Status

# The run ended, but was not cancelled.
NOT_CANCELLED = CheckFailed.exit_code


@click.command(epilog="Example: turnback cancel r-4a7d1e --reason 'wrong release'")
@click.argument("run", type=types.Given())
@click.option("--reason", default="", help="Why; kept with the run and reported when it ends.")
@opt.stack
@opt.verbose
@opt.as_json
@reported
def cancel(*, run: str, reason: str, stack: str, out: Output) -> int:
    """Stop a run, and report the result.

    RUN is the run's id, or enough of its beginning. If nothing has been changed yet, the run is
    refused. While it applies, it stops after the current migration, and what it had applied is
    rolled back. A run that has failed already, or has ended, is not touched.

    \b
    Exit codes: 0 cancelled, 3 the run ended, or continues, without having been cancelled,
    6 it was cancelled and could not be rolled back.
    """
    deployed = open_stack(stack, reading=True)
    machine = StateMachine(deployed.machine_arn)
    name = find_run(machine, run, deployed)
    store = Bucket(deployed.bucket)
    out.document["run"] = name
    story = Story()
    story.read(machine.events(name)[0])
    if story.outcome:
        return _has_ended(out, name, story.outcome)
    if story.failed:
        step = story.current.title if story.current else story.last_state
        out.document |= {"status": "running", "cancelled": False, "error": None}
        out.result(f"the run {name} has failed and is being rolled back ({step}): not touched")
        out.result(f"watch it: turnback watch {name} --stack {deployed.name}")
        return NOT_CANCELLED
    if Records(store, name).request_cancel(caller().arn, reason, store.create):
        out.note(f"asked {name} to stop; it does so before its next step or migration")
    else:
        out.note(f"{name} was asked to stop before; waiting for it")
    _wake(out, deployed, name, machine)
    outcome = watched(
        out, deployed, machine, name, on_interrupt="the run was asked to stop, and will"
    )
    return _report(out, outcome, Records(store, name)) if outcome else INTERRUPTED


def _has_ended(out: Output, run: str, outcome: RunOutcome) -> int:
    cancelled = _was_cancelled(outcome)
    out.document |= {"status": outcome.status.value, "cancelled": cancelled}
    out.document["error"] = outcome.error.to_state() if outcome.error else None
    out.result(f"the run {run} has ended: it {outcome.words}")
    return _code(outcome) if cancelled else NOT_CANCELLED


def _wake(out: Output, stack: Stack, run: str, machine: StateMachine) -> None:
    """End the wait for an approval or a turn, which else would notice the request later."""
    # In any other state the run notices by itself.
    state = machine.last_state(run)
    try:
        if state == "AskApproval" and stack.answer_function:
            invoke(stack.answer_function, {"run": run, "decision": LOOK})
        elif state == "WaitForTurn" and stack.turn_function:
            invoke(stack.turn_function, {"do": "look", "run": run})
    except (ApprovalRefused, AwsError) as error:
        out.note(f"{error.message}; the run will notice within the hour")


def _report(out: Output, outcome: RunOutcome, records: Records) -> int:
    cancelled = _was_cancelled(outcome)
    out.document["cancelled"] = cancelled
    if not cancelled:
        out.result(f"too late: the run {outcome.words}")
        return NOT_CANCELLED if outcome.status is not Status.NEEDS_A_PERSON else _code(outcome)
    undone = [row.version for row in records.report().rolled_back]
    out.document["rolled_back"] = undone
    if undone:
        out.result(f"cancelled; rolled back: {', '.join(undone[:20])}")
    elif outcome.status is not Status.NEEDS_A_PERSON:
        out.result("cancelled before anything was changed")
    return _code(outcome)


def _was_cancelled(outcome: RunOutcome) -> bool:
    return outcome.error is not None and outcome.error.type == RunCancelled.__name__


def _code(outcome: RunOutcome) -> int:
    return VerificationFailed.exit_code if outcome.status is Status.NEEDS_A_PERSON else 0
