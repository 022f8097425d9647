"""``backup`` and ``snapshots``: taking a snapshot by hand, and seeing what there is."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from turnback.cli import options as opt
from turnback.cli.database import new_run
from turnback.cli.output import Output, clock, count, human_size, reported
from turnback.cli.shelf import keep_out_of_git, open_shelf
from turnback.cli.shelf import stack as stack_option
from turnback.cli.stack_database import managed_database, open_endpoint
from turnback.errors import ConfigurationError

if TYPE_CHECKING:
    from turnback.recovery.dumps.catalog import DumpRecord

# A command has no end of its own; a week is longer than any dump takes.
NO_LIMIT_S = 7 * 24 * 3600.0
_TELL_EVERY_S = 5.0
_TARGET = click.option(
    "--target", help="Name of the database in turnback; the database's own name if not given."
)


@click.command(epilog="Example: turnback backup --into s3://backups/orders")
@opt.database
@opt.directory
@click.option(
    "--into",
    type=opt.Given(),
    metavar="PLACE",
    help="A folder or s3://bucket/prefix; .turnback/snapshots if not.",
)
@stack_option
@_TARGET
@click.option("--dry-run", is_flag=True, help="Say what would be taken; write nothing.")
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
    """Take a snapshot of the database, and wait until it is worth something.

    It is a dump, all of one moment, and nobody waits for it but who changes the schema. The record
    beside it says as of when it is, of which version, and its checksum; restore needs both. With a
    stack whose SnapshotKind is rds or aurora it is a snapshot of RDS instead.
    """
    from turnback.recovery.dumps.dump import DumpSnapshots

    run = new_run()
    out.document |= {"run": run, "database": None, "snapshot": None, "error": None}
    managed = None if into else managed_database(stack, database_url)
    if managed:
        from turnback.cli.managed_backup import take_managed

        take_managed(managed, target, out, dry_run=dry_run)
        return
    if not database_url and not stack:
        _refuse_nothing(directory)
    with open_endpoint(database_url, stack, directory, out) as endpoint:
        shelf = open_shelf(into, stack, directory)
        snapshots = DumpSnapshots(
            endpoint,
            shelf.store,
            lambda: NO_LIMIT_S,
            history_schema=history_schema,
            limit_megabytes=0,
            prefix=shelf.prefix,
            tell=_teller(out),
        )
        name = target or shelf.target or folder_name(endpoint.name)
        if dry_run:
            with snapshots.source() as source:
                found = {
                    "id": f"{shelf.store.prefix}{snapshots.key(name, run)}",
                    "database_bytes": source.bytes,
                    "server_version": source.server_version,
                    "schema_version": source.schema_version,
                }
            out.document |= {"status": "dry_run", "snapshot": found}
            out.result(f"{endpoint.name}: {human_size(source.bytes)} would be dumped to")
            out.result(f"  {found['id']}")
            out.note("Dry run; nothing was written.")
            return
        if not into and not stack:
            keep_out_of_git(directory)
        record = snapshots.record(name, run, {"run": run})
    out.document |= {"status": "succeeded", "snapshot": record.to_dict()}
    out.result(f"{record.id}")
    out.result(
        f"  {human_size(record.bytes)} of a database of {human_size(record.database_bytes)}, "
        f"{count(record.entries, 'object')}, read back"
    )
    out.result(f"  as of {clock(record.taken_at)}, {_version(record)}")
    encrypted = f"encrypted ({record.encrypted})" if record.encrypted else "not encrypted"
    out.result(f"  {encrypted}; whoever can read it can read every row")
    way = record.run if not into and not stack else record.id
    out.note(f"Restore it: turnback restore {way}" + (f" --stack {stack}" if stack else ""))


@click.command(epilog="Example: turnback snapshots --from s3://backups/orders --json")
@opt.directory
@click.option(
    "--from",
    "place",
    type=opt.Given(),
    metavar="PLACE",
    help="A folder or s3://bucket/prefix; .turnback/snapshots if not given.",
)
@stack_option
@opt.as_json
@reported
def snapshots(*, directory: Path, place: str | None, stack: str | None, out: Output) -> None:
    """List the snapshots that can be restored, newest first. Needs no database."""
    from turnback.recovery.dumps.catalog import DumpCatalog

    managed = None if place else managed_database(stack, None)
    if managed:
        from turnback.cli.managed_backup import list_managed

        list_managed(managed, out)
        return
    shelf = open_shelf(place, stack, directory)
    found = DumpCatalog(shelf.store, shelf.prefix).list(shelf.target)
    out.document |= {"status": "succeeded", "snapshots": [record.to_dict() for record in found]}
    for record in found:
        release = f"release {record.release}" if record.release else "by hand"
        out.result(
            f"  {clock(record.taken_at)}  {click.style(record.run, bold=True)}  dump of "
            f"{record.database} ({record.target}), {release}, {_version(record)}, "
            f"{human_size(record.bytes)}"
        )
        if place or stack:
            out.result(f"      {record.id}")
    out.result(f"{count(len(found), 'snapshot')} in {shelf.address}")


def folder_name(database: str) -> str:
    """The name of a database as the name of a folder."""
    return "".join(letter if letter.isalnum() or letter in "_-" else "_" for letter in database)


def _refuse_nothing(directory: Path) -> None:
    """Here the embedded Postgres is never made: a dump of an empty one looks like a backup."""
    project = directory.resolve().parent
    if not (project / ".turnback" / "postgres").is_dir():
        raise ConfigurationError(
            f"there is no database to dump: none was named, and {project} has no embedded Postgres",
            hint="name one by --database-url or DATABASE_URL",
        )


def _version(record: DumpRecord) -> str:
    return f"version {record.schema_version}" if record.schema_version else "no history"


def _teller(out: Output) -> Callable[[int], None]:
    """Says now and then how much was written."""
    told = time.monotonic()

    def tell(written: int) -> None:
        nonlocal told
        if time.monotonic() >= told + _TELL_EVERY_S:
            told = time.monotonic()
            out.note(f"  {human_size(written)} written")

    return tell
