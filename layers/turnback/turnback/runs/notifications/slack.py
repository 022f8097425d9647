"""Slack: a bot that posts and changes messages, or an incoming webhook that only posts.

slack_sdk talks to both. A webhook's address is itself the secret, and a webhook does not say which
message it made, so nothing can be changed or answered in a thread afterwards
(https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.handler import RetryHandler
from slack_sdk.http_retry.request import HttpRequest
from slack_sdk.http_retry.response import HttpResponse
from slack_sdk.http_retry.state import RetryState
from slack_sdk.web.client import WebClient
from slack_sdk.webhook.client import WebhookClient

from turnback.errors import ChatUnreachable, ConfigurationError

SLACK_API = "https://slack.com/api/"
HINT = (
    'store {"bot_token": "xoxb-…", "channel": "C…", "signing_secret": "…"}, or a webhook\'s https '
    'address as the text or as {"url": "https://…"}'
)
TIMEOUT_S = 5
# Left when we give up: to record how far we came, and to log it.
RESERVE_S = 4.0
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 20.0
MAX_TRIES = 100
# https://docs.slack.dev/reference/methods/chat.postMessage, "Errors"
TEMPORARY = {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable",
             "request_timeout", "team_added_to_org"}  # fmt: skip
BAD_BLOCKS = {"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long",
              "invalid_payload"}  # fmt: skip
CANNOT_CHANGE = {"message_not_found", "cant_update_message", "edit_window_closed"}
BAD_TOKEN = {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired",
             "missing_scope", "no_permission", "not_allowed_token_type", "org_login_required",
             "ekm_access_denied", "access_denied"}  # fmt: skip
BAD_CHANNEL = {"channel_not_found", "not_in_channel", "is_archived", "restricted_action"}
# What Slack answers for a webhook that was revoked; the rest of 4xx is about the message.
REVOKED = (401, 403, 404, 410)
_WORD = re.compile(r"[a-zA-Z_]{1,60}")
# What reading an answer raises that is not from Slack: cut off, not JSON, in another encoding.
_UNREADABLE = (OSError, HTTPException, ValueError, LookupError, AttributeError, TypeError)

# slack_sdk logs addresses and the text of errors, and a webhook's address is a secret.
_SILENT = logging.Logger("slack_sdk, silent")
_SILENT.addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class ChatAccess:
    """How to reach the chat: a bot and its channel, or an incoming webhook.

    Attributes:
        webhook: address of an incoming webhook; empty with a bot.
        bot_token: of a bot that may ``chat:write``; empty with a webhook.
        channel: the bot's channel, by its id.
        api: where Slack's Web API is.
        buttons: whether buttons are answered, which the signing secret stands for.
    """

    webhook: str = field(default="", repr=False)
    bot_token: str = field(default="", repr=False)
    channel: str = ""
    api: str = SLACK_API
    buttons: bool = False

    @classmethod
    def from_secret(cls, secret: str) -> ChatAccess:
        """Read a secret of either form.

        Raises:
            ConfigurationError: it has neither form; the secret is not repeated.
        """
        fields = _fields(secret)
        buttons = bool(fields.get("signing_secret", ""))
        token = fields.get("bot_token", "")
        if not token:
            return cls(webhook=_address(fields.get("url", ""), "webhook address"), buttons=buttons)
        channel = fields.get("channel", "")
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ConfigurationError("the chat's secret has no usable bot_token", hint=HINT)
        if not channel:
            raise ConfigurationError(
                "the chat's secret has a bot_token, but no channel",
                hint="add the channel's id, such as C0123456789, and invite the bot there",
            )
        api = _address(fields.get("api", "") or SLACK_API, "address of the Web API")
        return cls(bot_token=token, channel=channel, api=api.rstrip("/") + "/", buttons=buttons)


@dataclass(frozen=True, slots=True)
class Deadline:
    """For how long to try, and how to wait.

    Attributes:
        seconds_left: seconds until the function is stopped.
        sleep: waits for seconds.
    """

    seconds_left: Callable[[], float]
    sleep: Callable[[float], None] = field(default=time.sleep)

    def wait(self, seconds: float, why: str) -> None:
        """Wait, if a request after it would still end in time.

        Args:
            seconds: how long.
            why: what the chat did, as the begin of a sentence.

        Raises:
            ChatUnreachable: there is no time for that.
        """
        if seconds + TIMEOUT_S + RESERVE_S > self.seconds_left():
            raise ChatUnreachable(
                f"{why}, and the function has no time left for another try",
                hint="Lambda tries twice more; then the status is in the dead letter queue",
            )
        self.sleep(seconds)


class RetryUntilDeadline(RetryHandler):
    """Tries again, with growing pauses, what Slack may still accept before the deadline.

    That is 429 (whose Retry-After is respected), any 5xx, an error of the Web API that passes,
    and no answer at all.
    """

    def __init__(self, deadline: Deadline) -> None:
        super().__init__(MAX_TRIES)
        self._deadline = deadline

    def _can_retry(
        self,
        *,
        state: RetryState,  # noqa: ARG002
        request: HttpRequest,  # noqa: ARG002
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        if response is None:
            return isinstance(error, (OSError, HTTPException))
        if response.status_code == 429 or response.status_code >= 500:
            return True
        return (response.body or {}).get("error") in TEMPORARY

    def prepare_for_next_attempt(
        self,
        *,
        state: RetryState,
        request: HttpRequest,  # noqa: ARG002
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> None:
        """Wait.

        Raises:
            ChatUnreachable: there is no time left.
        """
        pause = min(FIRST_PAUSE_S * 2**state.current_attempt, LONGEST_PAUSE_S)
        if response is None:
            # Only the class: the text of the error may repeat the address.
            why = f"the chat does not answer: {type(error).__name__}"
        else:
            why = f"the chat answered {(response.body or {}).get('error') or response.status_code}"
            headers = {name.lower(): value for name, value in response.headers.items()}
            asked = retry_after("".join(headers.get("retry-after") or ()))
            pause = pause if asked is None else asked
        self._deadline.wait(pause, why)
        state.increment_current_attempt()
        state.next_attempt_requested = True


def retry_after(value: str | None) -> float | None:
    """The seconds of a Retry-After; None where it has none (Slack never gives a date)."""
    plain = (value or "").strip()
    return float(plain) if plain.isascii() and plain.isdigit() else None


class SlackBot:
    """A bot in its channel."""

    def __init__(self, access: ChatAccess, deadline: Deadline) -> None:
        """A bot.

        Args:
            access: its token and channel.
            deadline: for how long to try each call.
        """
        self._channel = access.channel
        self._client = WebClient(
            access.bot_token,
            access.api,
            TIMEOUT_S,
            logger=_SILENT,
            retry_handlers=[RetryUntilDeadline(deadline)],
        )
        # urllib reads the variables of proxies itself, NO_PROXY among them.
        self._client.proxy = None

    def post(self, message: Mapping[str, Any], *, thread: str = "") -> dict[str, str]:
        """Post a message; returns its ``ts`` and ``channel``, which name it, and its ``team``.

        Args:
            message: ``text`` and ``blocks``.
            thread: ``ts`` of the message that it answers; shown in the channel as well.

        Raises:
            ConfigurationError: token or channel is wrong; trying again does not help.
            ChatUnreachable: Slack did not accept it.
        """
        answers = {"thread_ts": thread, "reply_broadcast": True} if thread else {}
        posted = self._call(
            "chat.postMessage",
            {**message, **answers, "channel": self._channel, "unfurl_links": False},
        )
        return {
            "ts": str(posted["ts"]),
            "channel": str(posted.get("channel") or self._channel),
            "team": str((posted.get("message") or {}).get("team") or ""),
        }

    def change(self, ts: str, channel: str, message: Mapping[str, Any]) -> bool:
        """Replace the content of a message of ours; False where it is gone or may not change.

        Raises:
            ConfigurationError: token or channel is wrong; trying again does not help.
            ChatUnreachable: Slack did not accept it.
        """
        return bool(self._call("chat.update", {**message, "ts": ts, "channel": channel}))

    def _call(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        """The API's answer; empty for a message that cannot be changed."""
        try:
            data = self._client.api_call(method, json=body).data
            assert isinstance(data, dict)
            return data
        except SlackApiError as error:
            data, status = error.response.data, error.response.status_code
            word = str(data.get("error")) if isinstance(data, dict) else ""
        except _UNREADABLE:
            word, status = "", 200
        if word in CANNOT_CHANGE and method == "chat.update":
            return {}
        if word in BAD_BLOCKS and body.get("blocks"):
            # An empty list: without one, chat.update keeps the old blocks.
            return self._call(method, {**body, "blocks": []})
        raise _refusal(word, status)


