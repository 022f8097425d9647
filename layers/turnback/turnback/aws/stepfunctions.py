"""Executions of a state machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from turnback.aws.clients import client, telling


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
