"""Restore of a DB instance under the old one's endpoint: calls, order, arguments, failures."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws
from turnback.aws.rds_instances import Instances
from turnback.errors import AwsError, DatabaseRefused, DatabaseUnreachable, RestoreFailed
from turnback.recovery.managed.database import kept_name, restored_name
from turnback.recovery.managed.restore import RestoreInstance
from turnback.recovery.model import (
    Place,
    RestoreProgress,
    RestoreRequest,
    RestoreState,
    Snapshot,
    SnapshotState,
)

from tests.integration.lifelike_rds import INSTANCE, Crash, LifelikeRds, one_in_five, refusal

LIVE, NEW, KEPT = "orders", "turnback-restored-orders-r-1", "turnback-before-orders-r-1"
SNAPSHOT = Snapshot(
    "rds", "turnback-orders-r-1", SnapshotState.AVAILABLE, taken_at="2026-11-22T09:00:00+00:00"
)


@functools.cache
def client_of(service: str) -> Any:
    """A client that all tests share: making one takes longer than a whole restore."""
    return boto3.client(service, region_name="us-east-1")


class World:
    """An instance with a snapshot in it, and a restore of it."""

    def __init__(self, *, looks: int = 2) -> None:
        client, ec2 = client_of("rds"), client_of("ec2")
        self.client = client
        vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        group = ec2.create_security_group(GroupName="db", Description="d", VpcId=vpc)["GroupId"]
        subnets = [row["SubnetId"] for row in ec2.describe_subnets()["Subnets"][:2]]
        client.create_db_subnet_group(
            DBSubnetGroupName="private", DBSubnetGroupDescription="d", SubnetIds=subnets
        )
        client.create_db_parameter_group(
            DBParameterGroupName="tuned", DBParameterGroupFamily="postgres16", Description="d"
        )
        self.settings: dict[str, Any] = {
            "DBInstanceClass": "db.m6g.large",
            "Port": 5433,
            "DBSubnetGroupName": "private",
            "VpcSecurityGroupIds": [group],
            "DBParameterGroupName": "tuned",
            "MultiAZ": True,
            "PubliclyAccessible": False,
            "AutoMinorVersionUpgrade": False,
            "CopyTagsToSnapshot": True,
            "EnableIAMDatabaseAuthentication": True,
            "EnableCloudwatchLogsExports": ["postgresql"],
            "DeletionProtection": True,
            "CACertificateIdentifier": "rds-ca-rsa2048-g1",
            "StorageType": "gp3",
            "AllocatedStorage": 500,
            "Iops": 12000,
            "StorageThroughput": 600,
        }
        client.create_db_instance(
            DBInstanceIdentifier=LIVE,
            Engine="postgres",
            EngineVersion="16.4",
            MasterUsername="owner",
            MasterUserPassword="not-a-secret",
            StorageEncrypted=True,
            BackupRetentionPeriod=14,
            PreferredBackupWindow="03:00-03:30",
            MaxAllocatedStorage=1000,
            MonitoringInterval=60,
            MonitoringRoleArn="arn:aws:iam::123456789012:role/watch",
            Tags=[{"Key": "team", "Value": "orders"}, {"Key": "turnback-x", "Value": "y"}],
            **self.settings,
        )
        client.create_db_snapshot(DBInstanceIdentifier=LIVE, DBSnapshotIdentifier=str(SNAPSHOT.id))
        self.old = self.row(LIVE)
        self.rds = LifelikeRds(client, looks=looks, function="restore")
        self.checked: list[Place] = []
        self.refusing: list[Exception] = []
        self.restore = RestoreInstance(Instances(rds=self.rds), LIVE, "prod")

    def check(self, place: Place) -> None:
        self.checked.append(place)
        if self.refusing:
            raise self.refusing.pop(0)

    def request(self, until: datetime | None = None) -> RestoreRequest:
        snapshot = None if until else SNAPSHOT
        return RestoreRequest("orders", "r-1", snapshot, until, self.check)

    def advance(self, until: datetime | None = None) -> RestoreProgress:
        return self.restore.advance(self.request(until))

    def until_restored(self, until: datetime | None = None) -> list[RestoreProgress]:
        """What each call said; those that are killed or fail in passing are made again."""
        seen = []
        for _ in range(60):
            try:
                seen.append(self.advance(until))
            except (Crash, AwsError):
                continue
            if seen[-1].state is RestoreState.RESTORED:
                return seen
        raise AssertionError(f"not restored: {seen[-1]}")

    def until_standing(self, name: str) -> None:
        """Go on until there is an instance of this name that is there."""
        for _ in range(60):
            self.advance()
            if any(
                row["DBInstanceIdentifier"] == name and not self.rds._views.get(name)
                for row in self.client.describe_db_instances()["DBInstances"]
            ):
                return
        raise AssertionError(name)

    def row(self, name: str) -> dict[str, Any]:
        return dict(self.client.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0])

    def names(self) -> set[str]:
        return {
            row["DBInstanceIdentifier"]
            for row in self.client.describe_db_instances()["DBInstances"]
        }

    def assert_restored(self) -> None:
        """The restored one under the old one's name, the old one kept, and nothing else."""
        assert self.names() == {LIVE, KEPT}
        live, kept = self.row(LIVE), self.row(KEPT)
        tags = {tag["Key"]: tag["Value"] for tag in live["TagList"]}
        assert tags == {
            "team": "orders",
            "turnback-restored-by": "r-1",
            "turnback-stack": "prod",
            "turnback-settings": "copied",
        }
        assert {"Key": "turnback-x", "Value": "y"} in kept["TagList"]
        same = ("DBInstanceClass", "MultiAZ", "BackupRetentionPeriod", "MonitoringInterval")
        assert [live[name] for name in same] == [self.old[name] for name in same]


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield


