"""A run that waits for people, from the state machine's question to what it goes on with."""

from __future__ import annotations

import io
import json
import sys
from urllib.parse import urlsplit

import pytest
from botocore.stub import Stubber
from turnback.aws.s3 import Bucket
from turnback.aws.stepfunctions import WaitingTasks
from turnback.errors import AwsError
from turnback.runtime import logger

from tests.integration.waiting_run import BUCKET, waiting
from tests.real_events import event

ANN = {"name": "ann", "slack": "U0ANN", "aws": "AIDAANN000000000000A", "email": "ann@x.test"}
BOB = {"name": "bob", "slack": "U0BOB", "email": "bob@x.test"}
CIA = {"name": "cia", "slack": "U0CIA"}
THREE = [ANN, BOB, CIA]


def test_a_run_asks_and_goes_on_when_it_was_approved_by_the_link_of_a_mail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with waiting(monkeypatch, THREE) as stack:
        run = stack.start()
        [status] = stack.asked()
        assert status["status"] == "awaiting_approval"
        assert status["approval"]["persons_needed"] == 1
        assert status["approval"]["reasons"] == [
            "sql/0003_drop.sql:1 table edges, with its rows (DROP TABLE)"
        ]
        assert status["approval"]["command"] == f"turnback approve {run}"
        # Those who have an address, and nobody else.
        mails = stack.mails(2)
        assert {mail["MessageAttributes"]["person"]["Value"] for mail in mails} == {"ann", "bob"}
        text = mails[0]["Message"]
        assert "sql/0003_drop.sql:1 table edges, with its rows (DROP TABLE)" in text
        assert mails[0]["Subject"] == "learning 1.4.0 waits for approval of its release"
        [link] = [line for line in text.splitlines() if line.startswith("https://")]
        query = urlsplit(link).query
        assert stack.over_http("GET", query)["statusCode"] == 200
        page = stack.over_http("POST", query, decision="approved", comment="go")
        assert page["statusCode"] == 200
        person = mails[0]["MessageAttributes"]["person"]["Value"]
        state = stack.ended(run)
        assert state["approval"] == {
            "decision": "approved",
            "gate": "release",
            "by": [person],
            "plan": "",
            "rehearsal": "",
        }
        assert stack.over_http("POST", query, decision="denied")["statusCode"] == 410
        [row] = stack.get(f"runs/{run}/report.json")["approvals"]
        assert row["answers"][0]["comment"] == "go"


