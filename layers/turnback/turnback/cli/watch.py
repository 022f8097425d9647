"""``watch``: a run, live; and what every command says about a run that it waited for."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from turnback.cli import options as opt
from turnback.cli.follow import Follower
from turnback.cli.follow_display import Lines, Live
from turnback.cli.output import Output, human_ms, reported
from turnback.cli.stack import Stack, open_stack, stack_option
from turnback.errors import AwsError, ConfigurationError
from turnback.runs.records import Records
from turnback.runs.status import Status
from turnback.runs.watching.outcome import Outcome, error_from

if TYPE_CHECKING:
    from turnback.aws.stepfunctions import StateMachine

INTERRUPTED = 130
# A prefix is looked for among so many of the newest runs.
_SEARCHED = 2000
_COLORS = {
    Status.SUCCEEDED: "green",
    Status.REFUSED: "yellow",
    Status.ROLLED_BACK: "yellow",
    Status.RESTORED: "yellow",
    Status.NEEDS_A_PERSON: "red",
}


@click.command(epilog="Example: turnback watch r-4a7d1e --stack turnback")
@click.argument("run", required=False, type=opt.Given())
@stack_option
@opt.as_json
@reported
def watch(*, run: str | None, stack: str, out: Output) -> int:
    """Follow a run until it ends, and leave with its exit code.

    RUN is the run's id, or enough of its beginning; without it, the newest run. Also for a run that
    has ended: its steps are shown as they were. Ctrl-C leaves the run alone.

    \b
    Exit codes: 0 succeeded, 1 failed and taken back, 2 to 5 refused or taken back, by the class of
    its error, 6 a person is needed, or the run was ended from outside.
    """
    from turnback.aws.stepfunctions import StateMachine

    deployed = open_stack(stack, reading=True)
    executions = StateMachine(deployed.machine_arn)
    outcome = watched(out, deployed, executions, find_run(executions, run, deployed))
    return outcome.exit_code if outcome else INTERRUPTED


def find_run(executions: StateMachine, given: str | None, stack: Stack) -> str:
    """The id of the run that is meant: given whole, or by a beginning that only it has.

    Args:
        executions: the stack's runs.
        given: what the user wrote; None is the newest run.
        stack: the stack.

    Raises:
        ConfigurationError: there is no such run, or more than one.
    """
    if given is None:
        newest = next(executions.names(), None)
        if newest is None:
            raise ConfigurationError(
                f"the stack {stack.name} has had no run yet",
                hint=f"start one: turnback release ARTIFACT --stack {stack.name}",
            )
        return newest
    found = []
    for number, name in enumerate(executions.names()):
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
    executions: StateMachine,
    run: str,
    *,
    on_interrupt: str = "the run goes on",
) -> Outcome | None:
    """Show a run until it has ended, and say how; None when the user had seen enough before.

    Args:
        out: where to.
        stack: the stack.
        executions: its runs.
        run: the run's id.
        on_interrupt: what to say to who does not want to wait.

    Raises:
        AwsError: the run cannot be looked at any more; it goes on all the same.
    """
    from turnback.aws.s3 import Bucket

    again = f"turnback watch {run} --stack {stack.name}"
    stream = sys.stderr if out.as_json else sys.stdout
    display = Live(out) if stream.isatty() else Lines(out)
    store = Bucket(stack.bucket)
    follower = Follower(run, executions, store, display)
    out.document["run"] = run
    try:
        outcome = follower.follow()
    except KeyboardInterrupt:
        display.close()
        out.document |= {"status": "running", "error": None}
        out.note(f"\n{on_interrupt}; watch it again: {again}")
        return None
    except AwsError as error:
        display.close()
        error.hint = f"{error.hint or ''}; the run goes on all the same: {again}".lstrip("; ")
        raise
    display.close()
    _tell(out, follower, outcome, Records(store, run))
    return outcome


def _tell(out: Output, follower: Follower, outcome: Outcome, records: Records) -> None:
    story = follower.story
    release = _release(follower)
    took = None
    if story.began and story.ended:
        took = round((story.ended - story.began).total_seconds() * 1000)
    out.document |= {
        "release": release,
        "status": outcome.status.value,
        "execution": outcome.execution,
        "started_at": story.began.isoformat(timespec="milliseconds") if story.began else None,
        "duration_ms": took,
        "steps": [step.to_dict() for step in story.steps],
        "error": outcome.error,
    }
    what = f"release {release}" if release else f"run {follower.run}"
    line = click.style(f"{what} {outcome.sentence}", fg=_COLORS[outcome.status], bold=True)
    out.result(f"{line} ({human_ms(took)})" if took is not None else line)
    if outcome.error:
        out.fail(error_from(outcome.error))
    if outcome.status is Status.NEEDS_A_PERSON:
        _leftovers(out, records)


def _release(follower: Follower) -> str | None:
    plan = follower.story.output.get("plan") or {}
    order = follower.execution.order if follower.execution else {}
    release = plan.get("release") or order.get("rollback_to")
    return str(release) if release else None


def _leftovers(out: Output, records: Records) -> None:
    """Say what of the run is still in the database, as far as its report knows."""
    report = records.report()
    undone = set(_versions(report.get("rolled_back", [])))
    left = [version for version in _versions(report.get("applied", [])) if version not in undone]
    out.document["left_applied"] = left
    shown = ", ".join(left[:20]) + (f" and {len(left) - 20} more" if len(left) > 20 else "")
    out.result(f"still applied of this run, by its report: {shown or 'nothing'}")
    out.result("look at the database: turnback status and turnback health --database-url URL")


def _versions(rows: Iterable[Any]) -> list[str]:
    return [str(row["version"]) for row in rows]
