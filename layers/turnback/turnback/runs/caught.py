"""What a Catch of the state machine put into its state, as one of our errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from turnback.errors import MigrationIncomplete, RollbackFailed
from turnback.runs.status import Status

TEXT_LENGTH = 4000


def error_of(caught: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The error that a Catch put into the state, taken out of its wrappings.

    A function that raises one of our errors says it as JSON, with file and line; anything else
    (a timeout, a bug) is said by its name and whatever text there is.
    """
    if not caught:
        return None
    told: dict[str, Any] = {"type": str(caught.get("Error") or "Unknown"), "message": ""}
    cause = caught.get("Cause") or ""
    told |= _fields(cause, {"errorMessage": "message", "errorType": "type"})
    # Lambda wraps the text of an error; who ends a waiting task gives it as it is.
    inner = _fields(told["message"] or cause)
    told |= inner if "message" in inner else {}
    if not told["message"]:
        told["message"] = str(cause) or told["type"]
    return {
        name: value[:TEXT_LENGTH] if isinstance(value, str) else value
        for name, value in told.items()
    }


def settled(error: dict[str, Any] | None, status: Status) -> dict[str, Any] | None:
    """The error as it stands once the run was taken back.

    What failed half way said what stays, and how to go on from there: not any more.
    """
    file = (error or {}).get("file") or "the file"
    gone = {MigrationIncomplete.__name__: f"nothing of it stays; mend {file} and release again"}
    if status is Status.RESTORED:
        gone[RollbackFailed.__name__] = f"the restore made it good; mend {file} all the same"
    taken_back = status in (Status.ROLLED_BACK, Status.RESTORED)
    if error is None or not taken_back or error.get("type") not in gone:
        return error
    return {**error, "hint": gone[str(error["type"])]}


def _fields(text: str, names: Mapping[str, str] | None = None) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except (ValueError, TypeError):
        return {}
    if not isinstance(fields, dict):
        return {}
    if names is None:
        return fields
    return {ours: fields[theirs] for theirs, ours in names.items() if theirs in fields}