def test_a_run_that_is_denied_in_slack_ends_with_who_said_no(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with waiting(monkeypatch, THREE) as stack:
        run = stack.start()
        stack.asked()
        assert stack.press(run, "deny", "U0BOB")["statusCode"] == 200
        error = stack.ended(run)["error"]
        assert error["Error"] == "ApprovalDenied"
        cause = json.loads(error["Cause"])
        assert cause["type"] == "ApprovalDenied"
        assert cause["message"] == "bob denied the release"


def test_two_must_be_two(monkeypatch: pytest.MonkeyPatch) -> None:
    with waiting(monkeypatch, THREE, APPROVALS="two") as stack:
        plan = {**event("ask")["state"]["plan"], "approvals": 2}
        run = stack.start(plan=plan, trigger="upload:AWS:AIDAANN000000000000A")
        stack.asked()
        for user in ("U0ANN", "U0BOB", "U0BOB", "U0EVE"):
            assert stack.press(run, "approve", user)["statusCode"] == 200
        seen = stack.invoke("answer", {"run": run, "decision": "look"})
        assert seen["approved_by"] == ["bob"]
        assert seen["outcome"] is None
        stack.press(run, "approve", "U0CIA")
        assert stack.ended(run)["approval"]["by"] == ["bob", "cia"]


def test_after_its_time_without_an_answer_the_question_is_put_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with waiting(monkeypatch, THREE, reminder_s=1) as stack:
        run = stack.start()
        first, second = stack.asked(2)
        assert second["approval"]["expires_at"] == first["approval"]["expires_at"]
        assert second["approval"]["reminders"] == 1
        stack.press(run, "approve", "U0ANN")
        assert stack.ended(run)["approval"]["by"] == ["ann"]


def test_an_answer_with_the_token_of_an_earlier_question_counts_at_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with waiting(monkeypatch, THREE, reminder_s=1) as stack:
        run = stack.start()
        stack.asked()
        stale = stack.question(run)
        stack.asked()
        stack.put(f"runs/{run}/approvals/release.json", stale)
        stack.press(run, "approve", "U0ANN")
        assert stack.ended(run)["approval"]["by"] == ["ann"]


def test_a_cancelled_run_ends_at_its_next_reminder(monkeypatch: pytest.MonkeyPatch) -> None:
    with waiting(monkeypatch, THREE, reminder_s=1) as stack:
        run = stack.start()
        stack.asked()
        stack.put(f"runs/{run}/cancel.json", {"by": "dan", "at": "now", "reason": "no"})
        assert stack.ended(run)["error"]["Error"] == "RunCancelled"


def test_a_cancelled_run_ends_at_once_when_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    with waiting(monkeypatch, THREE) as stack:
        run = stack.start()
        stack.asked()
        stack.put(f"runs/{run}/cancel.json", {"by": "dan", "at": "now", "reason": "no"})
        stack.invoke("answer", {"run": run, "decision": "look"})
        assert stack.ended(run)["error"]["Error"] == "RunCancelled"


def test_a_restore_is_asked_for_with_what_it_loses(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = {"since": "2026-11-22T09:00:00+00:00", "seconds": 90, "inserted": 4, "updated": 0}
    loss |= {"deleted": 0, "approximate": True, "tables": []}
    caught = {"Error": "RollbackFailed", "Cause": json.dumps({"errorMessage": "no table edges"})}
    with waiting(monkeypatch, THREE, APPROVALS="never") as stack:
        run = stack.start(
            "restore",
            assessment={"decision": "ask", "reason": "the rollback failed", "loss": loss},
            rollback_error=caught,
        )
        [status] = stack.asked()
        assert status["approval"]["gate"] == "restore"
        assert status["approval"]["loss"] == loss
        assert status["approval"]["reasons"] == ["the rollback failed", "no table edges"]
        assert "about 4 inserted" in stack.mails(2)[0]["Message"]
        stack.press(run, "approve", "U0CIA", "restore")
        answer = stack.ended(run, "restore")["restore_approval"]
        assert answer == {
            "decision": "approved",
            "gate": "restore",
            "by": ["cia"],
            "plan": "",
            "rehearsal": "",
        }


def test_what_nobody_may_approve_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with waiting(monkeypatch, [ANN]) as stack:
        error = stack.ended(stack.start(trigger="upload:AWS:AIDAANN000000000000A"))["error"]
        assert error["Error"] == "ConfigurationError"
        assert "Approvers" in json.loads(error["Cause"])["hint"]


def test_an_object_is_created_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with waiting(monkeypatch, THREE):
        bucket = Bucket(BUCKET)
        assert bucket.create("once", b"first")
        assert not bucket.create("once", b"second")
        assert bucket.read("once") == b"first"


@pytest.mark.parametrize(
    ("code", "gone"),
    [("TaskTimedOut", True), ("TaskDoesNotExist", True), ("ThrottlingException", False)],
)
def test_a_task_that_is_gone_is_distinguished_from_one_that_could_not_be_reached(
    monkeypatch: pytest.MonkeyPatch, code: str, gone: bool
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    tasks = WaitingTasks()
    with Stubber(tasks._states) as stub:
        stub.add_client_error("send_task_success", code)
        if gone:
            assert not tasks.send_success("token", {})
        else:
            with pytest.raises(AwsError, match="ThrottlingException"):
                tasks.send_success("token", {})


def test_no_link_no_key_and_no_page_is_in_any_log(monkeypatch: pytest.MonkeyPatch) -> None:
    logged = io.StringIO()
    logger.registered_handler.setStream(logged)
    try:
        with waiting(monkeypatch, THREE) as stack:
            run = stack.start()
            stack.asked()
            query = urlsplit(stack.link_of("ann", 2)).query
            stack.over_http("GET", query)
            token = stack.question(run)["token"]
            stack.over_http("POST", query, decision="approved")
            stack.ended(run)
    finally:
        logger.registered_handler.setStream(sys.__stdout__)
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    [said] = [line for line in lines if line["message"] == "answer"]
    assert (said["person"], said["way"], said["run"]) == ("ann", "link", run)
    for secret in (query, token, "k" * 43, "<html"):
        assert secret not in logged.getvalue()
