"""Snapshots that RDS takes: of an instance, or of an Aurora cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal, Protocol

from turnback.errors import SnapshotFailed
from turnback.recovery.model import Snapshot, SnapshotState, snapshot_identifier

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


class Source(Protocol):
    """The instance or cluster that a snapshot is taken of."""

    @property
    def status(self) -> str:
        """In the words of RDS."""

    @property
    def encrypted(self) -> bool:
        """Whether its storage is; a snapshot is what its source is."""


class Taken(Protocol):
    """A snapshot as RDS describes it."""

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


class SnapshotService(Protocol):
    """The part of RDS that is needed, for an instance or for a cluster."""

    def source(self) -> Source:
        """What snapshots are taken of; SnapshotFailed when there is no such thing."""

    def find(self, identifier: str) -> Taken | None:
        """The snapshot of this name, or None."""

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
        """Begin the run's snapshot, or tell how far it is."""
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
