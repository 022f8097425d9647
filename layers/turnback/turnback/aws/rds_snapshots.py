"""RDS: snapshots of instances and of Aurora clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

from botocore.exceptions import ClientError

from turnback.aws.clients import aws_errors, client, code_of
from turnback.aws.rds_clusters import Clusters
from turnback.aws.rds_databases import Databases, major_of, tags_of
from turnback.aws.rds_instances import Instances
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
        major: the major version of PostgreSQL that it is of.
    """

    id: str
    status: str
    tags: Mapping[str, str]
    taken_at: datetime | None
    encrypted: bool
    source: str = ""
    gigabytes: int | None = None
    percent: int | None = None
    major: str = ""

    @property
    def run(self) -> str | None:
        """The run it was taken for, by its tags."""
        return self.tags.get("run")


class _Snapshots:
    """What snapshots of instances and of clusters have in common."""

    # What they are of; the name of a snapshot in the API is made of it.
    _of: ClassVar[type[Databases]]
    # As arguments and fields, and as methods have it.
    _prefix: ClassVar[str]
    _noun: ClassVar[str]
    _encryption: ClassVar[str]
    # Whether a snapshot says how large its source's storage is.
    _has_size: ClassVar[bool]

    def __init__(self, source: str, *, rds: Any = None) -> None:
        """Snapshots of this instance or cluster.

        Args:
            source: its identifier.
            rds: a client of RDS; one of this Region, if not given.
        """
        self._source = source
        self._rds = rds or client("rds")
        self._describe = f"describe_{self._noun}s"
        self._rows = f"{self._prefix}s"
        self._name = f"{self._prefix}Identifier"
        self._source_name = f"{self._of.names.prefix}Identifier"

    def source(self) -> SnapshotSource:
        """What snapshots are taken of.

        Raises:
            SnapshotFailed: there is no such instance or cluster.
        """
        names = self._of.names
        with aws_errors(f"describe {self._source}"):
            try:
                describe = getattr(self._rds, f"describe_db_{names.noun}s")
                row = describe(**{self._source_name: self._source})[f"{names.prefix}s"][0]
            except ClientError as error:
                if refusal := _refusal(error):
                    raise refusal from error
                raise
        return SnapshotSource(str(row[names.status]), bool(row.get("StorageEncrypted")))

    def find(self, identifier: str) -> RdsSnapshot | None:
        """The snapshot of this name; None if it does not exist."""
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
                getattr(self._rds, f"create_{self._noun}")(
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
                getattr(self._rds, f"delete_{self._noun}")(**{self._name: identifier})
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
            major=major_of(row),
        )


class InstanceSnapshots(_Snapshots):
    """Snapshots of one DB instance."""

    _of = Instances
    _prefix = "DBSnapshot"
    _noun = "db_snapshot"
    _encryption = "Encrypted"
    _has_size = True


class ClusterSnapshots(_Snapshots):
    """Snapshots of one Aurora cluster."""

    _of = Clusters
    _prefix = "DBClusterSnapshot"
    _noun = "db_cluster_snapshot"
    _encryption = "StorageEncrypted"
    _has_size = False


def _refusal(error: ClientError) -> SnapshotFailed | None:
    """The error for one that a later call would get again; else None."""
    code = code_of(error)
    if code not in _NO_SOURCE:
        return None
    message = error.response["Error"].get("Message", code)
    return SnapshotFailed(message, hint=_NO_SOURCE[code])