def post_to_webhook(address: str, message: Mapping[str, Any], deadline: Deadline) -> None:
    """Post a message to an incoming webhook; if its blocks are refused, only its text.

    Args:
        address: the webhook.
        message: what to post.
        deadline: for how long to try.

    Raises:
        ConfigurationError: the webhook or its channel is gone; trying again does not help.
        ChatUnreachable: the message was not accepted; the address is not in the error.
    """
    client = WebhookClient(
        address, TIMEOUT_S, logger=_SILENT, retry_handlers=[RetryUntilDeadline(deadline)]
    )
    client.proxy = None
    try:
        answer = client.send_dict(dict(message))
        if answer.status_code == 400 and answer.body in BAD_BLOCKS and message.get("blocks"):
            answer = client.send_dict({"text": message["text"]})
    except _UNREADABLE:
        raise ChatUnreachable("the chat's answer cannot be read") from None
    # Slack's own word for it, such as `no_service`; nothing else from a body.
    word = f" {answer.body.strip()}" if _WORD.fullmatch(answer.body.strip()) else ""
    if answer.status_code in REVOKED:
        raise ConfigurationError(
            f"the chat answered {answer.status_code}{word}: the webhook was revoked, or its "
            "channel is gone",
            hint="make a new webhook, and put its address into the secret SlackWebhookSecretArn",
        )
    if answer.status_code != 200:
        raise ChatUnreachable(
            f"the chat answered {answer.status_code}{word}",
            hint="check the webhook's address in the secret, and that the channel exists",
        )


