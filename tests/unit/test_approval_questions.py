"""Questions to people: who counts, what ends them, and that they end once."""

from __future__ import annotations

import json

import pytest
from turnback.errors import ApprovalRefused, AwsError
from turnback.runs.approvals.record import Answer, QuestionOutcome

from tests.asking import ANN, BOB, CIA, RUN, Desk, asked, at_once


def test_one_yes_is_enough_where_one_is_asked_for() -> None:
    desk = Desk()
    desk.ask()
    desk.answer(ANN, "approved")
    assert desk.tasks.ended == [("approved", ("ann",))]


def test_the_same_person_twice_by_two_ways_counts_once() -> None:
    desk = Desk(needed=2)
    desk.ask()
    assert desk.answer(ANN, "approved", "slack").recorded
    again = desk.answer(ANN, "approved", "link")
    assert not again.recorded
    assert again.outcome is None
    assert desk.tasks.ended == []
    desk.answer(BOB, "approved", "command")
    assert desk.tasks.ended == [("approved", ("ann", "bob"))]


def test_a_no_after_a_yes_ends_it() -> None:
    desk = Desk(needed=2)
    desk.ask()
    desk.answer(ANN, "approved")
    desk.answer(BOB, "denied", comment="the backup is\nnot done")
    [(error, cause)] = desk.tasks.ended
    assert error == "ApprovalDenied"
    denied = json.loads(cause)
    assert denied["type"] == "ApprovalDenied"
    assert denied["message"] == "bob denied the release: the backup is not done"


def test_a_person_may_take_a_yes_back_while_it_is_open() -> None:
    desk = Desk(needed=2)
    desk.ask()
    desk.answer(ANN, "approved")
    assert desk.answer(ANN, "denied").outcome.decision == "ApprovalDenied"


def test_nobody_decides_on_a_run_that_they_triggered() -> None:
    desk = Desk()
    desk.ask(trigger="upload:AWS:AIDAANN000000000000A")
    for decision in ("approved", "denied"):
        with pytest.raises(ApprovalRefused, match="triggered by ann"):
            desk.answer(ANN, decision)
    assert desk.tasks.ended == []


def test_a_yes_of_who_triggered_the_run_that_is_there_all_the_same_does_not_count() -> None:
    desk = Desk()
    desk.ask(trigger="upload:AWS:AIDAANN000000000000A")
    desk.questions.record(RUN).add(Answer("ann", "approved", desk.time.isoformat(), "slack"))
    assert desk.questions.look(RUN).outcome is None


def test_a_yes_of_who_is_no_approver_any_more_does_not_count() -> None:
    desk = Desk(needed=2)
    desk.ask()
    desk.answer(ANN, "approved")
    desk.approvers = (BOB, CIA)
    assert desk.answer(BOB, "approved").outcome is None
    assert desk.answer(CIA, "approved").outcome.by == ("bob", "cia")


def test_after_its_time_it_has_expired_and_a_yes_comes_too_late() -> None:
    desk = Desk(needed=2)
    desk.ask()
    desk.answer(ANN, "approved")
    desk.later(60)
    with pytest.raises(ApprovalRefused, match=r"too late: .* only ann approved"):
        desk.answer(BOB, "approved")
    assert [error for error, _ in desk.tasks.ended] == ["ApprovalExpired"]


def test_a_reminder_keeps_the_time_that_there_was() -> None:
    desk = Desk()
    desk.ask("token-1")
    desk.later(59)
    standing = desk.ask("token-2", asked_at=desk.time, expires_at=desk.time)
    assert standing.question.reminders == 1
    assert standing.question.asked_at == asked().asked_at
    desk.later(1)
    assert desk.ask("token-3").outcome.decision == "ApprovalExpired"


def test_a_call_again_for_the_same_task_is_no_reminder() -> None:
    desk = Desk()
    desk.ask("token-1")
    assert desk.ask("token-1").question.reminders == 0


def test_an_answer_while_no_task_waits_counts_at_the_next_asking() -> None:
    desk = Desk()
    desk.ask("token-1")
    desk.tasks.waiting = ""  # States.Timeout came first.
    standing = desk.answer(ANN, "approved")
    assert not standing.delivered
    assert "next reminder" in standing.sentence()
    assert desk.ask("token-2").outcome.decision == "approved"
    assert desk.tasks.ended == [("approved", ("ann",))]


def test_a_throttled_answer_is_kept_and_delivered_by_the_next_click_or_reminder() -> None:
    desk = Desk()
    desk.ask()
    desk.tasks.throttled = 1
    standing = desk.answer(ANN, "approved")
    assert standing.recorded
    assert not standing.delivered
    assert desk.tasks.ended == []
    assert desk.answer(ANN, "approved").delivered
    assert desk.tasks.ended == [("approved", ("ann",))]


def test_asking_fails_when_the_run_cannot_be_answered_so_that_it_is_asked_again() -> None:
    desk = Desk()
    desk.ask("token-1")
    desk.tasks.waiting = ""
    desk.answer(ANN, "approved")
    desk.tasks.throttled = 1
    with pytest.raises(AwsError):
        desk.ask("token-2")
    desk.ask("token-3")
    assert desk.tasks.ended == [("approved", ("ann",))]


