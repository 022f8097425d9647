"""Ask: put a run's question to the people who may answer it, and put it again after an hour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from turnback.errors import AwsError
from turnback.runs.announce import announce
from turnback.runs.approvals.link import LinkMaker
from turnback.runs.approvals.person import triggered
from turnback.runs.approvals.questions import Questions
from turnback.runs.approvals.record import Question
from turnback.runs.approvals.standing import Standing
from turnback.runs.caught import error_of
from turnback.runs.order import Order
from turnback.runs.records import Records
from turnback.runs.status import Status
from turnback.runs.summary import loss_in_words
from turnback.runs.telling.words import clock, sentence

# Of the reasons; all of them are in the run's plan.
LISTED = 20
SUBJECT_LENGTH = 99


class Post(Protocol):
    """The topic that each approver's own link is sent to."""

    def publish(self, message: str, attributes: Mapping[str, str], *, subject: str = "") -> None:
        """Publish a message with attributes to filter by."""


@dataclass(frozen=True, slots=True)
class Mail:
    """Sends each approver a link of their own."""

    links: LinkMaker
    topic: Post

    def send(self, standing: Standing, person: str) -> None:
        """Send this person theirs.

        Raises:
            AwsError: it was not taken.
        """
        link = self.links.make(standing.run, standing.question, person)
        self.topic.publish(
            _text(standing, person, link),
            {"person": person, "run": standing.run, "gate": standing.question.gate},
            subject=_subject(standing),
        )


def ask(
    order: Order,
    event: Mapping[str, Any],
    *,
    questions: Questions,
    records: Records,
    mail: Mail,
    **announcing: Any,
) -> dict[str, Any]:
    """Put the question of a gate, or put it again: every call with a new token is a reminder.

    Where the answer is known already (it came while no task waited, the time is over, somebody
    cancelled the run), the task is ended at once and nobody is asked.

    Args:
        order: the run.
        event: ``gate``, ``token`` of the task that waits, and the state machine's ``state``.
        questions: the stack's questions.
        records: the run's plan.
        mail: sends the links.
        announcing: what ``announce`` takes besides, for the status ``awaiting_approval``.

    Returns:
        ``waits`` or how it was decided, and how many ``reminders`` there were.

    Raises:
        AwsError: nobody could be asked; to be tried again.
    """
    standing = questions.put(_question(order, event, questions, records), order.run)
    if standing.outcome is None:
        announce(
            Status.AWAITING_APPROVAL,
            event["state"],
            records=records,
            approval=_told(standing),
            **announcing,
        )
        said = {answer.person for answer in standing.answers}
        for person in questions.settings.approvers:
            if not person.email or person.name in said or triggered(order.trigger, person):
                continue
            try:
                mail.send(standing, person.name)
            except AwsError as error:
                # The others can answer; and the reminder tries again.
                questions.log.warning(error.message, person=person.name)
    return {
        "state": standing.outcome.decision if standing.outcome else "waits",
        "gate": standing.question.gate,
        "reminders": standing.question.reminders,
    }


def _question(
    order: Order, event: Mapping[str, Any], questions: Questions, records: Records
) -> Question:
    state, plan, now = event["state"], records.plan(), questions.now()
    settled = state.get("plan") or {}
    if event["gate"] == "restore":
        persons = questions.settings.needed_for_restore
        assessment = state.get("assessment") or {}
        caught = error_of(state.get("rollback_error")) or error_of(state.get("error")) or {}
        reasons = [str(assessment.get("reason") or ""), str(caught.get("message") or "")]
        loss = assessment.get("loss")
    else:
        persons = max(1, int(settled.get("approvals") or 1))
        reasons, loss = list(plan.get("approval_reasons") or []), None
    return Question(
        gate=event["gate"],
        token=event["token"],
        asked_at=now,
        expires_at=now + timedelta(minutes=questions.settings.timeout_minutes),
        persons=persons,
        # A line break in a quoted name would let an author write into the message to approvers.
        reasons=tuple(line for reason in reasons if (line := " ".join(reason.split()))),
        loss=loss,
        trigger=" ".join(order.trigger.split()),
        target=order.target,
        release=str(plan.get("release") or settled.get("release") or ""),
        execution=f"{event.get('execution')} {event.get('started_at')}",
    )


def _told(standing: Standing) -> dict[str, Any]:
    """The field ``approval`` of a status event."""
    question = standing.question
    shown = list(question.reasons[:LISTED])
    if len(question.reasons) > LISTED:
        shown.append(f"and {len(question.reasons) - LISTED} more, in the run's plan")
    return {
        "gate": question.gate,
        "persons_needed": question.persons,
        "approved_by": list(standing.approved_by),
        "reasons": shown,
        "expires_at": question.expires_at.isoformat(timespec="seconds"),
        "loss": question.loss,
        "command": f"turnback approve {standing.run}",
        "reminders": question.reminders,
    }


def _subject(standing: Standing) -> str:
    question = standing.question
    again = "Reminder: " if question.reminders else ""
    what = f"{again}{question.target} {question.release} waits for approval of its {question.gate}"
    return what.encode("ascii", "replace").decode()[:SUBJECT_LENGTH]


def _text(standing: Standing, person: str, link: str) -> str:
    question, told = standing.question, _told(standing)
    what = f"release {question.release or 'of unknown number'} of the database {question.target}"
    doing = "to be restored from its snapshot" if question.gate == "restore" else "to be applied"
    lines = [
        f"Hello {person},",
        "",
        f"{what} waits {doing}. It needs the yes of {question.persons} of the approvers.",
        "",
        f"Run:        {standing.run}",
        f"Started by: {question.trigger}",
        f"Approved:   {', '.join(standing.approved_by) or 'by nobody yet'}",
        f"Until:      {clock(str(told['expires_at']))}",
    ]
    if told["reasons"]:
        lines += ["", "Why you are asked:", *(f"- {reason}" for reason in told["reasons"])]
    if question.gate == "restore":
        lines += ["", sentence(loss_in_words(question.loss))]
    lines += [
        "",
        "Look at it and decide here. The link is yours alone, counts once, and shows the question",
        "before anything happens:",
        "",
        link,
        "",
        f"Or in a terminal: {told['command']}",
    ]
    return "\n".join(lines)
