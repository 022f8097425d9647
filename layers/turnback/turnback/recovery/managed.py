"""Snapshots that RDS takes: of an instance, or of an Aurora cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from turnback.errors import SnapshotFailed
from turnback.recovery.model import Snapshot, SnapshotState, snapshot_identifier


class SnapshotService(Protocol):
    """The part of RDS that is needed, for an instance or for a cluster."""

    def status(self, identifier: str) -> str | None:
        """The status in the words of RDS, or None."""

    def create(self, identifier: str, tags: Mapping[str, str]) -> bool:
        """Begin; False while the source is busy."""


class ManagedSnapshots:
    """Snapshots by the AWS API: begun once, asked for until they are available."""

    def __init__(self, kind: str, service: SnapshotService) -> None:
        self._kind = kind
        self._service = service

    def take(self, target: str, run: str, tags: Mapping[str, str]) -> Snapshot:
        """Begin the run's snapshot, or tell how far it is."""
        identifier = snapshot_identifier(target, run)
        status = self._service.status(identifier)
        if status is None:
            # A source that is being backed up or modified takes no snapshot now: ask again later.
            self._service.create(identifier, tags)
            status = self._service.status(identifier) or "creating"
        if status == "available":
            return Snapshot(self._kind, identifier, SnapshotState.AVAILABLE)
        if status in ("failed", "incompatible-restore", "incompatible-network", "deleting"):
            raise SnapshotFailed(
                f"the snapshot {identifier} is {status}",
                hint="look at the events of the database in RDS, then release again",
            )
        return Snapshot(self._kind, identifier, SnapshotState.CREATING)
