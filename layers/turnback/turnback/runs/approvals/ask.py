"""Ask the people who may approve a run, and ask them again after an hour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TypedDict

from turnback.errors import AwsError
from turnback.runs.announce import Announcer
from turnback.runs.approvals.identity import triggered
from turnback.runs.approvals.links import LinkMaker
from turnback.runs.approvals.questions import Questions
from turnback.runs.approvals.record import Question, QuestionStatus
from turnback.runs.order import Order
from turnback.runs.records import Records
from turnback.runs.reporting.report import ReportApproval
from turnback.runs.reporting.words import loss_in_words
from turnback.runs.state import RunState
from turnback.runs.status import Status
from turnback.wording import capped, clock, visible

# Of the reasons; all of them are in the run's plan.
LISTED = 20
SUBJECT_LENGTH = 99


class Post(Protocol):
    """The topic that each approver's own link is sent to."""

    def publish(self, message: str, attributes: Mapping[str, str], *, subject: str = "") -> None:
        """Publish a message with attributes to filter by."""


@dataclass(frozen=True, slots=True)
class ApprovalMail:
    """Sends each approver a message of their own, with a link where the stack has an address."""

    links: LinkMaker
    topic: Post

    def send(self, status: QuestionStatus, person: str) -> None:
        """Send this person their link.

        Raises:
            AwsError: SNS did not accept it.
        """
        link = self.links.make(status.run, status.question, person)
        self.topic.publish(
            _text(status, person, link),
            {"person": person, "run": status.run, "gate": status.question.gate},
            subject=_subject(status),
        )


class Asked(TypedDict):
    """``waits`` or how it was decided, of which gate, and how many reminders there were."""

    state: str
    gate: str
    reminders: int


def ask(
    order: Order,
    event: Mapping[str, Any],
    *,
    questions: Questions,
    records: Records,
    mail: ApprovalMail,
    announcer: Announcer,
) -> Asked:
    """Ask the question of a gate, or ask it again: every call with a new token is a reminder.

    Where the answer is known (it came while no task waited, the question has expired, the run is
    cancelled), the task is ended at once and nobody is asked.

    Args:
        order: the run.
        event: ``gate``, ``token`` of the task that waits, and the state machine's ``state``.
        questions: the stack's questions.
        records: the run's plan.
        mail: sends the links.
        announcer: publishes the status ``awaiting_approval``.

    Returns:
        ``waits`` or how it was decided, and how many ``reminders`` there were.

    Raises:
        AwsError: nobody could be asked; to be tried again.
    """
    status = questions.put(_question(order, event, questions, records), order.run)
    if status.outcome is None:
        announcer.announce(
            Status.AWAITING_APPROVAL,
            RunState.from_state(event["state"]),
            approval=_approval(status),
        )
        answered = {answer.person for answer in status.answers}
        for person in questions.settings.approvers:
            if not person.email or person.name in answered or triggered(order.trigger, person):
                continue
            try:
                mail.send(status, person.name)
            except AwsError as error:
                # The other approvers can answer, and the reminder tries again.
                questions.log.warning(error.message, person=person.name)
    return {
        "state": status.outcome.decision if status.outcome else "waits",
        "gate": status.question.gate,
        "reminders": status.question.reminders,
    }


def _question(
    order: Order, event: Mapping[str, Any], questions: Questions, records: Records
) -> Question:
    state = RunState.from_state(event["state"])
    plan, now = records.plan(), questions.now()
    if event["gate"] == "restore":
        needed = questions.settings.needed_for_restore
        error = state.rollback_error or state.error
        reasons = [state.assessment.reason if state.assessment else ""]
        reasons.append(error.message if error else "")
        loss = state.assessment.loss if state.assessment else None
    else:
        needed = max(1, state.plan.approvals_needed if state.plan else 1)
        reasons, loss = list(plan.approval_reasons), None
    return Question(
        gate=event["gate"],
        token=event["token"],
        asked_at=now,
        expires_at=now + timedelta(minutes=questions.settings.timeout_minutes),
        persons=needed,
        # A line break in a quoted name would let an author write into the message to approvers.
        reasons=tuple(line for reason in reasons if (line := " ".join(reason.split()))),
        loss=loss,
        trigger=" ".join(order.trigger.split()),
        target=order.target,
        release=plan.release or (state.plan.release if state.plan else ""),
        execution=f"{event.get('execution')} {event.get('started_at')}",
        plan=state.plan.digest if state.plan and event["gate"] == "release" else "",
        rehearsal=state.rehearsal.status if state.rehearsal else "",
    )


def _approval(status: QuestionStatus) -> ReportApproval:
    """The field ``approval`` of a report."""
    question = status.question
    return ReportApproval(
        gate=question.gate,
        question=question.name,
        persons_needed=question.persons,
        approved_by=status.approved_by,
        reasons=tuple(capped(question.reasons, LISTED, ", in the run's plan")),
        expires_at=question.expires_at.isoformat(timespec="seconds"),
        loss=question.loss,
        command=f"turnback approve {status.run}",
        reminders=question.reminders,
    )


def _subject(status: QuestionStatus) -> str:
    question = status.question
    again = "Reminder: " if question.reminders else ""
    what = f"{again}{question.target} {question.release} waits for approval of its {question.gate}"
    return visible(what).encode("ascii", "replace").decode()[:SUBJECT_LENGTH]


def _text(status: QuestionStatus, person: str, link: str | None) -> str:
    question, asked = status.question, _approval(status)
    release = f"Release {question.release or 'of unknown number'} of the database {question.target}"
    gate = "the restore from its snapshot" if question.gate == "restore" else "the release"
    lines = [
        f"Hello {person},",
        "",
        f"{release} waits: {question.persons} of the approvers must approve {gate}.",
        "",
        f"Run:        {status.run}",
        f"Started by: {question.trigger}",
        f"Approved:   {', '.join(status.approved_by) or 'by nobody yet'}",
        f"Until:      {clock(question.expires_at)}",
    ]
    if asked.reasons:
        lines += ["", "Why you are asked:", *(f"- {reason}" for reason in asked.reasons)]
    if question.gate == "restore":
        lines += ["", f"A restore loses {loss_in_words(question.loss)}."]
    if link:
        lines += [
            "",
            "Approve or deny it here. The link is yours alone and counts once. It shows the",
            "question before anything happens:",
            "",
            link,
        ]
    lines += ["", f"{'Or in' if link else 'Approve or deny it in'} a terminal: {asked.command}"]
    return visible("\n".join(lines))
