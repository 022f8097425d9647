"""Executions of a state machine, read while they run and afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from turnback.aws.clients import client, code_of, telling

# A page ends at 1,000 events; a run may have 25,000 (Step Functions quotas).
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution as Step Functions describes it.

    Attributes:
        name: the run's id.
        status: in the words of Step Functions: ``RUNNING``, ``SUCCEEDED``, ``FAILED``,
            ``TIMED_OUT``, ``ABORTED`` or ``PENDING_REDRIVE``.
        started: when it began.
        stopped: when it ended; None while it runs.
        order: what it was started with.
        error: the name it failed with, or an empty string.
        cause: the text it failed with, or an empty string.
    """

    name: str
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


class Executions:
    """The executions of one state machine."""

    def __init__(self, machine_arn: str, states: Any = None) -> None:
        """Read this state machine's executions.

        Args:
            machine_arn: its ARN.
            states: a client of Step Functions; one of our own environment if not given.
        """
        self._machine = machine_arn
        self._prefix = machine_arn.replace(":stateMachine:", ":execution:")
        self._states = states or client("stepfunctions")

    def describe(self, name: str) -> Execution | None:
        """The execution of this name; None when there is none.

        Raises:
            AwsError: Step Functions cannot be reached, or refuses us.
        """
        with telling(f"look at the run {name}"):
            try:
                found = self._states.describe_execution(executionArn=f"{self._prefix}:{name}")
            except ClientError as error:
                if code_of(error) == "ExecutionDoesNotExist":
                    return None
                raise
        return Execution(
            name=str(found["name"]),
            status=str(found["status"]),
            started=found["startDate"],
            stopped=found.get("stopDate"),
            order=_fields(found.get("input")),
            error=str(found.get("error") or ""),
            cause=str(found.get("cause") or ""),
        )

    def names(self) -> Iterator[str]:
        """The names of the executions, newest first; as many pages are asked for as are read.

        Raises:
            AwsError: Step Functions cannot be reached, or refuses us.
        """
        with telling("list the runs"):
            pages = self._states.get_paginator("list_executions")
            for page in pages.paginate(stateMachineArn=self._machine):
                rows = sorted(page["executions"], key=lambda row: row["startDate"], reverse=True)
                yield from (str(row["name"]) for row in rows)

    def running(self) -> list[str]:
        """The names of the executions that go on, or are about to.

        Raises:
            AwsError: Step Functions cannot be reached, or refuses us.
        """
        with telling("list the runs that go on"):
            pages = self._states.get_paginator("list_executions")
            return [
                str(row["name"])
                for status in ("RUNNING", "PENDING_REDRIVE")
                for page in pages.paginate(stateMachineArn=self._machine, statusFilter=status)
                for row in page["executions"]
            ]

    def events(self, name: str, position: Position) -> tuple[list[dict[str, Any]], Position]:
        """The events since a position, oldest first, and the new position.

        Only the last page is read again, however long the run is.

        Raises:
            AwsError: Step Functions cannot be reached, or refuses us.
        """
        found: list[dict[str, Any]] = []
        page = position.page
        while True:
            answer = self._history(name, page)
            if answer is None:
                # The page's token was good for a day; those that were seen are left out below.
                page = None
                continue
            found += [event for event in answer["events"] if event["id"] > position.seen]
            if not answer.get("nextToken"):
                break
            page = str(answer["nextToken"])
        seen = max([position.seen, *(int(event["id"]) for event in found)])
        return found, Position(page, seen)

    def latest(self, name: str) -> list[dict[str, Any]]:
        """The last events, oldest first, without what the states were given and gave.

        Raises:
            AwsError: Step Functions cannot be reached, or refuses us.
        """
        with telling(f"look at the run {name}"):
            answer = self._states.get_execution_history(
                executionArn=f"{self._prefix}:{name}",
                maxResults=20,
                reverseOrder=True,
                includeExecutionData=False,
            )
        return sorted(answer["events"], key=lambda event: int(event["id"]))

    def _history(self, name: str, page: str | None) -> dict[str, Any] | None:
        where = {"nextToken": page} if page else {}
        with telling(f"look at the run {name}"):
            try:
                answer: dict[str, Any] = self._states.get_execution_history(
                    executionArn=f"{self._prefix}:{name}", maxResults=_PAGE, **where
                )
            except ClientError as error:
                if page and code_of(error) == "InvalidToken":
                    return None
                raise
        return answer


def _fields(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
