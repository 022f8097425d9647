"""Restore of an Aurora cluster and its instances under the old one's endpoint."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws
from turnback.aws.rds_clusters import Clusters
from turnback.errors import AwsError, DatabaseUnreachable, RestoreFailed
from turnback.recovery.managed.restore_cluster import RestoreCluster
from turnback.recovery.model import (
    Place,
    RestoreProgress,
    RestoreRequest,
    RestoreState,
    Snapshot,
    SnapshotState,
)

from tests.integration.lifelike_rds import (
    CLUSTER,
    INSTANCE,
    Crash,
    LifelikeRds,
    one_in_five,
    refusal,
)

LIVE, NEW, KEPT = "orders", "turnback-restored-orders-r-1", "turnback-before-orders-r-1"
SNAPSHOT = Snapshot(
    "aurora", "turnback-orders-r-1", SnapshotState.AVAILABLE, taken_at="2026-11-22T09:00:00+00:00"
)
# Class and promotion tier. The first one is the writer, whatever the tiers are for a failover.
MEMBERS = {"one": ("db.r6g.large", 2), "two": ("db.r6g.xlarge", 0), "three": ("db.r6g.large", 1)}


@functools.cache
def client_of(service: str) -> Any:
    """A client that all tests share: making one takes longer than a whole restore."""
    return boto3.client(service, region_name="us-east-1")


class World:
    """A cluster of three instances with a snapshot in it, and a restore of it."""

    def __init__(self, *, looks: int = 2, members: tuple[str, ...] = tuple(MEMBERS)) -> None:
        client, ec2 = client_of("rds"), client_of("ec2")
        self.client = client
        subnets = [row["SubnetId"] for row in ec2.describe_subnets()["Subnets"][:2]]
        client.create_db_subnet_group(
            DBSubnetGroupName="private", DBSubnetGroupDescription="d", SubnetIds=subnets
        )
        client.create_db_cluster_parameter_group(
            DBClusterParameterGroupName="tuned",
            DBParameterGroupFamily="aurora-postgresql16",
            Description="d",
        )
        self.settings: dict[str, Any] = {
            "Port": 5433,
            "DBSubnetGroupName": "private",
            "VpcSecurityGroupIds": ["sg-1", "sg-2"],
            "DBClusterParameterGroupName": "tuned",
            "EngineMode": "provisioned",
            "ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 8.0},
            "StorageType": "aurora-iopt1",
            "EnableIAMDatabaseAuthentication": True,
            "EnableCloudwatchLogsExports": ["postgresql"],
            "DeletionProtection": True,
            "CopyTagsToSnapshot": True,
        }
        client.create_db_cluster(
            DBClusterIdentifier=LIVE,
            Engine="aurora-postgresql",
            EngineVersion="16.4",
            MasterUsername="owner",
            MasterUserPassword="not-a-secret",
            BackupRetentionPeriod=14,
            # Only so that moto takes the storage type, which it does not know.
            AllocatedStorage=1,
            Tags=[{"Key": "team", "Value": "orders"}],
            **self.settings,
        )
        for name in members:
            size, tier = MEMBERS[name]
            client.create_db_instance(
                DBInstanceIdentifier=name,
                DBClusterIdentifier=LIVE,
                Engine="aurora-postgresql",
                DBInstanceClass=size,
                PromotionTier=tier,
                MonitoringInterval=60,
                MonitoringRoleArn="arn:aws:iam::123456789012:role/watch",
                Tags=[{"Key": "member", "Value": name}],
            )
        client.create_db_cluster_snapshot(
            DBClusterIdentifier=LIVE, DBClusterSnapshotIdentifier=str(SNAPSHOT.id)
        )
        # moto says "creating" to the first look.
        client.describe_db_clusters(DBClusterIdentifier=LIVE)
        self.members = members
        self.rds = LifelikeRds(client, looks=looks, function="restore")
        self.checked: list[Place] = []
        self.refusing: list[Exception] = []
        self.restore = RestoreCluster(Clusters(rds=self.rds), LIVE, "prod")

    def check(self, place: Place) -> None:
        self.checked.append(place)
        if self.refusing:
            raise self.refusing.pop(0)

    def advance(self, until: datetime | None = None) -> RestoreProgress:
        snapshot = None if until else SNAPSHOT
        return self.restore.advance(RestoreRequest("orders", "r-1", snapshot, until, self.check))

    def until_restored(self, until: datetime | None = None) -> list[RestoreProgress]:
        """What each call said; those that are killed or fail in passing are made again."""
        seen = []
        for _ in range(100):
            try:
                seen.append(self.advance(until))
            except (Crash, AwsError):
                continue
            if seen[-1].state is RestoreState.RESTORED:
                return seen
        raise AssertionError(f"not restored: {seen[-1]}")

    def clusters(self) -> dict[str, set[str]]:
        """The clusters with their instances."""
        found: dict[str, set[str]] = {
            row["DBClusterIdentifier"]: set()
            for row in self.client.describe_db_clusters()["DBClusters"]
        }
        for row in self.client.describe_db_instances()["DBInstances"]:
            found[row["DBClusterIdentifier"]].add(row["DBInstanceIdentifier"])
        return found

    def row(self, name: str) -> dict[str, Any]:
        return dict(self.client.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0])

    def assert_restored(self) -> None:
        """The restored one under the old one's names, the old one kept, and nothing else."""
        assert self.clusters() == {
            LIVE: set(self.members),
            KEPT: {f"turnback-before-{name}-r-1" for name in self.members},
        }
        (live,) = self.client.describe_db_clusters(DBClusterIdentifier=LIVE)["DBClusters"]
        tags = {tag["Key"]: tag["Value"] for tag in live["TagList"]}
        assert tags == {
            "team": "orders",
            "turnback-restored-by": "r-1",
            "turnback-stack": "prod",
            "turnback-settings": "copied",
        }
        writers = [
            row["DBInstanceIdentifier"]
            for row in live["DBClusterMembers"]
            if row["IsClusterWriter"]
        ]
        assert writers == [self.members[0]]
        for name in self.members:
            row = self.row(name)
            assert (row["DBInstanceClass"], row["PromotionTier"]) == MEMBERS[name]
            assert {"Key": "member", "Value": name} in row["TagList"]


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield


