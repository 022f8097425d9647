"""Runs that take several calls, wait for others, or lose an answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from turnback.engine.session.lock import lock_key

from tests.conftest import ProjectFactory
from tests.integration.moto_stack import TARGET
from tests.integration.releases import (
    FIRST,
    GOOD,
    SLOW,
    Deploy,
    await_busy,
    by_version,
    execution_of,
    health,
    rollback_of,
    tables,
)
from tests.integration.terminal import until
from tests.integration.test_release_turns import states
from tests.real_events import event


def test_a_release_that_takes_several_calls_is_one_run(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    stack.set_timeout("apply", 30)
    run = stack.release(project_factory(SLOW), "1.0.0", tmp_path)

    assert run.status == "SUCCEEDED"
    assert run.states.count("Apply") == 4
    assert run.statuses == ["started", "succeeded"]
    assert set(by_version(run.messages[-1]).values()) == {"applied"}
    assert None not in [row["execution_ms"] for row in run.messages[-1]["migrations"]]
    assert len(health(database)) == 5


def test_a_rollback_that_takes_several_calls_undoes_everything(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    stack.set_timeout("roll_back", 30)
    broken = {**SLOW, "sql/0006_bad.sql": "SELECT 1/0;\n", "rollback/0006_rollback.sql": ""}
    run = stack.release(project_factory(broken), "1.0.0", tmp_path)

    assert (run.status, run.error) == ("FAILED", "MigrationFailed")
    assert run.states.count("RollBack") > 1
    assert run.messages[-1]["rolled_back"] == ["0005", "0004", "0003", "0002", "0001"]
    assert tables(database) == set()


def test_applying_again_after_an_answer_that_was_lost_changes_nothing(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    run = stack.release(project_factory(GOOD), "1.0.0", tmp_path)
    before = health(database)
    state = event("apply")
    artifact = stack.record(run.messages[0]["run"], "plan")["artifact"]
    state["state"] |= {"run": run.messages[0]["run"], "artifact": artifact}
    state["state"]["plan"]["sha256"] = artifact["sha256"]
    state["execution"] = execution_of(stack, run.messages[0]["run"])

    assert stack.invoke("apply", state) == {
        "done": True,
        "applied": 0,
        "rolled_back": 0,
        "remaining": 0,
        "backfills": 0,
        "running": None,
        "wait_seconds": 0,
        "verified": None,
    }
    assert health(database) == before


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
    assert run.statuses == ["started", "succeeded"]
    assert tables(database) == {"users", "nodes", "edges"}


def test_no_migration_begins_while_a_window_is_open_that_the_stack_avoids(
    deploy: Deploy,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("turnback.runs.apply._LOOK_S", 1)
    now = datetime.now(UTC)
    window = f"{now - timedelta(hours=1):%H:00}-{now + timedelta(hours=2):%H:00}"
    stack = deploy(Avoid=f"{window}, 04:00-04:01")
    version = stack.upload(project_factory(GOOD), "1.0.0", tmp_path)
    run_id = stack.uploaded(f"artifacts/{TARGET}/1.0.0.zip", version)["runs"][0]["run"]
    until(lambda: "WaitForApply" in states(stack, run_id))
    assert tables(database) == set()
    stack.set_variables("apply", AVOID="")

    run = stack.ended(run_id)

    assert run.status == "SUCCEEDED"
    assert f"no migration begins from {window} UTC" in str(run.messages)
    assert tables(database) == {"users", "nodes", "edges"}


def test_what_another_run_holds_was_not_changed_by_this_one(deploy: Deploy, database: str) -> None:
    """A run that never had the lock applied nothing, so that needs no person."""
    stack = deploy()
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [lock_key("public")])
        result = stack.invoke("roll_back", rollback_of(stack, "r-never"))
    assert result == {
        "done": True,
        "applied": 0,
        "rolled_back": 0,
        "remaining": 0,
        "backfills": 0,
        "running": None,
        "wait_seconds": 0,
        "verified": "unknown",
    }


def test_a_rollback_awaits_what_its_own_run_still_does_in_the_server(
    deploy: Deploy, database: str
) -> None:
    """An apply that was cut off may commit later; only then is there something to undo."""
    stack = deploy()
    state = rollback_of(stack, "r-cut-off")
    with psycopg.connect(database, autocommit=True, application_name="turnback/r-cut-off") as own:
        own.execute("SELECT pg_advisory_lock(%s)", [lock_key("public")])
        assert stack.invoke("roll_back", state)["done"] is False
    assert stack.invoke("roll_back", state)["done"] is True


def test_a_statement_that_outlasts_a_call_is_left_to_the_server_and_awaited(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy(RunnerWaitSeconds="1")
    stack.set_timeout("apply", 30)
    slow = {**FIRST, "sql/0003_slow.sql": "CREATE TABLE slow AS SELECT pg_sleep(3)::text;\n"}
    slow["rollback/0003_rollback.sql"] = "DROP TABLE slow;\n"
    run = stack.release(project_factory(slow), "1.0.0", tmp_path)

    assert run.status == "SUCCEEDED"
    assert run.states.count("Apply") > 1
    assert run.statuses[0] == "started"
    assert set(run.statuses[1:-1]) == {"applying"}
    assert "has been running for" in run.messages[1]["progress"]
    assert run.statuses[-1] == "succeeded"
    assert set(by_version(run.messages[-1]).values()) == {"applied"}
    assert None not in [row["execution_ms"] for row in run.messages[-1]["migrations"]]
    assert tables(database) == {"users", "nodes", "slow"}
