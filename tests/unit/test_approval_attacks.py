"""Attacks on approvals: forged, replayed, and confused ones. Each got through once, or might."""

from __future__ import annotations

import json
from typing import Any

import pytest
from turnback.errors import ApprovalRefused, ConfigurationError
from turnback.runs.approvals.identity import triggered
from turnback.runs.approvals.record import QuestionRecord
from turnback.runs.approvals.slack import Press, SlackSecret, reply, sign
from turnback.settings.approvals import Approver
from turnback.wiring import Wiring

from tests.asking import ANN, BOB, RUN, Desk, asked, called, endpoint
from tests.real_events import event

KEY = "k" * 43
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
YES = {"decision": "approved", "at": "2026-11-22T12:00:00.000+00:00", "way": "link", "comment": ""}


@pytest.fixture
def desk() -> Desk:
    found = Desk()
    found.ask(execution="arn:aws:states:x:1:execution:m:r 2026-11-22T12:00:00Z")
    return found


def http(desk: Desk, **changes: Any) -> dict[str, Any]:
    request = event("approval_link")
    request["requestContext"]["http"]["method"] = changes.pop("method", "POST")
    made = endpoint(desk, lambda: SlackSecret(SECRET), KEY)
    return called(made, {**request, **changes})


@pytest.mark.parametrize("name", ["cancel.json", "slack.json", "plan.json", "answer", "0" * 32])
def test_whoever_may_write_one_name_below_runs_cannot_answer_by_it(desk: Desk, name: str) -> None:
    # `runs/*/cancel.json` in a policy of IAM matches this key as well.
    desk.store.write(
        f"runs/{RUN}/approvals/release/{name}", json.dumps({"person": "ann", **YES}).encode()
    )
    standing = desk.questions.look(RUN)
    assert (standing.answers, standing.outcome, desk.tasks.ended) == ((), None, [])


def test_an_answer_does_not_count_under_the_name_of_another_one(desk: Desk) -> None:
    desk.needed = 2
    desk.ask("token-1", execution="arn:aws:states:x:1:execution:m:r 2026-11-22T12:00:00Z")
    desk.answer(ANN, "approved")
    [key] = [key for key in desk.store.objects if len(key.rpartition("/")[2]) == 37]
    desk.store.objects[key] = json.dumps({"person": "bob", **YES}).encode()
    assert desk.questions.look(RUN).answers == ()


def test_what_is_no_answer_there_does_not_stop_the_question(desk: Desk) -> None:
    desk.store.write(f"runs/{RUN}/approvals/release/cancel.json", b"no JSON at all")
    assert desk.answer(ANN, "approved").outcome.decision == "approved"


def test_an_approval_does_not_count_for_another_execution_of_the_same_run(desk: Desk) -> None:
    desk.answer(ANN, "approved")
    desk.tasks.ended.clear()
    for name in ("m:r 2027-03-01T08:00:00Z", "m:other 2026-11-22T12:00:00Z"):
        standing = desk.ask("token-2", execution=f"arn:aws:states:x:1:execution:{name}")
        assert standing.outcome.decision == "ConfigurationError"
        assert "another execution" in standing.outcome.message
    assert [ended[0] for ended in desk.tasks.ended] == ["ConfigurationError"] * 2
    # And the first one's question stands as it did.
    assert QuestionRecord(desk.store, RUN, "release").question().token == "token-1"  # type: ignore[union-attr]


def test_an_answer_that_was_recorded_before_the_question_is_refused() -> None:
    desk = Desk()
    with pytest.raises(ApprovalRefused, match="has asked for no release approval"):
        desk.questions.record(RUN, "release")


def test_the_answer_to_a_release_is_none_to_its_restore(desk: Desk) -> None:
    desk.answer(ANN, "approved")
    desk.tasks.waiting = "token-r"
    standing = desk.questions.put(asked("token-r", gate="restore"), RUN)
    assert standing.outcome is None
    with pytest.raises(ApprovalRefused, match="no restore"):
        Desk(store=desk.store).questions.record("r-other", "restore")


def test_an_execution_under_the_name_of_another_run_touches_no_record_of_it() -> None:
    state = event("validate")["state"]
    forged = {**event("validate"), "state": {**state, "run": "r-somebody-elses"}}
    with pytest.raises(ConfigurationError, match="'r-somebody-elses'") as caught:
        _ = Wiring(forged, None, {}, Desk().log).order
    assert "execution's name" in str(caught.value.hint)
    # What is reported and recorded of it carries its own name.
    assert Wiring(forged, None, {}, Desk().log).run_id == state["run"]
    assert Wiring(event("validate"), None, {}, Desk().log).order.run == state["run"]


@pytest.mark.parametrize("name", ["ann", "ANN", "team/ann"])
def test_a_user_of_iam_with_an_approvers_name_does_not_approve_their_own_run(name: str) -> None:
    person = Approver("ann", slack="U0ANN", aws=("AIDAANN000000000000A",))
    assert triggered(f"release:arn:aws:iam::1:user/{name}", person)
    assert not triggered("release:arn:aws:iam::1:user/annabel", person)
    assert not triggered("release:arn:aws:iam::1:user/ann/bob", person)


@pytest.mark.parametrize(
    "changes",
    [
        {"body": "\ud800", "isBase64Encoded": False},
        {"body": "é", "isBase64Encoded": True},
        {"body": "=" * 7, "isBase64Encoded": True},
        {"rawQueryString": "t=%ff%00é.\ud800"},
        {"rawQueryString": "t=" + "A" * 100_000},
        {"rawQueryString": "t=.&t=x", "headers": {"X-HTTP-Method-Override": "POST"}},
        {"headers": None, "rawQueryString": None, "body": None},
        {"method": "PUT"},
        {"method": "post"},
    ],
)
def test_a_strange_request_is_refused_and_answers_nothing(
    desk: Desk, changes: dict[str, Any]
) -> None:
    answered = http(desk, **{"rawQueryString": "t=bm8.bm8", **changes})
    assert answered["statusCode"] in (400, 403, 404, 405)
    assert desk.questions.look(RUN).answers == ()


@pytest.mark.parametrize("stamp", ["\ud800", "²", "१७६३८१२८००", "", "-1", "1e9", "9" * 400])
def test_a_signature_over_a_strange_time_is_refused(desk: Desk, stamp: str) -> None:
    body = "payload=%7B%7D"
    signed = sign(SECRET, stamp.encode(errors="replace").decode(), body.encode())
    headers = {"x-slack-request-timestamp": stamp, "x-slack-signature": signed}
    assert http(desk, headers=headers, body=body)["statusCode"] == 403
    assert (
        http(desk, headers={**headers, "x-slack-signature": "\ud800"}, body=body)["statusCode"]
        == 403
    )


def test_a_request_with_a_signature_and_a_link_is_not_taken_for_the_link(desk: Desk) -> None:
    headers = {"X-SLACK-SIGNATURE": "v0=" + "0" * 64, "X-Slack-Request-Timestamp": "1"}
    answered = http(desk, headers=headers, body="decision=approved")
    assert answered["statusCode"] == 403
    assert desk.questions.look(RUN).answers == ()


def test_a_comment_mentions_nobody_in_slack(desk: Desk) -> None:
    standing = desk.answer(BOB, "denied", comment="<!channel> <https://evil.test|here>")
    press = Press(RUN, "release", "denied", "U0BOB", "bob", "T0TEAM", "", {}, "once")
    text = json.dumps(reply(press, standing))
    assert "<!channel>" not in text and "<https" not in text
