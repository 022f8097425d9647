"""The events of an execution, told as the steps that people know."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from turnback.runs.caught import error_of
from turnback.runs.watching.outcome import Outcome, outcome_of
from turnback.runs.watching.results import result_of

# Told by others; seen here only when they fail, which changes nothing for the run.
_QUIET = "Announce"
_FAILURES = ("Failed", "TimedOut")
_ENDS = {
    "ExecutionSucceeded": "SUCCEEDED",
    "ExecutionFailed": "FAILED",
    "ExecutionAborted": "ABORTED",
    "ExecutionTimedOut": "TIMED_OUT",
}


@dataclass(slots=True)
class Step:
    """One step of a run: a task of the state machine, however often it was called.

    Attributes:
        name: the state's name in the definition.
        began: when it was first entered.
        ended: when it was last left; None while it is at work.
        closed: whether the run is past it.
        tries: how often it was tried; calls that went well and were to go on count as one.
        failure: the error of the last try, as of TurnbackError.to_dict.
        retried: the errors of the tries before.
        result: what came of it, in a few words.
    """

    name: str
    began: datetime
    ended: datetime | None = None
    closed: bool = False
    tries: int = 1
    failure: dict[str, Any] | None = None
    retried: list[dict[str, Any]] = field(default_factory=list)
    result: str = ""

    @property
    def title(self) -> str:
        """Its name in words: ``Roll back``."""
        words = re.findall(r"[A-Z][a-z]*", self.name)
        return " ".join([words[0], *map(str.lower, words[1:])]) if words else self.name

    @property
    def seconds(self) -> float | None:
        """How long it took; None before it was left."""
        return (self.ended - self.began).total_seconds() if self.ended else None

    @property
    def error(self) -> str:
        """The class of the error that it ended with, or an empty string."""
        return str(self.failure["type"]) if self.failure else ""

    @property
    def detail(self) -> str:
        """Where that error is and what it says, in one line."""
        return in_one_line(self.failure) if self.failure else ""

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "name": self.name,
            "began_at": self.began.isoformat(timespec="milliseconds"),
            "seconds": self.seconds,
            "tries": self.tries,
            "result": self.result,
            "error": self.failure,
        }


class Story:
    """The steps of one run, from its events.

    Attributes:
        steps: in the order they began.
        began: when the run began; None before its first event.
        ended: when it ended; None before it did.
        state: the state that was entered last.
        output: the state machine's state as the last step left it.
        outcome: how the run ended; None before it did.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.began: datetime | None = None
        self.ended: datetime | None = None
        self.state = ""
        self.output: Mapping[str, Any] = {}
        self.outcome: Outcome | None = None
        self._open: Step | None = None
        self._quiet: Step | None = None
        self._first: dict[str, Any] | None = None

    @property
    def failed(self) -> bool:
        """Whether a step has failed for good: the run is on its way back, or at its end."""
        return self._first is not None

    @property
    def current(self) -> Step | None:
        """The step that the run is at, or has just left."""
        return self._open

    def read(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Go on with these events, as ``get_execution_history`` gives them, oldest first."""
        for event in events:
            self._read(event)

    def end(self, status: str, error: str, cause: str, at: datetime) -> None:
        """The run has ended; called by itself where an event says so.

        Args:
            status: the execution's, in the words of Step Functions.
            error: the name it failed with.
            cause: the text it failed with.
            at: when.
        """
        if self._open and self._open.ended is None:
            self._open.ended = at
        self._close()
        self.ended = at
        self.outcome = outcome_of(status, self.state, error, cause, self._first)

    def _read(self, event: Mapping[str, Any]) -> None:
        kind = str(event["type"])
        at: datetime = event["timestamp"]
        self.began = self.began or at
        if kind.endswith("StateEntered"):
            self.state = str(event["stateEnteredEventDetails"]["name"])
            if kind == "TaskStateEntered":
                self._enter(self.state, at)
        elif kind == "TaskStateExited":
            self._leave(event["stateExitedEventDetails"], at)
        elif kind == "TaskScheduled":
            self._again()
        elif kind.startswith(("Task", "LambdaFunction")) and kind.endswith(_FAILURES):
            self._fail(kind, _details(event))
        elif kind == "ExecutionRedriven":
            self.outcome = self.ended = None
        elif kind in _ENDS:
            details = _details(event)
            told = str(details.get("error") or ""), str(details.get("cause") or "")
            self.end(_ENDS[kind], *told, at)

    def _enter(self, name: str, at: datetime) -> None:
        if name.startswith(_QUIET):
            self._quiet = Step(name, at)
            return
        self._quiet = None
        step = self._open
        if step and step.name == name:
            # A loop of the definition: it is asked how far it is, or reminded.
            step.ended = None
            self._set_aside(step)
            return
        self._close()
        self._open = Step(name, at)
        self.steps.append(self._open)

    def _leave(self, details: Mapping[str, Any], at: datetime) -> None:
        step = self._quiet or self._open
        if step is None:
            return
        step.ended = at
        self.output = _object(details.get("output")) or self.output
        if step is self._quiet:
            self._quiet = None
            if step.failure:
                step.result, step.closed = "nobody was told; the run goes on", True
                self._close()
                self.steps.append(step)
            return
        if step.failure:
            self._first = self._first or step.failure
        else:
            step.result = result_of(step.name, self.output) or step.result

    def _fail(self, kind: str, details: Mapping[str, Any]) -> None:
        step = self._quiet or self._open
        if step:
            error = details.get("error") or ("States.Timeout" if "TimedOut" in kind else kind)
            step.failure = error_of({"Error": error, "Cause": details.get("cause") or ""})

    def _again(self) -> None:
        step = self._quiet or self._open
        if step and step.failure:
            step.tries += 1
            self._set_aside(step)

    def _set_aside(self, step: Step) -> None:
        if step.failure:
            step.retried.append(step.failure)
            step.failure = None

    def _close(self) -> None:
        if self._open:
            self._open.closed = True
            self._open = None


def in_one_line(error: Mapping[str, Any]) -> str:
    """Where an error is and what it says first."""
    place = ":".join(str(error[key]) for key in ("file", "line") if error.get(key))
    lines = str(error.get("message") or "").splitlines()
    return " ".join(filter(None, [place, lines[0] if lines else ""]))


def _details(event: Mapping[str, Any]) -> Mapping[str, Any]:
    found = (value for name, value in event.items() if name.endswith("EventDetails"))
    return next(found, None) or {}


def _object(text: Any) -> dict[str, Any]:
    try:
        found = json.loads(text or "")
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
