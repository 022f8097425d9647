"""RDS: DB instances that are restored, modified and renamed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from turnback.aws.clients import client
from turnback.aws.rds_databases import (
    SETTINGS_TAG,
    RdsDatabase,
    Row,
    begun,
    finished,
    needed,
    row_of,
    tags_like,
    tags_of,
)

# RDS takes IOPS and throughput of gp3 from this size on, in GiB (RDS User Guide, "gp3 storage").
_GP3_CHOICE = 400

# What a modification sets and a restore does not, or does in newer versions of boto3 only.
_LATER = (
    "BackupRetentionPeriod",
    "PreferredBackupWindow",
    "PreferredMaintenanceWindow",
    "MonitoringInterval",
    "MonitoringRoleArn",
    "PerformanceInsightsRetentionPeriod",
    "PerformanceInsightsKMSKeyId",
)


class Instances:
    """DB instances of this account and Region."""

    def __init__(self, *, rds: Any = None) -> None:
        """Instances by this client of RDS; by one of this Region, if not given."""
        self._rds = rds or client("rds")

    def find(self, identifier: str) -> RdsDatabase | None:
        """The instance of this name, or None."""
        row = self.row(identifier)
        return RdsDatabase.of_instance(row) if row else None

    def restore_snapshot(
        self, identifier: str, like: str, snapshot: str, tags: Mapping[str, str]
    ) -> str | None:
        """Begin a new instance from a snapshot, with the settings of another."""
        old = needed(self.row(like), like)
        return begun(
            f"restore {identifier} from {snapshot}",
            self._rds.restore_db_instance_from_db_snapshot,
            DBInstanceIdentifier=identifier,
            DBSnapshotIdentifier=snapshot,
            Tags=tags_like(old, tags),
            **_settings(old),
        )

    def restore_time(
        self, identifier: str, like: str, until: datetime, tags: Mapping[str, str]
    ) -> str | None:
        """Begin a new instance as another was at a time, with its settings."""
        old = needed(self.row(like), like)
        return begun(
            f"restore {identifier} as {like} was at {until.isoformat()}",
            self._rds.restore_db_instance_to_point_in_time,
            SourceDBInstanceIdentifier=like,
            TargetDBInstanceIdentifier=identifier,
            RestoreTime=until,
            Tags=tags_like(old, tags),
            **_settings(old),
        )

    def finish(self, identifier: str, like: str) -> str | None:
        """Give it the settings that a restore does not take; None when it has them."""
        new = needed(self.row(identifier), identifier)
        if SETTINGS_TAG["Key"] in tags_of(new):
            return None
        return finished(
            self._rds,
            self._rds.modify_db_instance,
            {"DBInstanceIdentifier": identifier},
            like,
            new["DBInstanceArn"],
            _changes(new, needed(self.row(like), like)),
        )

    def rename(self, identifier: str, new: str) -> str | None:
        """Begin to rename an instance."""
        return begun(
            f"rename {identifier} to {new}",
            self._rds.modify_db_instance,
            passes=("DBInstanceNotFound",),
            DBInstanceIdentifier=identifier,
            NewDBInstanceIdentifier=new,
            ApplyImmediately=True,
        )

    def by_hand(self, identifier: str, new: str) -> str:
        """The command that renames an instance."""
        return (
            f"aws rds modify-db-instance --db-instance-identifier {identifier} "
            f"--new-db-instance-identifier {new} --apply-immediately"
        )

    def row(self, identifier: str) -> Row | None:
        """The instance of this name as RDS describes it, or None."""
        return row_of(
            self._rds.describe_db_instances, "DBInstances", DBInstanceIdentifier=identifier
        )


def _settings(old: Row) -> dict[str, Any]:
    """The arguments of a restore that make the new one as the old one is; None is left out."""
    return {
        "DBInstanceClass": old["DBInstanceClass"],
        "Port": (old.get("Endpoint") or {}).get("Port"),
        "DBSubnetGroupName": (old.get("DBSubnetGroup") or {}).get("DBSubnetGroupName"),
        "VpcSecurityGroupIds": [group["VpcSecurityGroupId"] for group in old["VpcSecurityGroups"]],
        "DBParameterGroupName": _first(old.get("DBParameterGroups"), "DBParameterGroupName"),
        "OptionGroupName": _own_option_group(old),
        "MultiAZ": old.get("MultiAZ"),
        "PubliclyAccessible": old.get("PubliclyAccessible"),
        "AutoMinorVersionUpgrade": old.get("AutoMinorVersionUpgrade"),
        "CopyTagsToSnapshot": old.get("CopyTagsToSnapshot"),
        "EnableIAMDatabaseAuthentication": old.get("IAMDatabaseAuthenticationEnabled"),
        "EnableCloudwatchLogsExports": old.get("EnabledCloudwatchLogsExports") or None,
        "DeletionProtection": old.get("DeletionProtection"),
        "CACertificateIdentifier": old.get("CACertificateIdentifier"),
        "NetworkType": old.get("NetworkType"),
        "DedicatedLogVolume": old.get("DedicatedLogVolume") or None,
        **_storage(old),
    }


def _storage(old: Row) -> dict[str, Any]:
    kind, size = old.get("StorageType"), int(old.get("AllocatedStorage") or 0)
    if kind in ("io1", "io2") or (kind == "gp3" and size >= _GP3_CHOICE):
        # With the size: what IOPS are allowed depends on it, and the old one may have grown.
        return {
            "StorageType": kind,
            "AllocatedStorage": size,
            "Iops": old.get("Iops"),
            "StorageThroughput": old.get("StorageThroughput") or None,
        }
    return {"StorageType": kind}


def _own_option_group(old: Row) -> str | None:
    """RDS finds a default one by itself, and it is another after an upgrade."""
    name = _first(old.get("OptionGroupMemberships"), "OptionGroupName")
    return None if name is None or name.startswith("default:") else name


def _changes(new: Row, old: Row) -> dict[str, Any]:
    changes = {name: old[name] for name in _LATER if old.get(name) and old[name] != new.get(name)}
    if "MonitoringInterval" in changes or "MonitoringRoleArn" in changes:
        # Neither is taken without the other.
        changes |= {name: old[name] for name in ("MonitoringInterval", "MonitoringRoleArn")}
    largest = int(old.get("MaxAllocatedStorage") or 0)
    # Equal to the size it means that the storage does not grow by itself.
    if largest > int(old.get("AllocatedStorage") or 0) and largest != new.get(
        "MaxAllocatedStorage"
    ):
        changes["MaxAllocatedStorage"] = largest
    if old.get("PerformanceInsightsEnabled"):
        if not new.get("PerformanceInsightsEnabled"):
            changes["EnablePerformanceInsights"] = True
    else:
        changes.pop("PerformanceInsightsRetentionPeriod", None)
        changes.pop("PerformanceInsightsKMSKeyId", None)
    return changes


def _first(rows: Any, name: str) -> str | None:
    return str(rows[0][name]) if rows else None
