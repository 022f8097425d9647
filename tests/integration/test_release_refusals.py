"""What a run refuses before anything is changed, and that it says so."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from tests.conftest import ProjectFactory
from tests.integration.moto_stack import TARGET
from tests.integration.releases import FIRST, GOOD, Deploy, assert_untouched, tables
from tests.real_events import event


def test_a_wrong_checksum_is_refused_and_changes_nothing(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    version = stack.upload(project_factory(GOOD), "1.0.0", tmp_path)
    key = f"artifacts/{TARGET}/1.0.0.zip"
    order = {"bucket": stack.bucket, "key": key, "version_id": version, "sha256": "0" * 64}
    run = stack.ended(stack.start({"artifact": order}))

    assert (run.status, run.error) == ("FAILED", "ChecksumMismatch")
    assert run.statuses == ["refused"]
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
    assert run.statuses == ["refused"]
    assert run.messages[0]["error"]["file"] == "sql/0001_users.sql"
    assert tables(database) == {"users", "nodes"}


def test_what_is_no_artifact_is_refused(deploy: Deploy, database: str) -> None:
    stack = deploy()
    key = f"artifacts/{TARGET}/1.0.0.zip"
    version = stack.put(b"no zip at all", key)
    started = stack.uploaded(key, version)
    run = stack.ended(started["runs"][0]["run"])

    assert (run.status, run.error) == ("FAILED", "InvalidArtifact")
    assert run.statuses == ["refused"]
    assert run.messages[0]["release"] == "1.0.0"
    assert run.messages[0]["upload"] == {
        "bucket": stack.bucket,
        "key": key,
        "version_id": version,
        "size": event("s3_upload")["Records"][0]["s3"]["object"]["size"],
        "by": "AWS:AIDAJDPLRKLG7UEXAMPLE",
    }
    assert_untouched(database)


def test_a_lower_release_than_the_last_is_refused(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    stack.release(project_factory(FIRST), "1.2.0", tmp_path)
    run = stack.release(project_factory(GOOD), "1.1.9", tmp_path)

    assert (run.status, run.error) == ("FAILED", "ReleaseTooOld")
    assert run.statuses == ["refused"]
    assert tables(database) == {"users", "nodes"}


def test_a_migration_without_a_rollback_is_refused_where_the_policy_demands_one(
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
    assert run.statuses == ["refused"]
    assert "snapshot" in run.messages[0]["error"]["message"]
    assert_untouched(database)


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
    assert message["upload"]["key"] == key and message["upload"]["by"]
    assert message["status"] == message["attributes"]["status"] == "refused"
    assert said in message["error"]["message"] and message["error"]["hint"]
    assert_untouched(database)


def test_the_test_event_of_s3_starts_nothing(deploy: Deploy) -> None:
    assert deploy().invoke("on_upload", event("s3_test_event")) == {"runs": [], "refused": []}


def test_an_execution_started_with_nonsense_is_refused_and_announced(
    deploy: Deploy, database: str
) -> None:
    stack = deploy()
    run = stack.ended(stack.start({"artifact": "what?"}))

    assert (run.status, run.error) == ("FAILED", "ConfigurationError")
    assert run.statuses == ["refused"]
    assert "'artifact'" in run.messages[0]["error"]["message"]
    assert_untouched(database)


def test_what_became_pending_after_the_plan_is_not_applied(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy(Environment="production", SnapshotKind="dump")
    stack.release(project_factory(FIRST), "1.0.0", tmp_path)
    # While the dump is taken, somebody rolls 0002 back by hand.
    run_history = "UPDATE migrations SET rolled_back_at = now() WHERE version = '0002'"
    version = stack.upload(project_factory(GOOD), "1.1.0", tmp_path)
    key = f"artifacts/{TARGET}/1.1.0.zip"
    artifact = {"bucket": stack.bucket, "key": key, "version_id": version}
    order = {"run": "r-x", "target": TARGET, "artifact": artifact}
    plan = stack.invoke("validate", {"state": order})
    with psycopg.connect(database) as connection:
        connection.execute(run_history)
    answer = stack.client("lambda").invoke(
        FunctionName="apply", Payload=json.dumps({"state": {**order, "plan": plan}})
    )
    error = json.loads(answer["Payload"].read())

    assert error["errorType"] == "BaseChanged"
    assert "others have applied or rolled back 0002" in error["errorMessage"]
    assert tables(database) == {"users", "nodes"}
