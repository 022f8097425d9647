"""Runs of one target wait for each other, in the order of their uploads."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from turnback.runs.turn import Place, TurnRecord, turn_key

from tests.conftest import ProjectFactory
from tests.integration.moto_stack import TARGET, Stack
from tests.integration.releases import BROKEN, FIRST, GOOD, NO_WAY_BACK, Deploy, Interrupt, tables
from tests.integration.terminal import (
    at_the_terminal,
    released,
    turnback,
    until,
    without_pauses,
)

PATIENCE_S = 60


@pytest.fixture
def stack(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A deployed stack, found by the commands."""
    return at_the_terminal(deploy(), monkeypatch)


def states(stack: Stack, run: str) -> list[str]:
    """The states that a run has entered so far."""
    return [
        item["stateEnteredEventDetails"]["name"]
        for item in stack.execution(run).to_history_output()["events"]
        if "stateEnteredEventDetails" in item
    ]


def one_waits(
    stack: Stack, project_factory: ProjectFactory, before: Interrupt
) -> tuple[threading.Event, str, str]:
    """A run that applies until the event is set, and one that waits for it."""
    applying = threading.Event()
    before("apply", lambda: applying.wait(PATIENCE_S))
    first = released(project_factory(FIRST), "1.0.0")
    until(lambda: "Apply" in states(stack, first))
    second = released(project_factory(GOOD), "1.1.0")
    until(lambda: "WaitForTurn" in states(stack, second))
    return applying, first, second


def test_a_run_waits_for_its_turn_says_so_and_can_be_cancelled_at_once(
    stack: Stack, database: str, project_factory: ProjectFactory, before: Interrupt
) -> None:
    applying, first, second = one_waits(stack, project_factory, before)
    third = released(project_factory(GOOD), "1.2.0")
    until(lambda: "WaitForTurn" in states(stack, third))

    rows = {row["run"]: row for row in turnback("runs", "--json").document["runs"]}
    assert rows[first]["status"] == "applying" and rows[first]["waits_for"] is None
    assert rows[second]["status"] == rows[third]["status"] == "waiting"
    assert rows[third]["waits_for"] == f"waits for {first} (1.0.0), 1 before it"

    cancelled = turnback("cancel", second, "--reason", "wrong one", "--json")
    assert (cancelled.code, cancelled.document["status"]) == (0, "refused")
    assert "wrong one; nothing was changed" in cancelled.document["error"]["message"]
    assert "Validate" not in states(stack, second)

    applying.set()
    run = stack.ended(third)
    assert run.status == stack.ended(first).status == "SUCCEEDED"
    assert tables(database) == {"users", "nodes", "edges"}
    told = [message["summary"] for message in run.messages if message["status"] == "waiting"]
    assert told[0] == f"release 1.1.0 on learning waits for {first} (1.0.0)"
    assert {message["upload"]["key"] for message in run.messages} == {
        f"artifacts/{TARGET}/1.{number}.0.zip" for number in range(3)
    }


def test_an_artifact_that_nobody_can_read_does_not_wait(
    stack: Stack, project_factory: ProjectFactory, before: Interrupt
) -> None:
    applying = threading.Event()
    before("apply", lambda: applying.wait(PATIENCE_S))
    first = released(project_factory(FIRST), "1.0.0")
    until(lambda: "Apply" in states(stack, first))
    key = f"artifacts/{TARGET}/1.1.0.zip"
    started = stack.uploaded(key, stack.put(b"no zip", key))
    run = stack.ended(started["runs"][0]["run"])

    assert (run.error, "WaitForTurn" in run.states) == ("InvalidArtifact", False)
    applying.set()
    assert stack.ended(first).status == "SUCCEEDED"


def test_after_a_run_that_needs_a_person_the_fix_goes_first_and_then_the_others(
    stack: Stack, database: str, project_factory: ProjectFactory, tmp_path: Path, before: Interrupt
) -> None:
    applying = threading.Event()
    before("apply", lambda: applying.wait(PATIENCE_S))
    stuck = released(project_factory(NO_WAY_BACK), "1.0.0")
    until(lambda: "Apply" in states(stack, stuck))
    fixed = NO_WAY_BACK | {"sql/0004_tags.sql": "CREATE TABLE tags (id bigint);\n"}
    fixed |= {"rollback/0003_rollback.sql": "DROP TABLE edges;\n"}
    earlier = released(project_factory(fixed), "1.1.0")
    until(lambda: "WaitForTurn" in states(stack, earlier))
    applying.set()
    assert stack.ended(stuck).error == "NeedsAPerson"

    rows = {row["run"]: row for row in turnback("runs", "--json").document["runs"]}
    assert rows[earlier]["waits_for"] == f"waits, because {stuck} needs a person"
    assert "turnback resume" in turnback("runs").out
    fix = stack.release(project_factory(fixed), "1.2.0", tmp_path)
    assert (fix.status, fix.states[-1]) == ("SUCCEEDED", "Succeeded")
    assert stack.ended(earlier).states[-1] == "Superseded"
    assert "tags" in tables(database)


