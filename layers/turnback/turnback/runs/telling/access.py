"""What the chat's secret says: a bot and its channel, or an incoming webhook."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from turnback.errors import ConfigurationError

SLACK_API = "https://slack.com/api/"
HINT = (
    'store {"bot_token": "xoxb-…", "channel": "C…", "signing_secret": "…"}, or a webhook\'s https '
    'address as the text or as {"url": "https://…"}'
)


@dataclass(frozen=True, slots=True)
class ChatAccess:
    """How to reach the chat; nothing of it is ever shown.

    Attributes:
        webhook: address of an incoming webhook; empty with a bot.
        bot_token: of a bot that may ``chat:write``; empty with a webhook.
        channel: the bot's channel, by its id.
        api: where Slack's Web API is.
        buttons: whether somebody answers buttons, which the signing secret stands for.
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
            ConfigurationError: it is neither; the secret is not repeated.
        """
        fields = _fields(secret)
        buttons = bool(_named(fields, "signing_secret"))
        token = _named(fields, "bot_token")
        if not token:
            return cls(webhook=_address(_named(fields, "url"), "webhook address"), buttons=buttons)
        channel = _named(fields, "channel")
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ConfigurationError("the chat's secret has no usable bot_token", hint=HINT)
        if not channel:
            raise ConfigurationError(
                "the chat's secret has a bot_token, but no channel",
                hint="add the channel's id, such as C0123456789, and invite the bot there",
            )
        api = _address(_named(fields, "api") or SLACK_API, "address of the Web API")
        return cls(bot_token=token, channel=channel, api=api.rstrip("/") + "/", buttons=buttons)


def _fields(secret: str) -> dict[str, Any]:
    text = secret.strip()
    if not text.startswith("{"):
        return {"url": text}
    try:
        fields = json.loads(text)
    except ValueError:
        # `from None`: what json says may repeat the secret.
        raise ConfigurationError("the chat's secret is broken JSON", hint=HINT) from None
    return dict(fields)


def _named(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    return value.strip() if isinstance(value, str) else ""


def _address(value: str, what: str) -> str:
    try:
        parts = urlsplit(value)
        fits = bool(parts.hostname) and (
            parts.scheme == "https"
            # A stand-in on this machine; anything else in the clear would tell the secret.
            or (parts.scheme == "http" and parts.hostname == "127.0.0.1")
        )
    except ValueError:
        fits = False
    if not fits or not value.isascii() or any(character.isspace() for character in value):
        raise ConfigurationError(f"the secret holds no {what}", hint=HINT)
    return value
