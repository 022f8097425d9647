"""Telling a status in the chat: by a bot, one message that is changed; by a webhook, a few."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from turnback.errors import ConfigurationError
from turnback.runs.status import Status, StatusEvent
from turnback.runs.telling.access import ChatAccess
from turnback.runs.telling.api import SlackApi
from turnback.runs.telling.http import Patience
from turnback.runs.telling.slack_message import escape, slack_message
from turnback.runs.telling.slack_thread import RunInChat, Shown, moment
from turnback.runs.telling.webhook import post
from turnback.runs.telling.words import cut, is_worth_a_message, next_step, reminder, title
from turnback.store import ObjectStore

NEEDED = ("run", "target", "status", "environment", "at", "trigger", "summary")
# Slack tells nobody that a message was changed, so what waits for a person is said anew.
CALLS = (Status.AWAITING_APPROVAL, Status.NEEDS_A_PERSON)
CALL_LENGTH = 2500


def read_status(message: str) -> dict[str, Any]:
    """A status event from the text of a message of the topic.

    Raises:
        ConfigurationError: it is none; somebody else publishes to the topic.
    """
    try:
        event = json.loads(message)
        missing = [name for name in NEEDED if not isinstance(event.get(name), str)]
        if not missing:
            Status(event["status"])
            moment(event["at"])
    except (ValueError, AttributeError, TypeError) as error:
        raise _not_ours(f"not a status event: {type(error).__name__}") from error
    if missing:
        raise _not_ours(f"a status event without {', '.join(missing)}")
    empty: dict[str, Any] = {
        name: [] if field.default == () else field.default
        for name, field in StatusEvent.__dataclass_fields__.items()
        if name not in NEEDED and name != "release"
    }
    return {**empty, "release": None, **event}


@dataclass(frozen=True, slots=True)
class Chat:
    """The chat of this stack.

    Attributes:
        access: what the secret says.
        store: the bucket, with the record of each run's message.
        patience: for how long to try.
    """

    access: ChatAccess
    store: ObjectStore
    patience: Patience

    def tell(self, event: Mapping[str, Any]) -> str:
        """Tell a status; the same one again, or an older one, changes nothing.

        Args:
            event: a status event, as published.

        Returns:
            What was done: ``posted``, ``changed``, ``told before`` or ``left out``.

        Raises:
            ConfigurationError: token, channel or webhook is wrong; trying again does not help.
            ChatUnreachable: the chat did not take it in the time that there was.
        """
        if self.access.webhook and not is_worth_a_message(event):
            return "left out"
        known = RunInChat(self.store, str(event["run"]), self.patience)
        done: list[str] = []

        def change(shown: Shown) -> Shown:
            if self.access.webhook:
                done.append("posted")
                return self._post_anew(event, shown)
            return self._keep(event, shown, done)

        return done[-1] if known.show(event, change) else "told before"

    def _post_anew(self, event: Mapping[str, Any], shown: Shown) -> Shown:
        message = slack_message(event, buttons=self.access.buttons)
        post(self.access.webhook, message, self.patience)
        return shown

    def _keep(self, event: Mapping[str, Any], shown: Shown, done: list[str]) -> Shown:
        """Change the run's message; post it where there is none, or none that can be changed."""
        slack = SlackApi(self.access, self.patience)
        message = slack_message(event, buttons=self.access.buttons)
        if shown.ts and slack.change(shown.ts, shown.channel, message):
            done.append("changed")
            if event["status"] in CALLS:
                slack.post({"text": _call(event)}, thread=shown.ts)
            return shown
        done.append("posted")
        return replace(shown, **slack.post(message))


def _call(event: Mapping[str, Any]) -> str:
    return cut(
        f"*{reminder(event)}{escape(title(event))}*\n{escape(next_step(event))}", CALL_LENGTH
    )


def _not_ours(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"a message of the topic is {what}",
        hint="only turnback may publish to its status topic; look who else does",
    )