def test_a_restore_ends_with_the_new_one_under_the_old_name_and_the_old_one_kept() -> None:
    world = World()
    seen = world.until_restored()

    world.assert_restored()
    assert world.rds.changes == [
        "restore_db_instance_from_db_snapshot",
        "modify_db_instance",
        "add_tags_to_resource",
        "modify_db_instance",
        "modify_db_instance",
    ]
    renames = [
        (given["DBInstanceIdentifier"], given["NewDBInstanceIdentifier"], given["ApplyImmediately"])
        for name, given in world.rds.calls
        if "NewDBInstanceIdentifier" in given
    ]
    assert renames == [(LIVE, KEPT, True), (NEW, LIVE, True)]
    assert seen[-1].kept == KEPT
    assert seen[-1].restored_to == SNAPSHOT.taken_at
    order = [one.state.value for one in seen]
    assert order == sorted(order, key=["restoring", "checking", "swapping", "restored"].index)


def test_the_new_one_has_the_settings_of_the_old_one() -> None:
    world = World()
    world.until_restored()
    given = world.rds.arguments("restore_db_instance_from_db_snapshot")
    assert given["DBInstanceIdentifier"] == NEW
    assert given["DBSnapshotIdentifier"] == SNAPSHOT.id
    assert {name: given[name] for name in world.settings} == world.settings
    assert {tag["Key"] for tag in given["Tags"]} == {
        "team",
        "turnback-restored-by",
        "turnback-stack",
    }
    later = next(given for name, given in world.rds.calls if name == "modify_db_instance")
    assert later == {
        "DBInstanceIdentifier": NEW,
        "ApplyImmediately": True,
        "MaxAllocatedStorage": 1000,
    }


def test_what_a_restore_does_not_take_is_set_afterwards() -> None:
    world = World()
    world.advance()
    # moto copies these from the old one; RDS has defaults of its own.
    world.rds.forget(NEW)
    world.client.modify_db_instance(
        DBInstanceIdentifier=NEW, BackupRetentionPeriod=1, PreferredBackupWindow="05:00-05:30"
    )
    world.until_restored()
    later = next(given for name, given in world.rds.calls if name == "modify_db_instance")
    assert later["BackupRetentionPeriod"] == 14
    assert later["PreferredBackupWindow"] == "03:00-03:30"
    world.assert_restored()


def test_iops_go_with_a_volume_that_takes_them_only() -> None:
    world = World()
    world.client.modify_db_instance(
        DBInstanceIdentifier=LIVE, AllocatedStorage=100, Iops=3000, StorageThroughput=125
    )
    world.advance()
    given = world.rds.arguments("restore_db_instance_from_db_snapshot")
    assert given["StorageType"] == "gp3"
    assert not {"Iops", "StorageThroughput", "AllocatedStorage"} & set(given)


