"""An execution's history as the steps of a run, and how the run ended."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from turnback import errors
from turnback.errors import (
    AwsError,
    BaseChanged,
    CheckFailed,
    MigrationFailed,
    TurnbackError,
    VerificationFailed,
)
from turnback.runs.reporting.report import undone
from turnback.runs.reporting.steps import result_of
from turnback.runs.state import RunError, RunState
from turnback.runs.status import Status

# The states that end the state machine.
ENDS = {
    "Succeeded": Status.SUCCEEDED,
    "Superseded": Status.SUPERSEDED,
    "Refused": Status.REFUSED,
    "RolledBack": Status.ROLLED_BACK,
    "Restored": Status.RESTORED,
    "NeedsAPerson": Status.NEEDS_A_PERSON,
}
# These are steps only when they fail: announcing a status, what gives each run its turn, and what
# wakes a function.
_QUIET = ("Announce", "TakeTurn", "PassTurn", "Wake")
_FAILURES = ("Failed", "TimedOut")
_ENDED = {
    "ExecutionSucceeded": "SUCCEEDED",
    "ExecutionFailed": "FAILED",
    "ExecutionAborted": "ABORTED",
    "ExecutionTimedOut": "TIMED_OUT",
}
_CLASSES = {
    name: item
    for name, item in vars(errors).items()
    if inspect.isclass(item) and issubclass(item, TurnbackError)
}


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """The end of a run.

    Attributes:
        status: its last status.
        execution: in the words of Step Functions, such as ``FAILED``.
        error: what stopped it; None if it succeeded.
        announced: whether it ended in one of the state machine's own ends; one that was aborted
            or timed out announced nothing.
    """

    status: Status
    execution: str
    error: RunError | None = None
    announced: bool = True

    @property
    def exit_code(self) -> int:
        """The exit code of a command that watched the run.

        It is never 6 for a run that was undone: no person is needed any more.
        """
        if self.status in (Status.SUCCEEDED, Status.SUPERSEDED):
            return 0
        if self.status is Status.NEEDS_A_PERSON:
            return VerificationFailed.exit_code
        unknown = AwsError if self.status is Status.REFUSED else MigrationFailed
        code = _CLASSES.get(self.error.type if self.error else "", unknown).exit_code
        return MigrationFailed.exit_code if code == VerificationFailed.exit_code else code

    @property
    def words(self) -> str:
        """The end as what follows "the run …"."""
        if self.announced:
            refused = ": nothing was changed" if self.status is Status.REFUSED else ""
            return f"{self.status.words}{refused}"
        how = "timed out" if self.execution == "TIMED_OUT" else "was ended from outside"
        return f"{how} ({self.execution}): what it had done is still done, and a person is needed"


def outcome_of(
    execution: str, last_state: str, error: str, cause: str, first: RunError | None = None
) -> RunOutcome:
    """The end of an execution that is not running any more.

    Args:
        execution: its status, in the words of Step Functions.
        last_state: the state that it was in at the end.
        error: the name it failed with.
        cause: the text it failed with.
        first: the error that made it fail, where the execution itself gives none.
    """
    if execution == "SUCCEEDED":
        return RunOutcome(ENDS.get(last_state, Status.SUCCEEDED), execution)
    status = ENDS.get(last_state) if execution == "FAILED" else None
    found = RunError.from_caught({"Error": error, "Cause": cause}) if error or cause else None
    # The state machine's own name for its last end says less than what led to it.
    if found is None or (found.type == "NeedsAPerson" and first):
        found = first or found
    end = status or Status.NEEDS_A_PERSON
    return RunOutcome(end, execution, undone(found, end), announced=status is not None)


def error_from(found: RunError) -> TurnbackError:
    """The exception of an error of a run; one that is not ours becomes an AwsError."""
    fields = found.to_state()
    name, message = fields.pop("type"), fields.pop("message")
    where = {key: fields[key] for key in ("file", "line", "column", "sqlstate", "hint")}
    known = _CLASSES.get(name)
    if known is None:
        text = message if message.startswith(name) else f"{name}: {message}"
        return AwsError(text, **where)
    if issubclass(known, CheckFailed):
        return known(message, findings=[], **where)
    return known(message, **where)


@dataclass(slots=True)
class RunStep:
    """One step of a run: a task of the state machine, however often it was called.

    Attributes:
        name: the state's name in the definition.
        began: when it was first entered.
        ended: when it was last left; None while it is at work.
        closed: whether the run is past it.
        tries: how often it was tried; calls that went well and were to go on count as one.
        failure: the error of the last try.
        retried: the errors of the tries before.
        result: what came of it, in a few words.
    """

    name: str
    began: datetime
    ended: datetime | None = None
    closed: bool = False
    tries: int = 1
    failure: RunError | None = None
    retried: list[RunError] = field(default_factory=list)
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

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "name": self.name,
            "began_at": self.began.isoformat(timespec="milliseconds"),
            "seconds": self.seconds,
            "tries": self.tries,
            "result": self.result,
            "error": self.failure.to_state() if self.failure else None,
        }


@dataclass(frozen=True, slots=True)
class _HistoryEvent:
    """An event of an execution's history, and of its details what is read."""

    kind: str
    at: datetime
    name: str
    output: str
    error: str
    cause: str

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> _HistoryEvent:
        """The event as ``get_execution_history`` gives it; what it lacks is empty."""
        found = (value for name, value in event.items() if name.endswith("EventDetails"))
        details = next(found, None) or {}
        texts = [str(details.get(key) or "") for key in ("name", "output", "error", "cause")]
        return cls(str(event["type"]), event["timestamp"], *texts)


