"""How a run ended, for people and as an exit code."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from turnback import errors
from turnback.errors import (
    AwsError,
    CheckFailed,
    MigrationFailed,
    TurnbackError,
    VerificationFailed,
)
from turnback.runs.caught import error_of, settled
from turnback.runs.status import Status

# The states that end the state machine.
ENDS = {
    "Succeeded": Status.SUCCEEDED,
    "Refused": Status.REFUSED,
    "RolledBack": Status.ROLLED_BACK,
    "Restored": Status.RESTORED,
    "NeedsAPerson": Status.NEEDS_A_PERSON,
}
_SENTENCES = {
    Status.SUCCEEDED: "succeeded",
    Status.REFUSED: "was refused: nothing was changed",
    Status.ROLLED_BACK: "failed and was rolled back: the schema is as before",
    Status.RESTORED: "failed, and the database was restored as it was before the run",
    Status.NEEDS_A_PERSON: "failed, and a person is needed",
}
_FIELDS = tuple(TurnbackError().to_dict())
_CLASSES = {
    name: item
    for name, item in vars(errors).items()
    if inspect.isclass(item) and issubclass(item, TurnbackError)
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a run.

    Attributes:
        status: its last status word.
        execution: in the words of Step Functions, such as ``FAILED``.
        error: what stopped it, as of TurnbackError.to_dict; None if it succeeded.
        announced: whether it ended in one of the state machine's own ends; one that was aborted
            or timed out told nobody.
    """

    status: Status
    execution: str
    error: dict[str, Any] | None = None
    announced: bool = True

    @property
    def exit_code(self) -> int:
        """What a command that watched the run leaves with.

        A run that was taken back whole never leaves with 6: no person is needed any more.
        """
        if self.status is Status.SUCCEEDED:
            return 0
        if self.status is Status.NEEDS_A_PERSON:
            return VerificationFailed.exit_code
        unknown = AwsError if self.status is Status.REFUSED else MigrationFailed
        code = _CLASSES.get(str((self.error or {}).get("type")), unknown).exit_code
        return MigrationFailed.exit_code if code == VerificationFailed.exit_code else code

    @property
    def sentence(self) -> str:
        """The end in words, as what follows "the run …"."""
        if self.announced:
            return _SENTENCES[self.status]
        how = "timed out" if self.execution == "TIMED_OUT" else "was ended from outside"
        return f"{how} ({self.execution}): what it had done is still done, and a person is needed"


def outcome_of(
    execution: str, last_state: str, error: str, cause: str, first: Mapping[str, Any] | None = None
) -> Outcome:
    """The end of an execution that is not running any more.

    Args:
        execution: its status, in the words of Step Functions.
        last_state: the state that it was in at the end.
        error: the name it failed with.
        cause: the text it failed with.
        first: the error that made it fail, where the execution itself gives none.
    """
    if execution == "SUCCEEDED":
        return Outcome(Status.SUCCEEDED, execution)
    status = ENDS.get(last_state) if execution == "FAILED" else None
    told = error_of({"Error": error, "Cause": cause}) if error or cause else None
    # The state machine's own name for its last end says less than what led to it.
    if told is None or (told["type"] == "NeedsAPerson" and first):
        told = dict(first) if first else told
    end = status or Status.NEEDS_A_PERSON
    told = settled(told, end)
    return Outcome(end, execution, complete(told), announced=status is not None)


def complete(told: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """An error with all the fields of TurnbackError.to_dict, whoever raised it."""
    return {name: told.get(name) for name in _FIELDS} if told else None


def error_from(told: Mapping[str, Any]) -> TurnbackError:
    """The error of ours that a run told; what is not ours becomes an AwsError that names it."""
    name = str(told.get("type"))
    where = {key: told.get(key) for key in ("file", "line", "column", "sqlstate", "hint")}
    message = str(told.get("message") or "")
    known = _CLASSES.get(name)
    if known is None:
        text = message if message.startswith(name) else f"{name}: {message}"
        return AwsError(text, **where)
    if issubclass(known, CheckFailed):
        return known(message, findings=[], **where)
    return known(message, **where)