def test_a_restore_ends_with_cluster_and_instances_under_the_old_names() -> None:
    world = World()
    seen = world.until_restored()

    world.assert_restored()
    assert world.rds.changes == [
        "restore_db_cluster_from_snapshot",
        "add_tags_to_resource",
        "create_db_instance",
        "create_db_instance",
        "create_db_instance",
        "modify_db_cluster",
        "modify_db_cluster",
        *["modify_db_instance"] * 6,
    ]
    assert (seen[-1].kept, seen[-1].restored_to) == (KEPT, SNAPSHOT.taken_at)
    order = [one.state.value for one in seen]
    assert order == sorted(order, key=["restoring", "checking", "swapping", "restored"].index)


def test_the_new_cluster_has_the_settings_of_the_old_one() -> None:
    world = World()
    world.advance()
    # moto copies it from the old one; RDS has a default of its own.
    world.client.modify_db_cluster(DBClusterIdentifier=NEW, BackupRetentionPeriod=1)
    world.until_restored()
    given = world.rds.arguments("restore_db_cluster_from_snapshot")
    assert given["DBClusterIdentifier"] == NEW
    assert given["SnapshotIdentifier"] == SNAPSHOT.id
    assert given["Engine"] == "aurora-postgresql"
    assert {name: given[name] for name in world.settings} == world.settings
    assert {tag["Key"] for tag in given["Tags"]} == {
        "team",
        "turnback-restored-by",
        "turnback-stack",
    }
    later = next(given for name, given in world.rds.calls if name == "modify_db_cluster")
    assert later == {
        "DBClusterIdentifier": NEW,
        "ApplyImmediately": True,
        "BackupRetentionPeriod": 14,
    }


