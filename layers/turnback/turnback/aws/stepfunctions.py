"""Executions of a state machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from turnback.aws.clients import client, code_of, telling

# For how long an execution that ended without success can be redriven.
REDRIVE = timedelta(days=14)


class StateMachine:
    """One state machine."""

    def __init__(self, arn: str) -> None:
        self._arn = arn
        self._states = client("stepfunctions")

    def start(self, name: str, order: Mapping[str, Any]) -> bool:
        """Start an execution of this name; say whether it is new.

        A name is taken for 90 days, so what asks twice with the same name starts once.

        Raises:
            AwsError: Step Functions did not take it.
        """
        with telling(f"start the run {name}"):
            try:
                self._states.start_execution(
                    stateMachineArn=self._arn, name=name, input=json.dumps(order)
                )
            except self._states.exceptions.ExecutionAlreadyExists:
                return False
        return True

    def runs_needed(self, now: datetime | None = None) -> set[str]:
        """The runs whose snapshots must stay: those that go on, or may be redriven.

        An execution that ended without success can be redriven for 14 days (Step Functions
        Developer Guide, "Redriving executions").

        Raises:
            AwsError: Step Functions does not say.
        """
        limit = (now or datetime.now(UTC)) - REDRIVE
        needed = set()
        with telling("list the runs"):
            pages = self._states.get_paginator("list_executions")
            for status in ("RUNNING", "PENDING_REDRIVE", "FAILED", "TIMED_OUT", "ABORTED"):
                for page in pages.paginate(stateMachineArn=self._arn, statusFilter=status):
                    needed |= {
                        str(item["name"])
                        for item in page["executions"]
                        if "stopDate" not in item or item["stopDate"] > limit
                    }
        return needed


class WaitingTasks:
    """Tasks of executions that wait for an answer from outside, each known by its token."""

    # A token of a task that has ended, timed out, or was put in place of by a later one.
    _GONE: ClassVar = {"TaskDoesNotExist", "TaskTimedOut", "InvalidToken"}

    def __init__(self) -> None:
        self._states = client("stepfunctions")

    def send_success(self, token: str, output: Mapping[str, Any]) -> bool:
        """End the task well; say whether it still waited.

        Raises:
            AwsError: Step Functions did not take it.
        """
        return self._send(
            self._states.send_task_success, taskToken=token, output=json.dumps(output)
        )

    def send_failure(self, token: str, error: str, cause: str) -> bool:
        """End the task with an error that a Catch can match; say whether it still waited.

        Raises:
            AwsError: Step Functions did not take it.
        """
        # The limits of SendTaskFailure in the API reference.
        return self._send(
            self._states.send_task_failure, taskToken=token, error=error[:256], cause=cause[:32768]
        )

    def _send(self, call: Any, **what: str) -> bool:
        with telling("tell the run of the answer"):
            try:
                call(**what)
            except ClientError as error:
                if code_of(error) in self._GONE:
                    return False
                raise
        return True
