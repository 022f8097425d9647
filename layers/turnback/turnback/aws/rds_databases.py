"""RDS: instances and clusters as they stand, and what RDS answers when something is begun."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from turnback.aws.clients import client, code_of, telling
from turnback.errors import RestoreFailed

Row = Mapping[str, Any]

# On what has the settings that a restore does not take.
SETTINGS_TAG = {"Key": "turnback-settings", "Value": "copied"}

# What passes, or what a look at RDS will explain: the names of the API's errors without "Fault".
_PASSES = {
    "InsufficientDBInstanceCapacity": "AWS has no capacity for this instance class now",
    "InsufficientDBClusterCapacity": "AWS has no capacity for this cluster now",
    "InsufficientStorageClusterCapacity": "AWS has no storage for this cluster now",
    "InvalidDBInstanceState": "RDS is busy with the instance",
    "InvalidDBClusterState": "RDS is busy with the cluster",
    "InvalidDBSnapshotState": "the snapshot is not available",
    "InvalidDBClusterSnapshotState": "the snapshot is not available",
    "DBInstanceAlreadyExists": "the name is taken as yet",
    "DBClusterAlreadyExists": "the name is taken as yet",
}
_QUOTA = "delete what is not needed, or ask AWS for a higher quota, then turnback restore RUN"
_GONE = "restore from another snapshot or to a point in time: docs/restore-rds.md"
_SETTING = "restore it by hand with another setting: docs/restore-rds.md"
_FINAL = {
    "InstanceQuotaExceeded": _QUOTA,
    "DBClusterQuotaExceeded": _QUOTA,
    "StorageQuotaExceeded": _QUOTA,
    "DBSnapshotNotFound": _GONE,
    "DBClusterSnapshotNotFound": _GONE,
    "DBInstanceAutomatedBackupNotFound": _GONE,
    "DBClusterAutomatedBackupNotFound": _GONE,
    "PointInTimeRestoreNotEnabled": _GONE,
    "InvalidRestore": _GONE,
    "KMSKeyNotAccessible": "let the function's role and RDS use the snapshot's KMS key",
    "DBSubnetGroupNotFound": _SETTING,
    "DBSubnetGroupDoesNotCoverEnoughAZs": _SETTING,
    "InvalidSubnet": _SETTING,
    "InvalidVPCNetworkState": _SETTING,
    "DBParameterGroupNotFound": _SETTING,
    "DBClusterParameterGroupNotFound": _SETTING,
    "OptionGroupNotFound": _SETTING,
    "DBSecurityGroupNotFound": _SETTING,
    "StorageTypeNotSupported": _SETTING,
    "ProvisionedIopsNotAvailableInAZ": _SETTING,
    "CertificateNotFound": _SETTING,
    "NetworkTypeNotSupported": _SETTING,
    "InvalidParameterValue": _SETTING,
    "InvalidParameterCombination": _SETTING,
}


@dataclass(frozen=True, slots=True)
class RdsDatabase:
    """An instance or a cluster as RDS describes it."""

    id: str
    resource: str
    status: str
    tags: Mapping[str, str]
    host: str | None
    port: int | None
    engine: str
    restorable_until: datetime | None
    changing: bool
    has_managed_password: bool

    @classmethod
    def of_instance(cls, row: Row) -> RdsDatabase:
        """From a row of DescribeDBInstances."""
        endpoint = row.get("Endpoint") or {}
        return cls(
            id=str(row["DBInstanceIdentifier"]),
            resource=str(row.get("DbiResourceId") or row["DBInstanceIdentifier"]),
            status=str(row["DBInstanceStatus"]),
            host=endpoint.get("Address"),
            port=endpoint.get("Port"),
            **_either(row),
        )

    @classmethod
    def of_cluster(cls, row: Row) -> RdsDatabase:
        """From a row of DescribeDBClusters."""
        return cls(
            id=str(row["DBClusterIdentifier"]),
            resource=str(row.get("DbClusterResourceId") or row["DBClusterIdentifier"]),
            status=str(row["Status"]),
            host=row.get("Endpoint"),
            port=row.get("Port"),
            **_either(row),
        )


def _either(row: Row) -> dict[str, Any]:
    """What the rows of instances and clusters call alike."""
    return {
        "tags": tags_of(row),
        "engine": str(row["Engine"]),
        "restorable_until": row.get("LatestRestorableTime"),
        "changing": bool(row.get("PendingModifiedValues")),
        "has_managed_password": bool(row.get("MasterUserSecret")),
    }


def tags_of(row: Row) -> dict[str, str]:
    """The tags in a row of RDS."""
    return {tag["Key"]: tag["Value"] for tag in row.get("TagList") or []}


def tags_like(row: Row, tags: Mapping[str, str]) -> list[dict[str, str]]:
    """The tags of another one, and some of one's own.

    AWS lets nobody write its own (``aws:``), and turnback's tell of another restore.
    """
    copied = {
        key: value
        for key, value in tags_of(row).items()
        if not key.startswith(("aws:", "turnback-"))
    }
    return [{"Key": key, "Value": value} for key, value in {**copied, **tags}.items()]


def begun(
    action: str, call: Callable[..., Any], *, passes: Iterable[str] = (), **what: Any
) -> str | None:
    """Begin something in RDS.

    Args:
        action: what is begun, as the end of "could not …".
        call: the client's method.
        passes: further error codes that are a reason to ask again.
        what: its arguments; those that are None are left out.

    Returns:
        None when it has begun, or why RDS does not do it now.

    Raises:
        RestoreFailed: RDS will never do it as things are.
        AwsError: anything else, throttling among it.
    """
    arguments = {name: value for name, value in what.items() if value is not None}
    with telling(action):
        try:
            call(**arguments)
        except ClientError as error:
            code = code_of(error).removesuffix("Fault")
            message = error.response["Error"].get("Message", code)
            if code in _PASSES or code in passes:
                return f"{_PASSES.get(code, code)}: {message}"
            if code in _FINAL:
                raise RestoreFailed(f"could not {action}: {message}", hint=_FINAL[code]) from error
            raise
    return None


def finished(
    rds: Any,
    modify: Callable[..., Any],
    which: Mapping[str, str],
    like: str,
    arn: str,
    changes: Mapping[str, Any],
) -> str | None:
    """Give a restored one the settings that a restore does not take, and mark that it has them.

    Args:
        rds: a client of RDS.
        modify: its method that modifies one.
        which: the argument that names the restored one.
        like: the identifier of the old one.
        arn: of the restored one.
        changes: what to modify.

    Returns:
        None when there was nothing to modify, or why it is asked again.

    Raises:
        RestoreFailed, AwsError: see ``begun``.
    """
    (identifier,) = which.values()
    if changes:
        action = f"give {identifier} the settings of {like}"
        if reason := begun(action, modify, ApplyImmediately=True, **which, **changes):
            return reason
    # RDS shows some values in another form than it was given them: without a mark, the same
    # modification would be sent for ever.
    with telling(f"tag {identifier}"):
        rds.add_tags_to_resource(ResourceName=arn, Tags=[SETTINGS_TAG])
    return f"{identifier} gets the settings of {like}" if changes else None


def row_of(call: Callable[..., Any], rows: str, **which: str) -> Row | None:
    """The one row that a describe of one identifier gives; None where there is none."""
    (name,) = which.values()
    with telling(f"describe {name}"):
        try:
            found = call(**which)[rows]
        except ClientError as error:
            if code_of(error).removesuffix("Fault") in ("DBInstanceNotFound", "DBClusterNotFound"):
                return None
            raise
    return dict(found[0]) if found else None


def needed(row: Row | None, identifier: str) -> Row:
    """The row, where there must be one.

    Raises:
        RestoreFailed: it has gone since it was last looked at.
    """
    if row is None:
        raise RestoreFailed(
            f"{identifier} has gone while its settings were to be copied",
            hint="somebody renames or deletes in RDS at the same time; then turnback restore RUN",
        )
    return row


def auth_token(host: str, port: int, user: str) -> str:
    """A password for IAM authentication, good for 15 minutes."""
    with telling("make an IAM token for the database"):
        token = client("rds").generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user)
    return str(token)
