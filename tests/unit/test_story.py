"""The events of an execution as steps, and its end as an exit code."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from turnback.errors import CheckFailed
from turnback.runs.reporting.execution import RunOutcome, Story, error_from, outcome_of
from turnback.runs.state import RunError
from turnback.runs.status import Status

BEGAN = datetime(2026, 11, 22, 12, tzinfo=UTC)


class History:
    """Events as ``get_execution_history`` gives them, a second apart."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def add(self, kind: str, **details: Any) -> History:
        number = len(self.events) + 1
        at = BEGAN + timedelta(seconds=number)
        self.events.append({"id": number, "type": kind, "timestamp": at, **details})
        return self

    def enter(self, name: str, kind: str = "Task") -> History:
        self.add(f"{kind}StateEntered", stateEnteredEventDetails={"name": name})
        return self.add("TaskScheduled") if kind == "Task" else self

    def leave(self, name: str, output: dict[str, Any] | None = None) -> History:
        details = {"name": name, "output": json.dumps(output or {})}
        return self.add("TaskStateExited", stateExitedEventDetails=details)

    def fail(self, error: str, message: str = "no") -> History:
        cause = json.dumps({"errorType": error, "errorMessage": message})
        return self.add("TaskFailed", taskFailedEventDetails={"error": error, "cause": cause})

    def story(self) -> Story:
        story = Story()
        story.read(self.events)
        return story


def test_a_step_that_is_asked_again_is_one_step() -> None:
    history = History()
    for state in ("creating", "creating", "available"):
        taken = {"snapshot": {"kind": "rds", "id": "s-1", "state": state}}
        history.enter("Snapshot").leave("Snapshot", taken).enter("WaitForSnapshot", "Wait")
    story = history.enter("Apply").story()

    assert [(step.name, step.closed) for step in story.steps] == [
        ("Snapshot", True),
        ("Apply", False),
    ]
    assert story.steps[0].result == "rds s-1: available"
    assert story.steps[0].tries == 1
    assert story.steps[0].seconds == 10


def test_a_try_that_is_repeated_is_counted_and_its_error_kept() -> None:
    history = History().enter("Apply").fail("RunnerBusy").add("TaskScheduled")
    [step] = history.story().steps
    assert (step.tries, step.failure) == (2, None)
    assert [error.type for error in step.retried] == ["RunnerBusy"]

    [step] = history.fail("LockTimeout").leave("Apply").story().steps
    assert (step.tries, step.failure and step.failure.type) == (2, "LockTimeout")


def test_an_announcement_is_shown_only_when_it_fails() -> None:
    history = History().enter("Validate").leave("Validate")
    history.enter("AnnounceStarted").leave("AnnounceStarted")
    assert [step.name for step in history.story().steps] == ["Validate"]

    history.enter("AnnounceRehearsed").fail("AwsError").leave("AnnounceRehearsed")
    story = history.story()
    assert [step.name for step in story.steps] == ["Validate", "AnnounceRehearsed"]
    assert story.steps[1].result == "the status was not published; the run goes on"
    assert not story.failed


def test_a_run_that_is_redriven_has_not_ended() -> None:
    history = History().enter("Apply").fail("RunnerBusy").leave("Apply").enter("Refused", "Fail")
    history.add("ExecutionFailed", executionFailedEventDetails={"error": "RunnerBusy"})
    assert history.story().outcome is not None

    assert history.add("ExecutionRedriven").enter("Apply").story().outcome is None


@pytest.mark.parametrize(
    ("state", "error", "status", "code"),
    [
        ("Refused", "ReleaseTooOld", Status.REFUSED, 3),
        ("Refused", "ApprovalDenied", Status.REFUSED, 3),
        ("Refused", "DatabaseUnreachable", Status.REFUSED, 5),
        ("Refused", "States.Timeout", Status.REFUSED, 5),
        ("RolledBack", "MigrationFailed", Status.ROLLED_BACK, 1),
        ("RolledBack", "LockTimeout", Status.ROLLED_BACK, 4),
        ("RolledBack", "RunCancelled", Status.ROLLED_BACK, 1),
        ("RolledBack", "VerificationFailed", Status.ROLLED_BACK, 1),
        ("RolledBack", "Sandbox.Timedout", Status.ROLLED_BACK, 1),
        ("Restored", "MigrationIncomplete", Status.RESTORED, 1),
        ("NeedsAPerson", "NeedsAPerson", Status.NEEDS_A_PERSON, 6),
        ("Apply", "States.Runtime", Status.NEEDS_A_PERSON, 6),
    ],
)
def test_a_failed_run_leaves_with_the_code_of_its_error(
    state: str, error: str, status: Status, code: int
) -> None:
    outcome = outcome_of("FAILED", state, error, "")
    assert (outcome.status, outcome.exit_code) == (status, code)


@pytest.mark.parametrize(
    ("state", "status"),
    [("Superseded", Status.SUPERSEDED), ("Succeeded", Status.SUCCEEDED), ("", Status.SUCCEEDED)],
)
def test_a_superseded_run_is_no_failure(state: str, status: Status) -> None:
    outcome = outcome_of("SUCCEEDED", state, "", "")
    assert (outcome.status, outcome.exit_code) == (status, 0)


@pytest.mark.parametrize("status", ["ABORTED", "TIMED_OUT"])
def test_a_run_that_did_not_report_how_it_ended_needs_a_person(status: str) -> None:
    outcome = outcome_of(status, "Apply", "", "")
    assert (outcome.exit_code, outcome.announced) == (6, False)
    assert status in outcome.words


def test_the_last_end_is_described_by_the_error_that_led_to_it() -> None:
    first = RunError("MigrationFailed", "no such column", file="sql/0001_a.sql")
    outcome = outcome_of("FAILED", "NeedsAPerson", "NeedsAPerson", "", first)
    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.file) == ("MigrationFailed", "sql/0001_a.sql")


def test_a_run_that_succeeded_has_no_error() -> None:
    assert outcome_of("SUCCEEDED", "Succeeded", "", "") == RunOutcome(Status.SUCCEEDED, "SUCCEEDED")


def test_an_error_of_nobody_we_know_keeps_its_name() -> None:
    error = RunError("KeyError", "'run'")
    assert str(error_from(error)) == "KeyError: 'run'"
    assert type(error_from(RunError("CheckFailed", "two"))) is CheckFailed
