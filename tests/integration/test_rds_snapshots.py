"""Snapshots by RDS's API: what is asked of it, what it answers, and which are removed."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.rds.models import rds_backends
from turnback.aws.rds_snapshots import ClusterSnapshots, InstanceSnapshots
from turnback.aws.stepfunctions import StateMachine
from turnback.errors import AwsError, SnapshotFailed
from turnback.recovery.managed.snapshots import ManagedCatalog, ManagedSnapshots
from turnback.recovery.model import STACK_TAG, SnapshotState
from turnback.recovery.retention import Retention

from tests.integration.lifelike_rds import CLUSTER, INSTANCE, LifelikeRds, refusal

ACCOUNT, REGION = "123456789012", "us-east-1"
NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
KINDS = ["rds", "aurora"]


@functools.cache
def client_of(service: str) -> Any:
    """A client that all tests share."""
    return boto3.client(service, region_name=REGION)


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        yield


def tags(run: str, **more: str) -> dict[str, str]:
    return {"run": run, "target": "orders", "created-by": "turnback", STACK_TAG: "prod", **more}


class Database:
    """An instance or a cluster, and the snapshots of it."""

    def __init__(self, kind: str, *, encrypted: bool = True) -> None:
        client = client_of("rds")
        self.kind, self.client = kind, client
        self.rds = LifelikeRds(client, function="snapshot")
        if kind == "rds":
            client.create_db_instance(
                DBInstanceIdentifier="orders",
                DBInstanceClass="db.t4g.micro",
                Engine="postgres",
                StorageEncrypted=encrypted,
            )
            self.service: Any = InstanceSnapshots("orders", rds=self.rds)
        else:
            client.create_db_cluster(
                DBClusterIdentifier="orders",
                Engine="aurora-postgresql",
                MasterUsername="owner",
                MasterUserPassword="not-a-secret",
                StorageEncrypted=encrypted,
            )
            client.describe_db_clusters(DBClusterIdentifier="orders")
            self.service = ClusterSnapshots("orders", rds=self.rds)

    def take(self, run: str = "r-1", **options: Any) -> Any:
        snapshots = ManagedSnapshots(self.kind, self.service, **options)
        return snapshots.take("orders", run, tags(run))

    def make_by_hand(self, name: str, tags: dict[str, str]) -> None:
        """Not by the function, so with none of its rights."""
        type(self.service)("orders", rds=self.client).create(name, tags)

    def retention(self, needed: set[str] | None = None) -> Retention:
        catalog = ManagedCatalog(self.kind, self.service, "orders")
        return Retention(catalog, days=35, least=1, needed=lambda: needed or set(), stack="prod")

    def age(self, name: str, days: int) -> None:
        backend = rds_backends[ACCOUNT][REGION]
        if self.kind == "rds":
            backend.database_snapshots[name].created = NOW - timedelta(days=days)
        else:
            backend.cluster_snapshots[name].created = NOW - timedelta(days=days)

    def names(self) -> set[str]:
        if self.kind == "rds":
            rows = self.client.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
            return {row["DBSnapshotIdentifier"] for row in rows}
        rows = self.client.describe_db_cluster_snapshots(SnapshotType="manual")
        return {row["DBClusterSnapshotIdentifier"] for row in rows["DBClusterSnapshots"]}

    @property
    def create(self) -> str:
        return "create_db_snapshot" if self.kind == "rds" else "create_db_cluster_snapshot"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("encrypted", [True, False])
def test_a_snapshot_says_when_it_was_taken_and_whether_it_is_encrypted(
    kind: str, encrypted: bool
) -> None:
    database = Database(kind, encrypted=encrypted)
    snapshot = database.take()
    assert snapshot.state is SnapshotState.AVAILABLE
    assert snapshot.id == "turnback-orders-r-1"
    assert snapshot.encrypted is encrypted
    age = datetime.now(UTC) - datetime.fromisoformat(snapshot.taken_at)
    assert abs(age) < timedelta(hours=1)
    given = database.rds.arguments(database.create)
    assert {tag["Key"]: tag["Value"] for tag in given["Tags"]} == tags("r-1")


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_has_one_snapshot_however_often_it_asks(kind: str) -> None:
    database = Database(kind)
    assert database.take() == database.take()
    assert database.names() == {"turnback-orders-r-1"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_that_is_not_encrypted_is_refused_before_a_snapshot_is_begun(kind: str) -> None:
    database = Database(kind, encrypted=False)
    with pytest.raises(SnapshotFailed, match="not encrypted"):
        database.take(encryption_required=True)
    assert database.rds.changes == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_that_is_busy_is_waited_for(kind: str) -> None:
    database = Database(kind)
    database.rds.show(INSTANCE if kind == "rds" else CLUSTER, "orders", "backing-up", looks=2)
    states = [database.take().state for _ in range(3)]
    assert states == [SnapshotState.CREATING, SnapshotState.CREATING, SnapshotState.AVAILABLE]


@pytest.mark.parametrize("kind", KINDS)
def test_another_snapshot_in_progress_is_waited_for(kind: str) -> None:
    database = Database(kind)
    code = "InvalidDBInstanceState" if kind == "rds" else "InvalidDBClusterStateFault"
    # Whether it is there, the source, then the creation.
    database.rds.before[3] = refusal(code)
    assert database.take().state is SnapshotState.CREATING
    assert database.take().state is SnapshotState.AVAILABLE


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_that_is_stopped_is_an_error(kind: str) -> None:
    database = Database(kind)
    database.rds.show(INSTANCE if kind == "rds" else CLUSTER, "orders", "stopped")
    with pytest.raises(SnapshotFailed, match="stopped"):
        database.take()


@pytest.mark.parametrize("kind", KINDS)
def test_a_snapshot_of_this_name_that_somebody_else_took_is_an_error(kind: str) -> None:
    database = Database(kind)
    database.make_by_hand("turnback-orders-r-1", {"run": "theirs"})
    with pytest.raises(SnapshotFailed, match="'theirs'"):
        database.take()


@pytest.mark.parametrize("kind", KINDS)
def test_when_the_quota_is_reached_old_ones_make_room(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(kind)
    for run, days in (("r-8", 60), ("r-9", 50)):
        database.take(run)
        database.age(f"turnback-orders-{run}", days)
    backend = rds_backends[ACCOUNT][REGION]
    full = len(backend.database_snapshots if kind == "rds" else backend.cluster_snapshots)
    monkeypatch.setenv("MOTO_RDS_SNAPSHOT_LIMIT", str(full))

    with pytest.raises(SnapshotFailed, match="quota"):
        database.take()
    prune = functools.partial(database.retention().prune, NOW)
    assert database.take(prune=prune).state is SnapshotState.AVAILABLE
    assert database.names() == {"turnback-orders-r-9", "turnback-orders-r-1"}


@pytest.mark.parametrize("kind", KINDS)
def test_retention_removes_only_what_turnback_took_of_this_target(kind: str) -> None:
    database = Database(kind)
    for run in ("r-1", "r-2", "r-3"):
        database.take(run)
    theirs = {
        "mine": {},
        "turnback-orders-by-hand": {"run": "r-7"},
        "turnback-others-r-7": {**tags("r-7"), "target": "others"},
        "copied": tags("r-7"),
        "turnback-orders-r-4": {**tags("r-4"), STACK_TAG: "staging"},
        "turnback-orders-r-5": {**tags("r-5"), STACK_TAG: ""},
    }
    for name, marks in theirs.items():
        database.make_by_hand(name, marks)
    for name in database.names():
        database.age(name, 90)
    database.age("turnback-orders-r-3", 1)
    report = database.retention(needed={"r-2"}).report(NOW)
    assert report == {
        "removed": ["turnback-orders-r-1"],
        "error": None,
        "without_stack": ["turnback-orders-r-5"],
    }
    assert database.names() == {"turnback-orders-r-2", "turnback-orders-r-3", *theirs}


@pytest.mark.parametrize("kind", KINDS)
def test_a_snapshot_that_is_gone_meanwhile_is_no_error(kind: str) -> None:
    Database(kind).service.delete("turnback-orders-r-1")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_call_that_is_throttled_or_loses_its_answer_leads_to_one_snapshot(
    kind: str, number: int
) -> None:
    database = Database(kind)
    for where in ("before", "after"):
        run = f"r-{where}"
        start = len(database.rds.calls)
        getattr(database.rds, where)[start + number] = refusal("Throttling")
        with pytest.raises(AwsError, match="Throttling"):
            database.take(run)
        assert database.take(run).state is SnapshotState.AVAILABLE
    assert database.names() == {"turnback-orders-r-before", "turnback-orders-r-after"}


def test_the_runs_that_need_their_snapshots_go_on_or_can_be_redriven() -> None:
    states, role = client_of("stepfunctions"), "arn:aws:iam::123456789012:role/any"
    machine = states.create_state_machine(
        name="release",
        definition='{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}',
        roleArn=role,
    )["stateMachineArn"]
    for name in ("runs", "stopped"):
        states.start_execution(stateMachineArn=machine, name=name, input="{}")
    states.stop_execution(executionArn=machine.replace("stateMachine", "execution") + ":stopped")

    asked = StateMachine(machine)
    assert asked.runs_needed() == {"runs", "stopped"}
    assert asked.runs_needed(datetime.now(UTC) + timedelta(days=15)) == {"runs"}
