"""RDS: Aurora clusters and their instances that are restored, modified and renamed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from turnback.aws.clients import client, telling
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


class Clusters:
    """Aurora clusters of this account and Region."""

    def __init__(self, *, rds: Any = None) -> None:
        """Clusters by this client of RDS; by one of this Region, if not given."""
        self._rds = rds or client("rds")
        self._instances = Instances(rds=self._rds)

    def find(self, identifier: str) -> RdsDatabase | None:
        """The cluster of this name, or None."""
        row = self._row(identifier)
        return RdsDatabase.of_cluster(row) if row else None

    def restore_snapshot(
        self, identifier: str, like: str, snapshot: str, tags: Mapping[str, str]
    ) -> str | None:
        """Begin a new cluster from a snapshot, with the settings of another."""
        old = needed(self._row(like), like)
        return begun(
            f"restore {identifier} from {snapshot}",
            self._rds.restore_db_cluster_from_snapshot,
            DBClusterIdentifier=identifier,
            SnapshotIdentifier=snapshot,
            Engine=old["Engine"],
            Tags=tags_like(old, tags),
            **_settings(old),
        )

    def restore_time(
        self, identifier: str, like: str, until: datetime, tags: Mapping[str, str]
    ) -> str | None:
        """Begin a new cluster as another was at a time, with its settings."""
        old = needed(self._row(like), like)
        return begun(
            f"restore {identifier} as {like} was at {until.isoformat()}",
            self._rds.restore_db_cluster_to_point_in_time,
            DBClusterIdentifier=identifier,
            SourceDBClusterIdentifier=like,
            RestoreToTime=until,
            Tags=tags_like(old, tags),
            **_settings(old),
        )

    def finish(self, identifier: str, like: str) -> str | None:
        """Give it the settings that a restore does not take; None when it has them."""
        new = needed(self._row(identifier), identifier)
        if SETTINGS_TAG["Key"] in tags_of(new):
            return None
        old = needed(self._row(like), like)
        changes = {
            name: old[name] for name in _LATER if old.get(name) and old[name] != new.get(name)
        }
        return finished(
            self._rds,
            self._rds.modify_db_cluster,
            {"DBClusterIdentifier": identifier},
            like,
            new["DBClusterArn"],
            changes,
        )

    def rename(self, identifier: str, new: str) -> str | None:
        """Begin to rename a cluster; its instances keep their names."""
        return begun(
            f"rename {identifier} to {new}",
            self._rds.modify_db_cluster,
            passes=("DBClusterNotFound",),
            DBClusterIdentifier=identifier,
            NewDBClusterIdentifier=new,
            ApplyImmediately=True,
        )

    def by_hand(self, identifier: str, new: str) -> str:
        """The command that renames a cluster."""
        return (
            f"aws rds modify-db-cluster --db-cluster-identifier {identifier} "
            f"--new-db-cluster-identifier {new} --apply-immediately"
        )

    def members(self, cluster: str) -> list[RdsDatabase]:
        """The instances of a cluster: the writer, then the others by their promotion tiers."""
        row = self._row(cluster)
        if row is None:
            return []
        writers = {
            member["DBInstanceIdentifier"]
            for member in row.get("DBClusterMembers") or []
            if member.get("IsClusterWriter")
        }
        which = [{"Name": "db-cluster-id", "Values": [cluster]}]
        with telling(f"list the instances of {cluster}"):
            pages = self._rds.get_paginator("describe_db_instances").paginate(Filters=which)
            found = [item for page in pages for item in page["DBInstances"]]
        found.sort(
            key=lambda item: (
                item["DBInstanceIdentifier"] not in writers,
                item.get("PromotionTier") or 0,
                item["DBInstanceIdentifier"],
            )
        )
        return [RdsDatabase.of_instance(item) for item in found]

    def member(self, identifier: str) -> RdsDatabase | None:
        """One instance, of whatever cluster, or None."""
        return self._instances.find(identifier)

    def add_member(
        self, identifier: str, cluster: str, like: str, tags: Mapping[str, str]
    ) -> str | None:
        """Begin a new instance in a cluster, with the settings of another one."""
        old = needed(self._instances.row(like), like)
        parameters = old.get("DBParameterGroups") or [{}]
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
            DBParameterGroupName=parameters[0].get("DBParameterGroupName"),
            Tags=tags_like(old, tags),
            **{name: old.get(name) for name in _MEMBER},
            **watched,
        )

    def rename_member(self, identifier: str, new: str) -> str | None:
        """Begin to rename an instance of a cluster."""
        return self._instances.rename(identifier, new)

    def _row(self, identifier: str) -> Row | None:
        return row_of(self._rds.describe_db_clusters, "DBClusters", DBClusterIdentifier=identifier)


def _settings(old: Row) -> dict[str, Any]:
    """The arguments of a restore that make the new one as the old one is; None is left out."""
    scaling = old.get("ServerlessV2ScalingConfiguration")
    return {
        "Port": old.get("Port"),
        "DBSubnetGroupName": old.get("DBSubnetGroup"),
        "VpcSecurityGroupIds": [group["VpcSecurityGroupId"] for group in old["VpcSecurityGroups"]],
        "DBClusterParameterGroupName": old.get("DBClusterParameterGroup"),
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
