"""Questions to people: putting one, taking an answer, and telling the run how it ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from turnback.errors import ApprovalRefused, AwsError
from turnback.runs.approvals.person import triggered
from turnback.runs.approvals.policy import (
    counted,
    error_of_outcome,
    failed,
    judge,
    too_few,
    used_before,
)
from turnback.runs.approvals.record import (
    APPROVED,
    DENIED,
    GATES,
    Answer,
    Outcome,
    Question,
    QuestionRecord,
)
from turnback.runs.approvals.standing import Standing
from turnback.runs.records import Records
from turnback.settings.approvals import ApprovalSettings, Approver
from turnback.store import ObjectStore

COMMENT_LENGTH = 500
# As in an order: it becomes a part of keys in the bucket.
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")


class Tasks(Protocol):
    """Tasks of executions that wait for an answer."""

    def send_success(self, token: str, output: Mapping[str, Any]) -> bool:
        """End the task well; say whether it still waited."""

    def send_failure(self, token: str, error: str, cause: str) -> bool:
        """End the task with an error; say whether it still waited."""


class Log(Protocol):
    """Where it is written who said what."""

    def info(self, msg: object, **fields: Any) -> None: ...

    def warning(self, msg: object, **fields: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions of all runs of a stack.

    Attributes:
        store: the bucket.
        tasks: the tasks that wait for an answer.
        settings: who may answer, and how long they have.
        log: where it is written who said what.
        now: the clock.
    """

    store: ObjectStore
    tasks: Tasks
    settings: ApprovalSettings
    log: Log
    now: Callable[[], datetime]

    def record(self, run: str, gate: str | None = None) -> QuestionRecord:
        """The record of a run's question; without a gate, of the one that was put last.

        Raises:
            ApprovalRefused: no question was put to anybody.
        """
        wanted = GATES if gate is None else (gate,)
        if _RUN.fullmatch(run) and set(wanted) <= set(GATES):
            for name in reversed(wanted):
                record = QuestionRecord(self.store, run, name)
                if record.question() is not None:
                    return record
        raise ApprovalRefused(
            f"the run {run[:80]!r} has asked for no {gate[:20] + ' ' if gate else ''}approval",
            hint="turnback runs shows the runs and what they wait for",
        )

    def put(self, question: Question, run: str) -> Standing:
        """Put a question, or put it again for a task that has taken the place of the last one.

        When it was asked first, until when it can be answered and what for stay as they were.
        An answer that came while no task waited counts now. What was said to another execution
        does not: it was said about something else.

        Raises:
            AwsError: the run could not be told of the outcome; to be tried again.
        """
        record = QuestionRecord(self.store, run, question.gate)
        known = record.question()
        if known is not None and known.execution != question.execution:
            used = failed(used_before(run), (), self.now())
            self._tell_run(question.token, used, record)
            return Standing(run, question, (), (), used)
        if known is not None:
            again = int(known.token != question.token)
            question = replace(known, token=question.token, reminders=known.reminders + again)
        record.write(question)
        impossible = too_few(question, self.settings.approvers)
        if impossible and record.outcome() is None:
            # Not kept as the outcome: with other settings, the run can be redriven.
            outcome: Outcome | None = failed(impossible, (), self.now())
        else:
            outcome = self._outcome(record, question, waiting=True)
        if outcome:
            self._tell_run(question.token, outcome, record)
        return self._standing(record, question, outcome)

    def look(self, run: str, gate: str | None = None) -> Standing:
        """How a question stands; what is due meanwhile (a cancelled run, its time over) is done.

        Raises:
            ApprovalRefused: no question was put.
        """
        record = self.record(run, gate)
        return self._settled(record)

    def answer(
        self,
        record: QuestionRecord,
        person: Approver,
        decision: str,
        way: str,
        *,
        comment: str = "",
        identities: Iterable[str] = (),
    ) -> Standing:
        """Take the answer of a person, and tell the run if that decides it.

        Args:
            record: of the question.
            person: who answers; that it is them is known by now.
            decision: ``approved`` or ``denied``.
            way: ``slack``, ``link`` or ``command``.
            comment: what they say with it.
            identities: further names that AWS has for them.

        Raises:
            ApprovalRefused: the answer does not count; says why.
        """
        question = record.question()
        if question is None or decision not in (APPROVED, DENIED):
            raise ApprovalRefused(f"{decision[:20]!r} is no answer to this")
        if triggered(question.trigger, person, identities):
            raise ApprovalRefused(
                f"this run was triggered by {person.name}, and nobody decides on their own run",
                hint="ask another approver; to end it: turnback cancel " + record.run,
            )
        given = Answer(
            person=person.name,
            decision=decision,
            at=self.now().isoformat(timespec="milliseconds"),
            way=way,
            comment=" ".join(comment.split())[:COMMENT_LENGTH],
        )
        standing = self._settled(record)
        if standing.outcome is not None:
            said = {(answer.person, answer.decision) for answer in standing.answers}
            if (person.name, decision) in said:
                return standing
            raise ApprovalRefused(
                f"too late: {standing.told()}",
                hint=f"to stop a run that goes on: turnback cancel {record.run}",
            )
        recorded = record.add(given)
        self.log.info(
            "answer",
            run=record.run,
            gate=record.gate,
            person=person.name,
            decision=decision,
            way=way,
            comment=given.comment,
            recorded=recorded,
        )
        return replace(self._settled(record), recorded=recorded)

    def _settled(self, record: QuestionRecord) -> Standing:
        question = record.question()
        assert question is not None
        outcome = self._outcome(record, question)
        heard = True
        if outcome:
            # The task may have been replaced since: whoever asks again sees the outcome then.
            latest = record.question() or question
            try:
                heard = self._tell_run(latest.token, outcome, record)
            except AwsError as error:
                heard = False
                self.log.warning(error.message, run=record.run, gate=record.gate)
        return replace(self._standing(record, question, outcome), heard=heard)

    def _outcome(
        self, record: QuestionRecord, question: Question, *, waiting: bool = False
    ) -> Outcome | None:
        judged, known = None, record.outcome()
        if known is None:
            judged = judge(
                question,
                record.answers(),
                self.settings.approvers,
                now=self.now(),
                cancelled=record.cancelled(),
            )
            known = record.decide(judged) if judged else None
        # Before the run is told: from then on its next steps write the report.
        if known and (known is judged or waiting):
            self._report(record, question, known)
        return known

    def _report(self, record: QuestionRecord, question: Question, outcome: Outcome) -> None:
        kept = question.to_dict()
        Records(self.store, record.run).add_approval(
            {
                "gate": record.gate,
                "decision": outcome.decision,
                "by": list(outcome.by),
                "persons_needed": question.persons,
                "asked_at": kept["asked_at"],
                "decided_at": outcome.at,
                "reminders": question.reminders,
                "reasons": list(question.reasons),
                "answers": [asdict(answer) for answer in record.answers()],
            }
        )
        self.log.info(
            "approval decided",
            run=record.run,
            gate=record.gate,
            decision=outcome.decision,
            by=list(outcome.by),
        )

    def _tell_run(self, token: str, outcome: Outcome, record: QuestionRecord) -> bool:
        if outcome.decision == APPROVED:
            output = {"decision": APPROVED, "gate": record.gate, "by": list(outcome.by)}
            return self.tasks.send_success(token, output)
        cause = str(error_of_outcome(outcome).machine_readable())
        return self.tasks.send_failure(token, outcome.decision, cause)

    def _standing(
        self, record: QuestionRecord, question: Question, outcome: Outcome | None
    ) -> Standing:
        answers = record.answers()
        counting = counted(question, answers, self.settings.approvers)
        names = tuple(answer.person for answer in counting if answer.decision == APPROVED)
        return Standing(record.run, question, tuple(answers), names, outcome)
