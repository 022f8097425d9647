"""``turnback cancel``: a run that a person stops, and what became of the database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from turnback.aws.stepfunctions import Position, StateMachine

from tests.conftest import ProjectFactory
from tests.integration.moto_stack import Stack
from tests.integration.releases import FIRST, GOOD, SLOW, Deploy, health, tables
from tests.integration.terminal import (
    another_run,
    at_the_terminal,
    released,
    turnback,
    until,
)


@pytest.fixture
def stack(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A deployed stack, found by the commands."""
    return at_the_terminal(deploy(), monkeypatch)


def asked_to_stop(stack: Stack, run: str) -> bool:
    """Whether somebody has cancelled the run."""
    found = stack.client("s3").list_objects_v2(Bucket=stack.bucket, Prefix=f"runs/{run}/cancel")
    return bool(found["KeyCount"])


def states_of(executions: StateMachine, run: str) -> set[str]:
    """The states that a run has entered lately."""
    return {
        event["stateEnteredEventDetails"]["name"]
        for event in executions.events(run, Position())[0]
        if "stateEnteredEventDetails" in event
    }


@contextmanager
def held_up(database: str, stack: Stack) -> Iterator[Callable[[str], None]]:
    """An index on ``users`` cannot be finished, until the run that is then named is cancelled."""

    def hold(run: str) -> None:
        with psycopg.connect(database) as writer:
            writer.execute("INSERT INTO users VALUES (1, 'ann')")
            started.append(run)
            until(lambda: run_of and asked_to_stop(stack, run_of[0]))

    def building() -> bool:
        with psycopg.connect(database) as connection:
            query = "SELECT count(*) FROM pg_stat_progress_create_index"
            return bool((connection.execute(query).fetchone() or (0,))[0])

    def is_run(run: str) -> None:
        until(building)
        run_of.append(run)

    started: list[str] = []
    run_of: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(hold, "writer")
        until(lambda: started)
        yield is_run
        held.result()


def test_a_run_stops_after_the_current_migration_and_is_rolled_back(
    stack: Stack, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack.release(project_factory(FIRST), "1.0.0", tmp_path)
    with held_up(database, stack) as building:
        run = released(project_factory(SLOW), "1.1.0")
        building(run)
        answer = turnback("cancel", run[:10], "--reason", "wrong release", "--json", "-v")

    assert answer.code == 0, answer
    document = answer.document
    assert (document["run"], document["cancelled"]) == (run, True)
    assert document["status"] == "rolled_back"
    assert document["rolled_back"] == ["0003"]
    assert "wrong release" in document["error"]["message"]
    statuses = health(database)
    assert statuses["0003"] == "rolled_back"
    assert not statuses.keys() & {"0004", "0005"}
    kept = stack.record(run, "cancel")
    assert kept["reason"] == "wrong release" and kept["by"].startswith("arn:aws:")


def test_a_run_that_has_changed_nothing_yet_leaves_everything_as_it_was(
    stack: Stack, database: str, project_factory: ProjectFactory
) -> None:
    with ThreadPoolExecutor(1) as pool:
        other = another_run(database)
        other.__enter__()
        run = released(project_factory(GOOD), "1.0.0")

        def leave() -> None:
            until(lambda: asked_to_stop(stack, run))
            other.__exit__(None, None, None)

        left = pool.submit(leave)
        answer = turnback("cancel", run)
        left.result()

    assert answer.code == 0, answer
    assert "cancelled before anything was changed" in answer.out
    assert tables(database) == set()


def test_a_run_that_waits_for_approval_is_refused_at_once(
    deploy: Deploy, database: str, project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    approvers = json.dumps([{"name": "ann", "aws": "arn:aws:iam::123456789012:user/ann"}])
    deployed = deploy(Approvals="one", ApproveAlways="yes", Approvers=approvers)
    stack = at_the_terminal(deployed, monkeypatch)
    run = released(project_factory(GOOD), "1.0.0")
    found = StateMachine(stack.machine)
    until(lambda: "AskApproval" in states_of(found, run))
    until(
        lambda: stack.client("s3").list_objects_v2(
            Bucket=stack.bucket, Prefix=f"runs/{run}/approvals/release.json"
        )["KeyCount"]
    )
    [waiting] = turnback("runs", "--json").document["runs"]
    answer = turnback("cancel", run, "--reason", "not today", "--json", "-v")

    assert waiting["status"] == "awaiting_approval"
    assert answer.code == 0, answer
    assert (answer.document["status"], answer.document["cancelled"]) == ("refused", True)
    # moto loses the cause that SendTaskFailure is given.
    assert answer.document["error"]["type"] == "RunCancelled"
    assert "cancelled before anything was changed" in answer.err
    assert tables(database) == set()


def test_a_cancelled_run_without_a_rollback_exits_with_6(
    stack: Stack, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack.release(project_factory(FIRST), "1.0.0", tmp_path)
    one_way = SLOW | {"rollback/0003_rollback.sql": "DROP INDEX CONCURRENTLY nowhere;\n"}
    with held_up(database, stack) as building:
        run = released(project_factory(one_way), "1.1.0")
        building(run)
        answer = turnback("cancel", run, "--json", "-v")

    assert answer.code == 6, answer
    assert answer.document["status"] == "needs_a_person"
    assert answer.document["left_applied"] == ["0003"]


def test_a_run_that_is_over_is_left_alone(
    stack: Stack, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run = stack.release(project_factory(GOOD), "1.0.0", tmp_path).messages[-1]["run"]
    answer = turnback("cancel", run, "--json", "-v")

    assert answer.code == 3
    assert answer.document["cancelled"] is False
    assert f"the run {run} has ended: it succeeded" in answer.err
    assert not asked_to_stop(stack, run)
    assert tables(database) == {"users", "nodes", "edges"}


def test_a_run_that_rolls_back_is_not_cancelled(
    stack: Stack, database: str, project_factory: ProjectFactory
) -> None:
    slow_rollback = {
        **GOOD,
        "rollback/0003_rollback.sql": "SELECT pg_sleep(3);\nDROP TABLE edges;\n",
        "sql/0004_tags.sql": "SELECT 1/0;\n",
        "rollback/0004_rollback.sql": "SELECT 1;\n",
    }
    run = released(project_factory(slow_rollback), "1.0.0")

    def asleep() -> bool:
        with psycopg.connect(database) as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            return bool((connection.execute(query).fetchone() or (0,))[0])

    until(asleep)
    answer = turnback("cancel", run)

    assert answer.code == 3
    assert "has failed and is being rolled back (Roll back): not touched" in answer.out
    assert not asked_to_stop(stack, run)
    stack.ended(run)
    assert tables(database) == set()


@pytest.mark.usefixtures("stack")
def test_a_run_that_is_not_there_cannot_be_cancelled() -> None:
    answer = turnback("cancel", "r-unknown")
    assert answer.code == 2
    assert "has no run 'r-unknown'" in answer.err
