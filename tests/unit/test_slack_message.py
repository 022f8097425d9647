"""What a run's chat message says, and that Slack takes it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from turnback.runs.reporting.chat import slack_message
from turnback.runs.reporting.report import Report
from turnback.runs.status import Status

from tests.chat import ERROR, LOSS, of_every_kind, row, status
from tests.real_events import event

ASKED: dict[str, Any] = {
    "gate": "release",
    "persons_needed": 2,
    "approved_by": [],
    "reasons": ["0003 drops the table users"],
    "expires_at": "2026-11-23T09:16:02+00:00",
    "loss": None,
    "command": "turnback approve r-1",
}


def text_of(message: dict[str, Any]) -> str:
    """Everything a reader sees."""
    return json.dumps(message, ensure_ascii=False).replace("\\n", "\n").replace('\\"', '"')


def actions(message: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        element
        for block in message["blocks"]
        if block["type"] == "actions"
        for element in block["elements"]
    ]


def test_a_success_says_what_where_which_and_how_long() -> None:
    rows = ({"version": "0001", "name": "users", "status": "applied", "execution_ms": 12},)
    said = text_of(
        slack_message(status(Status.SUCCEEDED, migrations=rows, migration_count=1, done_count=1))
    )
    assert "learning: 1.0.0 succeeded" in said
    assert "learning (production)" in said
    assert "✓ Applied: 1 migration" in said
    assert "19.5 s" in said
    assert "Nothing is left to do." in said


def test_a_failure_says_where_it_failed_what_was_undone_and_what_to_do() -> None:
    message = slack_message(
        Report.from_message(event("sns_status")["Records"][0]["Sns"]["Message"])
    )
    said = text_of(message)

    assert "learning: 1.0.0 failed and was rolled back" in said
    assert "`sql/0003_user_preferences.sql:7:24`" in said
    assert 'column "user_id" does not exist' in said and "SQLSTATE 42703" in said
    assert "✗ Applied: 2 of 3, 0003 failed" in said
    assert "↩ Rolled back: 2 migrations" in said
    assert "Correct sql/0003_user_preferences.sql and release again" in said


def test_a_refusal_says_what_to_do_by_the_errors_hint() -> None:
    said = text_of(slack_message(status(Status.REFUSED, release=None, error=ERROR)))
    assert "learning: unknown release was refused" in said
    assert "Nothing of 0003 was kept." in said


def test_a_run_that_needs_a_person_names_each_error_and_the_snapshot() -> None:
    second = {**ERROR, "type": "RollbackFailed", "file": "rollback/0002_rollback.sql"}
    third = {"type": "NotRestored", "message": "not restored: the policy says never"}
    said = text_of(
        slack_message(
            status(
                Status.NEEDS_A_PERSON,
                error=ERROR,
                rollback_error=second,
                restore_error=third,
                snapshot={"kind": "rds", "id": "turnback-learning-r-1"},
            )
        )
    )
    assert "a person is needed" in said
    assert "What failed" in said and "Why the rollback failed" in said
    assert "not restored: the policy says never" in said
    assert "The snapshot turnback-learning-r-1 is from before the run" in said


def test_a_restore_says_as_of_when_what_was_lost_and_where_the_old_database_is() -> None:
    said = text_of(slack_message(of_every_kind()[Status.RESTORED]))
    assert "↩ Restored: as of 2026-11-22 09:10:00 UTC, 6 min 2 s of writes lost" in said
    assert "about 1,200 inserted, 31 updated rows. public.users (+1,200 ~31 -0)" in said
    assert "is kept as learning_old" in said
    assert "✓ Application: 2 services stopped and started again" in said


def test_an_application_that_stayed_stopped_is_said_so_with_what_to_do() -> None:
    error = {"type": "AwsError", "message": "ECS says no"}
    stopped = {"stopped": 2, "started": False, "error": error}
    said = text_of(slack_message(status(Status.ROLLED_BACK, error=ERROR, application=stopped)))
    assert "✗ Application: 2 services stopped; ECS says no" in said
    assert "The application is still stopped: start it by hand." in said


def test_a_question_has_two_buttons_that_name_the_run_and_the_gate() -> None:
    asked = status(Status.AWAITING_APPROVAL, approval=ASKED)
    approve, deny = actions(slack_message(asked, buttons=True))
    assert (approve["action_id"], deny["action_id"]) == ("approve", "deny")
    assert json.loads(approve["value"]) == json.loads(deny["value"])
    assert json.loads(approve["value"]) == {"run": "r-1", "gate": "release"}


def test_a_question_says_why_who_until_when_and_by_which_command() -> None:
    said = text_of(slack_message(status(Status.AWAITING_APPROVAL, approval=ASKED)))
    assert "• 0003 drops the table users" in said
    assert "until 2026-11-23 09:16:02 UTC: `turnback approve r-1`" in said
    assert "It needs 2 approvers, other than whoever started the run." in said


def test_without_somebody_who_answers_them_there_are_no_buttons() -> None:
    asked = status(Status.AWAITING_APPROVAL, approval=ASKED)
    assert actions(slack_message(asked, buttons=False)) == []


@pytest.mark.parametrize("word", set(Status) - {Status.AWAITING_APPROVAL})
def test_what_asks_nothing_has_no_buttons(word: Status) -> None:
    assert actions(slack_message(of_every_kind()[word], buttons=True)) == []


def test_a_restore_that_waits_tells_the_loss_before_anybody_says_yes() -> None:
    asked = {**ASKED, "gate": "restore", "loss": LOSS}
    message = slack_message(
        status(Status.AWAITING_APPROVAL, approval=asked, error=ERROR, rollback_error=ERROR),
        buttons=True,
    )
    said = text_of(message)
    assert "learning: 1.0.0 failed: its restore waits for approval" in said
    assert "‖ Restore waits for approval: 0 of 2" in said
    assert "A restore would lose" in said and "about 1,200 inserted, 31 updated rows" in said
    assert {json.loads(button["value"])["gate"] for button in actions(message)} == {"restore"}


def test_a_run_that_goes_back_says_what_it_rolled_back() -> None:
    rows = (row(2, "rolled_back"),)
    said = text_of(
        slack_message(
            status(
                Status.SUCCEEDED,
                direction="down",
                migrations=rows,
                migration_count=1,
                done_count=1,
                rolled_back=("0002",),
            )
        )
    )
    assert "learning: back to 1.0.0 succeeded" in said
    assert "✓ Rolled back: 1 migration" in said
    assert "Applied" not in said


def test_nothing_in_the_message_is_markup_of_slack() -> None:
    evil = "<!channel> & <https://example.com|click> ```\nnext"
    error = {**ERROR, "message": evil, "hint": evil, "file": evil, "type": evil, "sqlstate": evil}
    asked = {**ASKED, "reasons": [evil], "approved_by": [evil], "command": evil}
    for word in Status:
        message = slack_message(
            status(
                word,
                release=evil,
                trigger=evil,
                summary=evil,
                error=error,
                rollback_error=error,
                restore_error=error,
                approval=asked,
                progress=evil,
                restore={"kept": evil, "restored_to": evil},
                loss={**LOSS, "since": evil, "tables": [{"name": evil}]},
                application={
                    "stopped": 1,
                    "started": False,
                    "error": {"type": evil, "message": evil},
                },
                snapshot={"kind": evil, "id": evil},
                migrations=({**row(1), "name": evil},),
                migration_count=1,
            ),
            buttons=True,
        )
        # A header and a button are plain text, which Slack shows as it is.
        marked = [
            text["text"]
            for block in message["blocks"]
            for text in [
                block.get("text", {}),
                *block.get("fields", []),
                *block.get("elements", []),
            ]
            if text.get("type") == "mrkdwn"
        ]
        assert len(marked) > 5
        for text in [*marked, message["text"]]:
            assert "<" not in text and ">" not in text
            assert text.count("```") in (0, 2)
        assert any("&lt;!channel&gt; &amp; &lt;https" in text for text in marked)


@pytest.mark.parametrize("word", Status)
def test_the_longest_message_is_within_the_limits_of_slack(word: Status) -> None:
    error = {**ERROR, "message": "&" * 9000, "hint": "<" * 9000, "file": "f" * 9000}
    table = {"name": "t" * 300, "inserted": 1, "updated": 1, "deleted": 1}
    message = slack_message(
        status(
            word,
            release="1.0.0-" + "x" * 300,
            summary="s" * 9000,
            trigger="t" * 9000,
            migrations=tuple(row(number) for number in range(500)),
            migration_count=6000,
            done_count=499,
            rolled_back=tuple(f"{number:020}" for number in range(500)),
            snapshot={"kind": "dump", "id": "s3://" + "b" * 3000},
            approval={**ASKED, "reasons": ["<" * 900] * 500, "approved_by": ["a" * 200] * 50},
            loss={**LOSS, "tables": [table] * 20},
            restore={"kept": "k" * 3000, "restored_to": "r" * 3000},
            error=error,
            rollback_error=error,
            restore_error=error,
        ),
        buttons=True,
    )
    blocks = message["blocks"]
    assert len(blocks) <= 50
    assert len(message["text"]) <= 3000
    # Where Slack begins to answer msg_blocks_too_long.
    assert len(json.dumps(blocks, ensure_ascii=False)) < 16_000
    for block in blocks:
        if block["type"] == "header":
            assert len(block["text"]["text"]) <= 150
        if "text" in block:
            assert 1 <= len(block["text"]["text"]) <= 3000
        assert len(block.get("fields", [])) <= 10
        assert all(1 <= len(item["text"]) <= 2000 for item in block.get("fields", []))
        if block["type"] == "actions":
            for button in block["elements"]:
                assert len(button["text"]["text"]) <= 75 and len(button["value"]) <= 2000
                assert len(button["confirm"]["text"]["text"]) <= 300


def test_what_is_lost_and_what_to_do_are_said_once() -> None:
    destroyed = ("column users.email", "table edges")
    message = slack_message(
        status(
            Status.ROLLED_BACK,
            error=ERROR,
            migration_count=2,
            rolled_back=("0001",),
            destroyed=destroyed,
            verified="exact",
            snapshot={"kind": "rds", "id": "s-1"},
        )
    )
    said = text_of(message)
    assert "the schema is as before, but data is lost: column users.email; table edges" in said
    assert "Bring back what was lost from the snapshot s-1." in said
    assert "nothing has to be cleaned up" not in said
    assert said.count("users.email") == said.count(ERROR["file"] + ":") == 1
    restored = text_of(slack_message(of_every_kind()[Status.RESTORED]))
    assert restored.count("1,200 inserted") == restored.count("kept as learning_old") == 1


@pytest.mark.parametrize("word", Status)
def test_a_message_is_short(word: Status) -> None:
    blocks = slack_message(of_every_kind()[word], buttons=True)["blocks"]
    assert len(blocks) <= 9
    assert len(json.dumps(blocks, ensure_ascii=False)) < 2600


@pytest.mark.parametrize("word", Status)
def test_each_status_names_run_target_and_release_and_says_what_to_do_next(word: Status) -> None:
    said = text_of(slack_message(of_every_kind()[word]))
    assert "run `r-1`" in said
    assert "learning" in said and "1.0.0" in said
    assert "*What to do*\n" in said
