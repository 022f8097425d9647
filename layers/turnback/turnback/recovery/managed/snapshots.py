"""Snapshots that RDS takes: of an instance, or of an Aurora cluster."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, Protocol

from turnback.errors import ConfigurationError, SnapshotFailed
from turnback.recovery.model import (
    NO_HISTORY,
    STACK_TAG,
    UNKNOWN,
    Snapshot,
    SnapshotEntry,
    SnapshotState,
    snapshot_identifier,
)

# As RDS names snapshots; those that it takes by itself begin with rds:.
_IDENTIFIER = re.compile(r"(?:rds:|awsbackup:)?[A-Za-z][A-Za-z0-9-]{0,254}")

# States of an instance or a cluster that it does not leave by itself (RDS User Guide, "Viewing
# DB instance status"; Aurora User Guide, "Viewing DB cluster status").
ENDED = {
    "stopped",
    "stopping",
    "failed",
    "deleting",
    "inaccessible-encryption-credentials",
    "inaccessible-encryption-credentials-recoverable",
    "insufficient-capacity",
    "migration-failed",
    "restore-error",
    "storage-full",
}


def has_ended(status: str) -> bool:
    """Whether waiting is of no use: a person has to bring it out of this state."""
    return status in ENDED or status.startswith("incompatible-")


class SnapshotSource(Protocol):
    """The instance or cluster that a snapshot is taken of."""

    @property
    def status(self) -> str:
        """In the words of RDS."""

    @property
    def encrypted(self) -> bool:
        """Whether its storage is; a snapshot is what its source is."""


class ManagedSnapshot(Protocol):
    """A snapshot as RDS describes it."""

    @property
    def id(self) -> str:
        """Its identifier."""

    @property
    def source(self) -> str:
        """The instance or cluster it is of, by the name at that time."""

    @property
    def tags(self) -> Mapping[str, str]:
        """Its tags."""

    @property
    def gigabytes(self) -> int | None:
        """Size of the storage; None for a cluster."""

    @property
    def percent(self) -> int | None:
        """How far it is."""

    @property
    def status(self) -> str:
        """In the words of RDS."""

    @property
    def run(self) -> str | None:
        """The run in its tags."""

    @property
    def taken_at(self) -> datetime | None:
        """When it was taken; None before RDS knows."""

    @property
    def encrypted(self) -> bool:
        """Whether it is encrypted at rest."""

    @property
    def major(self) -> str:
        """The major version of PostgreSQL that it is of."""


class SnapshotService(Protocol):
    """The part of RDS that is needed, for an instance or for a cluster."""

    def source(self) -> SnapshotSource:
        """What snapshots are taken of; SnapshotFailed if it does not exist."""

    def find(self, identifier: str) -> ManagedSnapshot | None:
        """The snapshot of this name, or None."""

    def of_target(self, target: str) -> Sequence[ManagedSnapshot]:
        """The snapshots that turnback took of a target."""

    def delete(self, identifier: str) -> None:
        """Delete a snapshot; no error if it does not exist."""

    def create(
        self, identifier: str, tags: Mapping[str, str]
    ) -> Literal["begun", "busy", "quota reached"]:
        """Begin; ``busy`` while the source can begin none."""


class ManagedSnapshots:
    """Snapshots by the AWS API: begun once, asked for until they are available."""

    def __init__(
        self,
        kind: str,
        service: SnapshotService,
        *,
        encryption_required: bool = False,
        prune: Callable[[], list[str]] | None = None,
    ) -> None:
        """Take snapshots of one database.

        Args:
            kind: ``rds`` or ``aurora``.
            service: RDS.
            encryption_required: whether to refuse a source that is not encrypted.
            prune: removes old snapshots when there are too many, and returns their names.
        """
        self._kind = kind
        self._service = service
        self._encryption_required = encryption_required
        self._prune = prune

    def take(self, target: str, run: str, tags: Mapping[str, str]) -> Snapshot:
        """Begin the run's snapshot, or return how far it is."""
        identifier = snapshot_identifier(target, run)
        taken = self._service.find(identifier)
        if taken is None:
            self._begin(identifier, {**tags, "run": run})
            taken = self._service.find(identifier)
        if taken is None:
            return Snapshot(self._kind, identifier, SnapshotState.CREATING)
        if taken.run != run:
            raise SnapshotFailed(
                f"there is a snapshot {identifier} that is not of this run: its tag 'run' is "
                f"{taken.run!r}",
                hint="rename or delete it in RDS, then release again; nothing was changed",
            )
        if taken.status in ("failed", "deleting") or taken.status.startswith("incompatible-"):
            raise SnapshotFailed(
                f"the snapshot {identifier} is {taken.status}",
                hint="look at the events of the database in RDS, then release again",
            )
        return Snapshot(
            self._kind,
            identifier,
            SnapshotState.AVAILABLE if taken.status == "available" else SnapshotState.CREATING,
            taken_at=taken.taken_at.isoformat() if taken.taken_at else None,
            encrypted=taken.encrypted,
        )

    def _begin(self, identifier: str, tags: Mapping[str, str]) -> None:
        source = self._service.source()
        if self._encryption_required and not source.encrypted:
            raise SnapshotFailed(
                "the database's storage is not encrypted, so its snapshot would not be either",
                hint="copy a snapshot of it with a KMS key and restore that (RDS User Guide, "
                "'Encrypting Amazon RDS resources'), or set SnapshotEncryptionRequired to no",
            )
        if has_ended(source.status):
            raise SnapshotFailed(
                f"the database is {source.status}: RDS takes no snapshot of it",
                hint="bring it back to 'available' in RDS, then release again",
            )
        # Backups, other people's snapshots and modifications pass: asked again later.
        if source.status != "available":
            return
        if self._service.create(identifier, tags) != "quota reached":
            return
        removed = self._prune() if self._prune else []
        if self._service.create(identifier, tags) == "quota reached" and not removed:
            raise SnapshotFailed(
                "the quota for manual snapshots is reached, and none of turnback's may go",
                hint="delete old snapshots, lower SnapshotRetentionDays, or ask AWS for a higher "
                "quota; nothing was changed",
            )


