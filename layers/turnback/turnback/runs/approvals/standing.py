"""How a question stands: what was said, what counts, and how it ended."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from turnback.runs.approvals.record import APPROVED, Answer, Outcome, Question


@dataclass(frozen=True, slots=True)
class Standing:
    """How a question stands.

    Attributes:
        run: the run's id.
        question: what is asked.
        answers: what was said, oldest first.
        approved_by: whose yes counts.
        outcome: how it ended, or None.
        recorded: whether the answer just given is new.
        heard: whether the run has heard of the outcome; False while it is told again later.
    """

    run: str
    question: Question
    answers: tuple[Answer, ...]
    approved_by: tuple[str, ...]
    outcome: Outcome | None = None
    recorded: bool = False
    heard: bool = True

    def told(self) -> str:
        """The same in one sentence."""
        what = f"the {self.question.gate} of {self.run}"
        if self.outcome is None:
            said = ", ".join(self.approved_by) or "nobody"
            needed = self.question.persons
            return f"{what} waits: {len(self.approved_by)} of {needed} have approved ({said})"
        later = "" if self.heard else "; the run goes on at its next reminder, within the hour"
        if self.outcome.decision == APPROVED:
            return f"{what} is approved by {', '.join(self.outcome.by)}{later}"
        return f"{what} is not approved: {self.outcome.message}{later}"

    def to_dict(self) -> dict[str, Any]:
        """As the command line gets it; the task's token stays here."""
        question = self.question.to_dict()
        del question["token"]
        return {
            "run": self.run,
            "gate": self.question.gate,
            "recorded": self.recorded,
            "told": self.told(),
            "question": question,
            "answers": [asdict(answer) for answer in self.answers],
            "approved_by": list(self.approved_by),
            "outcome": asdict(self.outcome) if self.outcome else None,
        }
