"""Snapshots of RDS that a person takes and restores."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Protocol

from turnback.engine.look.history import History
from turnback.errors import ConfigurationError, DatabaseRefused, DatabaseUnreachable
from turnback.recovery.by_hand import (
    BackupPlan,
    Loss,
    Report,
    RestorePlan,
    expected_history,
    loss_of_everything,
    loss_since,
)
from turnback.recovery.contents import counters, expect_version, last_applied, version_of
from turnback.recovery.endpoint import Endpoint
from turnback.recovery.managed.database import (
    RESTORED_BY,
    ManagedDatabase,
    is_of,
    is_ready,
    kept_name,
    password_after,
    restored_name,
)
from turnback.recovery.managed.restore import SwapService
from turnback.recovery.managed.snapshots import (
    ManagedCatalog,
    ManagedSnapshots,
    SnapshotService,
    known_tag,
)
from turnback.recovery.model import (
    CREATED_BY,
    NO_HISTORY,
    STACK_TAG,
    UNKNOWN,
    Place,
    Restorer,
    RestoreRequest,
    Snapshot,
    SnapshotEntry,
    SnapshotState,
    snapshot_identifier,
    version_tag,
    version_text,
)

_REPORT_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class RestoreAttempt:
    """Which restore a command continues or begins.

    Attributes:
        run: what its names are made of.
        begun: whether an earlier command began it.
        done: whether the restored one has the old one's name already.
    """

    run: str
    begun: bool = False
    done: bool = False


def find_attempt(
    find: Callable[[str], ManagedDatabase | None],
    live: str,
    source: str,
    *,
    own: str | None = None,
    again: bool = False,
) -> RestoreAttempt:
    """Find the restore that was begun and not ended, or name a new one.

    The name of a restore by hand is made of what it restores, so that the same command finds what
    an earlier one began, and continues there. A number tells restores of the same source apart.

    Args:
        find: the instance or cluster of a name in RDS.
        live: the name that the endpoint belongs to.
        source: the snapshot's identifier, or the point in time.
        own: the run of the snapshot, whose own restore may have stopped half way.
        again: whether to restore once more what was restored from this source already.
    """
    first = f"hand-{sha256(source.encode()).hexdigest()[:10]}"
    current = find(live)
    owner = current.tags.get(RESTORED_BY, "") if current else ""
    number = re.fullmatch(rf"{first}(?:-(\d+))?", owner)
    is_ours = bool(number or (own and owner == own))
    # While its rename is not finished, the command that restored it again was cut off.
    if current and is_ours and not (again and is_ready(current)):
        return RestoreAttempt(owner, begun=True, done=True)
    if own and owner != own and _is_under_way(find, live, own, gone=current is None):
        return RestoreAttempt(own, begun=True)
    start = int(number[1] or 1) + 1 if number else 1
    for count in itertools.count(start):
        run = first if count == 1 else f"{first}-{count}"
        if is_of(find(restored_name(live, run)), run):
            return RestoreAttempt(run, begun=True)
        if find(kept_name(live, run)) is None:
            break
        # Its old one is kept: it has ended, unless its second rename is still running and
        # neither name exists.
        before = run
    if current is None and count > start:
        return RestoreAttempt(before, begun=True)
    return RestoreAttempt(run)


def _is_under_way(
    find: Callable[[str], ManagedDatabase | None], live: str, run: str, *, gone: bool
) -> bool:
    if is_of(find(restored_name(live, run)), run):
        return True
    return gone and find(kept_name(live, run)) is not None


def remains_of_restores(databases: SwapService, noun: str, live: str) -> list[str]:
    """What restores of this instance or cluster have left in RDS, a sentence each.

    Args:
        databases: the instances or clusters of RDS.
        noun: ``instance`` or ``cluster``.
        live: the one that the endpoint belongs to.

    Raises:
        AwsError: RDS does not answer, or refuses.
    """
    found = []
    standing = sorted(databases.all(), key=lambda one: one.id)
    # What was restored keeps the tag under its last name; what it replaced is named after it.
    runs = {one.tags[RESTORED_BY] for one in standing if RESTORED_BY in one.tags}
    for one in standing:
        if one.id in {kept_name(live, run) for run in runs}:
            what = "was kept by a restore, and costs as before; delete it when it is not needed"
        elif one.id in {restored_name(live, run) for run in runs}:
            what = "is left of a restore that has not finished, and costs as well"
        else:
            continue
        found.append(f"{noun} {one.id} of RDS ({one.status}) {what}")
    return found


class CounterRecords(Protocol):
    """The records of one run: its row counters."""

    def counters(self) -> dict[str, Any]:
        """Those that were kept; empty if there are none."""

    def write_counters(self, counters: dict[str, Any]) -> None:
        """Keep them."""


@dataclass(frozen=True, slots=True)
class ManagedAccess:
    """A database that RDS manages, and how to reach it.

    Attributes:
        kind: ``rds`` or ``aurora``.
        identifier: the instance or cluster that the endpoint belongs to.
        target: the database's name in turnback.
        stack: name of the stack it belongs to.
        history_schema: schema of the history tables.
        snapshots: its snapshots in RDS.
        databases: the instances or clusters of RDS.
        restorer: restores it.
        reach: the endpoint of the database, or of a restored one; a new login at each call.
            None where nothing says how to connect.
        records: the records of a run.
    """

    kind: str
    identifier: str
    target: str
    stack: str
    history_schema: str
    snapshots: SnapshotService
    databases: SwapService
    restorer: Restorer
    reach: Callable[[Place | None], Endpoint] | None
    records: Callable[[str], CounterRecords]

    @property
    def noun(self) -> str:
        """``instance`` or ``cluster``."""
        return "instance" if self.kind == "rds" else "cluster"

    @property
    def catalog(self) -> ManagedCatalog:
        """The snapshots that turnback took of it."""
        return ManagedCatalog(self.kind, self.snapshots, self.target)


class ManagedBackup:
    """A snapshot of RDS, taken by hand."""

    def __init__(
        self,
        access: ManagedAccess,
        run: str,
        *,
        encryption_required: bool,
        poll_s: float,
        report: Report,
    ) -> None:
        """Ask the database what it contains; that it cannot be asked prevents no backup.

        Args:
            access: the database.
            run: the id of this backup.
            encryption_required: whether to refuse a source that is not encrypted.
            poll_s: seconds between two looks.
            report: shows why version and release are not known.
        """
        # RDS knows lower-case identifiers only, and the identifier contains the run.
        self._access, self._run, self._poll_s = access, run.lower(), poll_s
        self._snapshots = ManagedSnapshots(
            access.kind, access.snapshots, encryption_required=encryption_required
        )
        version = release = UNKNOWN
        self._counters: dict[str, Any] | None = None
        if known := _known_contents(access, report):
            version, release, self._counters = known
        self._tags = {
            "run": self._run,
            "release": release if release != UNKNOWN else "none",
            "schema_version": version,
            "target": access.target,
            "created-by": CREATED_BY,
            STACK_TAG: access.stack,
        }

    def plan(self) -> BackupPlan:
        """See Backup."""
        access, tags = self._access, self._tags
        source = access.snapshots.source()
        identifier = snapshot_identifier(access.target, self._run)
        encrypted = "encrypted" if source.encrypted else "not encrypted"
        return BackupPlan(
            [
                f"{access.identifier} ({source.status}) would be taken as {identifier}",
                f"  release {tags['release']}, {version_text(tags['schema_version'])}, {encrypted}",
            ],
            {
                "kind": access.kind,
                "id": identifier,
                "source": access.identifier,
                "target": access.target,
                "stack": tags[STACK_TAG] or None,
                "run": self._run,
                "release": known_tag(tags["release"]),
                "schema_version": known_tag(tags["schema_version"]),
                "encrypted": source.encrypted,
            },
        )

    def take(self, report: Report) -> SnapshotEntry:
        """See Backup."""
        access = self._access
        if self._counters is not None:
            access.records(self._run).write_counters(self._counters)
        reported, reported_at = "", 0.0
        try:
            while True:
                taken = self._snapshots.take(access.target, self._run, self._tags)
                found = access.snapshots.find(str(taken.id))
                if found is not None and found.status == "available":
                    return access.catalog.entry(found)
                state = (
                    f"{found.status}, {found.percent or 0} %"
                    if found
                    else f"not begun yet: the database is {access.snapshots.source().status}"
                )
                now = time.monotonic()
                if state != reported or now - reported_at > _REPORT_EVERY_S:
                    reported, reported_at = state, now
                    report(f"{taken.id}: {state}")
                time.sleep(self._poll_s)
        except KeyboardInterrupt:
            report("Stopped. RDS completes the snapshot; turnback snapshots shows it.")
            raise


@dataclass(frozen=True, slots=True)
class ManagedSource:
    """What a restore of RDS comes from: a snapshot, or else a point in time, in UTC."""

    snapshot: SnapshotEntry | None
    until: datetime | None

    @property
    def name(self) -> str:
        """What a restore from it is named after."""
        return self.snapshot.id if self.snapshot else f"{self.until:%Y-%m-%dT%H:%M:%S.%fZ}"

    @property
    def taken_at(self) -> str | None:
        """ISO 8601 time that its data is as of; None if it is not known."""
        if self.snapshot:
            return self.snapshot.taken_at
        return self.until.isoformat() if self.until else None


class ManagedRestore:
    """A restore of an instance or a cluster, from a snapshot or to a point in time."""

    def __init__(
        self,
        access: ManagedAccess,
        source: ManagedSource,
        *,
        check: bool,
        again: bool,
        report: Report,
    ) -> None:
        """Restore this database.

        Args:
            access: the database.
            source: what to restore.
            check: whether to look at the restored database before the swap.
            again: whether to restore once more what was restored from it already.
            report: shows what the check found.
        """
        self.restorer = access.restorer
        self._access, self._source = access, source
        self._check, self._again, self._report = check, again, report

    def plan(self) -> RestorePlan:
        """See Restore."""
        access, source, live = self._access, self._source, self._access.identifier
        entry = source.snapshot
        attempt = find_attempt(
            access.databases.find,
            live,
            source.name,
            own=entry.run if entry else None,
            again=self._again,
        )
        new, kept = restored_name(live, attempt.run), kept_name(live, attempt.run)
        snapshot = None
        another = None
        if entry:
            snapshot = Snapshot(access.kind, entry.id, SnapshotState.AVAILABLE, entry.taken_at)
            if entry.source != live:
                another = f"the snapshot is of {entry.source}, and the target is {live}"
        current = access.databases.find(live)
        rotates = current is not None and current.has_managed_password
        where = f"from the snapshot {source.name}" if entry else f"as {live} was then"
        check = "it is not checked (--no-check)"
        if self._check:
            check = f"it must answer{expected_history(entry.version if entry else None)}"
        return RestorePlan(
            kept=kept,
            steps=[
                f"1. {new}: a new {access.noun}, {where}, with {self._settings(current)}",
                f"2. {check}; until here {live} answers as before",
                f"3. {live} becomes {kept}; for some minutes nothing answers at its endpoint",
                f"4. {new} becomes {live}; the endpoint does not change",
                f"5. {kept} is kept, with all its data",
                *([f"6. {password_after(live, kept)}"] if rotates else []),
            ],
            place=f"{live}, of the stack {access.stack}",
            request=RestoreRequest(
                access.target, attempt.run, snapshot, source.until, self._checked()
            ),
            begun=attempt.begun,
            done=attempt.done,
            another=another,
        )

    def _settings(self, current: ManagedDatabase | None) -> str:
        live, entry = self._access.identifier, self._source.snapshot
        taken = self._access.snapshots.find(entry.id) if entry else None
        if current is None or taken is None or taken.major == current.major:
            return f"the settings of {live}"
        return (
            f"the settings of {live}, but the default parameters of PostgreSQL {taken.major}: "
            f"{live} is of {current.major}, so upgrade the new one in RDS afterwards"
        )

    def loss(self, *, another: bool) -> Loss:
        """See Restore."""
        entry, reach = self._source.snapshot, self._access.reach
        before = self._access.records(entry.run).counters() if entry and entry.run else {}
        now = (lambda: counters(reach(None))) if reach else None
        return (
            loss_of_everything(now) if another else loss_since(self._source.taken_at, before, now)
        )

    def stopped(self, request: RestoreRequest, detail: str | None) -> Sequence[str]:
        """See Restore; RDS goes on with what it was asked for."""
        del request
        return [
            f"Stopped: {detail or 'RDS may have begun'}. The same command continues from there."
        ]

    def removal(self, kept: str) -> Sequence[str]:
        """See Restore; what is kept costs as much as before."""
        noun = self._access.noun
        modify = f"aws rds modify-db-{noun} --db-{noun}-identifier {kept}"
        delete = f"aws rds delete-db-{noun} --db-{noun}-identifier {kept}"
        members = "aws rds delete-db-instance --db-instance-identifier …, each of its instances"
        return [
            f"The old one is kept as {kept}, and costs as before. When nobody needs it any more:",
            f"  {modify} --no-deletion-protection --apply-immediately",
            *([f"  {members}"] if noun == "cluster" else []),
            f"  {delete} --final-db-snapshot-identifier {kept}-last",
        ]

    def _checked(self) -> Callable[[Place], None]:
        access, entry = self._access, self._source.snapshot
        version = entry.version if entry else None
        reported = False

        def check(place: Place) -> None:
            nonlocal reported
            if not self._check or access.reach is None:
                return
            # Anew at each call: a password made by IAM is good for 15 minutes.
            endpoint = access.reach(place)
            found = version_of(endpoint, access.history_schema)
            if version:
                expected = None if version == NO_HISTORY else version
                expect_version(endpoint, expected, version_tag(found) if found else None)
            if not reported:
                reported = True
                self._report(f"{endpoint.address} answers, at version {found or 'none'}")

        return check


def point_in_time(text: str) -> datetime:
    """A point in time as a person types it, in UTC.

    Raises:
        ConfigurationError: it cannot be read, has no time zone, or lies in the future.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{text!r} is not a point in time", hint="write it like 2026-11-22T15:04:05Z"
        ) from error
    if found.tzinfo is None:
        raise ConfigurationError(
            f"{text} has no time zone, so it may be hours from the time that is meant",
            hint=f"write {text}Z for UTC, or an offset like +01:00",
        )
    found = found.astimezone(UTC)
    if found > datetime.now(UTC):
        raise ConfigurationError(f"{text} is in the future", hint="name a time that has passed")
    return found


def _known_contents(
    access: ManagedAccess, report: Report
) -> tuple[str, str, dict[str, Any]] | None:
    """Version, release and row counters; None where the database cannot be asked."""
    if access.reach is None:
        report(
            "note: nothing says how to connect to the database, so version and release are not "
            "noted; --database-url names it"
        )
        return None
    endpoint = access.reach(None)
    try:
        with endpoint.open("turnback backup") as connection:
            schema = access.history_schema
            version = last_applied(connection, schema)
            release = History(connection, schema).last_release() if version else None
            tag = version_tag(version) if version else NO_HISTORY
            return tag, release or "none", counters(connection)
    except (DatabaseUnreachable, DatabaseRefused) as error:
        report(f"note: {error.message}; version and release are not noted on the snapshot")
        return None
