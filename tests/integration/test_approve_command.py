"""``turnback approve``: what it shows, whose answer it gives, and the exit code it leaves with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest

from tests.integration.terminal import Answer, know_stacks, turnback
from tests.integration.waiting_run import BUCKET, Waiting, waiting
from tests.real_events import event

ACCOUNT = "123456789012"
ANN = {"name": "ann", "aws": f"arn:aws:iam::{ACCOUNT}:user/ann"}
BOB = {"name": "bob", "aws": f"arn:aws:iam::{ACCOUNT}:role/Release"}


def known(stack: Waiting, monkeypatch: pytest.MonkeyPatch, **more: str) -> None:
    """Let the commands find the stack by its name."""
    outputs = {
        "BucketName": BUCKET,
        "StateMachineArn": stack.machines["release"],
        "TopicArn": stack.arns["statuses"],
        "AnswerFunctionName": "answer",
        **more,
    }
    listed = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items() if value]
    described: dict[str, Any] = {
        "StackName": "turnback",
        "StackStatus": "CREATE_COMPLETE",
        "Outputs": listed,
        "Parameters": [],
    }
    know_stacks(monkeypatch, described)


@contextmanager
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Waiting, str]]:
    """A run that waits for an answer, of a stack that the commands find."""
    with waiting(monkeypatch, [ANN, BOB]) as stack:
        known(stack, monkeypatch)
        run = stack.start()
        stack.asked()
        yield stack, run


def sign_in(monkeypatch: pytest.MonkeyPatch, name: str) -> dict[str, str]:
    """Become a user of this name; who that is, as STS says it."""
    iam = boto3.client("iam")
    user = iam.create_user(UserName=name)["User"]
    key = iam.create_access_key(UserName=name)["AccessKey"]
    _become(monkeypatch, key["AccessKeyId"], key["SecretAccessKey"])
    return {"arn": user["Arn"], "user_id": user["UserId"]}


def assume(monkeypatch: pytest.MonkeyPatch, role: str, session: str) -> None:
    """Take a role."""
    arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
    taken = boto3.client("sts").assume_role(RoleArn=arn, RoleSessionName=session)["Credentials"]
    _become(monkeypatch, taken["AccessKeyId"], taken["SecretAccessKey"], taken["SessionToken"])


def _become(monkeypatch: pytest.MonkeyPatch, key: str, secret: str, token: str = "") -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    # boto3's own session has read the variables long ago.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


def test_approving_shows_what_is_asked_and_lets_the_run_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with asked(monkeypatch) as (stack, run):
        sign_in(monkeypatch, "ann")
        answer = turnback("approve", run, "--comment", "fine by me")
        assert answer.code == 0
        assert (
            "because     sql/0003_drop.sql:1 table edges, with its rows (DROP TABLE)" in answer.out
        )
        assert f"the release of {run} is approved by ann" in answer.out
        assert stack.ended(run)["approval"]["by"] == ["ann"]
        [row] = stack.get(f"runs/{run}/report.json")["approvals"]
        assert row["answers"][0]["comment"] == "fine by me"


def test_denying_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with asked(monkeypatch) as (stack, run):
        assume(monkeypatch, "Release", "whoever")
        answer = turnback("approve", run, "--deny", "--comment", "not on Friday", "--json")
        assert answer.code == 0
        assert answer.document["outcome"]["message"] == "bob denied the release: not on Friday"
        assert answer.document["status"] == "refused"
        assert stack.ended(run)["error"]["Error"] == "ApprovalDenied"


def test_an_answer_that_does_not_count_leaves_with_3(monkeypatch: pytest.MonkeyPatch) -> None:
    with waiting(monkeypatch, [ANN, BOB]) as stack:
        known(stack, monkeypatch)
        ann = sign_in(monkeypatch, "ann")
        # The upload has her id, her entry has her ARN: STS's answer joins them.
        run = stack.start(trigger=f"upload:AWS:{ann['user_id']}")
        stack.asked()
        own = turnback("approve", run)
        assert_refused(own, "triggered by ann")
        sign_in(monkeypatch, "eve")
        assert_refused(turnback("approve", run), "user/eve")
        assume(monkeypatch, "Release", "bob")
        assert turnback("approve", run).code == 0
        stack.ended(run)
        assert_refused(turnback("approve", run, "--deny"), "too late")
        again = turnback("approve", run)
        assert again.code == 0
        assert "you have approved this before" in again.err


def test_the_second_of_two_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    with waiting(monkeypatch, [ANN, BOB], APPROVALS="two") as stack:
        known(stack, monkeypatch)
        run = stack.start(plan={**event("ask")["state"]["plan"], "approvals": 2})
        stack.asked()
        sign_in(monkeypatch, "ann")
        first = turnback("approve", run)
        assert first.code == 0
        assert "1 of 2 have approved (ann)" in first.out
        assume(monkeypatch, "Release", "bob")
        second = turnback("approve", run, "--json")
        assert second.document["outcome"]["by"] == ["ann", "bob"]
        assert stack.ended(run)["approval"]["by"] == ["ann", "bob"]


def test_showing_answers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with asked(monkeypatch) as (stack, run):
        shown = turnback("approve", run, "--show", "--json")
        assert shown.code == 0
        assert shown.document["status"] == "waits"
        assert shown.document["answers"] == []
        assert stack.question(run)["token"] not in shown.out


def test_of_a_run_that_has_ended_it_says_so_and_not_that_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with asked(monkeypatch) as (stack, run):
        sign_in(monkeypatch, "ann")
        assert turnback("approve", run).code == 0
        stack.ended(run)
        stack.put(f"runs/{run}/final.json", {"report": {"status": "succeeded"}})
        shown = turnback("approve", run, "--show", "--json").document
        assert (shown["status"], shown["outcome"]["decision"]) == ("approved", "approved")
        assert shown["told"] == f"the release of {run} is approved by ann; the run has ended"


def test_a_run_may_be_named_by_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    with asked(monkeypatch) as (_, run):
        assert turnback("approve", run[:12], "--show", "--json").document["run"] == run


def test_a_run_that_is_not_there_and_a_stack_without_answers_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with waiting(monkeypatch, [ANN, BOB]) as stack:
        known(stack, monkeypatch)
        strange = turnback("approve", "r-0")
        assert strange.code == 2
        assert "no run 'r-0'" in strange.err
        known(stack, monkeypatch, AnswerFunctionName="")
        old = turnback("approve", "r-0")
        assert old.code == 2
        assert "no function that takes answers" in old.err


def assert_refused(answer: Answer, why: str) -> None:
    assert answer.code == 3
    assert why in answer.err
    assert "hint:" in answer.err
