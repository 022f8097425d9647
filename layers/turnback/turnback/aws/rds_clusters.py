"""RDS: Aurora clusters and their instances that are restored, modified and renamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnback.aws.clients import aws_errors
from turnback.aws.rds_databases import (
    ApiNames,
    Databases,
    RdsDatabase,
    Row,
    begun,
    differing,
    major_of,
    needed,
    own_group,
    security_groups,
    tags_like,
)
from turnback.aws.rds_instances import Instances

# What a modification sets and a restore does not, or does in newer versions of boto3 only.
_LATER = ("BackupRetentionPeriod", "PreferredBackupWindow", "PreferredMaintenanceWindow")

# What CreateDBInstance takes under the name that DescribeDBInstances gives it.
_MEMBER = (
    "DBInstanceClass",
    "Engine",
    "PromotionTier",
    "AutoMinorVersionUpgrade",
    "PubliclyAccessible",
    "CopyTagsToSnapshot",
    "CACertificateIdentifier",
    "PreferredMaintenanceWindow",
    "MonitoringInterval",
    "MonitoringRoleArn",
)


class Clusters(Databases):
    """Aurora clusters of this account and Region, and their instances."""

    names = ApiNames(
        noun="cluster",
        prefix="DBCluster",
        resource="DbClusterResourceId",
        status="Status",
        restore_snapshot="restore_db_cluster_from_snapshot",
        snapshot="SnapshotIdentifier",
        snapshots="describe_db_cluster_snapshots",
        restore_time="restore_db_cluster_to_point_in_time",
        source="SourceDBClusterIdentifier",
        restored="DBClusterIdentifier",
        time="RestoreToTime",
    )

    def __init__(self, *, rds: Any = None) -> None:
        """See Databases."""
        super().__init__(rds=rds)
        self._instances = Instances(rds=self._rds)

    def members(self, cluster: str) -> list[RdsDatabase]:
        """The instances of a cluster: the writer, then the others by their promotion tiers."""
        row = self.row(cluster)
        if row is None:
            return []
        writers = {
            member["DBInstanceIdentifier"]
            for member in row.get("DBClusterMembers") or []
            if member.get("IsClusterWriter")
        }
        which = [{"Name": "db-cluster-id", "Values": [cluster]}]
        with aws_errors(f"list the instances of {cluster}"):
            pages = self._rds.get_paginator("describe_db_instances").paginate(Filters=which)
            found = [item for page in pages for item in page["DBInstances"]]
        found.sort(
            key=lambda item: (
                item["DBInstanceIdentifier"] not in writers,
                item.get("PromotionTier") or 0,
                item["DBInstanceIdentifier"],
            )
        )
        return [self._instances.read(item) for item in found]

    def member(self, identifier: str) -> RdsDatabase | None:
        """One instance, of whatever cluster, or None."""
        return self._instances.find(identifier)

    def add_member(
        self, identifier: str, cluster: str, like: str, tags: Mapping[str, str]
    ) -> str | None:
        """Begin a new instance in a cluster, with the settings of another one."""
        old = needed(self._instances.row(like), like)
        # In a cluster of another version the group of the old one is of another family.
        same = major_of(needed(self.row(cluster), cluster)) == major_of(old)
        parameters = (old.get("DBParameterGroups") if same else None) or [{}]
        watched: dict[str, Any] = {}
        if old.get("PerformanceInsightsEnabled"):
            watched = {
                "EnablePerformanceInsights": True,
                "PerformanceInsightsKMSKeyId": old.get("PerformanceInsightsKMSKeyId"),
                "PerformanceInsightsRetentionPeriod": old.get("PerformanceInsightsRetentionPeriod"),
            }
        return begun(
            f"add {identifier} to {cluster}",
            self._rds.create_db_instance,
            passes=("DBClusterNotFound",),
            DBInstanceIdentifier=identifier,
            DBClusterIdentifier=cluster,
            DBParameterGroupName=own_group(parameters[0].get("DBParameterGroupName")),
            Tags=tags_like(old, tags),
            **{name: old.get(name) for name in _MEMBER},
            **watched,
        )

    def rename_member(self, identifier: str, new: str) -> str | None:
        """Begin to rename an instance of a cluster."""
        return self._instances.rename(identifier, new)

    def _endpoint(self, row: Row) -> tuple[str | None, int | None]:
        return row.get("Endpoint"), row.get("Port")

    def _settings(self, old: Row) -> dict[str, Any]:
        scaling = old.get("ServerlessV2ScalingConfiguration")
        return {
            "Port": old.get("Port"),
            "DBSubnetGroupName": old.get("DBSubnetGroup"),
            "VpcSecurityGroupIds": security_groups(old),
            "DBClusterParameterGroupName": own_group(old.get("DBClusterParameterGroup")),
            "EngineMode": old.get("EngineMode"),
            "ServerlessV2ScalingConfiguration": scaling or None,
            # "aurora" is not shown, and is the default.
            "StorageType": old.get("StorageType"),
            "EnableIAMDatabaseAuthentication": old.get("IAMDatabaseAuthenticationEnabled"),
            "EnableCloudwatchLogsExports": old.get("EnabledCloudwatchLogsExports") or None,
            "DeletionProtection": old.get("DeletionProtection"),
            "CopyTagsToSnapshot": old.get("CopyTagsToSnapshot"),
            "NetworkType": old.get("NetworkType"),
        }

    def _snapshot_settings(self, old: Row) -> dict[str, Any]:
        return {"Engine": old["Engine"], **self._settings(old)}

    def _changes(self, new: Row, old: Row) -> dict[str, Any]:
        return differing(_LATER, new, old)
