"""Posting to a chat's incoming webhook, whose address is itself the secret."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from turnback.errors import ChatUnreachable, ConfigurationError

TIMEOUT_S = 5.0


def webhook_address(secret: str) -> str:
    """The address in a secret: the secret's whole text, or its field ``url``.

    Raises:
        ConfigurationError: there is no https address in it; the secret is not repeated.
    """
    address: Any = secret.strip()
    if address.startswith("{"):
        try:
            address = json.loads(address).get("url")
        except ValueError:
            address = None
    if not isinstance(address, str) or not address.startswith(("https://", "http://127.0.0.1:")):
        raise ConfigurationError(
            "the secret holds no webhook address",
            hint='store the https address as the secret\'s text, or as {"url": …}',
        )
    return address


def post(
    address: str,
    message: Mapping[str, Any],
    *,
    seconds_left: Callable[[], float],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Post a message; wait as the chat asks while there is time for it.

    Args:
        address: the webhook.
        message: what to post.
        seconds_left: seconds until the function is stopped.
        sleep: waits for seconds.

    Raises:
        ChatUnreachable: the message was not taken; the address is not in the error.
    """
    body = json.dumps(message).encode()
    request = urllib.request.Request(
        address, data=body, headers={"Content-Type": "application/json"}, method="POST"
    )
    while True:
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                answer.read()
                return
        except urllib.error.HTTPError as error:
            pause = _pause(error)
            error.close()
            if pause is None or pause + TIMEOUT_S > seconds_left():
                raise ChatUnreachable(
                    f"the chat answered {error.code}",
                    hint="check the webhook's address in the secret, and that the channel exists",
                ) from None
            sleep(pause)
        except OSError as error:
            # `from None`: what urllib raises may repeat the address.
            raise ChatUnreachable(f"the chat does not answer: {type(error).__name__}") from None


def _pause(error: urllib.error.HTTPError) -> float | None:
    if error.code != 429:
        return None
    after = error.headers.get("Retry-After", "")
    return float(after) if after.isdigit() else 1.0
