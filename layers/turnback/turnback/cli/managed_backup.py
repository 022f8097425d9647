"""``backup`` and ``snapshots`` of a stack whose snapshots RDS keeps."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from turnback.cli.database import new_run
from turnback.cli.output import Output, clock, count
from turnback.cli.stack_database import StackDatabase, shown
from turnback.errors import ConfigurationError, DatabaseRefused, DatabaseUnreachable

if TYPE_CHECKING:
    from turnback.aws.rds_snapshots import ClusterSnapshots, InstanceSnapshots, RdsSnapshot
    from turnback.recovery.managed.by_hand import Known
    from turnback.recovery.managed.snapshots import ManagedSnapshots

_TELL_EVERY_S = 60.0
UNKNOWN = "unknown"


def service_of(database: StackDatabase) -> InstanceSnapshots | ClusterSnapshots:
    """The snapshots of a stack's instance or cluster in RDS."""
    from turnback.aws.rds_snapshots import ClusterSnapshots, InstanceSnapshots

    if database.kind == "rds":
        return InstanceSnapshots(database.identifier)
    return ClusterSnapshots(database.identifier)


def as_document(kind: str, found: RdsSnapshot) -> dict[str, Any]:
    """A snapshot as ``--json`` shows it."""
    tags = found.tags
    return {
        "kind": kind,
        "id": found.id,
        "source": found.source,
        "target": tags.get("target"),
        "run": found.run,
        "release": _said(tags.get("release")),
        "schema_version": _said(tags.get("schema_version")),
        "state": found.status,
        "taken_at": found.taken_at.isoformat() if found.taken_at else None,
        "encrypted": found.encrypted,
        "gigabytes": found.gigabytes,
    }


def taken_last(one: RdsSnapshot) -> datetime:
    """A key to sort by: one that RDS has not dated yet is being taken, and the newest."""
    return one.taken_at or datetime.max.replace(tzinfo=UTC)


def list_managed(database: StackDatabase, out: Output) -> None:
    """Show the snapshots that turnback took of the stack's database, newest first."""
    found = service_of(database).of_target(database.stack.target)
    found.sort(key=taken_last, reverse=True)
    rows = [as_document(database.kind, one) for one in found]
    out.document |= {"status": "succeeded", "stack": database.stack.name, "snapshots": rows}
    for one, row in zip(found, rows, strict=True):
        taken = clock(row["taken_at"]) if row["taken_at"] else "being taken"
        size = f", {row['gigabytes']} GiB of storage" if row["gigabytes"] else ""
        release = f"release {row['release']}" if row["release"] else "no release"
        version = _version(one.tags.get("schema_version"))
        secret = "encrypted" if row["encrypted"] else "not encrypted"
        out.result(
            f"  {taken}  {click.style(row['run'], bold=True)}  {row['kind']} snapshot of "
            f"{row['source']}, {release}, {version}, {row['state']}, "
            f"{secret}{size}"
        )
        out.result(f"      {row['id']}")
    out.result(f"{count(len(rows), 'snapshot')} of {database.stack.target} in RDS")


def take_managed(
    database: StackDatabase, target: str | None, out: Output, *, dry_run: bool
) -> None:
    """Take a snapshot of the stack's instance or cluster, and wait until it is available.

    Args:
        database: of the stack.
        target: the name that a person gave the database; None for the stack's.
        out: where to tell.
        dry_run: whether to say only what would be done.

    Raises:
        ConfigurationError: the name is another's, or a parameter of the stack is missing.
        SnapshotFailed: there is none, and there will be none.
        AwsError: AWS cannot be reached or refuses us.
    """
    from turnback.recovery.managed.snapshots import ManagedSnapshots
    from turnback.recovery.model import snapshot_identifier
    from turnback.runs.records import Records
    from turnback.runs.snapshot import CREATED_BY

    # RDS knows small letters only; the name shall say the run as it is.
    run, own = new_run().lower(), database.stack.target
    if target not in (None, own):
        raise ConfigurationError(
            f"the database of the stack {database.stack.name} is {own}, not {target}",
            hint="leave --target away",
        )
    service, settings = service_of(database), database.settings
    known = _ask(database, out)
    tags = {
        "run": run,
        "release": (known.release if known else None) or "none",
        "schema_version": (known.version or "none") if known else UNKNOWN,
        "target": own,
        "created-by": CREATED_BY,
    }
    identifier = snapshot_identifier(own, run)
    out.document |= {"run": run, "snapshot": {"kind": database.kind, "id": identifier, **tags}}
    version = _version(tags["schema_version"])
    if dry_run:
        source = service.source()
        encrypted = "encrypted" if source.encrypted else "not encrypted"
        out.document |= {"status": "dry_run"}
        out.result(f"{database.identifier} ({source.status}) would be taken as {identifier}")
        out.result(f"  release {tags['release']}, {version}, {encrypted}")
        out.note("Dry run; nothing was begun.")
        return
    snapshots = ManagedSnapshots(
        database.kind, service, encryption_required=settings.encryption_required
    )
    if known:
        from turnback.aws.s3 import Bucket

        Records(Bucket(database.stack.bucket), run).write_counters(known.counters)
    taken = _await(snapshots, service, tags, out, settings.poll_seconds)
    out.document |= {"status": "succeeded", "snapshot": as_document(database.kind, taken)}
    encrypted = "encrypted" if taken.encrypted else "not encrypted"
    out.result(taken.id)
    out.result(
        f"  as of {clock(taken.taken_at.isoformat()) if taken.taken_at else '?'}, "
        f"release {tags['release']}, {version}, {encrypted}"
    )
    out.note(f"Restore it: turnback restore {taken.id} --stack {database.stack.name}")


def _await(
    snapshots: ManagedSnapshots,
    service: InstanceSnapshots | ClusterSnapshots,
    tags: dict[str, str],
    out: Output,
    pause_s: float,
) -> RdsSnapshot:
    from turnback.runs.reporting.words import duration

    began, told, told_at = time.monotonic(), "", 0.0
    try:
        while True:
            taken = snapshots.take(tags["target"], tags["run"], tags)
            found = service.find(str(taken.id))
            if found is not None and found.status == "available":
                return found
            doing = (
                f"{found.status}, {found.percent or 0} %"
                if found
                else f"not begun yet: the database is {service.source().status}"
            )
            now = time.monotonic()
            if doing != told or now - told_at > _TELL_EVERY_S:
                told, told_at = doing, now
                out.note(f"  {taken.id}: {doing} ({duration(now - began)})")
            time.sleep(pause_s)
    except KeyboardInterrupt:
        out.note("Left as it is. RDS ends by itself what it began; turnback snapshots shows it.")
        raise


def _ask(database: StackDatabase, out: Output) -> Known | None:
    """What the database says of itself; None where it cannot be asked, which stops nothing."""
    from turnback.recovery.managed.by_hand import known_of

    if not database.known:
        out.note(
            "note: nobody says how the database is reached, so version and release are not noted; "
            "--database-url names it"
        )
        return None
    endpoint = database.reach()
    out.document["database"] = shown(endpoint)
    try:
        return known_of(endpoint, database.history_schema)
    except (DatabaseUnreachable, DatabaseRefused) as error:
        out.note(f"note: {error.message}; version and release are not noted on the snapshot")
        return None


def _said(tag: str | None) -> str | None:
    return None if tag in (None, "", "none", UNKNOWN) else tag


def _version(tag: str | None) -> str:
    if tag == "none":
        return "no history"
    return "no known version" if tag in (None, "", UNKNOWN) else f"version {tag}"