def test_a_cancelled_run_ends_at_the_next_look() -> None:
    desk = Desk()
    desk.ask()
    desk.store.write(f"runs/{RUN}/cancel.json", b'{"by": "dan", "reason": "wrong release"}')
    outcome = desk.questions.look(RUN).outcome
    assert outcome is not None
    assert outcome.message == "dan cancelled the run: wrong release"
    assert [error for error, _ in desk.tasks.ended] == ["RunCancelled"]


def test_a_restore_is_not_cancelled_with_the_run_that_it_is_to_mend() -> None:
    desk = Desk()
    desk.store.write(f"runs/{RUN}/cancel.json", b'{"by": "dan"}')
    desk.ask(gate="restore")
    assert desk.answer(ANN, "approved").outcome.decision == "approved"


def test_what_can_never_be_approved_ends_at_once_with_the_setting_to_change() -> None:
    desk = Desk(needed=2, approvers=(ANN, BOB))
    desk.ask(trigger="upload:AWS:AIDAANN000000000000A")
    [(error, cause)] = desk.tasks.ended
    assert error == "ConfigurationError"
    assert "Approvers" in json.loads(cause)["hint"]


def test_both_buttons_at_once_give_one_outcome_which_is_the_one_that_is_recorded() -> None:
    for _ in range(30):
        desk = Desk()
        desk.ask()
        at_once(
            lambda: desk.answer(ANN, "approved"),  # noqa: B023
            lambda: desk.answer(BOB, "denied"),  # noqa: B023
            lambda: desk.answer(ANN, "denied"),  # noqa: B023
        )
        [(word, _)] = desk.tasks.ended
        outcome = desk.questions.look(RUN).outcome
        assert outcome is not None
        assert outcome.decision == word
        report = json.loads(desk.store.objects[f"runs/{RUN}/report.json"])
        assert [row["decision"] for row in report["approvals"]] == [word]


def test_two_people_at_once_are_two_approvers() -> None:
    for _ in range(30):
        desk = Desk(needed=2)
        desk.ask()
        at_once(
            lambda: desk.answer(ANN, "approved", "slack"),  # noqa: B023
            lambda: desk.answer(ANN, "approved", "link"),  # noqa: B023
            lambda: desk.answer(BOB, "approved", "command"),  # noqa: B023
        )
        assert desk.tasks.ended == [("approved", ("ann", "bob"))] or desk.tasks.ended == [
            ("approved", ("bob", "ann"))
        ]


def test_who_said_what_is_in_the_report_and_in_the_log() -> None:
    desk = Desk()
    desk.ask()
    desk.answer(ANN, "approved", "link", comment="fine")
    [row] = json.loads(desk.store.objects[f"runs/{RUN}/report.json"])["approvals"]
    assert row["gate"] == "release"
    assert row["by"] == ["ann"]
    assert row["reasons"] == ["sql/0003_drop.sql:1 table edges, with its rows (DROP TABLE)"]
    assert row["answers"] == [
        {
            "person": "ann",
            "decision": "approved",
            "at": "2026-11-22T12:00:00.000+00:00",
            "way": "link",
            "comment": "fine",
        }
    ]
    [line] = [line for line in desk.log.lines if line["msg"] == "answer"]
    assert (line["person"], line["decision"], line["way"]) == ("ann", "approved", "link")


def test_a_run_that_asks_nothing_takes_no_answer() -> None:
    with pytest.raises(ApprovalRefused, match="asked for no approval"):
        Desk().questions.look(RUN)


@pytest.mark.parametrize("run", ["../../etc", "r/1", "", "r" * 200])
def test_a_run_that_is_no_name_of_a_run_is_refused(run: str) -> None:
    desk = Desk()
    desk.ask()
    with pytest.raises(ApprovalRefused):
        desk.questions.look(run)


def test_what_the_command_line_sees_has_no_token_in_it() -> None:
    desk = Desk()
    assert "token-1" not in json.dumps(desk.ask("token-1").to_dict())


def test_a_question_ends_once_whatever_comes_after() -> None:
    desk = Desk()
    desk.ask()
    record = desk.questions.record(RUN)
    first, second = (
        QuestionOutcome("approved", ("ann",), "now"),
        QuestionOutcome("ApprovalDenied", ("bob",), "now"),
    )
    assert record.decide(first) == first
    assert record.decide(second) == first
    assert record.outcome() == first


def test_a_task_that_was_replaced_while_somebody_answered_gets_the_answer() -> None:
    desk = Desk()
    desk.ask("token-1")
    create = desk.store.create

    def and_meanwhile(key: str, body: bytes) -> bool:
        if key.endswith("/outcome.json"):
            desk.questions.record(RUN).write(asked("token-2"))
            desk.tasks.waiting = "token-2"
        return create(key, body)

    desk.store.create = and_meanwhile  # type: ignore[method-assign]
    assert desk.answer(ANN, "approved").delivered
    assert desk.tasks.ended == [("approved", ("ann",))]


def test_a_write_whose_answer_got_lost_is_not_taken_for_somebody_elses() -> None:
    desk = Desk()
    desk.ask()
    create = desk.store.create

    def tried_twice(key: str, body: bytes) -> bool:
        # The first try was done, the second finds an object there.
        create(key, body)
        return False

    desk.store.create = tried_twice  # type: ignore[method-assign]
    assert desk.answer(ANN, "approved").recorded
