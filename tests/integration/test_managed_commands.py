"""``backup``, ``snapshots`` and ``restore`` with a stack whose snapshots RDS keeps.

RDS is moto's, slowed down; its endpoints lead to the real Postgres of the tests, so what the
restored one says of its history is what a server says. moto keeps no data in its snapshots.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import psycopg
import pytest
from click.testing import CliRunner
from moto import mock_aws
from moto.rds import models
from psycopg.conninfo import conninfo_to_dict
from turnback.aws import cloudformation, rds_databases, rds_snapshots
from turnback.aws.cloudformation import StackDescription
from turnback.cli import restore
from turnback.cli.main import cli
from turnback.recovery.by_hand import Pace

from tests.conftest import ProjectFactory
from tests.integration.command_line import Answer
from tests.integration.lifelike_rds import LifelikeRds, refusal
from tests.integration.test_backup_commands import FILES

LIVE, REGION = "orders", "us-east-1"
RUN_SNAPSHOT = "turnback-orders-r-1"
TAGS = {
    "run": "r-1",
    "release": "1.4.0",
    "schema_version": "0002",
    "target": "orders",
    "created-by": "turnback",
    "turnback-stack": "prod",
}


def turnback(*arguments: str) -> Answer:
    """Run ``turnback ARGUMENTS`` in this process, where moto is."""
    done = CliRunner().invoke(cli, list(arguments), standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    assert isinstance(done.return_value, int)
    return Answer(done.return_value, done.stdout, done.stderr)


class World:
    """A stack named prod, and its database in RDS and in Postgres."""

    def __init__(self, kind: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kind = kind
        self.client = boto3.client("rds", region_name=REGION)
        self.rds = LifelikeRds(self.client, looks=1)
        login = conninfo_to_dict(url)
        secret = {
            "host": login["host"],
            "port": login["port"],
            "username": login["user"],
            "password": login.get("password") or "none",
            "dbname": login["dbname"],
        }
        made = boto3.client("secretsmanager", region_name=REGION).create_secret(
            Name="database", SecretString=json.dumps(secret)
        )
        for module in (rds_databases, rds_snapshots):
            monkeypatch.setattr(module, "client", lambda _: self.rds)
        # What leads to a server: the names of RDS lead nowhere here.
        address = property(lambda _: str(login["host"]))
        monkeypatch.setattr(models.DBInstance, "address", address)
        monkeypatch.setattr(models.DBCluster, "endpoint", address)
        boto3.client("s3", region_name=REGION).create_bucket(Bucket="kept")
        self.states = boto3.client("stepfunctions", region_name=REGION)
        machine = self.states.create_state_machine(
            name="release",
            definition=json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}),
            roleArn="arn:aws:iam::123456789012:role/release",
        )["stateMachineArn"]
        self.machine = machine
        outputs = {"BucketName": "kept", "StateMachineArn": machine, "TopicArn": "t"}
        self.parameters = {
            "SnapshotKind": kind,
            "Target": "orders",
            "DbInstanceIdentifier": LIVE,
            "DbClusterIdentifier": LIVE,
            "DatabaseSecretArn": made["ARN"],
            "DatabaseTls": "disable",
            "Environment": "staging",
        }
        answer = StackDescription("prod", REGION, "CREATE_COMPLETE", outputs, self.parameters)
        monkeypatch.setattr(cloudformation, "describe_stack", lambda _: answer)
        self._make(int(login["port"]))

    def _make(self, port: int) -> None:
        tags = [{"Key": key, "Value": value} for key, value in TAGS.items()]
        if self.kind == "rds":
            self.client.create_db_instance(
                DBInstanceIdentifier=LIVE,
                Engine="postgres",
                DBInstanceClass="db.t4g.micro",
                AllocatedStorage=100,
                Port=port,
                StorageEncrypted=True,
            )
            self.client.create_db_snapshot(
                DBInstanceIdentifier=LIVE, DBSnapshotIdentifier=RUN_SNAPSHOT, Tags=tags
            )
            return
        self.client.create_db_cluster(
            DBClusterIdentifier=LIVE,
            Engine="aurora-postgresql",
            MasterUsername="owner",
            MasterUserPassword="not-a-secret",
            Port=port,
        )
        self.client.create_db_instance(
            DBInstanceIdentifier="orders-1",
            DBClusterIdentifier=LIVE,
            Engine="aurora-postgresql",
            DBInstanceClass="db.r6g.large",
        )
        self.client.create_db_cluster_snapshot(
            DBClusterIdentifier=LIVE, DBClusterSnapshotIdentifier=RUN_SNAPSHOT, Tags=tags
        )
        self.client.describe_db_clusters(DBClusterIdentifier=LIVE)

    def remains(self) -> list[str]:
        """What a restore keeps, and what one that has not finished leaves; others beside them."""
        mine = ("turnback-before-orders-r-2", "turnback-restored-orders-r-2")
        others = ("turnback-before-orders-eu-r-2", "turnback-restored-shop-r-2", "orders-replica")
        tags = [{"Key": "turnback-restored-by", "Value": "r-2"}]
        for name in (*mine, *others):
            if self.kind == "rds":
                self.client.create_db_instance(
                    DBInstanceIdentifier=name,
                    Engine="postgres",
                    DBInstanceClass="db.t4g.micro",
                    Tags=tags,
                )
            else:
                self.client.create_db_cluster(
                    DBClusterIdentifier=name,
                    Engine="aurora-postgresql",
                    MasterUsername="owner",
                    MasterUserPassword="not-a-secret",
                    Tags=tags,
                )
        return list(mine)

    def names(self) -> set[str]:
        if self.kind == "rds":
            rows = self.client.describe_db_instances()["DBInstances"]
            return {row["DBInstanceIdentifier"] for row in rows}
        return {
            row["DBClusterIdentifier"] for row in self.client.describe_db_clusters()["DBClusters"]
        }

    def tag(self, **tags: str) -> None:
        """Write other tags on the snapshot of the run."""
        self.client.add_tags_to_resource(
            ResourceName=f"arn:aws:rds:{REGION}:123456789012:snapshot:{RUN_SNAPSHOT}",
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )


MakeWorld = Callable[..., World]


def set_pace(monkeypatch: pytest.MonkeyPatch, pace: Pace) -> None:
    """Let restores be looked at so often; the stack's own pace is seconds."""
    monkeypatch.setattr(restore, "pace_of", lambda _: pace)


