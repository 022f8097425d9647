"""Whether a question is decided: the rule, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from turnback.errors import (
    ApprovalDenied,
    ApprovalExpired,
    ConfigurationError,
    RunCancelled,
    TurnbackError,
)
from turnback.runs.approvals.person import triggered
from turnback.runs.approvals.record import APPROVED, DENIED, Answer, Outcome, Question
from turnback.settings.approvals import Approver


def judge(
    question: Question,
    answers: Sequence[Answer],
    approvers: Sequence[Approver],
    *,
    now: datetime,
    cancelled: Mapping[str, Any] | None = None,
) -> Outcome | None:
    """How the question ends, or None while it is open.

    One no ends it, whatever was said before. A person counts once, however often and by whichever
    way they said yes, and only while they are an approver; who triggered the run never counts.

    Args:
        question: what is asked.
        answers: what was said, oldest first.
        approvers: who may answer.
        now: the time.
        cancelled: who cancelled the run, or None.
    """
    if cancelled is not None:
        by = str(cancelled.get("by") or "somebody")
        why = f": {cancelled['reason']}" if cancelled.get("reason") else ""
        error: TurnbackError = RunCancelled(f"{by} cancelled the run{why}", hint="release it again")
        return failed(error, (by,), now)
    counting = counted(question, answers, approvers)
    for answer in counting:
        if answer.decision == DENIED:
            why = f": {answer.comment}" if answer.comment else ""
            error = ApprovalDenied(
                f"{answer.person} denied the {question.gate}{why}",
                hint=f"talk to {answer.person}, then release again",
            )
            return failed(error, (answer.person,), now)
    names = tuple(answer.person for answer in counting)
    if len(names) >= question.persons:
        return Outcome(APPROVED, names, now.isoformat(timespec="milliseconds"))
    if now >= question.expires_at:
        minutes = int((question.expires_at - question.asked_at).total_seconds() // 60)
        said = f"only {', '.join(names)} approved" if names else "nobody answered"
        error = ApprovalExpired(
            f"the {question.gate} was not approved within {minutes} minutes: {said}",
            hint="release again when the approvers are there, or raise ApprovalTimeoutMinutes",
        )
        return failed(error, names, now)
    return None


def too_few(question: Question, approvers: Sequence[Approver]) -> ConfigurationError | None:
    """Why the question can never be approved, or None where it can."""
    may = [person for person in approvers if not triggered(question.trigger, person)]
    if len(may) >= question.persons:
        return None
    return ConfigurationError(
        f"{question.persons} must approve the {question.gate}, but besides whoever triggered the "
        f"run the approvers are {len(may)}",
        hint="name more of them in the stack's parameter Approvers",
    )


def used_before(run: str) -> ConfigurationError:
    """That another execution has asked under this run's id: its answers are not about this one."""
    return ConfigurationError(
        f"another execution has asked for approval as the run {run}, and nobody was asked now",
        hint="release again: every run needs an id of its own",
    )


def counted(
    question: Question, answers: Sequence[Answer], approvers: Sequence[Approver]
) -> list[Answer]:
    """The answers that count: one of each person, and a no before a yes."""
    known = {person.name: person for person in approvers}
    found: dict[str, Answer] = {}
    for answer in answers:
        person = known.get(answer.person)
        if person is None or triggered(question.trigger, person):
            continue
        if answer.person not in found or answer.decision == DENIED:
            found[answer.person] = answer
    return list(found.values())


def failed(error: TurnbackError, by: tuple[str, ...], now: datetime) -> Outcome:
    """The outcome that ends the run with this error."""
    at = now.isoformat(timespec="milliseconds")
    return Outcome(type(error).__name__, by, at, error.message, error.hint or "")


def error_of_outcome(outcome: Outcome) -> TurnbackError:
    """The error that an outcome ends the run with."""
    return _ERRORS[outcome.decision](outcome.message, hint=outcome.hint or None)


_ERRORS: dict[str, type[TurnbackError]] = {
    error.__name__: error
    for error in (ApprovalDenied, ApprovalExpired, ConfigurationError, RunCancelled)
}
