"""RDS: snapshots of instances and clusters, and tokens for IAM authentication."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from turnback.aws.clients import client, code_of, telling
from turnback.errors import SnapshotFailed

_EXISTS = {"DBSnapshotAlreadyExists", "DBClusterSnapshotAlreadyExistsFault"}
_BUSY = {"InvalidDBInstanceState", "InvalidDBClusterStateFault"}
_ABSENT = {
    "DBSnapshotNotFound",
    "DBSnapshotNotFoundFault",
    "DBClusterSnapshotNotFoundFault",
}
_FINAL = {
    "DBInstanceNotFound": "there is no such DB instance; correct DbInstanceIdentifier",
    "DBClusterNotFoundFault": "there is no such DB cluster; correct DbClusterIdentifier",
    "SnapshotQuotaExceeded": "delete old snapshots, or ask AWS for a higher quota",
}


def auth_token(host: str, port: int, user: str) -> str:
    """A password for IAM authentication, good for 15 minutes."""
    with telling("make an IAM token for the database"):
        token = client("rds").generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user)
    return str(token)


class InstanceSnapshots:
    """Snapshots of one DB instance."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._rds = client("rds")

    def status(self, identifier: str) -> str | None:
        """The snapshot's status in the words of RDS; None when there is no such snapshot."""
        answer = _found(self._rds.describe_db_snapshots, DBSnapshotIdentifier=identifier)
        return str(answer["DBSnapshots"][0]["Status"]) if answer else None

    def create(self, identifier: str, tags: Mapping[str, str]) -> bool:
        """Begin a snapshot; False while the instance is busy and cannot begin one.

        Raises:
            SnapshotFailed: RDS will never take it as things are.
        """
        return _created(
            self._rds.create_db_snapshot,
            DBSnapshotIdentifier=identifier,
            DBInstanceIdentifier=self._instance,
            Tags=_tags(tags),
        )


class ClusterSnapshots:
    """Snapshots of one Aurora cluster."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._rds = client("rds")

    def status(self, identifier: str) -> str | None:
        """The snapshot's status in the words of RDS; None when there is no such snapshot."""
        answer = _found(
            self._rds.describe_db_cluster_snapshots, DBClusterSnapshotIdentifier=identifier
        )
        return str(answer["DBClusterSnapshots"][0]["Status"]) if answer else None

    def create(self, identifier: str, tags: Mapping[str, str]) -> bool:
        """Begin a snapshot; False while the cluster is busy and cannot begin one.

        Raises:
            SnapshotFailed: RDS will never take it as things are.
        """
        return _created(
            self._rds.create_db_cluster_snapshot,
            DBClusterSnapshotIdentifier=identifier,
            DBClusterIdentifier=self._cluster,
            Tags=_tags(tags),
        )


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _found(describe: Any, **which: Any) -> dict[str, Any] | None:
    with telling("describe the snapshot"):
        try:
            answer: dict[str, Any] = describe(**which)
        except ClientError as error:
            if code_of(error) in _ABSENT:
                return None
            raise
    rows = answer.get("DBSnapshots") or answer.get("DBClusterSnapshots")
    return answer if rows else None


def _created(create: Any, **what: Any) -> bool:
    with telling("create the snapshot"):
        try:
            create(**what)
        except ClientError as error:
            code = code_of(error)
            if code in _EXISTS:
                return True
            if code in _BUSY:
                return False
            if code in _FINAL:
                message = error.response["Error"].get("Message", code)
                raise SnapshotFailed(message, hint=_FINAL[code]) from error
            raise
    return True