def test_a_point_in_time_comes_from_the_live_instance() -> None:
    world = World()
    until = datetime.now(UTC) - timedelta(minutes=10)
    seen = world.until_restored(until)
    given = world.rds.arguments("restore_db_instance_to_point_in_time")
    assert given["SourceDBInstanceIdentifier"] == LIVE
    assert given["TargetDBInstanceIdentifier"] == NEW
    assert given["RestoreTime"] == until
    assert {name: given[name] for name in world.settings} == world.settings
    assert seen[-1].restored_to == until.isoformat()
    world.assert_restored()


def test_a_time_that_cannot_be_restored_yet_is_waited_for_and_says_which_can() -> None:
    world = World()
    row = world.row(LIVE)
    latest = datetime.now(UTC) - timedelta(minutes=5)
    world.rds._views[LIVE] = [{**row, "LatestRestorableTime": latest}]
    progress = world.advance(datetime.now(UTC) - timedelta(minutes=1))
    assert progress.state is RestoreState.RESTORING
    assert latest.isoformat() in progress.detail
    assert world.rds.changes == []


def test_a_time_to_come_is_refused_with_the_time_that_is_possible() -> None:
    world = World()
    with pytest.raises(RestoreFailed, match="can be restored until"):
        world.advance(datetime.now(UTC) + timedelta(hours=1))
    assert world.names() == {LIVE}


def test_an_instance_without_backups_has_no_points_in_time() -> None:
    world = World()
    row = {k: v for k, v in world.row(LIVE).items() if k != "LatestRestorableTime"}
    world.rds._views[LIVE] = [row]
    with pytest.raises(RestoreFailed, match="keeps no backups"):
        world.advance(datetime.now(UTC) - timedelta(hours=1))


def test_nothing_is_renamed_before_the_new_one_answers_with_the_expected_history() -> None:
    world = World()
    world.refusing = [DatabaseUnreachable("no answer"), DatabaseUnreachable("no answer")]
    seen = []
    while not seen or seen[-1].state is RestoreState.RESTORING:
        seen.append(world.advance())
    assert seen[-1].state is RestoreState.CHECKING
    assert "does not answer yet" in seen[-1].detail
    assert world.names() == {LIVE, NEW}
    world.until_restored()
    endpoint = world.checked[0]
    assert endpoint.host and endpoint.host.startswith(NEW)
    assert (endpoint.port, endpoint.name) == (5433, None)
    world.assert_restored()


@pytest.mark.parametrize("error", [RestoreFailed("another history"), DatabaseRefused("password")])
def test_a_restored_one_that_is_not_the_expected_one_is_left_beside_the_old_one(
    error: Exception,
) -> None:
    world = World()
    world.refusing = [error]
    with pytest.raises(RestoreFailed, match=f"is named {NEW}, and {LIVE} is unchanged"):
        world.until_restored()
    assert world.names() == {LIVE, NEW}


def test_without_a_name_to_take_there_is_nothing_to_restore() -> None:
    world = World()
    world.client.modify_db_instance(DBInstanceIdentifier=LIVE, DeletionProtection=False)
    world.client.delete_db_instance(DBInstanceIdentifier=LIVE, SkipFinalSnapshot=True)
    with pytest.raises(RestoreFailed, match="there is no instance orders"):
        world.advance()


def test_a_name_taken_by_somebody_else_is_an_error_that_changes_nothing() -> None:
    world = World()
    world.client.create_db_instance(
        DBInstanceIdentifier=NEW, DBInstanceClass="db.t4g.micro", Engine="postgres"
    )
    with pytest.raises(RestoreFailed, match=f"{NEW}.* is taken"):
        world.advance()
    assert world.rds.changes == []


@pytest.mark.parametrize("status", ["failed", "incompatible-restore", "storage-full"])
def test_a_new_one_that_will_never_be_there_is_an_error(status: str) -> None:
    world = World()
    world.advance()
    world.rds.show(INSTANCE, NEW, status)
    with pytest.raises(RestoreFailed, match=f"{NEW} is {status}; {LIVE} is unchanged"):
        world.advance()


def test_an_old_one_that_is_busy_is_waited_for_before_it_is_renamed() -> None:
    world = World()
    world.until_standing(NEW)
    world.rds.show(INSTANCE, LIVE, "backing-up", looks=8)
    seen = world.until_restored()
    assert any("orders is backing-up" in one.detail for one in seen)
    world.assert_restored()


