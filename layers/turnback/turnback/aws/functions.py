"""Lambda functions: invoked, and the concurrency that is reserved for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from turnback import errors
from turnback.aws.clients import aws_errors, client
from turnback.errors import AwsError, TurnbackError


class ReservedConcurrency:
    """The concurrency that is reserved for one function: with 0, no invocation starts."""

    def __init__(self, function: str) -> None:
        self._function = function
        self._lambda = client("lambda")

    def reserved(self) -> int | None:
        """The number; None if nothing is reserved, so that the account's pool is the limit."""
        with aws_errors(f"read the reserved concurrency of {self._function}"):
            answer = self._lambda.get_function_concurrency(FunctionName=self._function)
        number = answer.get("ReservedConcurrentExecutions")
        return None if number is None else int(number)

    def timeout_s(self) -> int:
        """How long one invocation may take, in seconds."""
        with aws_errors(f"read the timeout of {self._function}"):
            answer = self._lambda.get_function_configuration(FunctionName=self._function)
        return int(answer["Timeout"])

    def reserve(self, number: int | None) -> None:
        """Reserve this many; None removes the reservation."""
        with aws_errors(f"set the reserved concurrency of {self._function}"):
            if number is None:
                self._lambda.delete_function_concurrency(FunctionName=self._function)
            else:
                self._lambda.put_function_concurrency(
                    FunctionName=self._function, ReservedConcurrentExecutions=number
                )


def invoke(function: str, order: Mapping[str, Any]) -> dict[str, Any]:
    """Invoke a function and return its result.

    Args:
        function: its name or ARN.
        order: the event it gets.

    Raises:
        TurnbackError: the error that the function raised, in its own class.
        AwsError: it cannot be invoked, or failed with another error.
    """
    with aws_errors(f"invoke the function {function}"):
        answer = client("lambda").invoke(FunctionName=function, Payload=json.dumps(order))
        body = json.loads(answer["Payload"].read() or b"null")
    if "FunctionError" in answer:
        raise _raised(function, body if isinstance(body, dict) else {})
    return dict(body)


def invoke_later(function: str, order: Mapping[str, Any]) -> None:
    """Have Lambda invoke a function, without waiting for it; it is invoked at least once.

    Args:
        function: its name or ARN.
        order: the event it gets.

    Raises:
        AwsError: Lambda did not accept the event.
    """
    with aws_errors(f"invoke the function {function}"):
        client("lambda").invoke(
            FunctionName=function, InvocationType="Event", Payload=json.dumps(order)
        )


def _raised(function: str, answer: Mapping[str, Any]) -> TurnbackError:
    kind, message = str(answer.get("errorType") or ""), str(answer.get("errorMessage") or "")
    found = getattr(errors, kind, None)
    if isinstance(found, type) and issubclass(found, TurnbackError):
        try:
            fields = json.loads(message)
        except ValueError:
            fields = {"message": message}
        known = ("file", "line", "column", "sqlstate", "hint", "version")
        return found(fields.get("message"), **{name: fields.get(name) for name in known})
    return AwsError(
        f"the function {function} failed: {kind} {message[:500]}".rstrip(),
        hint="look at its log, in the stack's log group",
    )
