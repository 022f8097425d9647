"""``backup`` and ``snapshots``: taking a snapshot by hand, and listing those there are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from turnback.cli import options as opt
from turnback.cli import param_types as types
from turnback.cli.database import new_run
from turnback.cli.output import Output, reported
from turnback.cli.recovery import (
    Where,
    keep_out_of_git,
    managed_database,
    open_dumps,
    open_endpoint,
    stack_option,
    timed,
)
from turnback.errors import ConfigurationError
from turnback.wording import counted, local_clock

if TYPE_CHECKING:
    from turnback.recovery.by_hand import Backup
    from turnback.recovery.model import SnapshotList

_TARGET = click.option(
    "--target",
    metavar="NAME",
    help="Name of the database in turnback; the database's own name if not given.",
)


@click.command(epilog="Example: turnback backup --into s3://backups/orders")
@opt.database
@opt.directory
@click.option(
    "--into",
    type=types.Given(),
    metavar="PLACE",
    help="A folder or s3://bucket/prefix; .turnback/snapshots if not given.",
)
@stack_option
@_TARGET
@click.option("--dry-run", is_flag=True, help="Say what would be taken; write nothing.")
@opt.verbose
@opt.as_json
@reported
def backup(
    *,
    database_url: str | None,
    history_schema: str,
    directory: Path,
    into: str | None,
    stack: str | None,
    target: str | None,
    dry_run: bool,
    out: Output,
) -> None:
    """Take a snapshot of the database, and wait until a restore can use it.

    It is a dump, all of one moment, and only changes of the schema wait for it. The record beside
    it has its time, its version and its checksum; restore needs both. With a stack whose
    SnapshotKind is rds or aurora it is a snapshot of RDS instead.
    """
    out.document |= {"run": new_run(), "database": None, "snapshot": None, "error": None}
    where = Where(directory, database_url, stack, into)
    with open_backup(where, target, history_schema, out) as taking:
        if dry_run:
            plan = taking.plan()
            out.document |= {"status": "dry_run", "snapshot": dict(plan.document)}
            out.document["run"] = plan.document.get("run", out.document["run"])
            for line in plan.lines:
                out.result(line)
            out.note("Dry run; nothing was written.")
            return
        own = not into and not stack
        if own:
            keep_out_of_git(directory)
        taken = taking.take(timed(out))
    out.document |= {"status": "succeeded", "run": taken.run, "snapshot": dict(taken.document)}
    out.result(taken.id)
    out.result(f"  as of {local_clock(taken.taken_at or '')}, {taken.contents}")
    out.result(f"  {', '.join(taken.details)}")
    for limit in taken.limits:
        out.warn(limit)
    for need in taken.needs:
        out.note(f"another server needs, before a restore: {need}")
    name = taken.run if own else taken.id
    out.note("Whoever can read it can read every row.")
    out.note(f"Restore it: turnback restore {name}" + (f" --stack {stack}" if stack else ""))


@click.command(epilog="Example: turnback snapshots --from s3://backups/orders --json")
@opt.directory
@click.option(
    "--from",
    "place",
    type=types.Given(),
    metavar="PLACE",
    help="A folder or s3://bucket/prefix; .turnback/snapshots if not given.",
)
@stack_option
@opt.as_json
@reported
def snapshots(*, directory: Path, place: str | None, stack: str | None, out: Output) -> None:
    """List the snapshots that can be restored, newest first. Needs no database."""
    where = Where(directory, None, stack, place)
    managed = None if place else managed_database(where)
    listed: SnapshotList = managed.access(out).catalog if managed else open_dumps(where)
    found = listed.list()
    out.document |= {"status": "succeeded", "snapshots": [dict(one.document) for one in found]}
    if managed:
        out.document["stack"] = managed.stack.name
    for one in found:
        taken = local_clock(one.taken_at) if one.taken_at else "being taken"
        kind = "dump" if one.kind == "dump" else f"{one.kind} snapshot"
        out.result(
            f"  {taken}  {click.style(str(one.run), bold=True)}  {kind} of {one.source}, "
            f"{one.contents}, {', '.join(one.details)}"
        )
        if place or stack:
            out.result(f"      {one.id}")
    out.result(f"{counted(len(found), 'snapshot')} {listed.address}")


@contextlib.contextmanager
def open_backup(
    where: Where, target: str | None, history_schema: str, out: Output
) -> Iterator[Backup]:
    """What takes a snapshot of the database, for the run of the document.

    Raises:
        ConfigurationError: there is no such stack, or it has another target.
    """
    run = str(out.document["run"])
    managed = None if where.place else managed_database(where)
    if managed:
        from turnback.recovery.managed.by_hand import ManagedBackup

        own = managed.stack.target
        if target not in (None, own):
            raise ConfigurationError(
                f"the database of the stack {managed.stack.name} is {own}, not {target}",
                hint="leave --target out",
            )
        settings = managed.settings
        yield ManagedBackup(
            managed.access(out),
            run,
            encryption_required=settings.encryption_required,
            poll_s=settings.poll_seconds,
            report=out.note,
        )
        return
    from turnback.recovery.dumps.by_hand import DumpBackup

    with open_endpoint(where, out) as endpoint:
        yield DumpBackup(endpoint, open_dumps(where), run, target, history_schema)