def test_an_old_one_that_cannot_be_renamed_is_an_error_that_says_where_the_data_is() -> None:
    world = World()
    world.until_standing(NEW)
    # Its settings were taken while it was available.
    while not any("NewDB" in str(given) for _, given in world.rds.calls):
        world.rds.show(INSTANCE, LIVE, "stopped", looks=2)
        try:
            world.advance()
        except RestoreFailed as error:
            assert f"is named {NEW}" in error.message
            assert "stopped" in error.message
            break
    assert world.names() == {LIVE, NEW}


def test_another_database_under_the_freed_name_is_an_error_that_says_how_to_resolve_it() -> None:
    world = World(looks=0)
    while KEPT not in world.names():
        world.advance()
    world.client.create_db_instance(
        DBInstanceIdentifier="stranger", DBInstanceClass="db.t4g.micro", Engine="postgres"
    )
    world.client.modify_db_instance(DBInstanceIdentifier="stranger", NewDBInstanceIdentifier=LIVE)
    stranger = {**world.row(LIVE), "DbiResourceId": "db-STRANGER"}
    world.rds._views[LIVE] = [stranger]
    with pytest.raises(RestoreFailed, match=f"kept as {KEPT}.* is named {NEW}") as caught:
        world.advance()
    assert f"--new-db-instance-identifier {LIVE}" in str(caught.value.hint)


def test_a_new_one_lost_between_the_renames_is_an_error_that_says_how_to_go_back() -> None:
    world = World(looks=0)
    while KEPT not in world.names():
        world.advance()
    world.rds.show(INSTANCE, NEW, "failed")
    with pytest.raises(RestoreFailed, match=f"no instance is named {LIVE}") as caught:
        world.advance()
    assert f"--db-instance-identifier {KEPT} --new-db-instance-identifier {LIVE}" in str(
        caught.value.hint
    )


def test_a_second_call_after_the_end_changes_nothing() -> None:
    world = World()
    world.until_restored()
    before = len(world.rds.changes)
    assert world.advance().state is RestoreState.RESTORED
    assert len(world.rds.changes) == before


def test_a_database_can_be_restored_again_by_another_run() -> None:
    world = World()
    world.until_restored()
    request = RestoreRequest("orders", "r-2", SNAPSHOT, None, world.check)
    for _ in range(60):
        if world.restore.advance(request).state is RestoreState.RESTORED:
            break
    assert world.names() == {LIVE, KEPT, "turnback-before-orders-r-2"}


def test_the_detail_warns_of_a_password_that_rds_rotates() -> None:
    world = World()
    world.until_restored()
    row = {**world.row(KEPT), "MasterUserSecret": {"SecretArn": "arn:x", "SecretStatus": "active"}}
    world.rds._views[KEPT] = [row, row]
    assert "rotation" in world.advance().detail


# An undisturbed restore makes this many, when RDS does everything at once.
CALLS = 26
CHANGES = 5


@pytest.mark.parametrize("number", one_in_five(CALLS))
def test_a_call_that_is_throttled_once_leads_to_the_same_end(number: int) -> None:
    world = World(looks=0)
    world.rds.before[number] = refusal("Throttling")
    world.until_restored()
    world.assert_restored()


@pytest.mark.parametrize("number", range(1, CHANGES + 1))
@pytest.mark.parametrize("lost", [Crash(), refusal("RequestTimeout")], ids=["killed", "no answer"])
def test_a_change_that_nobody_heard_of_leads_to_the_same_end(
    lost: BaseException, number: int
) -> None:
    world = World(looks=1)
    world.rds.after_change[number] = lost
    world.until_restored()
    world.assert_restored()


def test_every_call_of_a_restore_was_made_to_fail() -> None:
    world = World(looks=0)
    world.until_restored()
    assert (len(world.rds.calls), len(world.rds.changes)) == (CALLS, CHANGES)


@pytest.mark.parametrize("run", ["r-1", "r" * 80, "A_b--c", "r-0123456789abcdef0123"])
@pytest.mark.parametrize("identifier", ["orders", "o" * 63, "a-" * 30 + "b"])
def test_names_are_ones_that_rds_takes_and_of_one_run_each(identifier: str, run: str) -> None:
    names = {restored_name(identifier, run), kept_name(identifier, run)}
    names |= {restored_name(identifier, run + "x"), kept_name(identifier, run + "x")}
    assert len(names) == 4
    for name in names:
        assert re.fullmatch(r"[a-z](?!.*--)[a-z0-9-]{0,61}[a-z0-9]", name), name
