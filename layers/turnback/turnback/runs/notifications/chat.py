"""A run in the chat: with a bot one message that is changed, with a webhook a few messages.

The topic delivers at least once and in any order, and two deliveries can be at work at the same
time. So the first to show a status takes ``runs/<run>/slack.json`` by a conditional write. A status
that is older than the one shown, or the same, is ignored.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from turnback.errors import ChatUnreachable
from turnback.runs.notifications.slack import (
    RESERVE_S,
    ChatAccess,
    Deadline,
    SlackBot,
    post_to_webhook,
)
from turnback.runs.reporting.chat import escape, slack_message
from turnback.runs.reporting.report import Report
from turnback.runs.reporting.words import is_worth_a_message, next_step, reminder, title
from turnback.runs.stated import Stated
from turnback.runs.status import Status
from turnback.store import ObjectStore
from turnback.wording import cut

# Slack notifies nobody of a changed message, so what waits for a person is posted again.
CALLS = (Status.AWAITING_APPROVAL, Status.NEEDS_A_PERSON, Status.BACKFILL_FAILED)
CALL_LENGTH = 2500
# Longer than the clocks of two machines differ.
MARGIN = timedelta(seconds=5)
LOOK_AGAIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Posted(Stated):
    """What the chat shows of a run.

    Attributes:
        at: of the status that is shown, ISO 8601; empty before the first.
        status: that status.
        ts: Slack's name of the message; empty with a webhook.
        channel: Slack's name of the channel.
        team: the workspace that the message is in, where Slack says it.
        busy_until: ISO 8601; until then the owner of the record may be changing the message.
    """

    at: str = ""
    status: str = ""
    ts: str = ""
    channel: str = ""
    team: str = ""
    busy_until: str = ""

    def to_json(self) -> bytes:
        """As it is kept."""
        return json.dumps({"version": 1, **self.to_state()}).encode()

    @classmethod
    def from_json(cls, body: bytes) -> Posted:
        """As it was kept."""
        return cls.from_state(json.loads(body))


@dataclass(frozen=True, slots=True)
class MessageRecord:
    """The record of a run's message, changed by one delivery at a time.

    Attributes:
        store: the bucket.
        run: the run's id.
        deadline: for how long to wait for another delivery.
        now: the time.
    """

    store: ObjectStore
    run: str
    deadline: Deadline
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    @property
    def key(self) -> str:
        """Where the record is."""
        return f"runs/{self.run}/slack.json"

    def show(self, report: Report, change: Callable[[Posted], Posted]) -> bool:
        """Show a status, unless the chat shows it already, or a newer one.

        Args:
            report: the run at its present status.
            change: shows it, and returns what is shown then.

        Returns:
            Whether it was shown.

        Raises:
            ChatUnreachable: another delivery was busy all the time that there was.
        """
        before = self._take(report)
        if before is None:
            return False
        after = before
        try:
            after = replace(change(before), at=report.at, status=report.status.value)
        finally:
            self.store.write(self.key, replace(after, busy_until="").to_json())
        return True

    def _take(self, report: Report) -> Posted | None:
        """What is shown, now ours to change; None where the report is old."""
        while True:
            found = self.store.read_tagged(self.key)
            shown, tag = (Posted.from_json(found[0]), found[1]) if found else (Posted(), None)
            if shown.at and _time(report.at) <= _time(shown.at):
                return None
            if not shown.busy_until or _time(shown.busy_until) < self.now():
                until = self.now() + timedelta(seconds=self.deadline.seconds_left()) + MARGIN
                mine = replace(shown, busy_until=until.isoformat())
                if self.store.swap(self.key, mine.to_json(), tag):
                    return shown
                continue
            if self.deadline.seconds_left() < LOOK_AGAIN_S + RESERVE_S:
                raise ChatUnreachable(
                    f"another status of {self.run} is being shown, and does not come to an end",
                    hint="Lambda tries again in a minute",
                )
            self.deadline.sleep(LOOK_AGAIN_S)


@dataclass(frozen=True, slots=True)
class Chat:
    """The chat of this stack.

    Attributes:
        access: what the secret says.
        store: the bucket, with the record of each run's message.
        deadline: for how long to try.
    """

    access: ChatAccess
    store: ObjectStore
    deadline: Deadline

    def show(self, report: Report) -> str:
        """Show a status; the same one again, or an older one, changes nothing.

        Args:
            report: the run at its present status.

        Returns:
            What was done: ``posted``, ``changed``, ``already shown`` or ``skipped``.

        Raises:
            ConfigurationError: token, channel or webhook is wrong; trying again does not help.
            ChatUnreachable: the chat did not accept it in time.
        """
        if self.access.webhook and not is_worth_a_message(report):
            return "skipped"
        record = MessageRecord(self.store, report.run, self.deadline)
        done = "already shown"

        def change(shown: Posted) -> Posted:
            nonlocal done
            after, done = self._change(report, shown)
            return after

        record.show(report, change)
        return done

    def _change(self, report: Report, shown: Posted) -> tuple[Posted, str]:
        """Change the run's message; post a new one if there is no message that can be changed."""
        message = slack_message(report, buttons=self.access.buttons)
        if self.access.webhook:
            post_to_webhook(self.access.webhook, message, self.deadline)
            return shown, "posted"
        slack = SlackBot(self.access, self.deadline)
        if not shown.ts or not slack.change(shown.ts, shown.channel, message):
            return replace(shown, **slack.post(message)), "posted"
        if report.status in CALLS:
            call = f"*{reminder(report)}{escape(title(report))}*\n{escape(next_step(report))}"
            slack.post({"text": cut(call, CALL_LENGTH)}, thread=shown.ts)
        return shown, "changed"


def _time(at: str) -> datetime:
    return datetime.fromisoformat(at)
