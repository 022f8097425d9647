"""The state machine of a stack: its executions, and the tasks that wait for an answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from turnback.aws.clients import aws_errors, client, code_of

# For how long an execution that ended without success can be redriven (Step Functions Developer
# Guide, "Redriving executions").
REDRIVE = timedelta(days=14)
# A page ends at 1,000 events; a run may have 25,000 (Step Functions quotas).
_PAGE = 1000
# Of the newest events, enough to include the beginning of a state that is being retried.
_NEWEST = 100


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution as Step Functions describes it.

    Attributes:
        name: the run's id.
        arn: the execution's ARN.
        status: in the words of Step Functions: ``RUNNING``, ``SUCCEEDED``, ``FAILED``,
            ``TIMED_OUT``, ``ABORTED`` or ``PENDING_REDRIVE``.
        started: when it began.
        stopped: when it ended; None while it runs.
        order: what it was started with.
        error: the name it failed with, or an empty string.
        cause: the text it failed with, or an empty string.
    """

    name: str
    arn: str
    status: str
    started: datetime
    stopped: datetime | None = None
    order: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """How far the events of an execution were read."""

    page: str | None = None
    seen: int = 0


class StateMachine:
    """One state machine. Each method raises AwsError when Step Functions does not answer."""

    def __init__(self, arn: str) -> None:
        self._arn = arn
        self._states = client("stepfunctions")

    def execution_arn(self, name: str) -> str:
        """The ARN that an execution of this name has, whether it exists or not."""
        return f"{self._arn.replace(':stateMachine:', ':execution:')}:{name}"

    def start(self, name: str, order: Mapping[str, Any]) -> bool:
        """Start an execution of this name, and return whether it is new.

        A name is reserved for 90 days, so starting twice under one name starts once.
        """
        with aws_errors(f"start the run {name}"):
            try:
                self._states.start_execution(
                    stateMachineArn=self._arn, name=name, input=json.dumps(order)
                )
            except self._states.exceptions.ExecutionAlreadyExists:
                return False
        return True

    def describe(self, name: str) -> Execution | None:
        """The execution of this name; None if it does not exist, or is not visible yet."""
        arn = self.execution_arn(name)
        with aws_errors(f"look at the run {name}"):
            try:
                found = self._states.describe_execution(executionArn=arn)
            except ClientError as error:
                if code_of(error) == "ExecutionDoesNotExist":
                    return None
                raise
        return Execution(
            name=str(found["name"]),
            arn=arn,
            status=str(found["status"]),
            started=found["startDate"],
            stopped=found.get("stopDate"),
            order=_fields(found.get("input")),
            error=str(found.get("error") or ""),
            cause=str(found.get("cause") or ""),
        )

    def names(self) -> Iterator[str]:
        """The names of the executions, newest first; pages are requested as they are read."""
        with aws_errors("list the runs"):
            pages = self._states.get_paginator("list_executions")
            for page in pages.paginate(stateMachineArn=self._arn):
                rows = sorted(page["executions"], key=lambda row: row["startDate"], reverse=True)
                yield from (str(row["name"]) for row in rows)

    def running(self) -> list[str]:
        """The names of the executions that are running, or about to run."""
        return [str(row["name"]) for row in self._listed(("RUNNING", "PENDING_REDRIVE"))]

    def runs_needed(self, now: datetime | None = None) -> set[str]:
        """The runs whose snapshots must be kept: those that are running or can be redriven."""
        limit = (now or datetime.now(UTC)) - REDRIVE
        rows = self._listed(("RUNNING", "PENDING_REDRIVE", "FAILED", "TIMED_OUT", "ABORTED"))
        return {
            str(row["name"]) for row in rows if "stopDate" not in row or row["stopDate"] > limit
        }

    def events(
        self, name: str, position: Position | None = None
    ) -> tuple[list[dict[str, Any]], Position]:
        """The events since a position, oldest first, and the new position.

        Only the last page is read again, however long the run is.
        """
        position = position or Position()
        found: list[dict[str, Any]] = []
        page = position.page
        while True:
            answer = self._history(name, page)
            if answer is None:
                # The page's token has expired after a day. Events already seen are dropped below.
                page = None
                continue
            found += [event for event in answer["events"] if event["id"] > position.seen]
            if not answer.get("nextToken"):
                break
            page = str(answer["nextToken"])
        seen = max([position.seen, *(int(event["id"]) for event in found)])
        return found, Position(page, seen)

    def last_state(self, name: str) -> str:
        """The state that the execution entered last; empty if it entered none."""
        with aws_errors(f"look at the run {name}"):
            events = self._states.get_execution_history(
                executionArn=self.execution_arn(name),
                maxResults=_NEWEST,
                reverseOrder=True,
                includeExecutionData=False,
            )["events"]
        entered = [event for event in events if "stateEnteredEventDetails" in event]
        newest = max(entered, key=lambda event: int(event["id"]), default=None)
        return str(newest["stateEnteredEventDetails"]["name"]) if newest else ""

    def _listed(self, statuses: Iterable[str]) -> list[dict[str, Any]]:
        with aws_errors("list the runs"):
            pages = self._states.get_paginator("list_executions")
            return [
                row
                for status in statuses
                for page in pages.paginate(stateMachineArn=self._arn, statusFilter=status)
                for row in page["executions"]
            ]

    def _history(self, name: str, page: str | None) -> dict[str, Any] | None:
        where = {"nextToken": page} if page else {}
        with aws_errors(f"look at the run {name}"):
            try:
                answer: dict[str, Any] = self._states.get_execution_history(
                    executionArn=self.execution_arn(name), maxResults=_PAGE, **where
                )
            except ClientError as error:
                if page and code_of(error) == "InvalidToken":
                    return None
                raise
        return answer


class WaitingTasks:
    """Tasks of executions that wait for an answer from outside, each known by its token."""

    # The token of a task that has ended, timed out, or was replaced by a later one.
    _GONE: ClassVar = {"TaskDoesNotExist", "TaskTimedOut", "InvalidToken"}

    def __init__(self) -> None:
        self._states = client("stepfunctions")

    def send_success(self, token: str, output: Mapping[str, Any]) -> bool:
        """End the task with success, and return whether it was still waiting.

        Raises:
            AwsError: Step Functions did not take it.
        """
        return self._send(
            self._states.send_task_success, taskToken=token, output=json.dumps(output)
        )

    def send_failure(self, token: str, error: str, cause: str) -> bool:
        """End the task with an error that a Catch can match; return whether it was still waiting.

        Raises:
            AwsError: Step Functions did not take it.
        """
        # The limits of SendTaskFailure in the API reference.
        return self._send(
            self._states.send_task_failure, taskToken=token, error=error[:256], cause=cause[:32768]
        )

    def _send(self, call: Any, **what: str) -> bool:
        with aws_errors("give the answer to the run"):
            try:
                call(**what)
            except ClientError as error:
                if code_of(error) in self._GONE:
                    return False
                raise
        return True


def _fields(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
