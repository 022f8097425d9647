"""RDS: what instances and clusters have in common; tokens for IAM authentication."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from turnback.aws.clients import aws_errors, client, code_of
from turnback.errors import RestoreFailed

Row = Mapping[str, Any]

# On a restored one that has the settings which a restore does not take.
_SETTINGS_TAG = {"Key": "turnback-settings", "Value": "copied"}

# The arguments that name parameter and option groups.
_GROUPS = {"DBParameterGroupName", "DBClusterParameterGroupName", "OptionGroupName"}

# What passes, or what a look at RDS will explain: the names of the API's errors without "Fault".
_PASSES = {
    "InsufficientDBInstanceCapacity": "AWS has no capacity for this instance class now",
    "InsufficientDBClusterCapacity": "AWS has no capacity for this cluster now",
    "InsufficientStorageClusterCapacity": "AWS has no storage for this cluster now",
    "InvalidDBInstanceState": "RDS is busy with the instance",
    "InvalidDBClusterState": "RDS is busy with the cluster",
    "InvalidDBSnapshotState": "the snapshot is not available",
    "InvalidDBClusterSnapshotState": "the snapshot is not available",
    "DBInstanceAlreadyExists": "the name is still in use",
    "DBClusterAlreadyExists": "the name is still in use",
}
_QUOTA = "delete what is not needed, or ask AWS for a higher quota, then turnback restore RUN"
_GONE = "restore from another snapshot or to a point in time: docs/backup.md#rds-and-aurora"
_SETTING = "restore it by hand with another setting: docs/backup.md#rds-and-aurora"
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
    major: str = ""


def tags_of(row: Row) -> dict[str, str]:
    """The tags in a row of RDS."""
    return {tag["Key"]: tag["Value"] for tag in row.get("TagList") or []}


def tags_like(row: Row, tags: Mapping[str, str]) -> list[dict[str, str]]:
    """The tags of another one, and some of one's own.

    AWS reserves its own (``aws:``), and turnback's belong to another restore.
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
    with aws_errors(action):
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


def major_of(row: Row) -> str:
    """The major version in ``EngineVersion``: ``16`` of ``16.4``."""
    return str(row.get("EngineVersion") or "").partition(".")[0]


def own_group(name: str | None) -> str | None:
    """A parameter or option group, if it is not the default one.

    RDS finds the default one by itself, and it is another one after an upgrade: the one of today
    does not fit a snapshot of before (``default.postgres17``, ``default:postgres-17``).
    """
    return None if not name or name.startswith(("default.", "default:")) else str(name)


def _fitting(settings: Mapping[str, Any], old: Row, major: str) -> dict[str, Any]:
    """The settings for a restore of a major version; empty where it is not known.

    The groups of the old one are of another family if it was upgraded since, and RDS would refuse
    them.
    """
    upgraded = major not in ("", major_of(old))
    return {name: value for name, value in settings.items() if not (upgraded and name in _GROUPS)}


def security_groups(row: Row) -> list[str]:
    """The identifiers of its security groups."""
    return [group["VpcSecurityGroupId"] for group in row["VpcSecurityGroups"]]


def differing(names: Iterable[str], new: Row, old: Row) -> dict[str, Any]:
    """The fields of the old one, among these, that the new one has otherwise."""
    return {name: old[name] for name in names if old.get(name) and old[name] != new.get(name)}


def needed(row: Row | None, identifier: str) -> Row:
    """The row, where there must be one.

    Raises:
        RestoreFailed: it has gone since it was last looked at.
    """
    if row is None:
        raise RestoreFailed(
            f"{identifier} disappeared before its settings were copied",
            hint="it was renamed or deleted in RDS at the same time; then turnback restore RUN",
        )
    return row


@dataclass(frozen=True, slots=True)
class ApiNames:
    """What the API calls instances, or clusters.

    Attributes:
        noun: as the methods and the command line have it: ``instance``.
        prefix: as the names of arguments and fields have it: ``DBInstance``.
        resource: the field with the identifier that no rename changes.
        status: the field with its status.
        restore_snapshot: the method that restores a snapshot.
        snapshot: its argument that names the snapshot.
        restore_time: the method that restores to a point in time.
        snapshots: the method that describes snapshots.
        source: its argument that names the one to restore.
        restored: its argument that names the new one.
        time: its argument for the time.
    """

    noun: str
    prefix: str
    resource: str
    status: str
    restore_snapshot: str
    snapshot: str
    snapshots: str
    restore_time: str
    source: str
    restored: str
    time: str