class Story:
    """The steps of one run, from its events.

    Attributes:
        steps: in the order they began.
        began: when the run began; None before its first event.
        ended: when it ended; None before it did.
        last_state: the state that was entered last.
        state: the state machine's state as the last step left it.
        outcome: how the run ended; None before it did.
    """

    def __init__(self) -> None:
        self.steps: list[RunStep] = []
        self.began: datetime | None = None
        self.ended: datetime | None = None
        self.last_state = ""
        self.state = RunState()
        self.outcome: RunOutcome | None = None
        self._open: RunStep | None = None
        self._quiet: RunStep | None = None
        self._first: RunError | None = None

    @property
    def failed(self) -> bool:
        """Whether a step has failed for good: the run is being undone, or has ended."""
        return self._first is not None

    @property
    def current(self) -> RunStep | None:
        """The step that the run is at, or has just left."""
        return self._open

    def read(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Go on with these events, as ``get_execution_history`` gives them, oldest first."""
        for event in events:
            self._read(_HistoryEvent.of(event))

    def end(self, status: str, error: str, cause: str, at: datetime) -> None:
        """The run has ended; ``read`` calls this where an event says so.

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
        self.outcome = outcome_of(status, self.last_state, error, cause, self._first)

    def _read(self, event: _HistoryEvent) -> None:
        kind, at = event.kind, event.at
        self.began = self.began or at
        if kind.endswith("StateEntered"):
            self.last_state = event.name
            if kind == "TaskStateEntered":
                self._enter(self.last_state, at)
        elif kind == "TaskStateExited":
            self._leave(event)
        elif kind == "TaskScheduled":
            self._again()
        elif kind.startswith(("Task", "LambdaFunction")) and kind.endswith(_FAILURES):
            self._fail(event)
        elif kind == "ExecutionRedriven":
            self.outcome = self.ended = None
        elif kind in _ENDED:
            self.end(_ENDED[kind], event.error, event.cause, at)

    def _enter(self, name: str, at: datetime) -> None:
        if name.startswith(_QUIET):
            self._quiet = RunStep(name, at)
            return
        self._quiet = None
        step = self._open
        if step and step.name == name:
            # A loop of the definition: it is asked how far it is, or reminded.
            step.ended = None
            self._set_aside(step)
            return
        self._close()
        turn = self.state.turn if name == "WaitForTurn" else None
        self._open = RunStep(name, at, result=turn.waits_for if turn else "")
        self.steps.append(self._open)

    def _leave(self, event: _HistoryEvent) -> None:
        step = self._quiet or self._open
        if step is None:
            return
        step.ended = event.at
        self.state = _state(event.output) or self.state
        if step is self._quiet:
            self._quiet = None
            if step.failure:
                announced = step.name.startswith("Announce")
                lost = "the status was not published; " if announced else ""
                step.result, step.closed = f"{lost}the run goes on", True
                self._close()
                self.steps.append(step)
            return
        if step.failure and step.name == "Apply" and step.failure.type == BaseChanged.__name__:
            step.result = "planned again: others have changed the database"
            self._set_aside(step)
        elif step.failure:
            self._first = self._first or step.failure
        else:
            step.result = result_of(step.name, self.state) or step.result

    def _fail(self, event: _HistoryEvent) -> None:
        step = self._quiet or self._open
        if step:
            unnamed = "States.Timeout" if "TimedOut" in event.kind else event.kind
            caught = {"Error": event.error or unnamed, "Cause": event.cause}
            step.failure = RunError.from_caught(caught)

    def _again(self) -> None:
        step = self._quiet or self._open
        if step and step.failure:
            step.tries += 1
            self._set_aside(step)

    def _set_aside(self, step: RunStep) -> None:
        if step.failure:
            step.retried.append(step.failure)
            step.failure = None

    def _close(self) -> None:
        if self._open:
            self._open.closed = True
            self._open = None


def in_one_line(error: RunError) -> str:
    """Where an error is and the first line of its message."""
    place = f"{error.file}:{error.line}" if error.file and error.line else error.file or ""
    return " ".join(filter(None, [place, *error.message.splitlines()[:1]]))


def _state(output: str) -> RunState | None:
    """The state after a step; None where the history does not have it, or another release's."""
    try:
        found = json.loads(output)
        return RunState.from_state(found) if found else None
    except (TypeError, ValueError, VerificationFailed):
        return None
