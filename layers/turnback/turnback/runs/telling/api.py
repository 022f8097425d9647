"""Slack's Web API, as far as one message needs it: post, change, answer in the thread."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from turnback.errors import ChatUnreachable, ConfigurationError
from turnback.runs.telling.access import ChatAccess
from turnback.runs.telling.http import Answer, Patience, send

# https://docs.slack.dev/reference/methods/chat.postMessage, "Errors"
LATER = {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable",
         "request_timeout", "team_added_to_org"}  # fmt: skip
UNFIT = {"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long"}
CANNOT_CHANGE = {"message_not_found", "cant_update_message", "edit_window_closed"}
TOKEN = {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired",
         "missing_scope", "no_permission", "not_allowed_token_type", "org_login_required",
         "ekm_access_denied", "access_denied"}  # fmt: skip
CHANNEL = {"channel_not_found", "not_in_channel", "is_archived", "restricted_action"}
FIRST_PAUSE_S = 1.0


class SlackApi:
    """A bot in its channel."""

    def __init__(self, access: ChatAccess, patience: Patience) -> None:
        """A bot.

        Args:
            access: its token and channel.
            patience: for how long to try each call.
        """
        self._access = access
        self._patience = patience

    def post(self, message: Mapping[str, Any], *, thread: str = "") -> dict[str, str]:
        """Post a message; returns its ``ts`` and ``channel``, which name it from then on.

        Args:
            message: ``text`` and ``blocks``.
            thread: ``ts`` of the message that it answers; shown in the channel as well.

        Raises:
            ConfigurationError: token or channel is wrong; trying again does not help.
            ChatUnreachable: it was not taken.
        """
        answers = {"thread_ts": thread, "reply_broadcast": True} if thread else {}
        told = self._call(
            "chat.postMessage",
            {**message, **answers, "channel": self._access.channel, "unfurl_links": False},
        )
        return {"ts": str(told["ts"]), "channel": str(told.get("channel") or self._access.channel)}

    def change(self, ts: str, channel: str, message: Mapping[str, Any]) -> bool:
        """Put another content into a message of ours; False where it is gone or may not change.

        Raises:
            ConfigurationError: token or channel is wrong; trying again does not help.
            ChatUnreachable: it was not taken.
        """
        return bool(self._call("chat.update", {**message, "ts": ts, "channel": channel}))

    def _call(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        """The API's answer; empty for a message that cannot be changed."""
        pause = FIRST_PAUSE_S
        while True:
            answer = send(
                self._access.api + method, body, self._patience, token=self._access.bot_token
            )
            told = _read(answer)
            if told.get("ok"):
                return told
            error = str(told.get("error") or f"HTTP {answer.status}")
            if error in CANNOT_CHANGE and method == "chat.update":
                return {}
            if error in UNFIT and "blocks" in body:
                # An empty list: without one, chat.update leaves the old blocks standing.
                body = {**body, "blocks": []}
                continue
            if error not in LATER:
                raise _refusal(error)
            self._patience.wait(pause, f"Slack answered {error}")
            pause *= 2


def _read(answer: Answer) -> dict[str, Any]:
    try:
        told = json.loads(answer.body)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise ChatUnreachable(
            f"what answered {answer.status} is not Slack's Web API",
            hint="check the network between the function and slack.com",
        )
    return told


def _refusal(error: str) -> ConfigurationError | ChatUnreachable:
    if error in TOKEN:
        return ConfigurationError(
            f"Slack refuses the bot's token: {error}",
            hint="install the app again with the scope chat:write, and put its bot token into the "
            "secret SlackWebhookSecretArn",
        )
    if error in CHANNEL:
        return ConfigurationError(
            f"Slack refuses the channel: {error}",
            hint="put the channel's id into the secret, and invite the bot: /invite @turnback",
        )
    return ChatUnreachable(f"Slack did not take the message: {error}")
