"""RDS: DB instances that are restored, modified and renamed."""

from __future__ import annotations

from typing import Any

from turnback.aws.rds_databases import (
    ApiNames,
    Databases,
    Row,
    differing,
    own_group,
    security_groups,
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


class Instances(Databases):
    """DB instances of this account and Region."""

    names = ApiNames(
        noun="instance",
        prefix="DBInstance",
        resource="DbiResourceId",
        status="DBInstanceStatus",
        restore_snapshot="restore_db_instance_from_db_snapshot",
        snapshot="DBSnapshotIdentifier",
        snapshots="describe_db_snapshots",
        restore_time="restore_db_instance_to_point_in_time",
        source="SourceDBInstanceIdentifier",
        restored="TargetDBInstanceIdentifier",
        time="RestoreTime",
    )

    def _endpoint(self, row: Row) -> tuple[str | None, int | None]:
        endpoint = row.get("Endpoint") or {}
        return endpoint.get("Address"), endpoint.get("Port")

    def _settings(self, old: Row) -> dict[str, Any]:
        return {
            "DBInstanceClass": old["DBInstanceClass"],
            "Port": (old.get("Endpoint") or {}).get("Port"),
            "DBSubnetGroupName": (old.get("DBSubnetGroup") or {}).get("DBSubnetGroupName"),
            "VpcSecurityGroupIds": security_groups(old),
            "DBParameterGroupName": own_group(
                _first(old.get("DBParameterGroups"), "DBParameterGroupName")
            ),
            "OptionGroupName": own_group(
                _first(old.get("OptionGroupMemberships"), "OptionGroupName")
            ),
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

    def _changes(self, new: Row, old: Row) -> dict[str, Any]:
        changes = differing(_LATER, new, old)
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


def _first(rows: Any, name: str) -> str | None:
    return str(rows[0][name]) if rows else None