@pytest.fixture
def make_world(
    database: str, project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeWorld]:
    """Makes the world; its database has both migrations."""
    folder = project_factory(FILES)
    assert turnback("up", "--database-url", database, "--dir", str(folder)).code == 0
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, REGION)
    set_pace(monkeypatch, Pace(0.0))

    def make(kind: str = "rds") -> World:
        return World(kind, database, monkeypatch)

    with mock_aws():
        yield make


def test_the_snapshots_of_a_stack_are_those_that_turnback_took_of_its_target(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    world.client.create_db_snapshot(DBInstanceIdentifier=LIVE, DBSnapshotIdentifier="by-somebody")
    answer = turnback("snapshots", "--stack", "prod", "--json")
    [found] = answer.document["snapshots"]
    taken = found.pop("taken_at")
    assert datetime.fromisoformat(taken).tzinfo
    assert found == {
        "kind": "rds",
        "id": RUN_SNAPSHOT,
        "source": LIVE,
        "target": "orders",
        "run": "r-1",
        "release": "1.4.0",
        "schema_version": "0002",
        "state": "available",
        "encrypted": True,
        "gigabytes": 100,
        "stack": "prod",
    }
    shown = turnback("snapshots", "--stack", "prod").out
    assert "release 1.4.0, version 0002, available, encrypted, 100 GiB" in shown
    assert "1 snapshot of orders in RDS" in shown
    assert "turnback-stack" not in shown


@pytest.mark.parametrize("kind", ["rds", "aurora"])
def test_health_of_a_stack_reports_what_restores_have_left_in_rds(
    make_world: MakeWorld, kind: str
) -> None:
    world = make_world(kind)
    healthy = turnback("health", "--stack", "prod", "--json")
    assert (healthy.code, healthy.document["problems"]) == (0, [])
    kept, unfinished = world.remains()
    noun = "instance" if kind == "rds" else "cluster"
    answer = turnback("health", "--stack", "prod", "--json")
    assert answer.code == 3
    first, second = answer.document["problems"]
    assert first.startswith(f"{noun} {kept} of RDS (available) was kept by a restore")
    assert second.startswith(f"{noun} {unfinished} of RDS (available) is left of a restore")


def test_a_restore_says_first_what_becomes_of_a_password_that_rds_manages(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_world()
    arguments = ("restore", RUN_SNAPSHOT, "--stack", "prod", "--dry-run")
    assert "manages the master password" not in turnback(*arguments).out
    # moto has no such secrets.
    monkeypatch.setattr(rds_databases.Databases, "read", _with_managed_password)
    shown = turnback(*arguments).out
    assert "6. RDS manages the master password of orders: after a restore the secret is" in shown


READ = rds_databases.Databases.read


def _with_managed_password(self: rds_databases.Databases, row: Any) -> Any:
    return READ(self, {**row, "MasterUserSecret": {"SecretArn": "arn:x"}})


def test_a_snapshot_that_no_stack_deletes_is_reported(make_world: MakeWorld) -> None:
    world = make_world()
    rows = world.client.describe_db_snapshots(DBSnapshotIdentifier=RUN_SNAPSHOT)["DBSnapshots"]
    world.client.remove_tags_from_resource(
        ResourceName=rows[0]["DBSnapshotArn"], TagKeys=["turnback-stack"]
    )
    assert (
        "no tag turnback-stack: kept until a person deletes it"
        in turnback("snapshots", "--stack", "prod").out
    )
    [found] = turnback("snapshots", "--stack", "prod", "--json").document["snapshots"]
    assert found["stack"] is None


@pytest.mark.parametrize("kind", ["rds", "aurora"])
def test_a_backup_is_a_snapshot_of_rds_with_the_version_in_its_tags(
    make_world: MakeWorld, kind: str
) -> None:
    make_world(kind)
    answer = turnback("backup", "--stack", "prod", "--json", "-v")
    assert answer.code == 0, answer.err
    taken = answer.document["snapshot"]
    assert (taken["kind"], taken["state"], taken["schema_version"]) == (kind, "available", "0002")
    assert taken["run"] == answer.document["run"]
    assert taken["id"] == f"turnback-orders-{taken['run']}"
    assert f"turnback restore {taken['id']} --stack prod" in answer.err
    listed = turnback("snapshots", "--stack", "prod", "--json").document["snapshots"]
    assert [row["id"] for row in listed] == [taken["id"], RUN_SNAPSHOT]


def test_a_dry_run_of_a_backup_begins_nothing(make_world: MakeWorld) -> None:
    world = make_world()
    answer = turnback("backup", "--stack", "prod", "--dry-run", "--json", "-v")
    assert answer.code == 0
    assert answer.document["snapshot"]["schema_version"] == "0002"
    assert "orders (available) would be taken as turnback-orders-r-" in answer.err
    assert world.rds.changes == []


def test_a_backup_without_an_address_notes_no_version(make_world: MakeWorld) -> None:
    make_world().parameters["DatabaseSecretArn"] = ""
    answer = turnback("backup", "--stack", "prod", "--json", "-v")
    assert answer.code == 0
    assert answer.document["snapshot"]["schema_version"] is None
    assert "version and release are not noted" in answer.err


@pytest.mark.parametrize("kind", ["rds", "aurora"])
@pytest.mark.parametrize("name", [RUN_SNAPSHOT, "r-1"])
def test_a_snapshot_is_restored_under_the_old_ones_name(
    make_world: MakeWorld, kind: str, name: str
) -> None:
    world = make_world(kind)
    answer = turnback("restore", name, "--stack", "prod", "--yes", "--json", "-v")
    assert answer.code == 0, answer.err
    document = answer.document
    assert world.names() == {LIVE, document["kept"]}
    assert re.fullmatch(r"turnback-before-orders-hand-[0-9a-f]{10}", document["kept"])
    assert document["status"] == "restored"
    assert document["restored_to"] == document["snapshot"]["taken_at"]
    new = document["kept"].replace("before", "restored")
    for step in (
        f"1. {new}: a new {'instance' if kind == 'rds' else 'cluster'}, from the snapshot",
        "2. it must answer, and its history must end at version 0002",
        f"3. {LIVE} becomes {document['kept']}",
        f"4. {new} becomes {LIVE}",
    ):
        assert step in answer.err
    assert "answers, at version 0002" in answer.err
    assert re.search(rf"swapping: {LIVE} is being renamed to .* \(\d", answer.err)
    assert f"identifier {document['kept']} --final-db-snapshot-identifier" in answer.err


def test_a_point_in_time_is_restored(make_world: MakeWorld) -> None:
    world = make_world()
    until = (datetime.now(UTC) - timedelta(hours=3)).replace(microsecond=0)
    answer = turnback(
        "restore", "--until", until.isoformat(), "--stack", "prod", "--yes", "--json", "-v"
    )
    assert answer.code == 0, answer.err
    given = world.rds.arguments("restore_db_instance_to_point_in_time")
    assert given["RestoreTime"] == until
    assert answer.document["restored_to"] == until.isoformat()
    assert answer.document["loss"]["seconds"] in range(3 * 3600, 3 * 3600 + 60)
    assert "3 h 00 min ago" in answer.err


def test_what_was_written_since_a_backup_is_shown_before_it_is_lost(
    make_world: MakeWorld, database: str
) -> None:
    world = make_world()
    taken = turnback("backup", "--stack", "prod", "--json", "-v").document["snapshot"]
    with psycopg.connect(database) as connection:
        connection.execute("DELETE FROM users WHERE id <= 7")
    began = len(world.rds.changes)
    answer = turnback("restore", taken["run"], "--stack", "prod", "--dry-run", "--json", "-v")
    assert answer.code == 0
    assert answer.document["status"] == "dry_run"
    rows = [{"name": "public.users", "inserted": 0, "updated": 0, "deleted": 7}]
    assert answer.document["loss"]["tables"] == rows
    assert "public.users: 0 inserted, 0 updated, 7 deleted" in answer.err
    assert len(world.rds.changes) == began


def test_without_a_terminal_a_restore_of_rds_needs_to_be_meant(make_world: MakeWorld) -> None:
    world = make_world()
    answer = turnback("restore", "r-1", "--stack", "prod", "--json", "-v")
    assert answer.code == 2
    assert "--yes" in answer.err
    assert world.rds.changes == []


def interrupt(_: float) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("kind", ["rds", "aurora"])
def test_after_ctrl_c_the_same_command_goes_on_where_it_was(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    world = make_world(kind)
    # Every look is the last one of its command.
    set_pace(monkeypatch, Pace(0.0, sleep=interrupt))
    cut_off = 0
    while True:
        answer = turnback("restore", "r-1", "--stack", "prod", "--yes", "--json", "-v")
        if answer.code != 130:
            break
        assert answer.document["status"] == "interrupted"
        cut_off += 1
        assert cut_off < 40
    assert answer.code == 0, answer.err
    assert cut_off > 5
    assert world.names() == {LIVE, answer.document["kept"]}
    begun = [name for name in world.rds.changes if name.startswith("restore_db")]
    assert len(begun) == 1


def test_ctrl_c_says_that_everything_is_left_as_it_is(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_world()
    set_pace(monkeypatch, Pace(0.0, sleep=interrupt))
    done = CliRunner().invoke(cli, ["restore", "r-1", "--stack", "prod", "--yes"])
    assert "The same command continues from there." in done.stderr
    assert "being restored" in done.stderr


def test_what_was_restored_is_restored_again_only_when_asked_to(make_world: MakeWorld) -> None:
    world = make_world()
    command = ("restore", "r-1", "--stack", "prod", "--yes", "--json", "-v")
    first = turnback(*command).document
    assert first["already"] is False
    before = len(world.rds.changes)
    second = turnback(*command)
    assert (second.code, second.document["already"]) == (0, True)
    assert "--again" in second.err
    assert len(world.rds.changes) == before
    third = turnback(*command, "--again")
    assert third.code == 0, third.err
    assert world.names() == {LIVE, first["kept"], f"{first['kept']}-2"}


def test_a_restore_that_the_run_itself_began_is_ended(make_world: MakeWorld) -> None:
    world = make_world()
    world.client.restore_db_instance_from_db_snapshot(
        DBInstanceIdentifier="turnback-restored-orders-r-1",
        DBSnapshotIdentifier=RUN_SNAPSHOT,
        Tags=[{"Key": "turnback-restored-by", "Value": "r-1"}],
    )
    answer = turnback("restore", "r-1", "--stack", "prod", "--yes", "--json", "-v")
    assert answer.code == 0, answer.err
    assert "began this restore; it is continued" in answer.err
    assert world.names() == {LIVE, "turnback-before-orders-r-1"}


def test_a_restored_one_of_another_version_does_not_take_the_name(make_world: MakeWorld) -> None:
    world = make_world()
    world.tag(schema_version="0009")
    answer = turnback("restore", "r-1", "--stack", "prod", "--yes", "--json", "-v")
    assert answer.code == 6
    assert "at version 0002, and the snapshot was taken at 0009" in answer.err
    assert f"{LIVE} is unchanged" in answer.err
    assert LIVE in world.names()
    assert not any("before" in name for name in world.names())


def test_nothing_takes_the_name_unseen_unless_that_is_said(make_world: MakeWorld) -> None:
    world = make_world()
    world.parameters["DatabaseSecretArn"] = ""
    answer = turnback("restore", "r-1", "--stack", "prod", "--yes")
    assert answer.code == 2
    assert "--no-check" in answer.err
    assert world.rds.changes == []
    answer = turnback("restore", "r-1", "--stack", "prod", "--yes", "--no-check")
    assert answer.code == 0, answer.err
    assert "it is not checked" in answer.out


def test_a_database_url_is_taken_in_place_of_the_secret(
    make_world: MakeWorld, database: str
) -> None:
    world = make_world()
    world.parameters["DatabaseSecretArn"] = "arn:aws:secretsmanager:us-east-1:1:secret:none"
    answer = turnback(
        "restore", "r-1", "--stack", "prod", "--yes", "--json", "-v", "--database-url", database
    )
    assert answer.code == 0, answer.err
    assert "answers, at version 0002" in answer.err


def test_a_restored_one_that_never_answers_is_given_up_and_taken_up_again(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world()
    command = ("restore", "r-1", "--stack", "prod", "--yes", "--json", "-v")
    times = iter(range(0, 10**6, 60))
    with monkeypatch.context() as away:
        away.setattr(models.DBInstance, "address", property(lambda _: "no-such-host.invalid"))
        pace = Pace(0.0, clock=lambda: next(times), sleep=lambda _: None)
        set_pace(away, pace)
        answer = turnback(*command)
    assert answer.code == 5
    assert "does not answer yet" in answer.err
    assert "--no-check" in answer.err
    assert len(world.names()) == 2
    assert turnback(*command).code == 0


def test_a_database_is_not_replaced_under_a_run(make_world: MakeWorld) -> None:
    world = make_world()
    world.states.start_execution(stateMachineArn=world.machine, name="r-9", input="{}")
    command = ("restore", "r-1", "--stack", "prod", "--yes", "--json", "-v")
    answer = turnback(*command)
    assert answer.code == 2
    assert "a run of prod is not finished: r-9" in answer.err
    assert world.rds.changes == []
    answer = turnback(*command, "--force", "r-9 waits for this restore")
    assert answer.code == 0, answer.err
    assert answer.document["forced"] == {"runs": ["r-9"], "reason": "r-9 waits for this restore"}


def test_what_passes_is_waited_out(make_world: MakeWorld) -> None:
    world = make_world()
    world.rds.before[9] = refusal("Throttling")
    answer = turnback("restore", "r-1", "--stack", "prod", "--yes", "--json", "-v")
    assert answer.code == 0, answer.err
    assert "asking again" in answer.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("r-none",), "there is no snapshot 'r-none'"),
        (("no_name!",), "there is no snapshot 'no_name!'"),
        (("--until", "yesterday"), "is not a point in time"),
        (("--until", "2026-11-22T15:04:05"), "has no time zone"),
        (("--until", "2126-11-22T15:04:05Z"), "is in the future"),
        (("r-1", "--into", "look"), "--into is for dumps"),
    ],
)
def test_a_snapshot_or_time_that_is_none_is_said(
    make_world: MakeWorld, arguments: tuple[str, ...], said: str
) -> None:
    world = make_world()
    answer = turnback("restore", *arguments, "--stack", "prod", "--yes")
    assert answer.code == 2
    assert said in answer.err
    assert "hint:" in answer.err
    assert world.rds.changes == []


def test_a_snapshot_that_is_being_taken_is_not_restored(make_world: MakeWorld) -> None:
    world = make_world()
    row = world.client.describe_db_snapshots(DBSnapshotIdentifier=RUN_SNAPSHOT)["DBSnapshots"][0]
    answer_of = world.rds._answer

    def being_taken(name: str, given: dict[str, Any]) -> Any:
        if name == "describe_db_snapshots":
            return {"DBSnapshots": [{**row, "Status": "creating"}]}
        return answer_of(name, given)

    world.rds._answer = being_taken  # type: ignore[method-assign]
    answer = turnback("restore", "r-1", "--stack", "prod", "--yes")
    assert answer.code == 2
    assert "is creating" in answer.err


def test_a_stack_of_dumps_reaches_its_database_by_its_secret(
    make_world: MakeWorld, project_factory: ProjectFactory
) -> None:
    make_world("rds").parameters["SnapshotKind"] = "dump"
    folder = str(project_factory(FILES))
    answer = turnback("backup", "--stack", "prod", "--json", "-v", "--dir", folder)
    assert answer.code == 0, answer.err
    assert answer.document["snapshot"]["id"].startswith("s3://kept/snapshots/orders/")
    assert answer.document["snapshot"]["schema_version"] == "0002"
    run = answer.document["snapshot"]["run"]
    answer = turnback(
        "restore", run, "--stack", "prod", "--dry-run", "--json", "-v", "--dir", folder
    )
    assert answer.code == 0, answer.err
    assert answer.document["kept"]