class ManagedCatalog:
    """The snapshots that turnback took of one target in RDS: a SnapshotList."""

    def __init__(self, kind: str, service: SnapshotService, target: str) -> None:
        """Look there.

        Args:
            kind: ``rds`` or ``aurora``.
            service: RDS.
            target: the database's name in turnback.
        """
        self._kind = kind
        self._service = service
        self._target = target

    @property
    def address(self) -> str:
        """Whose snapshots, and where."""
        return f"of {self._target} in RDS"

    def list(self) -> Sequence[SnapshotEntry]:
        """The snapshots, newest first; one that RDS has not dated yet is the newest."""
        return [self.entry(one) for one in self._newest_first()]

    def find(self, name: str) -> SnapshotEntry:
        """The snapshot with this identifier, RDS' own as well, or of this run.

        Raises:
            ConfigurationError: there is no such snapshot, or it is not available.
        """
        found = self._service.find(name) if _IDENTIFIER.fullmatch(name) else None
        if found is None:
            known = self._newest_first()
            found = next((one for one in known if one.run == name), None)
        if found is None:
            newest = f"; the newest is {known[0].id}" if known else ""
            raise ConfigurationError(
                f"there is no snapshot {name!r}, and none of a run of this name",
                hint=f"turnback snapshots --stack STACK lists those there are{newest}",
            )
        if found.status != "available":
            raise ConfigurationError(
                f"the snapshot {found.id} is {found.status}; a restore needs it to be available",
                hint="turnback snapshots --stack STACK shows how far it is",
            )
        return self.entry(found)

    def delete(self, identifier: str) -> None:
        """Delete a snapshot; no error if it does not exist."""
        self._service.delete(identifier)

    def entry(self, snapshot: ManagedSnapshot) -> SnapshotEntry:
        """A snapshot as lists show it."""
        tags = snapshot.tags
        taken_at = snapshot.taken_at.isoformat() if snapshot.taken_at else None
        release, version = known_tag(tags.get("release")), tags.get("schema_version")
        details = [snapshot.status, "encrypted" if snapshot.encrypted else "not encrypted"]
        if not tags.get(STACK_TAG):
            details.append(f"no tag {STACK_TAG}: kept until a person deletes it")
        if snapshot.gigabytes:
            details.append(f"{snapshot.gigabytes} GiB of storage")
        return SnapshotEntry(
            kind=self._kind,
            id=snapshot.id,
            run=snapshot.run,
            source=snapshot.source,
            taken_at=taken_at,
            release=release,
            version=None if version in (None, "", UNKNOWN) else version,
            details=details,
            available=snapshot.status == "available",
            stack=tags.get(STACK_TAG) or None,
            document={
                "kind": self._kind,
                "id": snapshot.id,
                "source": snapshot.source,
                "target": tags.get("target"),
                "stack": tags.get(STACK_TAG) or None,
                "run": snapshot.run,
                "release": release,
                "schema_version": known_tag(version),
                "state": snapshot.status,
                "taken_at": taken_at,
                "encrypted": snapshot.encrypted,
                "gigabytes": snapshot.gigabytes,
            },
        )

    def _newest_first(self) -> Sequence[ManagedSnapshot]:
        undated = datetime.max.replace(tzinfo=UTC)
        found = self._service.of_target(self._target)
        return sorted(found, key=lambda one: one.taken_at or undated, reverse=True)


def known_tag(tag: str | None) -> str | None:
    """The release or the version that a tag names; None where it says that there is none."""
    return None if tag in (None, "", NO_HISTORY, UNKNOWN) else tag
