"""``restore`` of a stack whose snapshots RDS keeps: a new one in the old one's place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from turnback.cli.managed_source import Source, find_source
from turnback.cli.output import Output, clock
from turnback.cli.restoring import Pace, carry_out, confirm
from turnback.cli.stack_database import StackDatabase, refuse_while_running, shown
from turnback.errors import ConfigurationError, DatabaseRefused, DatabaseUnreachable

if TYPE_CHECKING:
    from turnback.aws.rds_clusters import Clusters
    from turnback.aws.rds_instances import Instances
    from turnback.recovery.managed.by_hand import Asked
    from turnback.recovery.model import Place, RestoreProgress, Restorer, RestoreRequest

_TABLES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants of a restore.

    Attributes:
        snapshot: identifier of a snapshot, or the run that it was taken for.
        until: a point in time, as it was typed.
        dry_run: whether to say only what would be done.
        yes: whether not to ask.
        check: whether to look at the restored database before the swap.
        again: whether to restore once more what was restored from it already.
        force: why a run that goes on does not matter.
    """

    snapshot: str | None
    until: str | None
    dry_run: bool = False
    yes: bool = False
    check: bool = True
    again: bool = False
    force: str | None = None


def restore_managed(database: StackDatabase, wish: Wish, out: Output) -> None:
    """Restore the stack's instance or cluster, and keep the old one under another name.

    Raises:
        ConfigurationError: there is no such snapshot, or nobody said yes; nothing was changed.
        RestoreFailed: it cannot end well; says what stands.
    """
    from turnback.recovery.managed.by_hand import asked_for
    from turnback.recovery.managed.database import kept_name

    stack, live = database.stack, database.identifier
    out.document |= {"stack": stack.name, "database": None, "snapshot": None, "until": None}
    out.document |= {"loss": None, "error": None}
    if wish.check and not database.known:
        raise ConfigurationError(
            f"the stack {stack.name} does not say how its database is reached, so nothing could "
            "look at the restored one before it takes the old one's place",
            hint="give --database-url or DATABASE_URL; or --no-check, and look at it yourself",
        )
    source = find_source(database, wish.snapshot, wish.until, out)
    refuse_while_running(stack, wish.force, out)
    things, restores = _service_of(database)
    asked = asked_for(things.find, live, source.name, own=source.run, again=wish.again)
    kept = kept_name(live, asked.run)
    out.document |= {"run": asked.run, "kept": kept}
    if not asked.done:
        _tell_steps(database, source, asked, wish, out)
        out.document["loss"] = _tell_loss(database, source, out)
    if wish.dry_run:
        out.document["status"] = "dry_run"
        if asked.done:
            out.result(f"{live} was restored from it already; --again restores it once more")
        out.note("Dry run; nothing was changed.")
        return
    if not asked.done:
        place = f"{live}, of the stack {stack.name}"
        confirm("another database", place, yes=wish.yes, out=out)
    request = _request(database, source, asked, wish, out)
    done = carry_out(restores, request, out, pace_of(database))
    out.document |= {"status": "restored", "kept": done.kept, "restored_to": done.restored_to}
    out.document["already"] = asked.done
    if asked.done:
        out.note(
            f"note: {live} had been restored from {source.name} before, and what was written since "
            "is in it; --again puts it in its place once more"
        )
    _tell_kept(database.kind, done, out)


def pace_of(database: StackDatabase) -> Pace:
    """As often as the state machine looks at a restore."""
    return Pace(float(database.restore_settings.poll_seconds))


def _service_of(database: StackDatabase) -> tuple[Instances | Clusters, Restorer]:
    if database.kind == "rds":
        from turnback.aws.rds_instances import Instances
        from turnback.recovery.managed.restore import RestoreInstance

        instances = Instances()
        return instances, RestoreInstance(instances, database.identifier)
    from turnback.aws.rds_clusters import Clusters
    from turnback.recovery.managed.restore_cluster import RestoreCluster

    clusters = Clusters()
    return clusters, RestoreCluster(clusters, database.identifier)


