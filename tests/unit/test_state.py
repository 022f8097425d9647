"""The state of a run: read once, typed, written once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from turnback.errors import MigrationFailed, VerificationFailed
from turnback.runs.order import Order
from turnback.runs.record_types import (
    CancelRecord,
    PlannedMigration,
    PlanRecord,
    RehearsalRecord,
    RunReport,
    StepRecord,
    TracedStatement,
)
from turnback.runs.reporting.words import proof
from turnback.runs.state import (
    ApplicationProgress,
    RestoreLoss,
    RetentionReport,
    RunApplication,
    RunApproval,
    RunAssessment,
    RunError,
    RunPlan,
    RunProgress,
    RunRehearsal,
    RunRestore,
    RunSnapshot,
    RunState,
    TableLoss,
)
from turnback.runs.stated import Stated

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


# What a key that is missing or null means. Earlier runs left less in their records.
DEFAULTS: list[tuple[type[Stated], dict[str, Any]]] = [
    (
        RunPlan,
        {
            "release": "",
            "sha256": None,
            "plan_key": "",
            "migrations": 0,
            "decision": "go",
            "direction": "up",
            "rehearse": False,
            "approvals": 0,
            "restore": "never",
            "stop_application": False,
            "digest": "",
            "basis": "",
        },
    ),
    (RunRehearsal, {"status": "", "migrations": 0, "irreversible": 0, "key": "", "sha256": ""}),
    (RunApproval, {"decision": "", "gate": "", "by": []}),
    (RetentionReport, {"removed": [], "error": None, "without_stack": []}),
    (
        RunSnapshot,
        {
            "kind": "none",
            "id": None,
            "state": "not_taken",
            "taken_at": None,
            "encrypted": None,
            "wait_seconds": 0,
            "retention": None,
        },
    ),
    (
        RunProgress,
        {
            "done": False,
            "applied": 0,
            "rolled_back": 0,
            "remaining": 0,
            "backfills": 0,
            "running": None,
            "wait_seconds": 0,
            "verified": None,
        },
    ),
    (RunApplication, {"enabled": False, "stopped": []}),
    (ApplicationProgress, {"done": False, "waiting_for": [], "wait_seconds": 0}),
    (StepRecord, {"began": None}),
    (CancelRecord, {"by": None, "at": None, "reason": None}),
    (TracedStatement, {"locks": [], "rewrites": [], "scans": []}),
    (RehearsalRecord, {"status": "", "migrations": [], "stand_ins": []}),
    (RestoreLoss, {"since": None, "seconds": None}),
    (RunReport, {"version": 0, "run": ""}),
]


@pytest.mark.parametrize(
    ("kind", "expected"), DEFAULTS, ids=lambda value: getattr(value, "__name__", "")
)
@pytest.mark.parametrize("given", ["missing", "null"])
def test_what_is_missing_or_null_is_read_as_the_default(
    kind: type[Stated], expected: dict[str, Any], given: str
) -> None:
    state = dict.fromkeys(expected) if given == "null" and kind is not RunReport else {}
    assert kind.from_state(state).to_state() == expected


def test_what_belongs_to_one_thing_defaults_to_nothing_done() -> None:
    assert TableLoss("users").to_state() == {
        "name": "users",
        "inserted": 0,
        "updated": 0,
        "deleted": 0,
    }
    restore = RunRestore("restoring")
    assert (restore.detail, restore.kept, restore.wait_seconds) == ("", None, 0)
    script = PlannedMigration("0001")
    assert (script.in_transaction, script.half_done) == (True, False)
    plan = PlanRecord.from_state({})
    assert (plan.version, plan.exists, plan.direction) == (0, False, "up")
    assert PlanRecord(version=1).exists


@pytest.mark.parametrize("kind", [RunPlan, PlanRecord])
def test_a_run_goes_down_only_where_its_plan_does(kind: type[RunPlan] | type[PlanRecord]) -> None:
    assert kind(direction="down").down
    assert not kind(direction="up").down
    assert RunState(plan=RunPlan(direction="down")).down
    assert not RunState().down


def test_a_run_is_dry_only_where_its_order_says_true() -> None:
    assert RunState.from_state({"dry_run": True}).dry_run
    assert not RunState.from_state({"dry_run": False}).dry_run
    assert not RunState.from_state({}).dry_run


@pytest.mark.parametrize("caught", [None, {}, [], "text", 5])
def test_where_nothing_was_caught_there_is_no_error(caught: object) -> None:
    assert RunError.from_caught(caught) is None


def test_a_snapshot_and_a_rehearsal_are_there_only_by_their_own_words() -> None:
    assert RunSnapshot(state="available").available
    assert not RunSnapshot(state="creating").available
    assert RunRehearsal(status="proven").proven
    named = proof(RunRehearsal(status="proven", stand_ins=("postgis",)))
    assert named == (
        "every rollback is proven, with stand-ins for postgis, whose results were not proven"
    )
    assert not RunRehearsal(status="unproven").proven


def test_what_a_plan_destroys_is_a_list_for_each_version() -> None:
    destroys = {"0001": ["table edges, with its rows"], "0002": []}
    plan = PlanRecord.from_state({"version": 1, "destroys": destroys})
    assert plan.destroys == {"0001": ("table edges, with its rows",), "0002": ()}
    assert plan.to_state()["destroys"] == destroys
    with pytest.raises(VerificationFailed, match=r"PlanRecord\.destroys\.0001 is not a list"):
        PlanRecord.from_state({"destroys": {"0001": "table edges"}})


def test_a_report_has_what_was_reported_and_nothing_else() -> None:
    found = RunReport(version=1, run="r-1", verified="exact", worked=True).to_state()
    assert found["verified"] == "exact"
    assert not {"loss", "approvals", "checklist", "worked"} & set(found)
