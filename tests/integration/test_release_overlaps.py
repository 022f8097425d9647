"""Runs whose database somebody else changes: a laptop, another stack, another release."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
from turnback.engine import Engine, RunContext
from turnback.migrations.discovery import load_project

from tests.conftest import ProjectFactory
from tests.integration.moto_stack import TARGET, Stack
from tests.integration.releases import FIRST, GOOD, SLOW, Deploy, Interrupt, health, tables

ONE = {path: text for path, text in FIRST.items() if "0001" in path}
OTHER = {
    **ONE,
    "sql/0002_other.sql": "CREATE TABLE other (id bigint);\n",
    "rollback/0002_rollback.sql": "DROP TABLE other;\n",
}
ANN = "arn:aws:iam::123456789012:user/ann"


def migrate(
    database: str, folder: Path, *, down: str | None = None, release: str | None = None
) -> None:
    """As ``turnback up`` and ``down`` on somebody's laptop; with a release, as another stack."""
    with Engine(database, context=RunContext("r-other", release)) as engine:
        project = load_project(folder)
        plan = engine.plan_down(project, target=down) if down else engine.plan_up(project)
        assert engine.run(plan).error is None


def test_a_run_whose_work_a_laptop_has_begun_does_the_rest_of_it(
    deploy: Deploy,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    before: Interrupt,
) -> None:
    stack = deploy()
    before("apply", lambda: migrate(database, project_factory(ONE)))
    run = stack.release(project_factory(GOOD), "1.0.0", tmp_path)

    assert (run.status, run.statuses) == ("SUCCEEDED", ["started", "succeeded"])
    assert [state for state in run.states if state in ("Validate", "Apply", "RollBack")] == [
        *("Validate", "Apply", "Validate", "Apply")
    ]
    assert run.messages[-1]["migration_count"] == 2
    assert tables(database) == {"users", "nodes", "edges"}


def test_a_run_counts_what_it_did_itself(
    deploy: Deploy,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    before: Interrupt,
) -> None:
    """Between two of its calls a laptop applies one of its migrations."""
    stack = deploy()
    stack.set_timeout("apply", 30)
    slow = project_factory(SLOW)
    before("apply", lambda: None)
    before("apply", lambda: migrate(database, slow))
    run = stack.release(slow, "1.0.0", tmp_path)

    last = run.messages[-1]
    with psycopg.connect(database) as connection:
        query = "SELECT count(*) FROM migration_log WHERE run_id = %s AND outcome = 'done' "
        query += "AND direction = 'up' AND statement IS NULL"
        ((did,),) = connection.execute(query, [last["run"]]).fetchall()
    assert last["status"] == "succeeded"
    assert 0 < did < last["migration_count"] == 5
    assert last["done_count"] == did
    assert f"succeeded: {did} migration" in last["summary"]
    assert f"and {5 - did} more by others meanwhile" in last["summary"]


def test_a_release_that_a_newer_one_overtakes_is_superseded(
    deploy: Deploy,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    before: Interrupt,
) -> None:
    stack = deploy()
    good = project_factory(GOOD)
    before("apply", lambda: migrate(database, good, release="1.1.0"))
    run = stack.release(project_factory(FIRST), "1.0.0", tmp_path)

    assert (run.status, run.states[-1]) == ("SUCCEEDED", "Superseded")
    assert run.statuses == ["started", "superseded"]
    assert run.messages[-1]["superseded_by"] == "1.1.0"
    assert "superseded by 1.1.0" in run.messages[-1]["summary"]
    assert tables(database) == {"users", "nodes", "edges"}


