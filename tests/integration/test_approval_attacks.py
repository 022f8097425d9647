"""Attacks on approvals through the real functions and the real definition."""

from __future__ import annotations

import json

import pytest

from tests.integration.waiting_run import Waiting, waiting
from tests.real_events import event

ANN = {"name": "ann", "slack": "U0ANN", "aws": "AIDAANN000000000000A", "email": "ann@x.test"}
BOB = {"name": "bob", "slack": "U0BOB", "email": "bob@x.test"}


def executed(stack: Waiting, name: str, run: str) -> dict[str, object]:
    """The state that an execution ends with whose name is not its run's."""
    state = {**event("ask")["state"], "run": run}
    stack.client("stepfunctions").start_execution(
        stateMachineArn=stack.machines["release"], name=name, input=json.dumps(state)
    )
    return stack.ended(name)


def test_an_approved_run_approves_no_other_execution_that_takes_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with waiting(monkeypatch, [ANN, BOB]) as stack:
        run = stack.start()
        stack.asked()
        stack.press(run, "approve", "U0ANN")
        assert stack.ended(run)["approval"]["by"] == ["ann"]
        before = stack.question(run)
        state = executed(stack, "r-00000000000000000000", run)
        assert "approval" not in state
        assert state["error"]["Error"] == "ConfigurationError"  # type: ignore[index]
        assert stack.question(run) == before


def test_the_right_to_cancel_a_run_is_none_to_approve_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with waiting(monkeypatch, [ANN, BOB]) as stack:
        run = stack.start()
        stack.asked()
        forged = {"person": "ann", "decision": "approved", "at": "2026-11-22T12:00:00.000+00:00"}
        stack.put(
            f"runs/{run}/approvals/release/cancel.json", {**forged, "way": "link", "comment": ""}
        )
        seen = stack.invoke("answer", {"run": run, "decision": "look"})
        assert (seen["answers"], seen["outcome"]) == ([], None)
        stack.press(run, "deny", "U0BOB")
        assert stack.ended(run)["error"]["Error"] == "ApprovalDenied"


def test_who_denied_cannot_approve_afterwards_nor_somebody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with waiting(monkeypatch, [ANN, BOB]) as stack:
        run = stack.start()
        stack.asked()
        link = stack.link_of("ann", 2).partition("?")[2]
        assert stack.over_http("POST", link, decision="denied")["statusCode"] == 200
        stack.press(run, "approve", "U0ANN")
        stack.press(run, "approve", "U0BOB")
        assert stack.ended(run)["error"]["Error"] == "ApprovalDenied"
        [row] = stack.get(f"runs/{run}/report.json")["approvals"]
        assert row["decision"] == "ApprovalDenied"
        assert [answer["decision"] for answer in row["answers"]] == ["denied"]
