"""Following an execution of the state machine, step by step, while it runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from turnback.errors import AwsError

POLL_SECONDS = 0.1
# How long an upload may take to become an execution.
BEGIN_SECONDS = 60.0
RUN_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class StepEvent:
    """A step, which is a task of the state machine, that began or ended.

    Attributes:
        name: the state's name in the definition.
        seconds: how long it took; None when it only begins.
        error: the class of the error that it ended with, if it did.
        detail: that error's message and, where it is known, file and line.
    """

    name: str
    seconds: float | None = None
    error: str = ""
    detail: str = ""


def await_execution(states: Any, machine: str, known: set[str]) -> str:
    """The ARN of an execution that is not yet known, as soon as there is one.

    Args:
        states: a client of Step Functions.
        machine: ARN of the state machine.
        known: executions to leave out.

    Raises:
        AwsError: none was started in a minute.
    """
    deadline = time.monotonic() + BEGIN_SECONDS
    while time.monotonic() < deadline:
        for found in states.list_executions(stateMachineArn=machine)["executions"]:
            if found["executionArn"] not in known:
                return str(found["executionArn"])
        time.sleep(POLL_SECONDS)
    raise AwsError("The upload started no run.", hint="The log of OnUploadFunction says why.")


def follow(states: Any, execution: str) -> Iterator[StepEvent]:
    """Each step as it begins and as it ends, until the execution has ended.

    Args:
        states: a client of Step Functions.
        execution: its ARN.

    Raises:
        AwsError: it does not end in five minutes.
    """
    deadline = time.monotonic() + RUN_SECONDS
    seen = 0
    steps = _Steps()
    while True:
        # Asked before the events are read: what it ended with is then among them.
        status = states.describe_execution(executionArn=execution)["status"]
        events = _events(states, execution)
        for event in events[seen:]:
            yield from steps.read(event)
        seen = len(events)
        if status != "RUNNING":
            return
        if time.monotonic() > deadline:
            raise AwsError(f"The run does not end: {execution}.")
        time.sleep(POLL_SECONDS)


def _events(states: Any, execution: str) -> list[dict[str, Any]]:
    pages = states.get_paginator("get_execution_history").paginate(executionArn=execution)
    return [event for page in pages for event in page["events"]]


class _Steps:
    """Turns events of the history into steps."""

    def __init__(self) -> None:
        self._began: datetime | None = None
        self._failure: tuple[str, str] = ("", "")

    def read(self, event: dict[str, Any]) -> Iterator[StepEvent]:
        kind = event["type"]
        if kind.endswith(("Failed", "TimedOut")) and kind.startswith(("Task", "LambdaFunction")):
            details: dict[str, Any] = next(
                (value for name, value in event.items() if name.endswith("EventDetails")), {}
            )
            self._failure = (details.get("error", kind), _message(details.get("cause", "")))
        elif kind == "TaskStateEntered":
            self._began, self._failure = event["timestamp"], ("", "")
            yield StepEvent(event["stateEnteredEventDetails"]["name"])
        elif kind == "TaskStateExited":
            yield self._end(event["stateExitedEventDetails"]["name"], event["timestamp"])

    def _end(self, name: str, at: datetime) -> StepEvent:
        seconds = (at - self._began).total_seconds() if self._began else 0.0
        error, detail = self._failure
        return StepEvent(name, seconds, error, detail)


def _message(cause: str) -> str:
    """What an error says, out of the JSON of Lambda and of ours; in one line."""
    told: dict[str, Any] = {"message": cause}
    for key in ("errorMessage", "message"):
        try:
            inner = json.loads(str(told.get(key, told["message"]) or cause))
        except ValueError:
            break
        if not isinstance(inner, dict):
            break
        told = {"message": inner.get("errorMessage", inner.get("message", cause)), **inner}
        cause = told["message"]
    place = ":".join(str(told[key]) for key in ("file", "line") if told.get(key))
    lines = str(told["message"]).splitlines()
    return " ".join(filter(None, [place, lines[0] if lines else ""]))