def test_the_writer_is_made_first_and_the_others_wait_for_it() -> None:
    world = World()
    world.until_restored()
    made = [
        (number, given)
        for number, (name, given) in enumerate(world.rds.calls)
        if name == "create_db_instance"
    ]
    assert [given["DBInstanceIdentifier"] for _, given in made] == [
        "turnback-restored-one-r-1",
        "turnback-restored-two-r-1",
        "turnback-restored-three-r-1",
    ]
    assert {given["DBClusterIdentifier"] for _, given in made} == {NEW}
    writer = made[0][1]
    assert (writer["DBInstanceClass"], writer["PromotionTier"]) == MEMBERS["one"]
    assert writer["MonitoringInterval"] == 60
    # There are looks at the writer in between.
    assert made[1][0] - made[0][0] > 2


def test_a_point_in_time_comes_from_the_live_cluster() -> None:
    world = World()
    until = datetime.now(UTC) - timedelta(minutes=10)
    seen = world.until_restored(until)
    given = world.rds.arguments("restore_db_cluster_to_point_in_time")
    assert (given["SourceDBClusterIdentifier"], given["DBClusterIdentifier"]) == (LIVE, NEW)
    assert given["RestoreToTime"] == until
    assert "RestoreType" not in given
    assert {name: given[name] for name in world.settings} == world.settings
    assert seen[-1].restored_to == until.isoformat()
    world.assert_restored()


def test_nothing_is_renamed_before_the_new_cluster_answers() -> None:
    world = World()
    world.refusing = [DatabaseUnreachable("no answer")]
    seen = []
    while not seen or seen[-1].state is RestoreState.RESTORING:
        seen.append(world.advance())
    assert seen[-1].state is RestoreState.CHECKING
    assert set(world.clusters()) == {LIVE, NEW}
    assert world.clusters()[LIVE] == set(MEMBERS)
    world.until_restored()
    assert str(world.checked[0].host).startswith(f"{NEW}.cluster-")
    assert world.checked[0].port == 5433


def test_the_cluster_has_its_name_before_any_instance_is_renamed() -> None:
    world = World()
    world.until_restored()
    renames = [
        given["DBClusterIdentifier" if "DBClusterIdentifier" in given else "DBInstanceIdentifier"]
        for name, given in world.rds.calls
        if name.startswith("modify") and any(key.startswith("NewDB") for key in given)
    ]
    assert renames[:2] == [LIVE, NEW]
    assert set(renames[2:5]) == set(MEMBERS)


def test_an_instance_that_cannot_be_renamed_says_that_the_cluster_is_back() -> None:
    world = World(looks=0)
    for _ in range(20):
        if KEPT in world.clusters() and LIVE in world.clusters():
            break
        world.advance()
    world.rds.show(INSTANCE, "one", "stopped")
    with pytest.raises(RestoreFailed, match="is restored and answers, but its instance one"):
        for _ in range(10):
            world.advance()
    world.rds.forget("one")
    world.until_restored()
    world.assert_restored()


def test_a_cluster_without_instances_is_refused_before_anything_is_renamed() -> None:
    world = World(members=())
    with pytest.raises(RestoreFailed, match="has no instance"):
        world.until_restored()
    assert set(world.clusters()) == {LIVE, NEW}


def test_the_name_of_an_instance_taken_by_somebody_else_is_an_error() -> None:
    world = World(members=("one",))
    world.client.create_db_instance(
        DBInstanceIdentifier="turnback-restored-one-r-1",
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
    )
    with pytest.raises(RestoreFailed, match=r"turnback-restored-one-r-1.* is taken"):
        world.until_restored()