class Databases(abc.ABC):
    """Instances, or clusters, that are restored, modified and renamed."""

    names: ClassVar[ApiNames]

    def __init__(self, *, rds: Any = None) -> None:
        """Those of this account and Region.

        Args:
            rds: a client of RDS; one of this Region, if not given.
        """
        self._rds = rds or client("rds")
        self._identifier = f"{self.names.prefix}Identifier"

    def find(self, identifier: str) -> RdsDatabase | None:
        """The one of this name, or None."""
        row = self.row(identifier)
        return self.read(row) if row else None

    def row(self, identifier: str) -> Row | None:
        """The one of this name as RDS describes it, or None."""
        names = self.names
        with aws_errors(f"describe {identifier}"):
            try:
                describe = getattr(self._rds, f"describe_db_{names.noun}s")
                found = describe(**{self._identifier: identifier})[f"{names.prefix}s"]
            except ClientError as error:
                if code_of(error).removesuffix("Fault") == f"{names.prefix}NotFound":
                    return None
                raise
        return dict(found[0]) if found else None

    def all(self) -> list[RdsDatabase]:
        """All of this account and Region."""
        names = self.names
        with aws_errors(f"list the {names.noun}s of RDS"):
            pages = self._rds.get_paginator(f"describe_db_{names.noun}s").paginate()
            return [self.read(row) for page in pages for row in page[f"{names.prefix}s"]]

    def read(self, row: Row) -> RdsDatabase:
        """What there is to know of a row."""
        identifier = str(row[self._identifier])
        host, port = self._endpoint(row)
        return RdsDatabase(
            id=identifier,
            resource=str(row.get(self.names.resource) or identifier),
            status=str(row[self.names.status]),
            tags=tags_of(row),
            host=host,
            port=port,
            engine=str(row["Engine"]),
            restorable_until=row.get("LatestRestorableTime"),
            changing=bool(row.get("PendingModifiedValues")),
            has_managed_password=bool(row.get("MasterUserSecret")),
            major=major_of(row),
        )

    def restore_snapshot(
        self, identifier: str, like: str, snapshot: str, tags: Mapping[str, str]
    ) -> str | None:
        """Begin a new one from a snapshot, with the settings of another; see ``begun``."""
        old = needed(self.row(like), like)
        major = major_of(self._snapshot(snapshot))
        settings = _fitting(self._snapshot_settings(old), old, major)
        return begun(
            f"restore {identifier} from {snapshot}",
            getattr(self._rds, self.names.restore_snapshot),
            Tags=tags_like(old, tags),
            **{self._identifier: identifier, self.names.snapshot: snapshot},
            **settings,
        )

    def _snapshot(self, identifier: str) -> Row:
        """A snapshot as RDS describes it; empty if there is none, which the restore will say."""
        argument = f"{self._snapshots}Identifier"
        with aws_errors(f"describe the snapshot {identifier}"):
            try:
                found = getattr(self._rds, self.names.snapshots)(**{argument: identifier})
            except ClientError as error:
                if "NotFound" in code_of(error):
                    return {}
                raise
        rows = found[f"{self._snapshots}s"]
        return dict(rows[0]) if rows else {}

    @property
    def _snapshots(self) -> str:
        return "DBClusterSnapshot" if self.names.noun == "cluster" else "DBSnapshot"

    def _major_at(self, identifier: str, time: datetime) -> str:
        """The major version that it had at a time: that of its last snapshot before.

        RDS takes one of its own each day, and before and after an upgrade (RDS User Guide,
        "Upgrades of the RDS for PostgreSQL DB engine"). Empty if there is none.
        """
        with aws_errors(f"list the snapshots of {identifier}"):
            pages = self._rds.get_paginator(self.names.snapshots)
            found = [
                (row["SnapshotCreateTime"], major_of(row))
                for page in pages.paginate(**{self._identifier: identifier})
                for row in page[f"{self._snapshots}s"]
                if row.get("SnapshotCreateTime") and row["SnapshotCreateTime"] <= time
            ]
        return max(found)[1] if found else ""

    def restore_time(
        self, identifier: str, like: str, until: datetime, tags: Mapping[str, str]
    ) -> str | None:
        """Begin a new one as another was at a time, with its settings; see ``begun``."""
        old, names = needed(self.row(like), like), self.names
        settings = _fitting(self._settings(old), old, self._major_at(like, until))
        return begun(
            f"restore {identifier} as {like} was at {until.isoformat()}",
            getattr(self._rds, names.restore_time),
            Tags=tags_like(old, tags),
            **{names.source: like, names.restored: identifier},
            **{names.time: until, **settings},
        )

    def finish(self, identifier: str, like: str) -> str | None:
        """Give it the settings that a restore does not take, and mark that it has them.

        Returns:
            None when it has them, or why to ask again.

        Raises:
            RestoreFailed, AwsError: see ``begun``.
        """
        new = needed(self.row(identifier), identifier)
        if _SETTINGS_TAG["Key"] in tags_of(new):
            return None
        changes = self._changes(new, needed(self.row(like), like))
        if changes:
            action = f"give {identifier} the settings of {like}"
            changes = {self._identifier: identifier, "ApplyImmediately": True, **changes}
            if reason := begun(action, self._modify, **changes):
                return reason
        # RDS shows some values in another form than it was given them: without a mark, the same
        # modification would be sent for ever.
        with aws_errors(f"tag {identifier}"):
            arn = new[f"{self.names.prefix}Arn"]
            self._rds.add_tags_to_resource(ResourceName=arn, Tags=[_SETTINGS_TAG])
        return f"{identifier} gets the settings of {like}" if changes else None

    def rename(self, identifier: str, new: str) -> str | None:
        """Begin to rename it; the instances of a cluster keep their names.

        Raises:
            RestoreFailed: RDS will not, because it is being switched over.
        """
        reason = begun(
            f"rename {identifier} to {new}",
            self._modify,
            passes=(f"{self.names.prefix}NotFound",),
            ApplyImmediately=True,
            **{self._identifier: identifier, f"New{self._identifier}": new},
        )
        if reason and (row := self.row(identifier)) and (switch := self.switching(row)):
            raise RestoreFailed(
                f"RDS does not rename {identifier}, which is in the blue/green deployment "
                f"{', '.join(switch)}",
                hint="switch over or delete the deployment, then turnback restore RUN",
            )
        return reason

    def switching(self, row: Row) -> list[str]:
        """The blue/green deployments that it is in, by name and status."""
        arn = row[f"{self.names.prefix}Arn"]
        with aws_errors("list the blue/green deployments"):
            paginate = self._rds.get_paginator("describe_blue_green_deployments").paginate
            found = [one for page in paginate() for one in page["BlueGreenDeployments"]]
        return [
            f"{one['BlueGreenDeploymentName']} ({one['Status']})"
            for one in found
            # One that is done leaves the new database alone.
            if arn in (one.get("Source"), one.get("Target"))
            and one.get("Status") != "SWITCHOVER_COMPLETED"
        ]

    def pending(self, row: Row) -> list[str]:
        """What RDS will do to it in a maintenance window."""
        arn = row[f"{self.names.prefix}Arn"]
        with aws_errors("list the pending maintenance"):
            found = self._rds.describe_pending_maintenance_actions(ResourceIdentifier=arn)
        actions = [
            action
            for resource in found["PendingMaintenanceActions"]
            for action in resource["PendingMaintenanceActionDetails"]
        ]
        dates = ("CurrentApplyDate", "AutoAppliedAfterDate", "ForcedApplyDate")
        return [
            *(f"the change of {name}" for name in row.get("PendingModifiedValues") or {}),
            *(
                f"{action['Action']}" + (f" from {when:%Y-%m-%d} on" if when else "")
                for action in actions
                for when in [next((action[name] for name in dates if action.get(name)), None)]
            ),
        ]

    def keys(self, row: Row) -> set[str]:
        """The keys of KMS that a restored one is encrypted with."""
        found = {row.get("PerformanceInsightsKMSKeyId")}
        if row.get("StorageEncrypted"):
            found.add(row.get("KmsKeyId"))
        return {str(key) for key in found if key}

    def by_hand(self, identifier: str, new: str) -> str:
        """The command that renames it."""
        noun = self.names.noun
        return (
            f"aws rds modify-db-{noun} --db-{noun}-identifier {identifier} "
            f"--new-db-{noun}-identifier {new} --apply-immediately"
        )

    @property
    def _modify(self) -> Callable[..., Any]:
        modify: Callable[..., Any] = getattr(self._rds, f"modify_db_{self.names.noun}")
        return modify

    @abc.abstractmethod
    def _endpoint(self, row: Row) -> tuple[str | None, int | None]:
        """Host and port; None before it has them."""

    @abc.abstractmethod
    def _settings(self, old: Row) -> dict[str, Any]:
        """The arguments of a restore that copy the old one's settings; None is left out."""

    def _snapshot_settings(self, old: Row) -> dict[str, Any]:
        """The same for a restore from a snapshot."""
        return self._settings(old)

    @abc.abstractmethod
    def _changes(self, new: Row, old: Row) -> dict[str, Any]:
        """What a modification has to set, because a restore does not."""


def auth_token(host: str, port: int, user: str) -> str:
    """A password for IAM authentication, good for 15 minutes."""
    with aws_errors("make an IAM token for the database"):
        token = client("rds").generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user)
    return str(token)
