"""Status events: small enough for SNS, and true to what the state machine caught."""

from __future__ import annotations

import json
from typing import Any

import pytest
from turnback.errors import MigrationFailed, TurnbackError
from turnback.runs.announce import Announcer
from turnback.runs.record_types import PlannedMigration, PlanRecord
from turnback.runs.records import Records
from turnback.runs.reporting.report import Report, undone
from turnback.runs.state import RunError, RunState
from turnback.runs.status import Status
from turnback.wiring.invocation import moment

from tests.real_events import event

SNS_LIMIT = 256 * 1024


class Memory:
    """A bucket and a topic that keep things here."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.published: list[tuple[str, dict[str, str]]] = []

    def read(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def write(self, key: str, body: bytes) -> None:
        self.objects[key] = body

    def publish(self, event: Report) -> list[TurnbackError]:
        self.published.append((event.to_json(), event.attributes()))
        return []


def test_the_event_in_events_has_exactly_the_fields_of_the_message() -> None:
    message = json.loads(event("sns_status")["Records"][0]["Sns"]["Message"])
    assert set(message) == set(Report.__dataclass_fields__)
    assert message["version"] == 1


def announcer_of(memory: Memory, records: Records) -> Announcer:
    return Announcer(
        records=records,
        channels=memory,
        environment="production",
        execution_arn="arn",
        started_at=moment("2026-11-22T09:15:43.402Z"),
        warn=lambda _: None,
    )


def test_a_run_that_ended_without_a_snapshot_has_no_backup_and_is_not_about_to_take_one() -> None:
    memory = Memory()
    records = Records(memory, "r-1")
    records.write_plan(PlanRecord(1, migrations=(PlannedMigration("0001", "a"),)))
    report = announcer_of(memory, records).announce(Status.REFUSED, RunState(run="r-1"))
    [backup] = [item for item in report.checklist if item["item"] == "backup taken"]
    assert backup["answer"] == "no"


def test_a_message_of_the_largest_artifact_fits_into_sns() -> None:
    memory = Memory()
    records = Records(memory, "r-1")
    steps = tuple(PlannedMigration(f"{n:020}", "n" * 255) for n in range(6600))
    records.write_plan(PlanRecord(1, release="1.0.0", migrations=steps))
    error = MigrationFailed("m" * 100_000, hint="h", file="f").machine_readable()
    cause = {"errorMessage": str(error), "errorType": "MigrationFailed", "stackTrace": ["t" * 999]}
    announced = announcer_of(memory, records).announce(
        Status.ROLLED_BACK,
        RunState.from_state(
            {**event("announce")["state"], "error": {"Error": "E", "Cause": json.dumps(cause)}}
        ),
    )
    ((message, attributes),) = memory.published
    assert len(message.encode()) < SNS_LIMIT
    assert json.loads(message)["migration_count"] == announced.migration_count == 6600
    assert attributes == {"status": "rolled_back", "target": "learning", "release": "1.0.0"}


def test_one_of_our_errors_is_taken_out_of_its_wrappings() -> None:
    found = RunError.from_caught(event("announce")["state"]["error"])
    assert found is not None and found.to_state() == {
        "type": "MigrationFailed",
        "message": 'column "user_id" does not exist',
        "file": "sql/0003_user_preferences.sql",
        "line": 7,
        "column": 24,
        "sqlstate": "42703",
        "hint": "nothing of 0003 was kept; fix the file and run turnback up again",
        "version": "0003",
    }


@pytest.mark.parametrize(
    ("caught", "expected"),
    [
        (None, None),
        ({}, None),
        ({"Error": "States.Timeout"}, {"type": "States.Timeout", "message": "States.Timeout"}),
        (
            {"Error": "States.Timeout", "Cause": ""},
            {"type": "States.Timeout", "message": "States.Timeout"},
        ),
        (
            {"Error": "Lambda.Unknown", "Cause": "gone"},
            {"type": "Lambda.Unknown", "message": "gone"},
        ),
        (
            {"Error": "KeyError", "Cause": '{"errorMessage": "\'x\'", "errorType": "KeyError"}'},
            {"type": "KeyError", "message": "'x'"},
        ),
        ({"Error": "E", "Cause": "[1]"}, {"type": "E", "message": "[1]"}),
        (
            {"Error": "E", "Cause": '{"errorMessage": null}'},
            {"type": "E", "message": '{"errorMessage": null}'},
        ),
    ],
)
def test_any_other_error_is_said_as_well_as_can_be(caught: Any, expected: Any) -> None:
    assert RunError.from_caught(caught) == (RunError(**expected) if expected else None)


def test_times_are_read_as_step_functions_and_as_the_emulator_write_them() -> None:
    assert moment("2026-11-22T09:15:43.402Z") == moment("2026-11-22T09:15:43.402+00:00")
    assert moment(1795338943.402).year == 2026


@pytest.mark.parametrize("end", [Status.ROLLED_BACK, Status.RESTORED])
def test_what_was_undone_whole_is_not_reported_as_still_there(end: Status) -> None:
    hint = "statement 1 is done and stays; run turnback up again: it goes on there"
    caught = RunError("MigrationIncomplete", "m", file="sql/0003_index.sql", hint=hint)
    after = undone(caught, end)
    assert after is not None
    assert after.hint == "all of it was undone; fix sql/0003_index.sql and release again"
    assert undone(caught, Status.NEEDS_A_PERSON) == caught
    other = RunError("MigrationFailed", "m", hint=hint)
    assert undone(other, end) == other
    assert undone(None, end) is None


def test_what_a_rollback_left_is_not_reported_as_still_there_after_a_restore() -> None:
    caught = RunError(
        "RollbackFailed",
        "m",
        file="rollback/0012_rollback.sql (stored)",
        hint="0012 is still applied; run turnback down again",
    )
    after = undone(caught, Status.RESTORED)
    assert after is not None
    assert str(after.hint).startswith("the restore undid it; fix rollback/0012_rollback.sql")
    assert undone(caught, Status.NEEDS_A_PERSON) == caught


def test_a_final_status_is_published_once_however_often_the_call_is_made_again() -> None:
    memory = Memory()
    records = Records(memory, "r-1")
    state = RunState(run="r-1", target="learning")
    first = announcer_of(memory, records).announce(Status.SUCCEEDED, state)
    again = announcer_of(memory, records).announce(Status.SUCCEEDED, state)
    assert [json.loads(message)["status"] for message, _ in memory.published] == ["succeeded"]
    assert again == first
