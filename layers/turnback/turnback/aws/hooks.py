"""Hooks: the user's Lambda function or state machine, for what turnback cannot do itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any

import boto3
from botocore.config import Config

from turnback.aws.clients import LIMITS, aws_errors, client
from turnback.errors import AwsError

# Below the timeout of the function `application`. Without retries: asking again after a slow answer
# would make the hook do its work twice.
_CONFIG = LIMITS.merge(Config(read_timeout=120, retries={"total_max_attempts": 1}))


class FunctionHook:
    """A Lambda function, invoked synchronously."""

    def __init__(self, arn: str) -> None:
        self._arn = arn
        self._lambda = boto3.client("lambda", config=_CONFIG)

    def call(self, order: Mapping[str, Any]) -> tuple[bool, Any]:
        """Call it; return whether it is done, and its answer.

        Raises:
            AwsError: it could not be invoked, or it failed.
        """
        with aws_errors(f"invoke the emergency hook {self._arn}"):
            answer = self._lambda.invoke(FunctionName=self._arn, Payload=json.dumps(order))
            body = answer["Payload"].read().decode()
        if "FunctionError" in answer:
            raise AwsError(
                f"the emergency hook {self._arn} failed: {body[:1000]}",
                hint="look at its log; it is called again with the same order",
            )
        return True, json.loads(body) if body.strip() else None


class StateMachineHook:
    """A standard state machine: one execution for each run and action, polled until it ends."""

    def __init__(self, arn: str) -> None:
        self._arn = arn
        self._states = client("stepfunctions")

    def call(self, order: Mapping[str, Any]) -> tuple[bool, Any]:
        """Start or look at its execution; return whether it has succeeded, and its output.

        Raises:
            AwsError: it could not be started, or it ended in failure.
        """
        name = execution_name(str(order["run"]), str(order["action"]))
        with aws_errors(f"start the emergency hook {self._arn}"):
            # An earlier call may have started it: its name is reserved for 90 days.
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