def _refusal(word: str, status: int) -> ConfigurationError | ChatUnreachable:
    if not _WORD.fullmatch(word):
        return ChatUnreachable(
            f"the answer (HTTP {status}) is not from Slack's Web API",
            hint="check the network between the function and slack.com",
        )
    if word in BAD_TOKEN:
        return ConfigurationError(
            f"Slack refuses the bot's token: {word}",
            hint="install the app again with the scope chat:write, and put its bot token into the "
            "secret SlackWebhookSecretArn",
        )
    if word in BAD_CHANNEL:
        return ConfigurationError(
            f"Slack refuses the channel: {word}",
            hint="put the channel's id into the secret, and invite the bot: /invite @turnback",
        )
    return ChatUnreachable(f"Slack refused the message: {word}")


def _fields(secret: str) -> dict[str, str]:
    """The secret's fields that are text; a secret that is an address has only that."""
    text = secret.strip()
    if not text.startswith("{"):
        return {"url": text}
    try:
        fields = json.loads(text)
    except ValueError:
        # `from None`: the error's text may repeat the secret.
        raise ConfigurationError("the chat's secret is broken JSON", hint=HINT) from None
    return {name: value.strip() for name, value in fields.items() if isinstance(value, str)}


def _address(value: str, what: str) -> str:
    try:
        parts = urlsplit(value)
        fits = bool(parts.hostname) and (
            parts.scheme == "https"
            # A stand-in on this machine; over the network, http would show the secret.
            or (parts.scheme == "http" and parts.hostname == "127.0.0.1")
        )
    except ValueError:
        fits = False
    if not fits or not value.isascii() or any(character.isspace() for character in value):
        raise ConfigurationError(f"the secret has no {what}", hint=HINT)
    return value