def _tell_steps(
    database: StackDatabase, source: Source, asked: Asked, wish: Wish, out: Output
) -> None:
    from turnback.recovery.managed.database import kept_name, restored_name

    live, what = database.identifier, "instance" if database.kind == "rds" else "cluster"
    new, kept = restored_name(live, asked.run), kept_name(live, asked.run)
    if asked.begun:
        out.result("This restore was begun before; it goes on where it was.")
    where = f"from the snapshot {source.name}" if source.snapshot else f"as {live} was then"
    check = "it must answer"
    if source.version == "none":
        check += ", and have no history"
    elif source.version:
        check += f", and its history must end at version {source.version}"
    if not wish.check:
        check = "nobody looks at it (--no-check)"
    out.result(f"1. {new}: a new {what}, {where}, with the settings of {live}")
    out.result(f"2. {check}; until here {live} answers as before")
    out.result(f"3. {live} becomes {kept}; for some minutes nothing answers at its endpoint")
    out.result(f"4. {new} becomes {live}; the endpoint stays as it is")
    out.result(f"5. {kept} is kept, with all that is in it")


def _tell_loss(database: StackDatabase, source: Source, out: Output) -> dict[str, Any]:
    """What was written since, as far as the server and a record of its counters tell."""
    from turnback.aws.s3 import Bucket
    from turnback.recovery.contents import WORDS, counters, written_since
    from turnback.runs.records import Records
    from turnback.runs.reporting.words import duration

    as_of = source.as_of
    if as_of is None:
        out.result("Lost is what was written since the snapshot; nobody knows when that was.")
        return {"since": None, "seconds": None}
    seconds = max(int((datetime.now(UTC) - as_of).total_seconds()), 0)
    loss: dict[str, Any] = {"since": as_of.isoformat(), "seconds": seconds}
    out.result(
        f"Lost is what was written since {clock(as_of.isoformat())}, {duration(seconds)} ago."
    )
    before = Records(Bucket(database.stack.bucket), source.run).counters() if source.run else {}
    if not before or not database.known:
        out.result("  How many rows that is, is not known.")
        return loss
    try:
        written = written_since(before, counters(database.reach()))
    except (DatabaseUnreachable, DatabaseRefused) as error:
        out.result(f"  How many rows that is, is not known: {error.message}")
        return loss
    for row in [*written["tables"][:_TABLES_SHOWN], {"name": "in all", **written}]:
        numbers = ", ".join(f"{row[word]} {word}" for word in WORDS)
        out.result(f"  {row['name']}: {numbers}")
    return {**loss, **written}


def _request(
    database: StackDatabase, source: Source, asked: Asked, wish: Wish, out: Output
) -> RestoreRequest:
    from turnback.recovery.model import RestoreRequest, Snapshot, SnapshotState

    snapshot = None
    if source.snapshot:
        taken = source.as_of.isoformat() if source.as_of else None
        snapshot = Snapshot(database.kind, source.name, SnapshotState.AVAILABLE, taken_at=taken)
    check = _check(database, source, out) if wish.check else _no_check
    return RestoreRequest(database.stack.target, asked.run, snapshot, source.until, check)


def _check(database: StackDatabase, source: Source, out: Output) -> Callable[[Place], None]:
    from turnback.recovery.contents import expect_version, version_of

    told = False

    def check(place: Place) -> None:
        nonlocal told
        # Anew each time: a password made by IAM is good for 15 minutes.
        endpoint = database.reach(place)
        found = version_of(endpoint, database.history_schema)
        if source.version:
            wanted = None if source.version == "none" else source.version
            expect_version(endpoint, wanted, found)
        if not told:
            told = True
            out.document["database"] = shown(database.reach())
            out.note(f"  {shown(endpoint)} answers, at version {found or 'none'}")

    return check


def _no_check(place: Place) -> None:
    """The person looks."""
    del place


def _tell_kept(kind: str, done: RestoreProgress, out: Output) -> None:
    """How what is kept is deleted; it costs as much as before."""
    kept = done.kept
    if kept is None:
        return
    aws, what = "aws rds", "instance" if kind == "rds" else "cluster"
    out.note(f"The old one is kept as {kept}, and costs as before. When nobody needs it any more:")
    out.note(
        f"  {aws} modify-db-{what} --db-{what}-identifier {kept} --no-deletion-protection "
        "--apply-immediately"
    )
    if kind == "aurora":
        out.note(f"  {aws} delete-db-instance --db-instance-identifier …, each of its instances")
    out.note(
        f"  {aws} delete-db-{what} --db-{what}-identifier {kept} "
        f"--final-db-snapshot-identifier {kept}-last"
    )
