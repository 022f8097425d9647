"""Our own functions, invoked from the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from turnback import errors
from turnback.aws.clients import client, telling
from turnback.errors import AwsError, TurnbackError


def invoke(function: str, order: Mapping[str, Any]) -> dict[str, Any]:
    """What a function returns.

    Args:
        function: its name or ARN.
        order: what it is asked.

    Raises:
        TurnbackError: what the function raised, in its own class.
        AwsError: it cannot be invoked, or failed in a way of its own.
    """
    with telling(f"invoke the function {function}"):
        answer = client("lambda").invoke(FunctionName=function, Payload=json.dumps(order))
        body = json.loads(answer["Payload"].read() or b"null")
    if "FunctionError" in answer:
        raise _raised(function, body if isinstance(body, dict) else {})
    return dict(body)


def _raised(function: str, told: Mapping[str, Any]) -> TurnbackError:
    kind, message = str(told.get("errorType") or ""), str(told.get("errorMessage") or "")
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
