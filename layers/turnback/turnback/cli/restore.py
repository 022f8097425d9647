"""``restore``: a snapshot in place of the database, and how much is lost by it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from turnback.cli import options as opt
from turnback.cli.backup import NO_LIMIT_S
from turnback.cli.database import new_run
from turnback.cli.output import Output, clock, human_ms, human_size, reported
from turnback.cli.restoring import carry_out, confirm
from turnback.cli.shelf import find, open_shelf
from turnback.cli.shelf import stack as stack_option
from turnback.cli.stack import open_stack
from turnback.cli.stack_database import managed_database, open_endpoint, refuse_while_running
from turnback.errors import ConfigurationError

if TYPE_CHECKING:
    from turnback.recovery.dumps.catalog import DumpRecord
    from turnback.recovery.dumps.restore import RestoreDump
    from turnback.recovery.endpoint import Endpoint

_TABLES_SHOWN = 5


@click.command(epilog="Example: turnback restore r-20261122T101112Z-a1b2c3 --into look_at_it")
@click.argument("snapshot", required=False, type=opt.Given())
@opt.database
@opt.directory
@click.option(
    "--into",
    type=opt.Given(),
    metavar="NAME",
    help="Restore into a new database of this name instead.",
)
@click.option(
    "--until",
    metavar="TIME",
    help="Of RDS, in place of a snapshot: a point in time like 2026-11-22T15:04:05Z.",
)
@click.option(
    "--no-check",
    is_flag=True,
    help="Of RDS: put the restored one in place without a look at it. You look.",
)
@click.option("--again", is_flag=True, help="Of RDS: restore once more from the same snapshot.")
@click.option(
    "--force", metavar="REASON", help="Although a run of the stack goes on; say why that is right."
)
@stack_option
@click.option("--dry-run", is_flag=True, help="Say what is lost and what would be done; only look.")
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
    cluster takes the old one's name and endpoint. Cut off, the same command goes on where it was.
    """
    from turnback.recovery.dumps.restore import RestoreDump
    from turnback.recovery.model import RestoreRequest, Snapshot, SnapshotState

    del history_schema  # the record knows where the history was
    out.document |= {"database": None, "snapshot": None, "loss": None, "error": None}
    if (snapshot is None) == (until is None):
        raise ConfigurationError(
            "name a snapshot, or a point in time with --until; one of them",
            hint="turnback snapshots lists the snapshots",
        )
    managed = managed_database(stack, database_url)
    if managed:
        from turnback.cli.managed_restore import Wish, restore_managed

        if into:
            raise ConfigurationError(
                "--into is for dumps; RDS restores into a new instance or cluster",
                hint="docs/restore-rds.md says how to have one beside, without a swap",
            )
        restore_managed(
            managed,
            Wish(snapshot, until, dry_run, yes, not no_check, again, force),
            out,
        )
        return
    if snapshot is None or no_check or again:
        raise ConfigurationError(
            "--until, --no-check and --again are for snapshots of RDS",
            hint="name its stack: --stack; of a dump, name the snapshot",
        )
    if stack and not into:
        refuse_while_running(open_stack(stack, reading=True), force, out)
    store, record = find(snapshot, open_shelf(None, stack, directory))
    out.document["snapshot"] = record.to_dict()
    with open_endpoint(database_url, stack, directory, out) as endpoint:
        restoring = RestoreDump(endpoint, store, lambda: NO_LIMIT_S)
        chosen = Snapshot("dump", record.id, SnapshotState.AVAILABLE)
        if into:
            _beside(restoring, chosen, record, into, out, dry_run=dry_run)
            return
        restoring.look()
        out.document["loss"] = _tell_loss(endpoint, record, out)
        run = restoring.unfinished(record) or new_run()
        names = restoring.names(run)
        if dry_run:
            out.document |= {"status": "dry_run", "kept": names.kept}
            out.result(f'  restores into "{names.successor}", needs {_room(record)} there')
            out.result(f'  swaps it with "{names.current}", which is kept as "{names.kept}"')
            out.note("Dry run; nothing was changed.")
            return
        place = f'"{names.current}" on {out.document["database"]}'
        confirm("the snapshot", place, yes=yes, out=out)
        request = RestoreRequest(record.target, run, chosen, None, _check(endpoint, record))
        done = carry_out(restoring, request, out)
    out.document |= {"status": "restored", "run": run, "kept": done.kept}
    out.document["restored_to"] = done.restored_to
    out.note(
        f'The old database takes no sessions. To look at it: ALTER DATABASE "{done.kept}" '
        "WITH ALLOW_CONNECTIONS true"
    )
    out.note(f'When nobody needs it any more: DROP DATABASE "{done.kept}"')


def _beside(
    restoring: RestoreDump,
    chosen: Any,
    record: DumpRecord,
    name: str,
    out: Output,
    *,
    dry_run: bool,
) -> None:
    if not 0 < len(name.encode()) <= 63 or "\0" in name:
        raise ConfigurationError("the name of a database has 1 to 63 bytes", hint="see --into")
    run = f"{record.run} into {name}"
    restoring.look((name, run))
    if dry_run:
        out.document["status"] = "dry_run"
        out.result(f'  restores into "{name}", needs {_room(record)} there')
        out.note("Dry run; nothing was changed.")
        return
    restoring.beside(chosen, name, run)
    out.document |= {"status": "restored", "into": name, "restored_to": record.taken_at}
    out.result(f'The dump of {clock(record.taken_at)} is in "{name}"; nothing was swapped.')


def _tell_loss(endpoint: Endpoint, record: DumpRecord, out: Output) -> dict[str, Any]:
    """What was written since the snapshot, as far as the server counts it."""
    from turnback.recovery.contents import WORDS, counters, written_since

    seconds = (datetime.now(UTC) - datetime.fromisoformat(record.taken_at)).total_seconds()
    written = written_since(record.counters, counters(endpoint))
    loss = {"since": record.taken_at, "seconds": max(int(seconds), 0), **written}
    ago = human_ms(loss["seconds"] * 1000)
    out.result(f'"{record.database}" as of {clock(record.taken_at)}, {ago} ago.')
    out.result("Lost is what was written since, in rows; the server never counts exactly:")
    if written["reset"]:
        out.note("note: it has begun to count anew since; what it counts now is shown, all of it")
    for row in [*written["tables"][:_TABLES_SHOWN], {"name": "in all", **written}]:
        numbers = ", ".join(f"{row[word]} {word}" for word in WORDS)
        out.result(f"  {row['name']}: {numbers}")
    if record.database != endpoint.name:
        out.note(f'warning: the snapshot is of "{record.database}", not of "{endpoint.name}"')
    return loss


def _check(endpoint: Endpoint, record: DumpRecord) -> Callable[[Any], None]:
    from turnback.recovery.contents import expects_version

    return expects_version(endpoint, record.schema_version, record.history_schema)


def _room(record: DumpRecord) -> str:
    return f"about {human_size(record.database_bytes)}"