def test_an_instance_that_will_never_be_there_is_an_error() -> None:
    world = World(members=("one",))
    for _ in range(20):
        if "create_db_instance" in world.rds.changes:
            break
        world.advance()
    world.rds.show(INSTANCE, "turnback-restored-one-r-1", "incompatible-parameters")
    with pytest.raises(RestoreFailed, match="incompatible-parameters; orders is unchanged"):
        world.until_restored()


def test_an_instance_that_may_not_be_renamed_is_named_with_what_to_do() -> None:
    world = World(members=("one",), looks=0)

    def denied(**_: Any) -> None:
        raise refusal("AccessDenied", "ModifyDBInstance")

    world.rds.modify_db_instance = denied
    with pytest.raises(AwsError, match=r"AccessDenied.*; the cluster orders is restored") as caught:
        for _ in range(60):
            world.advance()
    assert "give it the tag turnback-stack with the value prod" in str(caught.value.hint)
    assert set(world.clusters()) == {LIVE, KEPT}


def test_a_cluster_that_is_not_aurora_is_refused_before_anything_is_done() -> None:
    world = World()
    (row,) = world.client.describe_db_clusters(DBClusterIdentifier=LIVE)["DBClusters"]
    world.rds._views[LIVE] = [{**row, "Engine": "postgres"}] * 3
    with pytest.raises(RestoreFailed, match="Multi-AZ DB cluster"):
        world.advance()
    assert world.rds.changes == []


def test_a_new_cluster_that_will_never_be_there_is_an_error() -> None:
    world = World()
    world.advance()
    world.rds.show(CLUSTER, NEW, "inaccessible-encryption-credentials")
    with pytest.raises(RestoreFailed, match="orders is unchanged"):
        world.advance()


# An undisturbed restore of a cluster of one instance makes this many, when RDS does everything at
# once.
CALLS = 64
CHANGES = 7


@pytest.mark.parametrize("number", one_in_five(CALLS))
def test_a_call_that_is_throttled_once_leads_to_the_same_end(number: int) -> None:
    world = World(looks=0, members=("one",))
    world.rds.before[number] = refusal("Throttling")
    world.until_restored()
    world.assert_restored()


@pytest.mark.parametrize("number", range(1, CHANGES + 1))
@pytest.mark.parametrize("lost", [Crash(), refusal("RequestTimeout")], ids=["killed", "no answer"])
def test_a_change_that_nobody_heard_of_leads_to_the_same_end(
    lost: BaseException, number: int
) -> None:
    world = World(looks=1, members=("one",))
    world.rds.after_change[number] = lost
    world.until_restored()
    world.assert_restored()


def test_every_call_of_a_restore_was_made_to_fail() -> None:
    world = World(looks=0, members=("one",))
    world.until_restored()
    assert (len(world.rds.calls), len(world.rds.changes)) == (CALLS, CHANGES)


@pytest.mark.parametrize(
    "code",
    [
        "InsufficientDBClusterCapacityFault",
        "InsufficientStorageClusterCapacity",
        "DBClusterAlreadyExistsFault",
    ],
)
def test_what_passes_is_a_reason_to_ask_again(code: str) -> None:
    world = World()
    # The live one, the three names, and the settings are looked at before.
    world.rds.before[7] = refusal(code)
    progress = world.advance()
    assert world.rds.calls[-1][0] == "restore_db_cluster_from_snapshot"
    assert (progress.state, code in progress.detail) == (RestoreState.RESTORING, True)


@pytest.mark.parametrize(
    "code", ["DBClusterQuotaExceededFault", "DBClusterSnapshotNotFoundFault", "InvalidRestoreFault"]
)
def test_what_does_not_pass_is_an_error_and_nothing_is_renamed(code: str) -> None:
    world = World()
    world.rds.before[7] = refusal(code)
    with pytest.raises(RestoreFailed, match=code):
        world.advance()
    assert set(world.clusters()) == {LIVE}
