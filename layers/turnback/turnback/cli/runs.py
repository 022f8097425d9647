"""``runs``: the runs of a stack, newest first; ``resume`` lets those go on that wait."""

from __future__ import annotations

import itertools

import click

from turnback.aws.cloudformation import open_stack
from turnback.aws.functions import invoke
from turnback.aws.s3 import Bucket
from turnback.aws.stepfunctions import StateMachine
from turnback.cli import options as opt
from turnback.cli.output import Output, human_ms, reported
from turnback.cli.watch import COLORS
from turnback.runs.backfills import runs_with_backfills
from turnback.runs.status import Status
from turnback.runs.turn import read_turns
from turnback.runs.watching.listing import RunRow, run_row
from turnback.wording import counted, local_clock


@click.command(epilog="Example: turnback runs --limit 5 --stack turnback")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    metavar="N",
    default=20,
    show_default=True,
    help="How many of the newest to show.",
)
@opt.stack
@opt.as_json
@reported
def runs(*, limit: int, stack: str, out: Output) -> None:
    """Show the runs of a stack, newest first.

    Step Functions keeps them for 90 days.
    """
    deployed = open_stack(stack, reading=True)
    machine = StateMachine(deployed.machine_arn)
    store = Bucket(deployed.bucket)
    turns, unfinished = (
        read_turns(store, deployed.target),
        runs_with_backfills(store, deployed.target),
    )
    out.document |= {"stack": deployed.name, "target": deployed.target, "runs": []}
    if not out.as_json:
        head = f"{'run':<23} {'release':<12} {'status':<18} {'started':<24} {'took':>12}  trigger"
        out.result(click.style(head, bold=True))
    for name in itertools.islice(machine.names(), limit):
        execution = machine.describe(name)
        if execution is None:
            continue
        row = run_row(execution, machine.last_state(name), store, turns, unfinished)
        out.document["runs"].append(row.to_state())
        if not out.as_json:
            out.result(_line(row))
    out.document["status"] = "succeeded"
    out.result(f"{counted(len(out.document['runs']), 'run')} of {deployed.target}.")
    if turns.stop:
        out.result(
            f"What was uploaded before {turns.stop.run} ended waits, because that run needs a "
            f"person. Release the fix, or: turnback resume --stack {deployed.name}"
        )


@click.command(epilog="Example: turnback resume --stack turnback")
@opt.stack
@opt.as_json
@reported
def resume(*, stack: str, out: Output) -> None:
    """Let the runs go on that wait because another one needs a person.

    They go on by themselves when a release that was uploaded afterwards has succeeded.
    """
    deployed = open_stack(stack)
    stop = read_turns(Bucket(deployed.bucket), deployed.target).stop
    out.document |= {"stack": deployed.name, "status": "nothing_to_do"}
    if stop is None or not deployed.turn_function:
        out.result("No run waits for a person.")
        return
    invoke(deployed.turn_function, {"do": "go_on"})
    out.document["status"] = "succeeded"
    out.result(f"What waited since {stop.run} ended goes on: turnback runs")


def _line(row: RunRow) -> str:
    word = click.style(f"{row.status:<18}", fg=COLORS.get(Status(row.status)))
    release = f"to {row.rollback_to}" if row.rollback_to else row.release or "?"
    took = human_ms(row.duration_ms) + ("" if row.execution != "RUNNING" else " …")
    dry = "  (dry run)" if row.dry_run else ""
    waits = f"  ({row.waits_for})" if row.waits_for else ""
    backfill = "  (its backfill goes on)" if row.backfilling else ""
    return (
        f"{row.run:<23} {release:<12} {word} {local_clock(row.started_at):<24} {took:>12}  "
        f"{row.trigger or '?'}{dry}{waits}{backfill}"
    )