def test_a_person_lets_the_others_go_on(
    stack: Stack, project_factory: ProjectFactory, before: Interrupt
) -> None:
    applying = threading.Event()
    before("apply", lambda: applying.wait(PATIENCE_S))
    stuck = released(project_factory(NO_WAY_BACK), "1.0.0")
    until(lambda: "Apply" in states(stack, stuck))
    earlier = released(project_factory(NO_WAY_BACK | {"sql/0004_tags.sql": "SELECT 1;\n"}), "1.1.0")
    until(lambda: "WaitForTurn" in states(stack, earlier))
    applying.set()
    assert stack.ended(stuck).error == "NeedsAPerson"

    answer = turnback("resume", "--json")
    assert (answer.code, answer.document["status"]) == (0, "succeeded")
    assert stack.ended(earlier).status == "SUCCEEDED"
    assert turnback("resume", "--json").document["status"] == "nothing_to_do"


def turn_of(stack: Stack, run: str | None) -> None:
    """Let another run have the turn, as after a run has ended and before it is redriven."""
    holder = Place(run, "2026-11-22T15:00:00+00:00", "2026-11-22T15:00:00+00:00") if run else None
    body = json.dumps(TurnRecord(holder).to_state())
    stack.client("s3").put_object(Bucket=stack.bucket, Key=turn_key(TARGET), Body=body.encode())


# Neither emulator can redrive an execution: what a redrive finds is written before the step.
@pytest.mark.parametrize(("step", "function"), [("Snapshot", "snapshot"), ("Apply", "apply")])
def test_a_redriven_run_whose_turn_has_passed_asks_for_it_again_and_is_planned_again(
    deploy: Deploy,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    before: Interrupt,
    step: str,
    function: str,
) -> None:
    stack = deploy(SnapshotKind="dump")
    before(function, lambda: turn_of(stack, "r-other"))
    run = stack.release(project_factory(GOOD), "1.0.0", tmp_path)
    assert run.statuses[-1] == "succeeded", run.cause
    at = run.states.index(step)
    # TakeTurn finds that r-other has ended.
    assert run.states[at + 1 : at + 4] == ["TakeTurn", "IsMyTurn", "Validate"]
    assert run.states.count(step) == 2
    assert tables(database) == {"users", "nodes", "edges"}


@pytest.mark.parametrize(
    ("folder", "files", "end"),
    [("roll_back", BROKEN, "rolled_back"), ("restore", NO_WAY_BACK, "restored")],
)
def test_a_redriven_run_undoes_nothing_while_another_one_has_the_turn(
    deploy: Deploy,
    project_factory: ProjectFactory,
    tmp_path: Path,
    before: Interrupt,
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
    files: dict[str, str],
    end: str,
) -> None:
    without_pauses(monkeypatch)
    stack = deploy(SnapshotKind="dump", RestorePolicy="automatic")
    # The first call only wakes the function.
    before(folder, lambda: None)
    before(folder, lambda: turn_of(stack, "r-other"))
    before(folder, lambda: turn_of(stack, None))
    run = stack.release(project_factory(files), "1.0.0", tmp_path)
    assert run.statuses[-1] == end, run.cause
    waited = [
        json.loads(item["taskFailedEventDetails"]["cause"])["errorType"]
        for item in stack.execution(run.messages[-1]["run"]).to_history_output()["events"]
        if item.get("taskFailedEventDetails", {}).get("resourceType") == "lambda"
    ]
    assert "TurnLost" in waited


def test_health_names_the_runs_that_wait(
    stack: Stack, database: str, project_factory: ProjectFactory, before: Interrupt
) -> None:
    applying, first, second = one_waits(stack, project_factory, before)
    answer = turnback("health", "--stack", "turnback", "--database-url", database, "--json")
    assert answer.code == 0, answer.err
    assert answer.document["waiting"] == [f"{second} (1.1.0) waits for {first} (1.0.0)"]
    applying.set()
    assert stack.ended(second).status == "SUCCEEDED"
