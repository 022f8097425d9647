"""``watch``: follow a run; and what every command prints about a run that it waited for."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import datetime

import click

from turnback.aws.clients import may_pass
from turnback.aws.cloudformation import Stack, open_stack
from turnback.aws.s3 import Bucket
from turnback.aws.stepfunctions import StateMachine
from turnback.cli import options as opt
from turnback.cli import param_types as types
from turnback.cli.display import Lines
from turnback.cli.output import INTERRUPTED, Output, human_ms, is_terminal, reported
from turnback.errors import AwsError, ConfigurationError
from turnback.runs.announce import Known
from turnback.runs.order import field_of
from turnback.runs.records import Records
from turnback.runs.reporting.execution import RunOutcome, error_from
from turnback.runs.reporting.words import outcome as outcome_words
from turnback.runs.status import Status
from turnback.runs.watching.follow import Display, Follower
from turnback.wording import listed

# The number of newest runs that are searched for a prefix.
_SEARCHED = 2000
_LISTED = 20
COLORS = {
    Status.SUCCEEDED: "green",
    Status.SUPERSEDED: "green",
    Status.REFUSED: "yellow",
    Status.ROLLED_BACK: "yellow",
    Status.RESTORED: "yellow",
    Status.NEEDS_A_PERSON: "red",
}


@click.command(epilog="Example: turnback watch r-4a7d1e --stack turnback")
@click.argument("run", required=False, type=types.Given())
@opt.stack
@opt.verbose
@opt.as_json
@reported
def watch(*, run: str | None, stack: str, out: Output) -> int:
    """Follow a run until it ends, and exit with its exit code.

    RUN is the run's id, or enough of its beginning; without it, the newest run. A run that has
    ended is shown with its steps. Ctrl-C does not stop the run.

    \b
    Exit codes: 0 succeeded, or superseded by a newer release, 1 failed and rolled back, 2 to 5
    refused or rolled back, by the class of its error, 6 a person is needed, or the run was ended
    from outside.
    """
    deployed = open_stack(stack, reading=True)
    machine = StateMachine(deployed.machine_arn)
    outcome = watched(out, deployed, machine, find_run(machine, run, deployed))
    return outcome.exit_code if outcome else INTERRUPTED


def find_run(machine: StateMachine, given: str | None, stack: Stack) -> str:
    """The id of a run, from its id or a unique beginning of it.

    Args:
        machine: the stack's state machine.
        given: what the user wrote; None is the newest run.
        stack: the stack.

    Raises:
        ConfigurationError: there is no such run, or more than one.
    """
    if given is None:
        newest = next(machine.names(), None)
        if newest is None:
            raise ConfigurationError(
                f"the stack {stack.name} has had no run yet",
                hint=f"start one: turnback release ARTIFACT --stack {stack.name}",
            )
        return newest
    found = []
    for number, name in enumerate(machine.names()):
        if name == given:
            return name
        if name.startswith(given):
            found.append(name)
        if number >= _SEARCHED:
            break
    if len(found) == 1:
        return found[0]
    if not found:
        raise ConfigurationError(
            f"the stack {stack.name} has no run {given!r}", hint="list them: turnback runs"
        )
    raise ConfigurationError(
        f"{given!r} is the beginning of {len(found)} runs: {', '.join(found[:5])}",
        hint="write more of it",
    )


def watched(
    out: Output,
    stack: Stack,
    machine: StateMachine,
    run: str,
    *,
    on_interrupt: str = "the run continues",
) -> RunOutcome | None:
    """Show a run until it has ended, and print how; None if the user pressed Ctrl-C before.

    Args:
        out: where it is printed.
        stack: the stack.
        machine: its state machine.
        run: the run's id.
        on_interrupt: printed after Ctrl-C.

    Raises:
        AwsError: the run cannot be read any more; it continues anyway.
    """
    again = f"turnback watch {run} --stack {stack.name}"
    display = _display(out)
    store = Bucket(stack.bucket)
    follower = Follower(run, machine, store, display, may_pass)
    out.document["run"] = run
    try:
        outcome = follower.follow()
    except KeyboardInterrupt:
        out.document |= {"status": "running", "error": None}
        display.close()
        out.note(f"\n{on_interrupt}; watch it again: {again}")
        return None
    except AwsError as error:
        error.hint = f"{error.hint or ''}; the run continues anyway: {again}".lstrip("; ")
        raise
    finally:
        display.close()
    _print_outcome(out, follower, outcome, Records(store, run))
    return outcome


def _display(out: Output) -> Display:
    stream = sys.stderr if out.as_json else sys.stdout
    if not is_terminal(stream):
        return Lines(out)
    # rich takes 60 ms to import.
    from rich.console import Console

    from turnback.cli.live import LiveDisplay

    return LiveDisplay(Console(stderr=out.as_json))


def _print_outcome(out: Output, follower: Follower, outcome: RunOutcome, records: Records) -> None:
    story = follower.story
    release = _release(follower)
    took = None
    if story.began and story.ended:
        took = round((story.ended - story.began).total_seconds() * 1000)
    out.document |= {
        "release": release,
        "status": outcome.status.value,
        "execution": outcome.execution,
        "started_at": _iso(story.began),
        "duration_ms": took,
        "steps": [step.to_dict() for step in story.steps],
        "error": outcome.error.to_state() if outcome.error else None,
    }
    line = click.style(_words(follower, outcome, records), fg=COLORS[outcome.status], bold=True)
    out.result(f"{line} ({human_ms(took)})" if took is not None else line)
    if outcome.error:
        out.fail(error_from(outcome.error))
    if outcome.status is Status.NEEDS_A_PERSON:
        _print_applied(out, records)


def _iso(at: datetime | None) -> str | None:
    return at.isoformat(timespec="milliseconds") if at else None


def _words(follower: Follower, outcome: RunOutcome, records: Records) -> str:
    """How it ended, in the same words as everywhere else."""
    plan = records.plan()
    if not outcome.announced or not plan.exists:
        release = _release(follower)
        return f"{f'release {release}' if release else f'run {follower.run}'} {outcome.words}"
    done = records.report()
    state = replace(follower.story.state, error=outcome.error)
    return outcome_words(Known(outcome.status, state, plan, done).report())


def _release(follower: Follower) -> str | None:
    plan = follower.story.state.plan
    order = follower.execution.order if follower.execution else None
    release = (plan.release if plan else "") or field_of(order, "rollback_to")
    return str(release) if release else None


def _print_applied(out: Output, records: Records) -> None:
    """Print which migrations of the run are still applied, according to its report."""
    report = records.report()
    undone = {row.version for row in report.rolled_back}
    left = [row.version for row in report.applied if row.version not in undone]
    out.document["left_applied"] = left
    shown = listed(left, _LISTED) or "nothing"
    out.result(f"still applied of this run, according to its report: {shown}")
    out.result("look at the database: turnback status and turnback health --database-url URL")
