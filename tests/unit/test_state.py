"""The state of a run: read once, typed, written once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from turnback.errors import MigrationFailed, VerificationFailed
from turnback.runs.order import Order
from turnback.runs.state import (
    PlanRecord,
    RestoreLoss,
    RunAssessment,
    RunError,
    RunPlan,
    RunReport,
    RunState,
    TableLoss,
)

from tests.real_events import event

COUNTED = {
    "since": "2026-11-22T09:15:51+00:00",
    "seconds": 9,
    "inserted": 1,
    "updated": 0,
    "deleted": 2,
    "approximate": True,
    "reset": False,
    "tables": [{"name": "users", "inserted": 1, "updated": 0, "deleted": 2}],
}


def test_the_state_of_a_failed_run_is_read_with_its_parts() -> None:
    state = RunState.from_state(event("announce")["state"])
    assert state.plan is not None and state.plan.migration_count == 3
    assert state.snapshot is not None and state.snapshot.available
    assert state.roll_back is not None and state.roll_back.rolled_back == 2
    assert state.error is not None
    assert (state.error.type, state.error.line) == ("MigrationFailed", 7)
    assert (state.restore, state.assessment, state.down) == (None, None, False)


def test_the_migrations_of_the_state_are_a_number_and_those_of_the_plan_are_a_list() -> None:
    assert RunPlan(migration_count=2).to_state()["migrations"] == 2
    plan = PlanRecord.from_state({"version": 1, "migrations": [{"version": "0001", "name": "a"}]})
    assert plan.versions == ["0001"]
    assert plan.to_state()["migrations"][0]["version"] == "0001"


@pytest.mark.parametrize(
    "loss", [COUNTED, {**COUNTED, "others": ["run r-2"]}, {"since": None, "seconds": None}]
)
def test_a_loss_is_written_as_it_was_read(loss: dict[str, Any]) -> None:
    assert RestoreLoss.from_state(loss).to_state() == loss


def test_a_loss_is_known_only_where_rows_were_counted_all_the_time() -> None:
    assert RestoreLoss.from_state(COUNTED).known
    assert RestoreLoss.from_state(COUNTED).tables == (TableLoss("users", 1, 0, 2),)
    assert not RestoreLoss.from_state({**COUNTED, "reset": True}).known
    assert not RestoreLoss(since="now").known


def test_a_report_of_a_run_that_did_nothing_has_no_migrations() -> None:
    asked = {"version": 1, "run": "r-1", "approvals": [{"gate": "release"}]}
    report = RunReport.from_state(asked)
    assert not report.worked
    assert "applied" not in report.to_state()
    report = RunReport.from_state({**asked, "applied": [], "rolled_back": []})
    assert report.worked
    assert report.to_state()["applied"] == []


@pytest.mark.parametrize(
    ("state", "named"),
    [
        ({"plan": "x"}, "RunState.plan is not an object"),
        ({"plan": {"release": 5}}, "RunState.plan.release is not str"),
        ({"snapshot": {"encrypted": 1}}, "RunState.snapshot.encrypted is not bool"),
        ({"restore_approval": {"by": "ann"}}, "RunState.restore_approval.by is not a list"),
        ({"restore_approval": {"by": [1]}}, "RunState.restore_approval.by is not str"),
        ({"assessment": {"decision": "ask"}}, "RunState.assessment.reason is not there"),
        ([], "RunState is not an object"),
    ],
)
def test_what_is_not_a_state_is_named_and_refused(state: Any, named: str) -> None:
    with pytest.raises(VerificationFailed, match=named):
        RunState.from_state(state)


def test_an_order_of_any_type_can_still_be_announced() -> None:
    state = RunState.from_state({"run": 7, "target": ["a"], "trigger": None, "dry_run": "yes"})
    assert (state.run, state.target, state.trigger, state.dry_run) == (
        "7",
        "['a']",
        "manual",
        False,
    )


def test_after_validate_only_the_validated_bytes_of_the_artifact_will_do() -> None:
    artifact = {"bucket": "b", "key": "artifacts/learning/1.0.0.zip"}
    state = {"run": "r-1", "target": "learning", "artifact": artifact}
    assert Order.from_state(state).location.sha256 is None
    pinned = Order.from_state({**state, "plan": {"sha256": "ab" * 32}})
    assert pinned.location.sha256 == "ab" * 32


def test_an_error_keeps_its_place_through_the_wrappings_of_lambda() -> None:
    error = MigrationFailed("no such column", file="sql/1.sql", line=3, version="0001")
    cause = {"errorMessage": str(error.machine_readable()), "errorType": "MigrationFailed"}
    caught = RunError.from_caught({"Error": "MigrationFailed", "Cause": json.dumps(cause)})
    assert caught == RunError(
        "MigrationFailed", "no such column", file="sql/1.sql", line=3, version="0001"
    )


@pytest.mark.parametrize(
    ("caught", "message"),
    [
        ({"Error": "States.Timeout"}, "States.Timeout"),
        ({"Error": "Lambda.Unknown", "Cause": "gone"}, "gone"),
        ({"Error": "E", "Cause": "[1]"}, "[1]"),
        ({"Error": "E", "Cause": '{"errorMessage": null}'}, '{"errorMessage": null}'),
    ],
)
def test_any_other_error_has_its_name_and_what_text_there_is(caught: Any, message: str) -> None:
    assert RunError.from_caught(caught) == RunError(caught["Error"], message)


def test_an_assessment_without_a_loss_says_so() -> None:
    assert RunAssessment("no", "a reason").to_state() == {
        "decision": "no",
        "reason": "a reason",
        "loss": None,
    }
