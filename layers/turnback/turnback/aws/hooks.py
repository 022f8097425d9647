"""Hooks: a Lambda function or a state machine of the user's, asked to do what turnback cannot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any

import boto3
from botocore.config import Config

from turnback.aws.clients import LIMITS, client, telling
from turnback.errors import AwsError

# Below the time that the function `application` has; a client that asked again on a slow answer
# would have the hook do its work twice.
_PATIENCE = LIMITS.merge(Config(read_timeout=120, retries={"total_max_attempts": 1}))


class FunctionHook:
    """A Lambda function, invoked and awaited."""

    def __init__(self, arn: str) -> None:
        self._arn = arn
        self._lambda = boto3.client("lambda", config=_PATIENCE)

    def call(self, order: Mapping[str, Any]) -> tuple[bool, Any]:
        """Whether it has done it, and what it answered.

        Raises:
            AwsError: it could not be invoked, or it failed.
        """
        with telling(f"invoke the emergency hook {self._arn}"):
            answer = self._lambda.invoke(FunctionName=self._arn, Payload=json.dumps(order))
            body = answer["Payload"].read().decode()
        if "FunctionError" in answer:
            raise AwsError(
                f"the emergency hook {self._arn} failed: {body[:1000]}",
                hint="look at its log; it is called again with the same order",
            )
        return True, json.loads(body) if body.strip() else None


class StateMachineHook:
    """A standard state machine: one execution for each run and action, asked for until it ended."""

    def __init__(self, arn: str) -> None:
        self._arn = arn
        self._states = client("stepfunctions")

    def call(self, order: Mapping[str, Any]) -> tuple[bool, Any]:
        """Whether its execution has ended well, and the output.

        Raises:
            AwsError: it could not be started, or it ended in failure.
        """
        name = execution_name(str(order["run"]), str(order["action"]))
        with telling(f"start the emergency hook {self._arn}"):
            # An earlier call may have started it: its name is kept for 90 days.
            with suppress(self._states.exceptions.ExecutionAlreadyExists):
                self._states.start_execution(
                    stateMachineArn=self._arn, name=name, input=json.dumps(order)
                )
            arn = f"{self._arn.replace(':stateMachine:', ':execution:')}:{name}"
            found = self._states.describe_execution(executionArn=arn)
        if found["status"] == "RUNNING":
            return False, None
        if found["status"] != "SUCCEEDED":
            why = f"{found.get('error') or ''} {found.get('cause') or ''}".strip()
            raise AwsError(
                f"the emergency hook's execution {name} is {found['status']}: {why[:1000]}",
                hint="look at that execution in Step Functions; do by hand what it should do",
            )
        return True, json.loads(found.get("output") or "null")


def execution_name(run: str, action: str) -> str:
    """The name of the hook's execution; at most 80 characters, the same for the same run."""
    name = f"{run}-{action}"
    if len(name) <= 80:
        return name
    return f"{run[:50]}-{sha256(run.encode()).hexdigest()[:12]}-{action}"
