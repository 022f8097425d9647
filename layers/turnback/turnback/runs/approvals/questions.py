"""Questions to people: asking one, recording an answer, deciding it, and notifying the run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from turnback.errors import (
    ApprovalDenied,
    ApprovalExpired,
    ApprovalRefused,
    AwsError,
    ConfigurationError,
    RunCancelled,
    TurnbackError,
)
from turnback.runs.approvals.identity import triggered
from turnback.runs.approvals.record import (
    APPROVED,
    DENIED,
    GATES,
    NAME,
    Answer,
    Question,
    QuestionOutcome,
    QuestionRecord,
    QuestionStatus,
)
from turnback.runs.record_types import CancelRecord
from turnback.runs.records import Records
from turnback.settings.approvals import ApprovalSettings, Approver
from turnback.store import ObjectStore

COMMENT_LENGTH = 500
# How often a question is asked again; with room for a function that begins late.
_REMINDED = timedelta(minutes=65)
# As in an order: it becomes a part of keys in the bucket.
RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")


class Tasks(Protocol):
    """Tasks of executions that wait for an answer."""

    def send_success(self, token: str, output: Mapping[str, Any]) -> bool:
        """End the task well; say whether it still waited."""

    def send_failure(self, token: str, error: str, cause: str) -> bool:
        """End the task with an error; say whether it still waited."""


class Log(Protocol):
    """The log of who answered what."""

    def info(self, msg: object, **fields: Any) -> None: ...

    def warning(self, msg: object, **fields: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions of all runs of a stack.

    Attributes:
        store: the bucket.
        tasks: the tasks that wait for an answer.
        settings: who may answer, and how long they have.
        log: gets who answered what.
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
        if RUN.fullmatch(run) and (gate is None or NAME.fullmatch(gate)):
            found = [
                record
                for one in ([gate] if gate else GATES)
                if (record := self._latest(run, one)).question() is not None
            ]
            if found:
                return found[-1]
        raise ApprovalRefused(
            f"the run {run[:80]!r} has asked for no {gate[:20] + ' ' if gate else ''}approval",
            hint="turnback runs shows the runs and what they wait for",
        )

    def _latest(self, run: str, name: str) -> QuestionRecord:
        """The record of this question; of a gate, of the last question that it has put."""
        record = QuestionRecord(self.store, run, name)
        while name in GATES and (known := record.question()) is not None:
            following = QuestionRecord(
                self.store, run, replace(known, number=known.number + 1).name
            )
            if following.question() is None:
                break
            record = following
        return record

    def put(self, question: Question, run: str) -> QuestionStatus:
        """Ask a question, or ask it again for a task that has taken the place of the last one.

        What is asked, since when and until when stay as they were. An answer that came while no
        task waited counts now. An answer to another execution does not: it was about something
        else. Nor does one to another plan of this run: that is another question.

        Raises:
            AwsError: the run could not be notified of the outcome; to be tried again.
        """
        record = self._latest(run, question.gate)
        known = record.question()
        if known is not None and known.execution != question.execution:
            used = failed(used_before(run), (), self.now())
            self._notify_run(question, used, record)
            return QuestionStatus(run, question, (), (), used)
        if known is not None and known.subject != question.subject:
            question = replace(question, number=known.number + 1)
            record, known = QuestionRecord(self.store, run, question.name), None
        if known is not None:
            again = int(known.token != question.token)
            question = replace(known, token=question.token, reminders=known.reminders + again)
        record.write(question)
        impossible = too_few(question, self.settings.approvers)
        if impossible and record.outcome() is None:
            # Not kept as the outcome: with other settings, the run can be redriven.
            outcome: QuestionOutcome | None = failed(impossible, (), self.now())
        else:
            outcome = self._outcome(record, question, waiting=True)
        if outcome:
            self._notify_run(question, outcome, record)
        return self._status(record, question, outcome)

    def look(self, run: str, gate: str | None = None) -> QuestionStatus:
        """How a question stands, with what has happened since: a cancelled run, an expiry.

        Raises:
            ApprovalRefused: no question was put.
        """
        record = self.record(run, gate)
        return replace(self._decided(record), sql=self._sql(record))

    def answer(
        self,
        record: QuestionRecord,
        person: Approver,
        decision: str,
        way: str,
        *,
        comment: str = "",
        identities: Iterable[str] = (),
    ) -> QuestionStatus:
        """Record the answer of a person, and notify the run if that decides it.

        Args:
            record: of the question.
            person: who answers, already identified.
            decision: ``approved`` or ``denied``.
            way: ``slack``, ``link`` or ``command``.
            comment: what they write with it.
            identities: further names that AWS has for them.

        Raises:
            ApprovalRefused: the answer does not count; says why.
        """
        question = record.question()
        if question is None or decision not in (APPROVED, DENIED):
            raise ApprovalRefused(f"{decision[:20]!r} is not an answer to this")
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
        status = self._decided(record)
        if status.outcome is not None:
            said = {(answer.person, answer.decision) for answer in status.answers}
            if (person.name, decision) in said:
                return status
            raise ApprovalRefused(
                f"too late: {status.sentence()}",
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
        return replace(self._decided(record), recorded=recorded)

    def _decided(self, record: QuestionRecord) -> QuestionStatus:
        question = record.question()
        assert question is not None
        outcome = self._outcome(record, question)
        delivered, ended = True, False
        if outcome:
            # The task may have been replaced since; the next reminder then finds the outcome.
            latest = record.question() or question
            try:
                delivered = self._notify_run(latest, outcome, record)
            except AwsError as error:
                delivered = False
                self.log.warning(error.message, run=record.run, gate=record.gate)
            if not delivered:
                ended = bool(Records(self.store, record.run).final().report)
                # By then it has found the outcome, and goes on.
                delivered = datetime.fromisoformat(outcome.at) < self.now() - _REMINDED
        status = self._status(record, question, outcome)
        return replace(status, delivered=delivered, ended=ended)

    def _outcome(
        self, record: QuestionRecord, question: Question, *, waiting: bool = False
    ) -> QuestionOutcome | None:
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
        # Before the run is notified: from then on its next steps write the report.
        if known and (known is judged or waiting):
            self._report(record, question, known)
        return known

    def _sql(self, record: QuestionRecord) -> str:
        """The scripts that are approved; a text that is not of the plan's checksum is not shown."""
        if record.gate != "release":
            return ""
        records = Records(self.store, record.run)
        kept = {script.file: script for script in records.scripts()}
        parts = []
        for step in records.plan().migrations:
            script = kept.get(step.file)
            if script is None or script.checksum != step.checksum:
                text = "-- its text is not kept\n"
            elif script.genuine:
                text = script.sql
            else:
                text = f"{script.sql}\n-- cut, or changed since it was planned: read the file\n"
            parts.append(f"-- {step.file}, SHA-256 {step.checksum}\n{text}")
        return "\n".join(parts)

    def _report(self, record: QuestionRecord, question: Question, outcome: QuestionOutcome) -> None:
        kept = question.to_dict()
        Records(self.store, record.run).add_approval(
            {
                "gate": record.name,
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

    def _notify_run(
        self, question: Question, outcome: QuestionOutcome, record: QuestionRecord
    ) -> bool:
        if outcome.decision == APPROVED:
            # The state machine compares the last two with the plan as it is by then.
            output = {
                "decision": APPROVED,
                "gate": record.gate,
                "by": list(outcome.by),
                "plan": question.plan,
                "rehearsal": question.rehearsal,
            }
            return self.tasks.send_success(question.token, output)
        cause = str(error_of_outcome(outcome).machine_readable())
        return self.tasks.send_failure(question.token, outcome.decision, cause)

    def _status(
        self, record: QuestionRecord, question: Question, outcome: QuestionOutcome | None
    ) -> QuestionStatus:
        answers = record.answers()
        counting = counted(question, answers, self.settings.approvers)
        names = tuple(answer.person for answer in counting if answer.decision == APPROVED)
        return QuestionStatus(record.run, question, tuple(answers), names, outcome)


def judge(
    question: Question,
    answers: Sequence[Answer],
    approvers: Sequence[Approver],
    *,
    now: datetime,
    cancelled: CancelRecord | None = None,
) -> QuestionOutcome | None:
    """How the question ends, or None while it is open.

    One denial ends it. A person counts once, however often and in whichever way they approve, and
    only while they are an approver. Who triggered the run never counts.

    Args:
        question: what is asked.
        answers: the answers, oldest first.
        approvers: who may answer.
        now: the time.
        cancelled: who cancelled the run, or None.
    """
    if cancelled is not None:
        by = cancelled.by or "somebody"
        why = f": {cancelled.reason}" if cancelled.reason else ""
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
        return QuestionOutcome(APPROVED, names, now.isoformat(timespec="milliseconds"))
    if now >= question.expires_at:
        minutes = int((question.expires_at - question.asked_at).total_seconds() // 60)
        answered = f"only {', '.join(names)} approved" if names else "nobody answered"
        error = ApprovalExpired(
            f"the {question.gate} was not approved within {minutes} minutes: {answered}",
            hint="release again when the approvers are there, or raise ApprovalTimeoutMinutes",
        )
        return failed(error, names, now)
    return None


def too_few(question: Question, approvers: Sequence[Approver]) -> ConfigurationError | None:
    """Why the question can never be approved, or None if it can be."""
    may = [person for person in approvers if not triggered(question.trigger, person)]
    if len(may) >= question.persons:
        return None
    return ConfigurationError(
        f"{question.persons} must approve the {question.gate}, but besides whoever triggered the "
        f"run the approvers are {len(may)}",
        hint="name more of them in the stack's parameter Approvers",
    )


def used_before(run: str) -> ConfigurationError:
    """Another execution has asked under this run's id: its answers are not about this one."""
    return ConfigurationError(
        f"another execution has asked for approval as the run {run}, and nobody was asked now",
        hint="release again: every run needs an id of its own",
    )


def counted(
    question: Question, answers: Sequence[Answer], approvers: Sequence[Approver]
) -> list[Answer]:
    """The answers that count: one of each person, a denial before an approval."""
    known = {person.name: person for person in approvers}
    found: dict[str, Answer] = {}
    for answer in answers:
        person = known.get(answer.person)
        if person is None or triggered(question.trigger, person):
            continue
        if answer.person not in found or answer.decision == DENIED:
            found[answer.person] = answer
    return list(found.values())


def failed(error: TurnbackError, by: tuple[str, ...], now: datetime) -> QuestionOutcome:
    """The outcome that ends the run with this error."""
    at = now.isoformat(timespec="milliseconds")
    return QuestionOutcome(type(error).__name__, by, at, error.message, error.hint or "")


def error_of_outcome(outcome: QuestionOutcome) -> TurnbackError:
    """The error that an outcome ends the run with."""
    return _ERRORS[outcome.decision](outcome.message, hint=outcome.hint or None)


_ERRORS: dict[str, type[TurnbackError]] = {
    error.__name__: error
    for error in (ApprovalDenied, ApprovalExpired, ConfigurationError, RunCancelled)
}