def test_an_old_release_with_a_migration_that_the_newer_lacks_is_refused_and_named(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    stack.release(project_factory(ONE), "1.1.0", tmp_path)
    run = stack.release(project_factory(OTHER), "1.0.0", tmp_path)

    assert (run.status, run.error) == ("FAILED", "ReleaseTooOld")
    assert "0002 (other), which is not in it" in run.messages[0]["error"]["message"]
    assert tables(database) == {"users"}


def test_a_run_that_a_laptop_has_made_wrong_is_refused_and_not_called_rolled_back(
    deploy: Deploy,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    before: Interrupt,
) -> None:
    stack = deploy()
    before("apply", lambda: migrate(database, project_factory(OTHER)))
    run = stack.release(project_factory(GOOD), "1.0.0", tmp_path)

    assert (run.status, run.error) == ("FAILED", "HistoryConflict")
    assert run.statuses == ["started", "refused"]
    assert "RollBack" not in run.states
    assert health(database) == dict.fromkeys(["0001", "0002"], "applied")


def test_a_run_back_whose_release_a_laptop_has_undone_has_nothing_to_do(
    deploy: Deploy,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    before: Interrupt,
) -> None:
    stack = deploy()
    stack.release(project_factory(FIRST), "1.0.0", tmp_path)
    good = project_factory(GOOD)
    stack.release(good, "1.1.0", tmp_path)
    before("apply", lambda: migrate(database, good, down="0002"))
    run = stack.ended(stack.start({"rollback_to": "1.0.0"}))

    assert (run.status, run.statuses) == ("SUCCEEDED", ["started", "succeeded"])
    assert "nothing to do" in run.messages[-1]["summary"]


def test_a_run_that_is_overtaken_each_time_gives_up_and_has_changed_nothing(
    deploy: Deploy,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    before: Interrupt,
) -> None:
    stack, one = deploy(), project_factory(ONE)
    for _ in range(3):
        before("apply", lambda: migrate(database, one))
        before("apply", lambda: migrate(database, one, down="0"))
    run = stack.release(project_factory(GOOD), "1.0.0", tmp_path)

    assert (run.status, run.error) == ("FAILED", "BaseChanged")
    assert run.statuses == ["started", "refused"]
    assert tables(database) == set()


def test_the_snapshot_of_a_run_that_was_planned_again_is_a_new_one(
    deploy: Deploy,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    before: Interrupt,
) -> None:
    stack = deploy(SnapshotKind="dump")
    before("apply", lambda: migrate(database, project_factory(ONE)))
    run = stack.release(project_factory(GOOD), "1.0.0", tmp_path)

    assert run.status == "SUCCEEDED"
    first, second = (m["snapshot"]["id"] for m in run.messages if m["status"] == "snapshot_taken")
    assert second == first.replace(".dump", "-2.dump")
    kept = stack.client("s3").get_object(
        Bucket=stack.bucket, Key=f"{second.partition(stack.bucket + '/')[2]}.json"
    )
    assert json.loads(kept["Body"].read())["schema_version"] == "0001"


def test_an_approval_is_good_for_the_plan_that_was_shown(
    deploy: Deploy,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    before: Interrupt,
) -> None:
    approvers = json.dumps([{"name": "ann", "aws": ANN}])
    stack = deploy(Approvals="one", ApproveAlways="yes", Approvers=approvers)
    before("apply", lambda: migrate(database, project_factory(ONE)))
    run_id = _uploaded(stack, project_factory(GOOD), tmp_path)
    _approve(stack, run_id, "release")
    _approve(stack, run_id, "release-2")
    run = stack.ended(run_id)

    assert run.status == "SUCCEEDED"
    assert [message["migration_count"] for message in run.messages] == [3, 3, 2, 2]
    assert run.statuses == ["started", "awaiting_approval", "awaiting_approval", "succeeded"]
    asked = stack.record(run_id, "report")["approvals"]
    assert [row["gate"] for row in asked] == ["release", "release-2"]


def _uploaded(stack: Stack, folder: Path, tmp_path: Path) -> str:
    version = stack.upload(folder, "1.0.0", tmp_path)
    started = stack.uploaded(f"artifacts/{TARGET}/1.0.0.zip", version)
    return str(started["runs"][0]["run"])


def _approve(stack: Stack, run: str, gate: str) -> None:
    """As soon as the question is there."""
    key = f"runs/{run}/approvals/{gate}.json"
    for _ in range(6000):
        found = stack.client("s3").list_objects_v2(Bucket=stack.bucket, Prefix=key)
        if found["KeyCount"]:
            break
        assert not hasattr(stack.execution(run), "ended"), f"{gate} was never asked"
    answer = {"run": run, "gate": gate, "decision": "approved", "person": {"arn": ANN}}
    stack.invoke("answer", answer)
