"""A run's snapshot, of each kind: there before anything is changed, and worth something."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from turnback.aws.rds_snapshots import InstanceSnapshots, RdsSnapshot
from turnback.recovery.dumps.programs import binary

from tests.conftest import ProjectFactory
from tests.integration.moto_stack import TARGET, Stack
from tests.integration.releases import (
    BROKEN,
    FIRST,
    GOOD,
    Deploy,
    assert_untouched,
    read_secret,
    tables,
)


def test_a_dump_is_taken_first_and_restores_what_was_there(
    deploy: Deploy,
    database: str,
    admin: psycopg.Connection[Any],
    project_factory: ProjectFactory,
    tmp_path: Path,
) -> None:
    stack = deploy(Environment="production", SnapshotKind="dump", Rehearse="never")
    stack.release(project_factory(FIRST), "1.0.0", tmp_path)
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO users SELECT n, 'a''b' FROM generate_series(1, 500) n")
    run = stack.release(project_factory(BROKEN), "1.1.0", tmp_path)

    assert run.statuses == ["started", "snapshot_taken", "rolled_back"]
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
        "schema_version": "0002",
        "target": TARGET,
        "created-by": "turnback",
        "turnback-stack": "turnback",
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
    assert run.statuses == ["started", "refused"]
    assert "permission denied" in run.messages[-1]["error"]["message"]
    assert tables(database) == {"users", "nodes"}
    s3 = stack.client("s3")
    prefix = f"snapshots/{TARGET}/{run.messages[-1]['run']}"
    assert "Contents" not in s3.list_objects_v2(Bucket=stack.bucket, Prefix=prefix)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=stack.bucket)


def test_a_run_removes_the_dumps_that_are_too_old(
    deploy: Deploy, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy(SnapshotKind="dump", SnapshotsKept="1")
    s3 = stack.client("s3")
    stack.release(project_factory(FIRST), "1.0.0", tmp_path)
    [record] = [key for key in dumps(stack) if key.endswith(".json")]
    kept = json.loads(s3.get_object(Bucket=stack.bucket, Key=record)["Body"].read())
    kept["taken_at"] = "2026-01-01T00:00:00+00:00"
    s3.put_object(Bucket=stack.bucket, Key=record, Body=json.dumps(kept))
    run = stack.release(project_factory(GOOD), "1.1.0", tmp_path)
    assert run.status == "SUCCEEDED"
    assert {key.partition(".")[0] for key in dumps(stack)} == {
        f"snapshots/{TARGET}/{run.messages[-1]['run']}"
    }


def dumps(stack: Stack) -> list[str]:
    """The keys of all dumps, and of their records."""
    found = stack.client("s3").list_objects_v2(Bucket=stack.bucket, Prefix="snapshots/")
    return [row["Key"] for row in found.get("Contents", [])]


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
    truth, seen = InstanceSnapshots.find, []

    def slow(service: InstanceSnapshots, identifier: str) -> RdsSnapshot | None:
        found = truth(service, identifier)
        if found is None or len(seen) >= 2:
            return found
        seen.append(tables(database))
        return replace(found, status="creating")

    monkeypatch.setattr(InstanceSnapshots, "find", slow)
    run = stack.release(project_factory(GOOD), "1.0.0", tmp_path)

    assert run.status == "SUCCEEDED"
    assert seen == [set(), set()]
    assert run.states.count("WaitForSnapshot") == 2
    assert run.statuses == ["started", "snapshot_taken", "succeeded"]
    (snapshot,) = stack.client("rds").describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    assert snapshot["DBSnapshotIdentifier"] == run.messages[-1]["snapshot"]["id"]
    assert {tag["Key"]: tag["Value"] for tag in snapshot["TagList"]} == {
        "run": run.messages[-1]["run"],
        "release": "1.0.0",
        "schema_version": "none",
        "target": TARGET,
        "created-by": "turnback",
        "turnback-stack": "turnback",
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

    assert run.statuses == ["started", "snapshot_taken", "succeeded"]
    snapshots = rds.describe_db_cluster_snapshots(SnapshotType="manual")["DBClusterSnapshots"]
    taken = [snapshot["DBClusterSnapshotIdentifier"] for snapshot in snapshots]
    assert taken == [run.messages[-1]["snapshot"]["id"]]


def test_a_snapshot_of_a_database_that_does_not_exist_refuses_the_release(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy(SnapshotKind="rds", DbInstanceIdentifier="nowhere")
    run = stack.release(project_factory(GOOD), "1.0.0", tmp_path)

    assert (run.status, run.error) == ("FAILED", "SnapshotFailed")
    assert run.statuses == ["started", "refused"]
    assert "DbInstanceIdentifier" in run.messages[-1]["error"]["hint"]
    assert_untouched(database)


def test_what_a_dump_cannot_hold_is_in_the_report_of_the_run(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE EXTENSION hstore VERSION '1.4'")
    run = deploy(SnapshotKind="dump").release(project_factory(FIRST), "1.0.0", tmp_path)
    last = run.messages[-1]
    assert last["status"] == "succeeded"
    [note] = [note for note in last["notes"] if "hstore" in note]
    assert note.startswith("not restored as it is: extension hstore: a restore makes version")
