"""The definition that is deployed, with the handlers that are deployed, on a real Postgres."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import ProjectFactory
from tests.integration.command_line import turnback
from tests.integration.moto_stack import TARGET
from tests.integration.releases import (
    BROKEN,
    FIRST,
    GOOD,
    LEFT_HALF_DONE,
    NO_WAY_BACK,
    Deploy,
    assert_untouched,
    by_version,
    health,
    tables,
)


def test_an_uploaded_release_is_applied_and_announced(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    run = stack.release(project_factory(GOOD), "1.0.0", tmp_path)

    assert run.status == "SUCCEEDED"
    assert tables(database) == {"users", "nodes", "edges"}
    assert health(database) == dict.fromkeys(["0001", "0002", "0003"], "applied")
    assert run.statuses == ["started", "succeeded"]
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
    assert run.statuses == ["succeeded"]
    assert "nothing to do" in run.messages[0]["summary"]
    assert tables(database) == {"users", "nodes"}


def test_a_dry_run_writes_the_plan_and_changes_nothing(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    version = stack.upload(project_factory(GOOD), "1.0.0", tmp_path)
    artifact = {"bucket": stack.bucket, "key": f"artifacts/{TARGET}/1.0.0.zip"}
    started = stack.start({"artifact": {**artifact, "version_id": version}, "dry_run": True})
    run = stack.ended(started)

    assert run.status == "SUCCEEDED"
    assert run.statuses == ["succeeded"]
    assert "(dry run): 3 migrations to be applied" in run.messages[0]["summary"]
    assert by_version(run.messages[0]) == dict.fromkeys(["0001", "0002", "0003"], "pending")
    assert [row["version"] for row in stack.record(started, "plan")["migrations"]] == [
        "0001",
        "0002",
        "0003",
    ]
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
    assert run.statuses == ["started", "rolled_back"]
    last = run.messages[-1]
    assert by_version(last) == {"0003": "rolled_back", "0004": "failed"}
    assert last["rolled_back"] == ["0003"]
    error = last["error"]
    assert (error["file"], error["line"]) == ("sql/0004_tags.sql", 2)
    assert error["sqlstate"] == "42703" and error["hint"]
    assert json.loads(json.loads(run.cause or "")["errorMessage"])["line"] == 2


def test_a_release_that_failed_can_be_fixed_and_released_again(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    stack.release(project_factory(BROKEN), "1.0.0", tmp_path)
    fixed = {**BROKEN, "sql/0004_tags.sql": "CREATE TABLE tags (id bigint);\n"}
    run = stack.release(project_factory(fixed), "1.0.1", tmp_path)

    assert run.status == "SUCCEEDED"
    assert tables(database) == {"users", "nodes", "edges", "tags"}


def test_a_rollback_that_fails_needs_a_person_and_says_both_errors(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run = deploy().release(project_factory(NO_WAY_BACK), "1.0.0", tmp_path)

    assert (run.status, run.error) == ("FAILED", "NeedsAPerson")
    assert run.statuses == ["started", "needs_a_person"]
    last = run.messages[-1]
    assert last["error"]["type"] == "MigrationFailed"
    assert last["rollback_error"]["type"] == "RollbackFailed"
    assert last["rollback_error"]["file"] == "rollback/0003_rollback.sql"
    assert tables(database) == {"users", "nodes", "edges"}


def test_a_migration_left_half_done_outside_a_transaction_is_taken_back_with_the_rest(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    run = stack.release(project_factory(LEFT_HALF_DONE), "1.0.0", tmp_path)

    assert (run.status, run.error) == ("FAILED", "MigrationIncomplete")
    assert run.statuses == ["started", "rolled_back"]
    assert run.messages[-1]["rolled_back"] == ["0004", "0003", "0002", "0001"]
    assert stack.record(run.messages[-1]["run"], "report")["verified"] == "exact"
    assert tables(database) == set()
    assert set(health(database).values()) == {"rolled_back"}


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
    assert run.statuses == []


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
    assert run.statuses == ["started", "succeeded"] and stack.messages() == []
    executions = stack.client("stepfunctions").list_executions(stateMachineArn=stack.machine)
    assert len(executions["executions"]) == 1


def test_the_same_release_uploaded_anew_is_a_new_run(
    deploy: Deploy, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    folder = project_factory(GOOD)
    first = stack.release(folder, "1.0.0", tmp_path)
    second = stack.release(folder, "1.0.0", tmp_path)

    assert (first.statuses, second.statuses) == (["started", "succeeded"], ["succeeded"])


def test_after_a_rollback_that_failed_health_names_it(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    folder = project_factory(NO_WAY_BACK)
    run = deploy().release(folder, "1.0.0", tmp_path)
    assert run.statuses == ["started", "needs_a_person"]
    answer = turnback("health", "--json", url=database, folder=folder)
    assert answer.code == 3
    first, second = answer.document["problems"]
    assert first.startswith("the rollback of 0003 edges failed: rollback/0003_rollback.sql:1:1: ")
    assert first.endswith(f"; 0001, 0002, 0003 of {run.messages[-1]['run']} are still applied")
    assert second.startswith('0004 tags failed: sql/0004_tags.sql:2:1: column "x" referenced')
