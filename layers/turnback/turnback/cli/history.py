"""``status``, ``health`` and ``repair``: show the history, and correct it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from turnback.cli import options as opt
from turnback.cli import param_types as types
from turnback.cli.database import open_engine
from turnback.cli.output import Output, human_ms, may_ask, reported
from turnback.cli.snippet import seen
from turnback.engine.look.status import RepeatableStatus
from turnback.errors import ConfigurationError
from turnback.migrations.discovery import load_project
from turnback.wording import counted, one_line

if TYPE_CHECKING:
    from turnback.aws.cloudformation import Stack
    from turnback.cli.recovery import StackDatabase
    from turnback.engine.session.read_only import Replica

_COLORS = {
    "applied": "green",
    "backfilling": "yellow",
    "failed": "red",
    "missing": "red",
    "changed": "red",
    "rolled_back": "yellow",
}


@click.command(epilog="Example: turnback status --json")
@opt.database
@opt.directory
@opt.as_json
@reported
def status(
    *,
    database_url: str | None,
    history_schema: str,
    directory: Path,
    out: Output,
) -> None:
    """Show the status of each migration. Writes nothing.

    \b
    pending      has not run
    applied      the database has it
    backfilling  the database has it, and its backfill goes on
    failed       its last attempt failed; up retries it, or continues where it stopped
    rolled_back  was rolled back; up applies it again
    missing      the database has it, but its file is gone
    changed      the database has it, but its file was edited since

    Repeatables come last, by their paths; up applies one that is changed.
    """
    project = load_project(directory, left_over=True)
    with open_engine(database_url, directory, history_schema, out) as engine:
        found = engine.status(project)
        repeatables = engine.repeatables(project)
        half = {item.version: sorted(item.done) for item in engine.half_done()}
        replica = engine.replica()
    pending = sum(item.pending for item in (*found, *repeatables))
    out.document |= {
        "status": "succeeded",
        "migrations": [item.to_dict() for item in found],
        "repeatables": [item.to_dict() for item in repeatables],
        "pending": pending,
    }
    _add_replica(replica, out)
    names = [f"{item.version} {one_line(item.name)}" for item in found]
    names += [one_line(item.version) for item in repeatables]
    width = max(map(len, names))
    for item, name in zip((*found, *repeatables), names, strict=True):
        is_repeatable = isinstance(item, RepeatableStatus)
        color = _COLORS.get(item.shown) if not (is_repeatable and item.pending) else "yellow"
        word = click.style(f"{item.shown:<11}", fg=color)
        line = f"  {word} {name:<{width}}"
        if item.applied_at:
            line += f"  {item.applied_at[:19].replace('T', ' ')}  {human_ms(item.execution_ms)}"
        if item.kind == "adopted":
            line += "  adopted"
        out.result(line.rstrip())
        if item.status == "failed" and item.error:
            out.result(f"              {seen(item.error.splitlines()[0])}")
        if isinstance(item, RepeatableStatus) and item.status == "missing":
            new = item.renamed_to
            text = f"its file is {one_line(new)} now" if new else "what it made remains"
            out.result(f"              {text}; a migration drops what is not wanted any more")
        if item.backfill:
            out.result(f"              its backfill: {item.backfill}; turnback backfill status")
        if item.version in half:
            done = ", ".join(map(str, half[item.version])) or "none"
            out.result(f"              half done (statements done: {done}); up continues there,")
            out.result("              and down undoes them")
    also = f", {counted(len(repeatables), 'repeatable')}" if repeatables else ""
    out.result(f"{counted(len(found), 'migration')}{also}, {pending} pending.")


@click.command(epilog="Example: turnback health --database-url postgresql://localhost/app")
@opt.database
@opt.directory
@click.option(
    "--last", metavar="N", default=10, show_default=True, help="How many of the newest to show."
)
@click.option(
    "--stack",
    type=types.Given(),
    metavar="NAME",
    envvar="TURNBACK_STACK",
    show_envvar=True,
    help="The database of this stack, and what restores have left in RDS.",
)
@opt.as_json
@reported
def health(
    *,
    database_url: str | None,
    history_schema: str,
    directory: Path,
    last: int,
    stack: str | None,
    out: Output,
) -> int:
    """Show what happened last, and what is wrong.

    That is: migrations and rollbacks that failed or have not finished, invalid indexes, a history
    that others can change, and databases that restores have left. With --stack also the
    instances and clusters that restores have left in RDS, an application that was left stopped,
    and runs that wait because another one needs a person. Runs that wait for their turn are named.

    Writes nothing. Exit code 3 if something is wrong.
    """
    # Not needed by `turnback status`, which has to start quickly.
    from turnback.recovery.dumps.successor import remains_of_restores

    in_rds: list[str] = []
    of_target, waiting = list[str](), list[str]()
    if stack:
        database = _of_stack(stack, database_url)
        of_target, waiting = left_by_runs(database.stack)
        history_schema = database.history_schema
        if database.managed:
            in_rds = database.remains()
        database_url = database.reach().conninfo()
    with open_engine(database_url, directory, history_schema, out) as engine:
        report = engine.health(remains_of_restores)
        replica = engine.replica()
    report.problems.extend(in_rds + of_target)
    newest = report.newest[:last]
    out.document |= report.to_dict() | {"newest": [row.to_dict() for row in newest]}
    out.result(f"PostgreSQL {report.server_version}, {report.summary()}")
    _add_replica(replica, out)
    for row in newest:
        word = click.style(f"{row.status:<11}", fg=_COLORS.get(row.status))
        out.result(f"  {word} {row.version} {one_line(row.name)}  {row.at[:19].replace('T', ' ')}")
        if row.error:
            out.result(f"              {seen(row.error.splitlines()[0])}")
    if stack:
        out.document["waiting"] = waiting
    for line in waiting:
        out.result(f"  {line}")
    for problem in report.problems:
        out.note(click.style("problem: ", fg="red") + seen(problem))
    out.document["status"] = "problems" if report.problems else "healthy"
    return 3 if report.problems else 0


def _add_replica(replica: Replica | None, out: Output) -> None:
    """Say that what is shown is of a replica, which may lack what was done last."""
    out.document["replica"] = replica.to_dict() if replica else None
    if replica:
        out.result(f"This is {replica}: what was done last may not be here yet.")


def left_by_runs(stack: Stack) -> tuple[list[str], list[str]]:
    """What runs have left of a stack's target besides the database, each as a problem.

    Returns:
        The problems, and which runs wait for what; a run that waits is no problem.
    """
    from turnback.aws.s3 import Bucket
    from turnback.aws.stepfunctions import StateMachine
    from turnback.runs.application import Stopped
    from turnback.runs.turn import read_turns

    bucket, found = Bucket(stack.bucket), []
    stopped = Stopped(bucket, stack.target).read()
    run = StateMachine(stack.machine_arn).describe(stopped.run) if stopped else None
    if stopped and (run is None or run.stopped is not None):
        found.append(
            f"the application was left stopped by {stopped.run}: {', '.join(stopped.names)}; "
            f"start it as it was: turnback emergency start --stack {stack.name}"
        )
    turns = read_turns(bucket, stack.target)
    if turns.stop:
        found.append(
            f"{turns.stop.run} needs a person, and {counted(len(turns.waiting), 'run')} that "
            f"{'was' if len(turns.waiting) == 1 else 'were'} uploaded before may wait for that: "
            f"turnback resume --stack {stack.name}"
        )
    return found, [f"{one} {turns.waits_for(one.run)}" for one in turns.waiting]


def _of_stack(name: str, url: str | None) -> StackDatabase:
    # boto3 takes longer to import than all else.
    from turnback.aws.cloudformation import open_stack
    from turnback.cli.recovery import StackDatabase

    return StackDatabase(open_stack(name, reading=True), url)


@click.command(epilog="Example: turnback repair 0004 --accept-checksum --because 'comment fixed'")
@click.argument("version", type=types.Version())
@click.option(
    "--accept-checksum",
    "change",
    flag_value="accept-checksum",
    help="The edited file is correct: record its checksum.",
)
@click.option(
    "--applied",
    "change",
    flag_value="applied",
    help="The database has it already: record it as applied, without running it.",
)
@click.option(
    "--rolled-back",
    "change",
    flag_value="rolled-back",
    help="The database no longer has it: record that, without running anything.",
)
@click.option("--because", metavar="REASON", help="Why; kept in the log with your name.")
@opt.database
@opt.directory
@opt.as_json
@reported
def repair(
    *,
    version: str,
    change: str | None,
    because: str | None,
    database_url: str | None,
    history_schema: str,
    directory: Path,
    out: Output,
) -> None:
    """Correct the history of one migration, after the database was changed by hand.

    Runs no SQL of yours. Afterwards the history states what is true now, and who recorded it,
    when and why.
    """
    if change is None:
        raise ConfigurationError(
            "say what to repair",
            hint="one of --accept-checksum, --applied, --rolled-back",
        )
    if not because and may_ask(out.as_json):
        because = click.prompt("Why", err=True)
    project = load_project(directory, left_over=True)
    with open_engine(database_url, directory, history_schema, out) as engine:
        text = engine.repair(project, version, change, because or "no reason given")
    out.document["status"] = "succeeded"
    out.document["change"] = text
    out.result(text)
