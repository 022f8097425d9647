"""Posting to a chat's incoming webhook, whose address is itself the secret.

A webhook only posts: it does not say which message it made, so nothing can be changed or answered
in a thread afterwards (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnback.errors import ChatUnreachable, ConfigurationError
from turnback.runs.telling.http import Answer, Patience, send

# What Slack says of a webhook that no longer is one; the rest of 4xx is about the message.
GONE = (401, 403, 404, 410)
UNFIT = ("invalid_blocks", "msg_blocks_too_long", "msg_too_long", "invalid_payload")


def post(address: str, message: Mapping[str, Any], patience: Patience) -> None:
    """Post a message; of one whose blocks the chat refuses, the text alone.

    Args:
        address: the webhook.
        message: what to post.
        patience: for how long to try.

    Raises:
        ConfigurationError: the webhook or its channel is gone; trying again does not help.
        ChatUnreachable: the message was not taken; the address is not in the error.
    """
    answer = send(address, message, patience)
    if answer.status == 400 and answer.body.startswith(UNFIT) and "blocks" in message:
        answer = send(address, {"text": message["text"]}, patience)
    if answer.status in GONE:
        raise ConfigurationError(
            f"the chat answered {answer.status}{_reason(answer)}: the webhook was revoked, or its "
            "channel is gone",
            hint="make a new webhook, and put its address into the secret SlackWebhookSecretArn",
        )
    if answer.status != 200:
        raise ChatUnreachable(
            f"the chat answered {answer.status}{_reason(answer)}",
            hint="check the webhook's address in the secret, and that the channel exists",
        )


def _reason(answer: Answer) -> str:
    """Slack's own word for it, such as ``no_service``; nothing else from a body."""
    word = answer.body.strip()
    known = len(word) <= 60 and word.isascii() and word.replace("_", "").isalpha()
    return f" {word}" if known else ""
