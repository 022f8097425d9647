"""The record of a question to people: when it was asked, the answers, and how it ended.

Every object is written by one side only, or created only if it does not exist yet; S3 does the
latter in one step, so two answers at once never overwrite each other, and a question has exactly
one outcome.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from turnback.runs.record_types import CancelRecord
from turnback.runs.state import RestoreLoss
from turnback.store import ObjectStore

GATES = ("release", "restore")
# A release whose plan has changed since it was approved is asked about anew: ``release-2``.
NAME = re.compile(r"(release|restore)(-[1-9][0-9]?)?")
APPROVED, DENIED = "approved", "denied"
# Where the command line gives no decision, but asks how the question stands.
LOOK = "look"
_ANSWER = re.compile(r"[0-9a-f]{32}\.json")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    Attributes:
        gate: ``release`` or ``restore``.
        token: of the task that waits now.
        asked_at: when it was first put.
        expires_at: after that, nobody can say yes any more.
        persons: how many must approve.
        reasons: why they are asked.
        loss: what a restore loses, or None.
        trigger: what started the run, and who.
        reminders: how often it was put again.
        target, release: of the run.
        execution: which execution asks, and when that began.
        plan: digest of the plan that is approved; empty for a restore.
        rehearsal: the rehearsal's verdict on it; empty where it was not rehearsed.
        number: which question of this gate it is, from 1.
    """

    gate: str
    token: str
    asked_at: datetime
    expires_at: datetime
    persons: int
    reasons: tuple[str, ...]
    loss: RestoreLoss | None
    trigger: str
    target: str
    release: str
    reminders: int = 0
    execution: str = ""
    plan: str = ""
    rehearsal: str = ""
    number: int = 1

    @property
    def subject(self) -> tuple[str, str]:
        """What is approved: another plan, or another verdict on it, is another question."""
        return self.plan, self.rehearsal

    @property
    def name(self) -> str:
        """The gate; of a later question, with its number. An answer is to one question only."""
        return self.gate if self.number == 1 else f"{self.gate}-{self.number}"

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Question:
        """As it was kept."""
        times = {name: datetime.fromisoformat(fields[name]) for name in ("asked_at", "expires_at")}
        loss = RestoreLoss.from_state(fields["loss"]) if fields["loss"] else None
        return cls(**{**fields, **times, "reasons": tuple(fields["reasons"]), "loss": loss})

    def to_dict(self) -> dict[str, Any]:
        """As it is kept."""
        times = {name: getattr(self, name).isoformat() for name in ("asked_at", "expires_at")}
        return asdict(self) | times | {"loss": self.loss.to_state() if self.loss else None}


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of one person.

    Attributes:
        person: the approver's name.
        decision: ``approved`` or ``denied``.
        at: when, ISO 8601 in UTC.
        way: ``slack``, ``link`` or ``command``.
        comment: what they wrote with it, or "".
    """

    person: str
    decision: str
    at: str
    way: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class QuestionOutcome:
    """How a question ended.

    Attributes:
        decision: ``approved``, or the name of the error that ends the run.
        by: who decided it.
        at: when.
        message: one sentence, of an error.
        hint: what to do next, of an error.
    """

    decision: str
    by: tuple[str, ...]
    at: str
    message: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class QuestionRecord:
    """One question of one run, in the bucket.

    Attributes:
        store: the bucket.
        run: the run's id.
        name: of the question: ``release``, ``release-2`` or ``restore``.
    """

    store: ObjectStore
    run: str
    name: str

    @property
    def gate(self) -> str:
        """``release`` or ``restore``."""
        return self.name.partition("-")[0]

    @property
    def _key(self) -> str:
        return f"runs/{self.run}/approvals/{self.name}"

    def question(self) -> Question | None:
        """What is asked; None before it was."""
        fields = self._read(f"{self._key}.json")
        return Question.of(fields) if fields else None

    def write(self, question: Question) -> None:
        """Keep what is asked, in place of what was; only ``ask`` does that."""
        self.store.write(f"{self._key}.json", json.dumps(question.to_dict(), indent=2).encode())

    def answers(self) -> list[Answer]:
        """The answers, oldest first.

        The key of an answer follows from its content. Who may write one other key below ``runs/``,
        to cancel a run for example, can therefore not answer.
        """
        keys = self.store.keys(f"{self._key}/")
        own = [key for key in keys if _ANSWER.fullmatch(key.removeprefix(f"{self._key}/"))]
        fields = Answer.__dataclass_fields__
        found = [
            Answer(**{name: row[name] for name in fields})
            for key in own
            if (row := self._read(key)) and key == self._answer(row["person"], row["decision"])
        ]
        return sorted(found, key=lambda answer: (answer.at, answer.person))

    def add(self, answer: Answer) -> bool:
        """Keep an answer; False where this person has given the same before."""
        return self._create(self._answer(answer.person, answer.decision), asdict(answer))

    def outcome(self) -> QuestionOutcome | None:
        """How it ended; None while it is open."""
        found = self._read(f"{self._key}/outcome.json")
        if found is None:
            return None
        fields = {name: found[name] for name in QuestionOutcome.__dataclass_fields__}
        return QuestionOutcome(**{**fields, "by": tuple(fields["by"])})

    def decide(self, outcome: QuestionOutcome) -> QuestionOutcome:
        """End it with this outcome, unless it has ended; returns the outcome that counts."""
        if self._create(f"{self._key}/outcome.json", asdict(outcome)):
            return outcome
        return self.outcome() or outcome

    def used(self, once: str) -> bool:
        """Whether something that counts once has been used."""
        return self.store.read(self._used(once)) is not None

    def use(self, once: str) -> bool:
        """Use something that counts once; False where it was used before."""
        return self._create(self._used(once), {})

    def cancelled(self) -> CancelRecord | None:
        """Who cancelled the run before it changed anything, or None.

        Once a restore is in question, the database is between two states, and cancelling would
        leave it there.
        """
        found = self._read(f"runs/{self.run}/cancel.json") if self.gate == "release" else None
        return CancelRecord.from_state(found) if found is not None else None

    def _answer(self, person: str, decision: str) -> str:
        return f"{self._key}/{_digest(person, decision)}.json"

    def _used(self, once: str) -> str:
        return f"{self._key}/used/{_digest(once)}"

    def _create(self, key: str, fields: Mapping[str, Any]) -> bool:
        body = json.dumps({**fields, "id": str(uuid.uuid4())}).encode()
        # A second try, after a lost response, finds what the first one wrote.
        return self.store.create(key, body) or self.store.read(key) == body

    def _read(self, key: str) -> dict[str, Any] | None:
        body = self.store.read(key)
        return dict(json.loads(body)) if body else None


def _digest(*parts: str) -> str:
    return sha256(json.dumps(parts).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class QuestionStatus:
    """What was answered to a question, and how it ended.

    Attributes:
        run: the run's id.
        question: what is asked.
        answers: the answers, oldest first.
        approved_by: the approvers whose approval counts.
        outcome: how it ended, or None.
        sql: what is approved: the scripts of the plan, each with its file and checksum.
        recorded: whether the answer just given is new.
        delivered: whether the run has received the outcome; if not, it does at its next reminder.
        ended: whether the run has ended since.
    """

    run: str
    question: Question
    answers: tuple[Answer, ...]
    approved_by: tuple[str, ...]
    outcome: QuestionOutcome | None = None
    sql: str = ""
    recorded: bool = False
    delivered: bool = True
    ended: bool = False

    def sentence(self) -> str:
        """The same in one sentence, without its full stop."""
        what = f"the {self.question.gate} of {self.run}"
        if self.outcome is None:
            said = ", ".join(self.approved_by) or "nobody"
            needed = self.question.persons
            return f"{what} waits: {len(self.approved_by)} of {needed} have approved ({said})"
        later = "" if self.delivered else "; the run goes on at its next reminder, within the hour"
        later = "; the run has ended" if self.ended else later
        if self.outcome.decision == APPROVED:
            return f"{what} is approved by {', '.join(self.outcome.by)}{later}"
        return f"{what} is not approved: {self.outcome.message}{later}"

    def to_dict(self) -> dict[str, Any]:
        """As the command line gets it, without the token of the task."""
        question = self.question.to_dict()
        del question["token"]
        return {
            "run": self.run,
            "gate": self.question.name,
            "recorded": self.recorded,
            "told": self.sentence(),
            "question": question,
            "sql": self.sql,
            "answers": [asdict(answer) for answer in self.answers],
            "approved_by": list(self.approved_by),
            "outcome": asdict(self.outcome) if self.outcome else None,
        }
