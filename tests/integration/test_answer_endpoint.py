"""The function that takes answers, as Lambda calls it: forged, replayed, used twice, too late."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.client import BaseClient
from turnback.runs.approvals.links import read

from tests.asking import at_once
from tests.aws_calls import caller
from tests.integration.waiting_run import Waiting, waiting
from tests.real_events import event

ANN = {"name": "ann", "slack": "U0ANN", "aws": "AIDAANN000000000000A", "email": "ann@x.test"}
BOB = {"name": "bob", "slack": "U0BOB", "email": "bob@x.test"}


def said(stack: Waiting, run: str) -> list[tuple[str, str]]:
    seen = stack.invoke("answer", {"run": run, "decision": "look"})
    return [(answer["person"], answer["decision"]) for answer in seen["answers"]]


def test_a_link_is_used_twice_of_another_run_and_forged(monkeypatch: pytest.MonkeyPatch) -> None:
    with waiting(monkeypatch, [ANN, BOB]) as stack:
        run, other = stack.start(), stack.start()
        stack.asked(2)
        queries = [urlsplit(link).query for link in _links(stack, "ann", 4)]
        [own] = [query for query in queries if _run_of(query) == run]
        body, _, signature = own.partition(".")
        [strange] = [query for query in queries if _run_of(query) == other]
        forged = f"{strange.partition('.')[0]}.{signature}"
        assert stack.over_http("POST", forged, decision="approved")["statusCode"] == 403
        assert stack.over_http("POST", body, decision="approved")["statusCode"] == 403
        assert said(stack, run) == said(stack, other) == []
        assert stack.over_http("POST", own, decision="approved")["statusCode"] == 200
        assert stack.over_http("POST", own, decision="approved")["statusCode"] == 410
        assert stack.ended(run)["approval"]["by"] == ["ann"]
        assert said(stack, other) == []
        assert stack.over_http("POST", strange, decision="denied")["statusCode"] == 200
        assert stack.ended(other)["error"]["Error"] == "ApprovalDenied"


def test_a_press_that_is_replayed_or_signed_by_another_answers_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with waiting(monkeypatch, [ANN, BOB], APPROVALS="two") as stack:
        plan = {**event("ask")["state"]["plan"], "approvals": 2}
        run = stack.start(plan=plan)
        stack.asked()
        # The recorded one: its signature is nobody's, and its time is not now.
        assert stack.invoke("answer", event("slack_interaction"))["statusCode"] == 403
        assert said(stack, run) == []
        stack.press(run, "approve", "U0ANN")
        assert said(stack, run) == [("ann", "approved")]


def test_both_buttons_at_once_end_the_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with waiting(monkeypatch, [ANN, BOB]) as stack:
        run = stack.start()
        stack.asked()
        at_once(
            lambda: stack.press(run, "approve", "U0ANN"),
            lambda: stack.press(run, "deny", "U0BOB"),
        )
        state = stack.ended(run)
        [row] = stack.get(f"runs/{run}/report.json")["approvals"]
        ended_by = state["approval"]["decision"] if "approval" in state else state["error"]["Error"]
        assert row["decision"] == ended_by


def test_a_request_over_the_url_cannot_speak_as_the_command_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with waiting(monkeypatch, [ANN, BOB]) as stack:
        run = stack.start()
        stack.asked()
        order = {**event("answer"), "run": run, "person": {"user_id": ANN["aws"]}}
        request = event("approval_link")
        request["requestContext"]["http"]["method"] = "POST"
        request |= {"rawQueryString": "", "body": json.dumps(order)}
        assert stack.invoke("answer", request)["statusCode"] == 404
        assert stack.invoke("answer", {**request, **order})["statusCode"] == 404
        assert said(stack, run) == []
        # What it would have done, had IAM let it in.
        assert stack.invoke("answer", order)["recorded"]


def test_an_approver_whose_link_was_signed_before_they_triggered_counts_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with waiting(monkeypatch, [ANN, BOB]) as stack:
        run = stack.start(trigger="release:arn:aws:sts::1:assumed-role/Admin/ann@x.test")
        stack.asked()
        # She gets no link of her own to begin with.
        [mail] = stack.mails(1)
        assert mail["MessageAttributes"]["person"]["Value"] == "bob"
        assert stack.press(run, "approve", "U0ANN")["statusCode"] == 200
        assert said(stack, run) == []


def _links(stack: Waiting, person: str, times: int) -> list[str]:
    mails = [m for m in stack.mails(times) if m["MessageAttributes"]["person"]["Value"] == person]
    return [line for m in mails for line in m["Message"].splitlines() if "?t=" in line]


def _run_of(query: str) -> str:

    return read(query.removeprefix("t="), "k" * 43).run


def test_a_press_is_acknowledged_after_two_calls_of_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slack waits three seconds, a cold start among them; what follows takes some twenty calls."""
    with waiting(monkeypatch, [ANN, BOB]) as stack:
        run = stack.start()
        stack.asked()
        called: list[str] = []
        make_call = BaseClient._make_api_call

        def noted(client: BaseClient, operation: str, given: dict[str, Any]) -> Any:
            if caller() == "answer":
                called.append(operation)
            if given.get("InvocationType") != "Event":
                return make_call(client, operation, given)
            later.append(json.loads(given["Payload"]))
            return {"StatusCode": 202}

        later: list[dict[str, Any]] = []
        monkeypatch.setattr(BaseClient, "_make_api_call", noted)
        assert stack.press(run, "approve", "U0ANN")["statusCode"] == 200
        assert called == ["GetSecretValue", "Invoke"]
        called.clear()
        stack.invoke("answer", later[0])
        assert len(called) > 10
        monkeypatch.setattr(BaseClient, "_make_api_call", make_call)
        assert stack.ended(run)["approval"]["by"] == ["ann"]


def test_approvers_come_from_a_parameter_of_systems_manager(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "/turnback/orders-production/approvers"
    with waiting(monkeypatch, [], APPROVERS_PARAMETER=name) as stack:
        stack.client("ssm").put_parameter(Name=name, Type="String", Value=json.dumps([ANN]))
        run = stack.start()
        stack.asked()
        stack.press(run, "approve", "U0ANN")
        assert stack.ended(run)["approval"]["by"] == ["ann"]
