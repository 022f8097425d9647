"""RDS: snapshots of instances and of Aurora clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

from botocore.exceptions import ClientError

from turnback.aws.clients import aws_errors, client, code_of
from turnback.aws.rds_databases import tags_of
from turnback.errors import SnapshotFailed

_EXISTS = {"DBSnapshotAlreadyExists", "DBClusterSnapshotAlreadyExistsFault"}
_BUSY = {
    "InvalidDBInstanceState",
    "InvalidDBClusterStateFault",
    "InvalidDBClusterSnapshotStateFault",
}
_QUOTA = {"SnapshotQuotaExceeded", "SnapshotQuotaExceededFault"}
_ABSENT = {
    "DBSnapshotNotFound",
    "DBSnapshotNotFoundFault",
    "DBClusterSnapshotNotFoundFault",
}
_NO_SOURCE = {
    "DBInstanceNotFound": "there is no such DB instance; correct DbInstanceIdentifier",
    "DBInstanceNotFoundFault": "there is no such DB instance; correct DbInstanceIdentifier",
    "DBClusterNotFoundFault": "there is no such DB cluster; correct DbClusterIdentifier",
}


@dataclass(frozen=True, slots=True)
class SnapshotSource:
    """What a snapshot is taken of: its status in the words of RDS, and whether it is encrypted."""

    status: str
    encrypted: bool


@dataclass(frozen=True, slots=True)
class RdsSnapshot:
    """A snapshot as RDS describes it.

    Attributes:
        id: its identifier.
        status: in the words of RDS.
        tags: its tags.
        taken_at: when it was taken; None before RDS knows.
        encrypted: whether it is encrypted at rest.
        source: the instance or cluster it is of, by the name that this had then.
        gigabytes: size of the instance's storage in GiB; None for a cluster, whose snapshots
            all have the same number there.
        percent: how far it is.
    """

    id: str
    status: str
    tags: Mapping[str, str]
    taken_at: datetime | None
    encrypted: bool
    source: str = ""
    gigabytes: int | None = None
    percent: int | None = None

    @property
    def run(self) -> str | None:
        """The run it was taken for, by its tags."""
        return self.tags.get("run")

    @property
    def available(self) -> bool:
        """Whether a restore can come from it."""
        return self.status == "available"


class _Snapshots:
    """What snapshots of instances and of clusters have in common."""

    # Names in the API: what RDS calls a snapshot, its identifier, its source's, and its encryption.
    _rows: ClassVar[str]
    _name: ClassVar[str]
    _source_name: ClassVar[str]
    _encryption: ClassVar[str]
    _describe: ClassVar[str]
    _create: ClassVar[str]
    _delete: ClassVar[str]
    # Whether a snapshot says how large its source's storage is.
    _has_size: ClassVar[bool]
    # Of the source: its rows, the method that describes it, and the field with its status.
    _sources: ClassVar[str]
    _describe_source: ClassVar[str]
    _status: ClassVar[str]

    def __init__(self, source: str, *, rds: Any = None) -> None:
        """Snapshots of this instance or cluster.

        Args:
            source: its identifier.
            rds: a client of RDS; one of this Region, if not given.
        """
        self._source = source
        self._rds = rds or client("rds")

    def source(self) -> SnapshotSource:
        """What snapshots are taken of.

        Raises:
            SnapshotFailed: there is no such instance or cluster.
        """
        with aws_errors(f"describe {self._source}"):
            try:
                describe = getattr(self._rds, self._describe_source)
                row = describe(**{self._source_name: self._source})[self._sources][0]
            except ClientError as error:
                if refusal := _refusal(error):
                    raise refusal from error
                raise
        return SnapshotSource(str(row[self._status]), bool(row.get("StorageEncrypted")))

    def find(self, identifier: str) -> RdsSnapshot | None:
        """The snapshot of this name; None when there is none."""
        with aws_errors(f"describe the snapshot {identifier}"):
            try:
                answer = getattr(self._rds, self._describe)(**{self._name: identifier})
            except ClientError as error:
                if code_of(error) in _ABSENT:
                    return None
                raise
        rows = answer[self._rows]
        return self._read(rows[0]) if rows else None

    def create(
        self, identifier: str, tags: Mapping[str, str]
    ) -> Literal["begun", "busy", "quota reached"]:
        """Begin a snapshot; ``busy`` while the source can begin none.

        Raises:
            SnapshotFailed: there is nothing to take one of.
        """
        with aws_errors(f"create the snapshot {identifier}"):
            try:
                getattr(self._rds, self._create)(
                    **{self._name: identifier, self._source_name: self._source},
                    Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
                )
            except ClientError as error:
                code = code_of(error)
                if code in _QUOTA:
                    return "quota reached"
                if code in _BUSY:
                    return "busy"
                if refusal := _refusal(error):
                    raise refusal from error
                if code not in _EXISTS:
                    raise
        return "begun"

    def of_target(self, target: str) -> list[RdsSnapshot]:
        """The snapshots that turnback took of a target: by their names and their tags."""
        with aws_errors("list the snapshots"):
            pages = self._rds.get_paginator(self._describe).paginate(SnapshotType="manual")
            found = [self._read(row) for page in pages for row in page[self._rows]]
        return [
            one
            for one in found
            if one.id.startswith("turnback-")
            and one.tags.get("created-by") == "turnback"
            and one.tags.get("target") == target
            and one.run
        ]

    def delete(self, identifier: str) -> None:
        """Delete a snapshot; no error if it does not exist."""
        with aws_errors(f"delete the snapshot {identifier}"):
            try:
                getattr(self._rds, self._delete)(**{self._name: identifier})
            except ClientError as error:
                if code_of(error) not in _ABSENT:
                    raise

    def _read(self, row: Mapping[str, Any]) -> RdsSnapshot:
        return RdsSnapshot(
            id=str(row[self._name]),
            status=str(row["Status"]),
            tags=tags_of(row),
            taken_at=row.get("SnapshotCreateTime"),
            encrypted=bool(row.get(self._encryption)),
            source=str(row.get(self._source_name) or ""),
            gigabytes=(row.get("AllocatedStorage") or None) if self._has_size else None,
            percent=row.get("PercentProgress"),
        )


class InstanceSnapshots(_Snapshots):
    """Snapshots of one DB instance."""

    _rows = "DBSnapshots"
    _name = "DBSnapshotIdentifier"
    _source_name = "DBInstanceIdentifier"
    _encryption = "Encrypted"
    _describe = "describe_db_snapshots"
    _create = "create_db_snapshot"
    _delete = "delete_db_snapshot"
    _has_size = True
    _sources = "DBInstances"
    _describe_source = "describe_db_instances"
    _status = "DBInstanceStatus"


class ClusterSnapshots(_Snapshots):
    """Snapshots of one Aurora cluster."""

    _rows = "DBClusterSnapshots"
    _name = "DBClusterSnapshotIdentifier"
    _source_name = "DBClusterIdentifier"
    _encryption = "StorageEncrypted"
    _describe = "describe_db_cluster_snapshots"
    _create = "create_db_cluster_snapshot"
    _delete = "delete_db_cluster_snapshot"
    _has_size = False
    _sources = "DBClusters"
    _describe_source = "describe_db_clusters"
    _status = "Status"


@dataclass(frozen=True, slots=True)
class SnapshotsOf:
    """The snapshots that turnback took of one target, for its retention."""

    target: str
    service: InstanceSnapshots | ClusterSnapshots

    def kept(self) -> list[RdsSnapshot]:
        """Those of this target, whatever their state."""
        return self.service.of_target(self.target)

    def delete(self, identifier: str) -> None:
        """Delete one; no error if it does not exist."""
        self.service.delete(identifier)


def _refusal(error: ClientError) -> SnapshotFailed | None:
    """The error for one that a later call would get again; else None."""
    code = code_of(error)
    if code not in _NO_SOURCE:
        return None
    message = error.response["Error"].get("Message", code)
    return SnapshotFailed(message, hint=_NO_SOURCE[code])
