"""What a run's chat message says, and that Slack takes it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from turnback.runs.slack_message import slack_message
from turnback.runs.status import Status, StatusEvent

from tests.real_events import event

ERROR = {
    "type": "MigrationFailed",
    "message": 'relation "a" does not exist',
    "file": "sql/0003_c.sql",
    "line": 7,
    "column": 3,
    "sqlstate": "42P01",
    "hint": "nothing of 0003 was kept",
}


def status(word: Status, **fields: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "run": "r-1",
        "target": "learning",
        "release": "1.0.0",
        "environment": "production",
        "at": "2026-11-22T09:16:02.871+00:00",
        "trigger": "upload:AWS:AIDA",
        "summary": "release 1.0.0 on learning",
        "duration_ms": 19469,
    }
    published = StatusEvent(status=word, **(whole | fields)).to_json()
    return dict(json.loads(published))


def text_of(message: dict[str, Any]) -> str:
    """Everything a reader sees."""
    return json.dumps(message, ensure_ascii=False).replace("\\n", "\n").replace('\\"', '"')


def row(number: int, word: str = "applied", took: int | None = 5) -> dict[str, Any]:
    return {"version": f"{number:04}", "name": "m" * 200, "status": word, "execution_ms": took}


def test_a_success_says_what_where_which_and_how_long() -> None:
    rows = ({"version": "0001", "name": "users", "status": "applied", "execution_ms": 12},)
    said = text_of(slack_message(status(Status.SUCCEEDED, migrations=rows, migration_count=1)))

    assert "learning: 1.0.0 succeeded" in said
    assert "learning (production)" in said
    assert "`0001 users` applied, 12 ms" in said
    assert "19.5 s" in said
    assert "What to do next" not in said


def test_a_failure_says_where_it_failed_what_was_undone_and_what_to_do() -> None:
    message = slack_message(
        json.loads(event("sns_status")["Records"][0]["Sns"]["Message"]),
    )
    said = text_of(message)

    assert "learning: 1.0.0 failed and was rolled back" in said
    assert "`sql/0003_user_preferences.sql:7:24`" in said
    assert 'column "user_id" does not exist' in said and "SQLSTATE 42703" in said
    assert "`0002`, `0001`" in said
    assert "Correct sql/0003_user_preferences.sql and release again" in said


def test_a_refusal_says_what_to_do_by_the_errors_hint() -> None:
    said = text_of(slack_message(status(Status.REFUSED, release=None, error=ERROR)))
    assert "learning: unknown release was refused" in said
    assert "Nothing of 0003 was kept." in said


def test_a_run_that_needs_a_person_names_both_errors_and_the_snapshot() -> None:
    second = {**ERROR, "type": "RollbackFailed", "file": "rollback/0002_rollback.sql"}
    said = text_of(
        slack_message(
            status(
                Status.NEEDS_A_PERSON,
                error=ERROR,
                rollback_error=second,
                snapshot={"kind": "rds", "id": "turnback-learning-r-1"},
            )
        )
    )
    assert "a person is needed" in said
    assert "What failed" in said and "Why the rollback failed" in said
    assert "The snapshot turnback-learning-r-1 is from before the run." in said


def test_nothing_in_the_message_is_markup_of_slack() -> None:
    error = {**ERROR, "message": "<!channel> & <https://example.com|click> ```"}
    said = text_of(slack_message(status(Status.ROLLED_BACK, error=error)))
    assert "<!channel>" not in said and "<https" not in said
    assert "&lt;!channel&gt; &amp; &lt;https" in said


@pytest.mark.parametrize("word", [word for word in Status if word.final])
def test_the_longest_message_is_within_the_limits_of_slack(word: Status) -> None:
    error = {**ERROR, "message": "&" * 9000, "hint": "<" * 9000, "file": "f" * 300}
    message = slack_message(
        status(
            word,
            release="1.0.0-" + "x" * 300,
            summary="s" * 9000,
            trigger="t" * 9000,
            migrations=tuple(row(number) for number in range(500)),
            migration_count=6000,
            rolled_back=tuple(f"{number:020}" for number in range(500)),
            snapshot={"kind": "dump", "id": "s3://" + "b" * 3000},
            error=error,
            rollback_error=error,
        )
    )
    blocks = message["blocks"]
    assert len(blocks) <= 50
    assert len(message["text"]) <= 3000
    for block in blocks:
        if block["type"] == "header":
            assert len(block["text"]["text"]) <= 150
        if "text" in block:
            assert 1 <= len(block["text"]["text"]) <= 3000
        assert len(block.get("fields", [])) <= 10
        assert all(len(item["text"]) <= 2000 for item in block.get("fields", []))


def test_a_long_list_of_migrations_says_how_many_more_there_are() -> None:
    rows = tuple(row(number) for number in range(500))
    said = text_of(slack_message(status(Status.SUCCEEDED, migrations=rows, migration_count=600)))
    assert "… and 580 more" in said
