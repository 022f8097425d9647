"""``restore``: a snapshot in place of the database, and what is lost by it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from turnback.aws.cloudformation import open_stack
from turnback.cli import options as opt
from turnback.cli import param_types as types
from turnback.cli.database import new_run
from turnback.cli.output import Output, confirm, reported
from turnback.cli.recovery import (
    StackDatabase,
    Where,
    managed_database,
    open_bucket,
    open_dumps,
    open_endpoint,
    pace_of,
    refuse_while_running,
    stack_option,
    timed,
)
from turnback.errors import ConfigurationError
from turnback.wording import duration, local_clock

if TYPE_CHECKING:
    from turnback.recovery.by_hand import Loss, Restore
    from turnback.recovery.dumps.by_hand import DumpRestore
    from turnback.recovery.managed.by_hand import ManagedRestore

_TABLES_SHOWN = 5
# What the numbers of rows are, where they are not those since the snapshot.
_COMPARED = {
    "everything": "the numbers are all that the server has counted in this database",
    "since_reset": "the server's counters were reset after the snapshot; the numbers are of what "
    "was written after that",
    "since_made": "the database was restored or made after the snapshot; the numbers are all that "
    "was written into it since, by that restore as well",
}


@click.command(epilog="Example: turnback restore r-20261122T101112Z-a1b2c3 --into look_at_it")
@click.argument("snapshot", required=False, type=types.Given())
@opt.database
@opt.directory
@click.option(
    "--into",
    type=types.Given(),
    metavar="NAME",
    help="Restore a dump into a new database of this name; nothing is swapped.",
)
@click.option(
    "--until",
    metavar="TIME",
    help="Of RDS, in place of a snapshot: a point in time like 2026-11-22T15:04:05Z.",
)
@click.option(
    "--no-check",
    is_flag=True,
    help="Of RDS: swap without checking the restored one; look at it yourself.",
)
@click.option("--again", is_flag=True, help="Of RDS: restore once more from the same snapshot.")
@click.option(
    "--of-another-database",
    is_flag=True,
    help="Restore although SNAPSHOT is of another database, or server, than the target; --yes does "
    "not include it.",
)
@click.option(
    "--force",
    metavar="REASON",
    help="Restore although a run is not finished; say why.",
)
@stack_option
@click.option("--dry-run", is_flag=True, help="Say what is lost and what would be done; only look.")
@opt.verbose
@opt.yes
@opt.as_json
@reported
def restore(
    *,
    snapshot: str | None,
    database_url: str | None,
    history_schema: str,
    directory: Path,
    into: str | None,
    until: str | None,
    no_check: bool,
    again: bool,
    of_another_database: bool,
    force: str | None,
    stack: str | None,
    dry_run: bool,
    yes: bool,
    out: Output,
) -> None:
    """Put SNAPSHOT in place of the database, and keep the old one under another name.

    SNAPSHOT is an id that the command snapshots shows, the run it was taken for, the path of a
    dump, or its s3:// address. It is restored into a new database beside the old one and checked;
    then the two swap names, which ends every session. Says first what is lost, and asks; without a
    terminal it needs --yes. With a stack whose SnapshotKind is rds or aurora, a new instance or
    cluster takes the old one's name and endpoint. Repeat the command to continue after an
    interruption.
    """
    del history_schema  # the record of a dump, or the stack, names it
    out.document |= {"database": None, "snapshot": None, "until": None, "loss": None, "error": None}
    if (snapshot is None) == (until is None):
        raise ConfigurationError(
            "name a snapshot, or a point in time with --until; one of them",
            hint="turnback snapshots lists the snapshots",
        )
    where = Where(directory, database_url, stack)
    managed = managed_database(where)
    if managed:
        if into:
            raise ConfigurationError(
                "--into is for dumps; RDS restores into a new instance or cluster",
                hint="docs/backup.md#rds-and-aurora says how to have one beside, without a swap",
            )
        out.document["stack"] = managed.stack.name
        restoring: Restore = _of_rds(
            managed, snapshot, until, check=not no_check, again=again, out=out
        )
        refuse_while_running(managed.stack, force, out)
        _replace(restoring, managed, another=of_another_database, dry_run=dry_run, yes=yes, out=out)
        return
    if snapshot is None or no_check or again:
        raise ConfigurationError(
            "--until, --no-check and --again are for snapshots of RDS",
            hint="name its stack: --stack; of a dump, name the snapshot",
        )
    if stack and not into:
        refuse_while_running(open_stack(stack, reading=True), force, out)
    with _of_dump(where, snapshot, out) as from_dump:
        if into:
            try:
                missing = from_dump.beside(into, dry_run=dry_run)
            except KeyboardInterrupt:
                out.note(f'Stopped; nothing was swapped. The same command goes on with "{into}".')
                raise
            out.document |= {"status": "dry_run"} if dry_run else {"status": "restored"}
            if dry_run:
                out.result(f'It would be restored into "{into}", and needs {from_dump.room} there.')
                out.note("Dry run; nothing was changed.")
                return
            taken_at = from_dump.record.taken_at
            out.document |= {"into": into, "restored_to": taken_at}
            out.result(f'The dump of {local_clock(taken_at)} is in "{into}"; nothing was swapped.')
            for one in missing:
                out.warn(f"not made, and to be made by hand: {one}")
            return
        _replace(from_dump, None, another=of_another_database, dry_run=dry_run, yes=yes, out=out)


def _of_rds(
    database: StackDatabase,
    snapshot: str | None,
    until: str | None,
    *,
    check: bool,
    again: bool,
    out: Output,
) -> ManagedRestore:
    from turnback.recovery.managed.by_hand import ManagedRestore, ManagedSource, point_in_time

    if check and not database.known:
        raise ConfigurationError(
            f"the stack {database.stack.name} does not say how its database is reached, so the "
            "restored one could not be checked before it takes the old one's place",
            hint="give --database-url or DATABASE_URL; or --no-check, and look at it yourself",
        )
    access = database.access(out)
    source = ManagedSource(
        access.catalog.find(snapshot) if snapshot else None,
        point_in_time(until) if until else None,
    )
    if source.snapshot:
        out.document["snapshot"] = dict(source.snapshot.document)
    else:
        out.document["until"] = source.taken_at

    def report(text: str) -> None:
        out.note(f"  {text}")

    return ManagedRestore(access, source, check=check, again=again, report=report)


@contextlib.contextmanager
def _of_dump(where: Where, snapshot: str, out: Output) -> Iterator[DumpRestore]:
    from turnback.recovery.dumps.by_hand import DumpRestore
    from turnback.recovery.dumps.catalog import find_dump

    store, record = find_dump(snapshot, lambda: open_dumps(where), open_bucket)
    out.document["snapshot"] = record.to_dict()
    with open_endpoint(where, out) as endpoint:
        yield DumpRestore(endpoint, store, record, new_run())


def _replace(
    restoring: Restore,
    database: StackDatabase | None,
    *,
    another: bool,
    dry_run: bool,
    yes: bool,
    out: Output,
) -> None:
    """Show what would be done and lost, ask, and restore."""
    from turnback.aws.clients import may_pass
    from turnback.recovery.by_hand import restore_to_end

    plan = restoring.plan()
    request = plan.request
    out.document |= {"run": request.run, "kept": plan.kept, "already": plan.done}
    if plan.another:
        if not another:
            raise ConfigurationError(
                f"the snapshot is of another database: {plan.another}",
                hint="nothing was changed; check the address. If the database was renamed, or is "
                "on a new server now: --of-another-database",
            )
        out.warn(f"the snapshot is of another database: {plan.another}")
    if plan.done:
        out.note(
            f"note: {plan.place} was restored from it before, and contains what was written since; "
            "--again restores it once more"
        )
    else:
        if plan.begun:
            out.result("An earlier command began this restore; it is continued.")
        for step in plan.steps:
            out.result(step)
        loss = restoring.loss(another=plan.another is not None)
        out.document["loss"] = loss.to_dict()
        _show_loss(loss, out)
    if dry_run:
        out.document["status"] = "dry_run"
        out.note("Dry run; nothing was changed.")
        return
    if not plan.done:
        confirm(
            f"put another database in place of {plan.place}",
            yes=yes,
            out=out,
            question=f"Put it in place of {plan.place}?",
        )
    source = request.snapshot.id if request.snapshot else request.until
    out.note(f"Restoring {source} …")
    began = time.monotonic()
    done = restore_to_end(
        restoring.restorer,
        request,
        timed(out),
        pace=pace_of(database),
        may_pass=may_pass,
        stopped=restoring.stopped,
    )
    out.result(f"Restored in {duration(time.monotonic() - began)}: {done.detail}")
    out.document |= {"status": "restored", "kept": done.kept, "restored_to": done.restored_to}
    for line in restoring.removal(done.kept) if done.kept else ():
        out.note(line)


def _show_loss(loss: Loss, out: Output) -> None:
    """What was written since, as far as the server counts it."""
    from turnback.recovery.contents import WORDS

    if loss.everything:
        out.result("A restore replaces all that is in it now: it is another database.")
    elif loss.since is None:
        out.result("A restore loses what was written since the snapshot; its time is not known.")
        return
    else:
        out.result(
            f"A restore loses what was written since {local_clock(loss.since)}, "
            f"{duration(loss.seconds or 0)} ago."
        )
    if loss.written is None:
        problem = f": {loss.problem}" if loss.problem else ""
        out.result(f"  The number of rows is not known{problem}.")
        return
    compared = _COMPARED.get("everything" if loss.everything else loss.written["counted"])
    if compared:
        out.note(f"note: {compared}")
    tables = loss.written["tables"]
    for row in [*tables[:_TABLES_SHOWN], {"name": "in all", **loss.written}]:
        numbers = ", ".join(f"{row[word]} {word}" for word in WORDS)
        out.result(f"  {row['name']}: {numbers}")
    out.result("  The numbers of rows are approximate.")
