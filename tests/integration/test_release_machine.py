"""The definition that is deployed, with the handlers that are deployed, on a real Postgres."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from turnback.aws.rds import InstanceSnapshots
from turnback.engine.lock import lock_key
from turnback.recovery.binaries import binary

from tests.integration.moto_stack import TARGET, Stack, deployed, event

ProjectFactory = Callable[..., Path]
Deploy = Callable[..., Stack]

FIRST = {
    "sql/0001_users.sql": "CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL);\n",
    "rollback/0001_rollback.sql": "DROP TABLE users;\n",
    "sql/0002_nodes.sql": "CREATE TABLE nodes (id bigint PRIMARY KEY);\n",
    "rollback/0002_rollback.sql": "DROP TABLE nodes;\n",
}
GOOD = {
    **FIRST,
    "sql/0003_edges.sql": "CREATE TABLE edges (a bigint, b bigint);\n",
    "rollback/0003_rollback.sql": "DROP TABLE edges;\n",
}
BROKEN = {
    **GOOD,
    "sql/0004_tags.sql": "CREATE TABLE tags (id bigint);\nALTER TABLE tags ADD FOREIGN KEY (x) "
    "REFERENCES users;\n",
    "rollback/0004_rollback.sql": "DROP TABLE tags;\n",
}
LEFT_HALF_DONE = {
    **GOOD,
    "sql/0004_tags.sql": "-- turnback: no-transaction\n"
    "CREATE TABLE tags (id bigint);\nCREATE INDEX CONCURRENTLY tags_x ON tags (x);\n",
    "rollback/0004_rollback.sql": "DROP TABLE tags;\n",
}
NO_WAY_BACK = {**BROKEN, "rollback/0003_rollback.sql": "DROP TABLE edgse;\n"}


@pytest.fixture
def deploy(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deploy]:
    """Deploys the stack with these parameters; the snapshot is none unless they say so."""
    stacks: list[Any] = []

    def make(**parameters: str) -> Stack:
        defaults = {"Environment": "development", "SnapshotKind": "none"}
        stacks.append(deployed(database, monkeypatch, {**defaults, **parameters}))
        return stacks[-1].__enter__()  # type: ignore[no-any-return]

    yield make
    for stack in reversed(stacks):
        stack.__exit__(None, None, None)


def tables(database: str) -> set[str]:
    """The tables of the application; those of the history are not among them."""
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' "
            "AND tablename NOT LIKE 'migration%'"
        )
        return {name for (name,) in rows}


def health(database: str) -> dict[str, str]:
    """The history: version and status."""
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT version, status FROM migration_health")
        return {version: status for version, status in rows}


def by_version(message: dict[str, Any]) -> dict[str, str]:
    return {row["version"]: row["status"] for row in message["migrations"]}


def test_an_uploaded_release_is_applied_and_announced(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    run = stack.release(project_factory(GOOD), "1.0.0", tmp_path)

    assert run.status == "SUCCEEDED"
    assert tables(database) == {"users", "nodes", "edges"}
    assert health(database) == dict.fromkeys(["0001", "0002", "0003"], "applied")
    assert run.told == ["started", "succeeded"]
    last = run.messages[-1]
    assert by_version(last) == dict.fromkeys(["0001", "0002", "0003"], "applied")
    assert last["attributes"] == {"status": "succeeded", "target": TARGET, "release": "1.0.0"}
    assert last["trigger"] == "upload:AWS:AIDAJDPLRKLG7UEXAMPLE"
    assert last["execution_arn"].endswith(last["run"])
    assert last["error"] is None and last["snapshot"] is None
    assert stack.record(last["run"], "plan")["release"] == "1.0.0"
    assert len(stack.record(last["run"], "report")["applied"]) == 3


def test_a_release_with_nothing_new_succeeds_and_says_so(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    stack.release(project_factory(FIRST), "1.0.0", tmp_path)
    run = stack.release(project_factory(FIRST), "1.0.1", tmp_path)

    assert run.status == "SUCCEEDED"
    assert run.told == ["succeeded"]
    assert "nothing to do" in run.messages[0]["summary"]
    assert tables(database) == {"users", "nodes"}


def test_a_wrong_checksum_is_refused_and_changes_nothing(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    version = stack.upload(project_factory(GOOD), "1.0.0", tmp_path)
    key = f"artifacts/{TARGET}/1.0.0.zip"
    order = {"bucket": stack.bucket, "key": key, "version_id": version, "sha256": "0" * 64}
    run = stack.ended(stack.start({"artifact": order}))

    assert (run.status, run.error) == ("FAILED", "ChecksumMismatch")
    assert run.told == ["refused"]
    assert run.messages[0]["error"]["type"] == "ChecksumMismatch"
    assert run.messages[0]["error"]["file"] == key
    assert_untouched(database)


def test_an_edited_file_that_was_applied_is_refused(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    stack.release(project_factory(FIRST), "1.0.0", tmp_path)
    edited = {**GOOD, "sql/0001_users.sql": "CREATE TABLE users (id uuid PRIMARY KEY);\n"}
    run = stack.release(project_factory(edited), "1.1.0", tmp_path)

    assert (run.status, run.error) == ("FAILED", "ChecksumMismatch")
    assert run.told == ["refused"]
    assert run.messages[0]["error"]["file"] == "sql/0001_users.sql"
    assert tables(database) == {"users", "nodes"}


def test_what_is_no_artifact_is_refused(deploy: Deploy, database: str) -> None:
    stack = deploy()
    key = f"artifacts/{TARGET}/1.0.0.zip"
    started = stack.uploaded(key, stack.put(b"no zip at all", key))
    run = stack.ended(started["runs"][0]["run"])

    assert (run.status, run.error) == ("FAILED", "InvalidArtifact")
    assert run.told == ["refused"]
    assert_untouched(database)


def test_a_lower_release_than_the_last_is_refused(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    stack.release(project_factory(FIRST), "1.2.0", tmp_path)
    run = stack.release(project_factory(GOOD), "1.1.9", tmp_path)

    assert (run.status, run.error) == ("FAILED", "ReleaseTooOld")
    assert run.told == ["refused"]
    assert tables(database) == {"users", "nodes"}


def test_a_migration_without_a_way_back_is_refused_where_the_policy_demands_one(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    one_way = {"sql/0001_users.sql": FIRST["sql/0001_users.sql"]}
    refused = deploy(RollbackRequired="yes").release(project_factory(one_way), "1.0.0", tmp_path)
    assert refused.error == "RollbackMissing"
    assert_untouched(database)


def test_production_refuses_to_run_without_a_snapshot(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run = deploy(Environment="production").release(project_factory(GOOD), "1.0.0", tmp_path)

    assert run.error == "ConfigurationError"
    assert run.told == ["refused"]
    assert "snapshot" in run.messages[0]["error"]["message"]
    assert_untouched(database)


def test_a_failing_migration_takes_the_whole_release_back(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    stack.release(project_factory(FIRST), "1.0.0", tmp_path)
    run = stack.release(project_factory(BROKEN), "1.1.0", tmp_path)

    assert (run.status, run.error) == ("FAILED", "MigrationFailed")
    assert tables(database) == {"users", "nodes"}
    statuses = health(database)
    assert (statuses["0003"], statuses["0004"]) == ("rolled_back", "failed")
    assert run.told == ["started", "rolled_back"]
    last = run.messages[-1]
    assert by_version(last) == {"0003": "rolled_back", "0004": "failed"}
    assert last["rolled_back"] == ["0003"]
    error = last["error"]
    assert (error["file"], error["line"]) == ("sql/0004_tags.sql", 2)
    assert error["sqlstate"] == "42703" and error["hint"]
    assert json.loads(json.loads(run.cause or "")["errorMessage"])["line"] == 2


def test_a_release_that_failed_can_be_mended_and_released_again(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    stack.release(project_factory(BROKEN), "1.0.0", tmp_path)
    mended = {**BROKEN, "sql/0004_tags.sql": "CREATE TABLE tags (id bigint);\n"}
    run = stack.release(project_factory(mended), "1.0.1", tmp_path)

    assert run.status == "SUCCEEDED"
    assert tables(database) == {"users", "nodes", "edges", "tags"}


def test_a_rollback_that_fails_needs_a_person_and_says_both_errors(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run = deploy().release(project_factory(NO_WAY_BACK), "1.0.0", tmp_path)

    assert (run.status, run.error) == ("FAILED", "NeedsAPerson")
    assert run.told == ["started", "needs_a_person"]
    last = run.messages[-1]
    assert last["error"]["type"] == "MigrationFailed"
    assert last["rollback_error"]["type"] == "RollbackFailed"
    assert last["rollback_error"]["file"] == "rollback/0003_rollback.sql (stored)"
    assert tables(database) == {"users", "nodes", "edges"}


def test_a_migration_left_half_done_outside_a_transaction_needs_a_person(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run = deploy().release(project_factory(LEFT_HALF_DONE), "1.0.0", tmp_path)

    assert (run.status, run.error) == ("FAILED", "NeedsAPerson")
    assert run.told == ["started", "needs_a_person"]
    assert "RollBack" not in run.states
    assert "tags" in tables(database)


def test_a_run_waits_for_the_one_that_holds_the_lock(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [lock_key("public")])
        version = stack.upload(project_factory(GOOD), "1.0.0", tmp_path)
        started = stack.uploaded(f"artifacts/{TARGET}/1.0.0.zip", version)
        run_id = started["runs"][0]["run"]
        await_busy(database, run_id)
        assert tables(database) == set()
    run = stack.ended(run_id)

    assert run.status == "SUCCEEDED"
    assert run.told == ["started", "succeeded"]
    assert tables(database) == {"users", "nodes", "edges"}


def test_what_another_run_holds_was_not_changed_by_this_one(deploy: Deploy, database: str) -> None:
    """A run that never had the lock applied nothing, so that needs no person."""
    stack = deploy()
    state = event("roll_back")
    state["state"] |= {"run": "r-never", "artifact": {"bucket": stack.bucket, "key": "k"}}
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [lock_key("public")])
        result = stack.invoke("roll_back", state)
    assert result == {"done": True, "rolled_back": 0, "remaining": 0}


@pytest.mark.parametrize("release", [GOOD, BROKEN, NO_WAY_BACK], ids=["good", "broken", "stuck"])
def test_a_run_ends_the_same_when_announcing_fails(
    release: dict[str, str],
    deploy: Deploy,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
) -> None:
    stack = deploy()
    stack.set_variables("announce", TOPIC_ARN="")
    run = stack.release(project_factory(release), "1.0.0", tmp_path)

    ends = {
        id(GOOD): ("SUCCEEDED", None, {"users", "nodes", "edges"}),
        id(BROKEN): ("FAILED", "MigrationFailed", set()),
        id(NO_WAY_BACK): ("FAILED", "NeedsAPerson", {"users", "nodes", "edges"}),
    }
    assert (run.status, run.error, tables(database)) == ends[id(release)]
    assert run.told == []


def test_the_same_upload_event_twice_is_one_run(
    deploy: Deploy, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    key = f"artifacts/{TARGET}/1.0.0.zip"
    version = stack.upload(project_factory(GOOD), "1.0.0", tmp_path)
    first = stack.uploaded(key, version)["runs"][0]
    run = stack.ended(first["run"])
    second = stack.uploaded(key, version)["runs"][0]

    assert first["started"] and not second["started"]
    assert first["run"] == second["run"]
    assert run.told == ["started", "succeeded"] and stack.messages() == []
    executions = stack.client("stepfunctions").list_executions(stateMachineArn=stack.machine)
    assert len(executions["executions"]) == 1


def test_the_same_release_uploaded_anew_is_a_new_run(
    deploy: Deploy, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    folder = project_factory(GOOD)
    first = stack.release(folder, "1.0.0", tmp_path)
    second = stack.release(folder, "1.0.0", tmp_path)

    assert (first.told, second.told) == (["started", "succeeded"], ["succeeded"])


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("artifacts/1.0.0.zip", "names no target and release"),
        ("artifacts/other/1.0.0.zip", "this stack releases to 'learning'"),
        (f"artifacts/{TARGET}/newest.zip", "is not a release number"),
    ],
)
def test_an_upload_to_a_wrong_key_is_refused_and_announced(
    key: str, said: str, deploy: Deploy, database: str
) -> None:
    stack = deploy()
    result = stack.uploaded(key, stack.put(b"", key))
    (message,) = stack.messages()

    assert result["runs"] == [] and said in result["refused"][0]["reason"]
    assert message["status"] == message["attributes"]["status"] == "refused"
    assert said in message["error"]["message"] and message["error"]["hint"]
    assert_untouched(database)


def test_the_test_event_of_s3_starts_nothing(deploy: Deploy) -> None:
    assert deploy().invoke("on_upload", event("s3_test_event")) == {"runs": [], "refused": []}


def test_a_dry_run_writes_the_plan_and_changes_nothing(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    version = stack.upload(project_factory(GOOD), "1.0.0", tmp_path)
    artifact = {"bucket": stack.bucket, "key": f"artifacts/{TARGET}/1.0.0.zip"}
    started = stack.start({"artifact": {**artifact, "version_id": version}, "dry_run": True})
    run = stack.ended(started)

    assert run.status == "SUCCEEDED"
    assert run.told == ["succeeded"]
    assert "dry run, 3 migrations would be applied" in run.messages[0]["summary"]
    assert by_version(run.messages[0]) == dict.fromkeys(["0001", "0002", "0003"], "pending")
    assert [row["version"] for row in stack.record(started, "plan")["migrations"]] == [
        "0001",
        "0002",
        "0003",
    ]
    assert_untouched(database)


def test_an_execution_started_with_nonsense_is_refused_and_announced(
    deploy: Deploy, database: str
) -> None:
    stack = deploy()
    run = stack.ended(stack.start({"artifact": "what?"}))

    assert (run.status, run.error) == ("FAILED", "ConfigurationError")
    assert run.told == ["refused"]
    assert "'artifact'" in run.messages[0]["error"]["message"]
    assert_untouched(database)


def test_a_dump_is_taken_first_and_restores_what_was_there(
    deploy: Deploy,
    database: str,
    admin: psycopg.Connection[Any],
    project_factory: ProjectFactory,
    tmp_path: Path,
) -> None:
    stack = deploy(Environment="production", SnapshotKind="dump")
    stack.release(project_factory(FIRST), "1.0.0", tmp_path)
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO users SELECT n, 'a''b' FROM generate_series(1, 500) n")
    run = stack.release(project_factory(BROKEN), "1.1.0", tmp_path)

    assert run.told == ["started", "snapshot_taken", "rolled_back"]
    snapshot = run.messages[-1]["snapshot"]
    key = snapshot["id"].removeprefix(f"s3://{stack.bucket}/")
    assert (snapshot["kind"], key) == (
        "dump",
        f"snapshots/{TARGET}/{run.messages[-1]['run']}.dump",
    )
    s3 = stack.client("s3")
    tags = s3.get_object_tagging(Bucket=stack.bucket, Key=key)["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {
        "run": run.messages[-1]["run"],
        "release": "1.1.0",
    }
    dump = tmp_path / "release.dump"
    s3.download_file(stack.bucket, key, str(dump))
    restored = "restored"
    admin.execute(f"CREATE DATABASE {restored}")
    try:
        there = database.rpartition("/")[0] + f"/{restored}"
        command = [binary("pg_restore"), "--exit-on-error", "--dbname", there, dump]
        subprocess.run(command, check=True, capture_output=True)
        assert tables(there) == {"users", "nodes"}
        with psycopg.connect(there) as connection:
            assert connection.execute("SELECT count(*) FROM users").fetchone() == (500,)
    finally:
        admin.execute(f"DROP DATABASE {restored} WITH (FORCE)")


def test_a_dump_that_fails_refuses_the_release_and_leaves_no_object(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy(SnapshotKind="dump")
    stack.release(project_factory(FIRST), "1.0.0", tmp_path)
    with psycopg.connect(database) as connection:
        # A function that is not there any more breaks the dump of the view that calls it.
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 'reader'")
        connection.execute("GRANT SELECT ON migrations, migration_log TO reader")
        connection.execute("GRANT USAGE ON SCHEMA public TO reader")
    try:
        secret = json.loads(read_secret(stack))
        stack.client("secretsmanager").update_secret(
            SecretId="database",
            SecretString=json.dumps({**secret, "username": "reader", "password": "reader"}),
        )
        run = stack.release(project_factory(GOOD), "1.1.0", tmp_path)
    finally:
        with psycopg.connect(database) as connection:
            connection.execute("DROP OWNED BY reader")
            connection.execute("DROP ROLE reader")

    assert (run.status, run.error) == ("FAILED", "SnapshotFailed")
    assert run.told == ["started", "refused"]
    assert "permission denied" in run.messages[-1]["error"]["message"]
    assert tables(database) == {"users", "nodes"}
    s3 = stack.client("s3")
    prefix = f"snapshots/{TARGET}/{run.messages[-1]['run']}"
    assert "Contents" not in s3.list_objects_v2(Bucket=stack.bucket, Prefix=prefix)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=stack.bucket)


def test_an_instance_snapshot_is_awaited_before_anything_is_applied(
    deploy: Deploy,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack = deploy(SnapshotKind="rds", DbInstanceIdentifier="learning-1")
    stack.client("rds").create_db_instance(
        DBInstanceIdentifier="learning-1", DBInstanceClass="db.t4g.micro", Engine="postgres"
    )
    # moto's snapshots are available at once; those of RDS are not.
    truth, seen = InstanceSnapshots.status, []

    def slow(service: InstanceSnapshots, identifier: str) -> str | None:
        found = truth(service, identifier)
        if found is None or len(seen) >= 2:
            return found
        seen.append(tables(database))
        return "creating"

    monkeypatch.setattr(InstanceSnapshots, "status", slow)
    run = stack.release(project_factory(GOOD), "1.0.0", tmp_path)

    assert run.status == "SUCCEEDED"
    assert seen == [set(), set()]
    assert run.states.count("WaitForSnapshot") == 2
    assert run.told == ["started", "snapshot_taken", "succeeded"]
    (snapshot,) = stack.client("rds").describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    assert snapshot["DBSnapshotIdentifier"] == run.messages[-1]["snapshot"]["id"]
    assert {tag["Key"]: tag["Value"] for tag in snapshot["TagList"]} == {
        "run": run.messages[-1]["run"],
        "release": "1.0.0",
    }


def test_a_cluster_snapshot_is_taken_of_aurora(
    deploy: Deploy, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy(SnapshotKind="aurora", DbClusterIdentifier="learning")
    rds = stack.client("rds")
    rds.create_db_cluster(
        DBClusterIdentifier="learning",
        Engine="aurora-postgresql",
        MasterUsername="owner",
        MasterUserPassword="not-a-secret",
    )
    run = stack.release(project_factory(GOOD), "1.0.0", tmp_path)

    assert run.told == ["started", "snapshot_taken", "succeeded"]
    snapshots = rds.describe_db_cluster_snapshots(SnapshotType="manual")["DBClusterSnapshots"]
    taken = [snapshot["DBClusterSnapshotIdentifier"] for snapshot in snapshots]
    assert taken == [run.messages[-1]["snapshot"]["id"]]


def test_a_snapshot_of_a_database_that_does_not_exist_refuses_the_release(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy(SnapshotKind="rds", DbInstanceIdentifier="nowhere")
    run = stack.release(project_factory(GOOD), "1.0.0", tmp_path)

    assert (run.status, run.error) == ("FAILED", "SnapshotFailed")
    assert run.told == ["started", "refused"]
    assert "DbInstanceIdentifier" in run.messages[-1]["error"]["hint"]
    assert_untouched(database)


def assert_untouched(database: str) -> None:
    """There is not even a history."""
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT relname FROM pg_class WHERE relnamespace = 2200")
        assert rows.fetchall() == []


def read_secret(stack: Stack) -> str:
    answer = stack.client("secretsmanager").get_secret_value(SecretId="database")
    return str(answer["SecretString"])


def await_busy(database: str, run: str) -> None:
    """Until the run has asked for the lock, which it does in a session under its name."""
    with psycopg.connect(database, autocommit=True) as connection:
        query = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE application_name = %s AND query LIKE '%%advisory%%'"
        )
        for _ in range(6000):
            (found,) = connection.execute(query, [f"turnback/{run}"]).fetchone() or (0,)
            if found:
                return
    raise AssertionError(f"{run} never asked for the lock")
