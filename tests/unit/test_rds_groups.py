"""Parameter groups of a restore, where the database was upgraded after its snapshot was taken.

RDS refuses ``default.postgres17`` for a snapshot of PostgreSQL 16 (InvalidParameterCombination).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from turnback.aws.rds_clusters import Clusters
from turnback.aws.rds_instances import Instances

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Rds:
    """A client with one database, which uses these groups; keeps what a restore was given."""

    def __init__(
        self, group: str, options: str = "default:postgres-17", snapshot: str = "17.2"
    ) -> None:
        self.snapshot = {"EngineVersion": snapshot, "SnapshotCreateTime": NOON}
        self.instance = {
            "DBInstanceIdentifier": "orders",
            "DBInstanceClass": "db.m6g.large",
            "Engine": "postgres",
            "EngineVersion": "17.2",
            "DBInstanceStatus": "available",
            "VpcSecurityGroups": [],
            "DBParameterGroups": [{"DBParameterGroupName": group}],
            "OptionGroupMemberships": [{"OptionGroupName": options}],
            "StorageType": "gp3",
            "AllocatedStorage": 100,
        }
        self.cluster = {
            "DBClusterIdentifier": "orders",
            "Engine": "aurora-postgresql",
            "EngineVersion": "17.4",
            "Status": "available",
            "VpcSecurityGroups": [],
            "DBClusterParameterGroup": group,
        }
        self.given: list[dict[str, Any]] = []

    def describe_db_instances(self, **_: Any) -> dict[str, Any]:
        return {"DBInstances": [self.instance]}

    def describe_db_clusters(self, **_: Any) -> dict[str, Any]:
        return {"DBClusters": [self.cluster]}

    def describe_db_snapshots(self, **_: Any) -> dict[str, Any]:
        return {"DBSnapshots": [self.snapshot]}

    def describe_db_cluster_snapshots(self, **_: Any) -> dict[str, Any]:
        return {"DBClusterSnapshots": [self.snapshot]}

    def get_paginator(self, name: str) -> Any:
        return SimpleNamespace(paginate=lambda **given: [getattr(self, name)(**given)])

    def __getattr__(self, name: str) -> Any:
        assert name.startswith(("restore_db_", "create_db_instance")), name
        return lambda **given: self.given.append(given)

    def groups(self) -> set[str]:
        """The names of all groups that were given."""
        return {
            value for given in self.given for name, value in given.items() if "GroupName" in name
        }


def restored(kind: type[Instances | Clusters], rds: Rds) -> set[str]:
    databases = kind(rds=rds)
    until = datetime(2026, 11, 22, tzinfo=UTC)
    assert databases.restore_snapshot("turnback-restored-orders-x", "orders", "s", {}) is None
    assert databases.restore_time("turnback-restored-orders-x", "orders", until, {}) is None
    if isinstance(databases, Clusters):
        assert databases.add_member("orders-1", "turnback-restored-orders-x", "orders", {}) is None
    assert len(rds.given) >= 2
    return rds.groups()


@pytest.mark.parametrize("kind", [Instances, Clusters])
@pytest.mark.parametrize("group", ["default.postgres17", "default.aurora-postgresql17"])
def test_default_groups_are_left_to_rds(kind: type[Instances | Clusters], group: str) -> None:
    assert restored(kind, Rds(group)) == set()


@pytest.mark.parametrize("kind", [Instances, Clusters])
def test_groups_of_ones_own_are_kept(kind: type[Instances | Clusters]) -> None:
    assert "tuned" in restored(kind, Rds("tuned", "audit"))


@pytest.mark.parametrize(
    ("kind", "called"),
    [(Instances, "turnback-restored-x"), (Clusters, "turnback-restored-x")],
)
def test_groups_of_another_version_are_left_to_rds(
    kind: type[Instances | Clusters], called: str
) -> None:
    rds = Rds("tuned", "audit", snapshot="16.4")
    assert kind(rds=rds).restore_snapshot(called, "orders", "s", {}) is None
    assert rds.groups() == set()


@pytest.mark.parametrize("kind", [Instances, Clusters])
def test_groups_are_left_to_rds_for_a_time_before_the_upgrade(
    kind: type[Instances | Clusters],
) -> None:
    # The last snapshot before that time was of PostgreSQL 16.
    rds = Rds("tuned", "audit", snapshot="16.4")
    after, before = NOON + timedelta(hours=1), NOON - timedelta(hours=1)
    assert kind(rds=rds).restore_time("turnback-restored-x", "orders", after, {}) is None
    assert rds.groups() == set()
    # Of what was before, nothing is known.
    assert kind(rds=rds).restore_time("turnback-restored-x", "orders", before, {}) is None
    assert "tuned" in rds.groups()


def test_an_instance_of_a_cluster_of_another_version_gets_the_default_group() -> None:
    rds = Rds("tuned")
    rds.cluster["EngineVersion"] = "16.4"
    assert (
        Clusters(rds=rds).add_member("orders-1", "turnback-restored-orders-x", "orders", {}) is None
    )
    assert rds.groups() == set()
