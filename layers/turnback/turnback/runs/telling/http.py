"""One request to a chat, tried as long as there is time and the chat may still take it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any

from turnback.errors import ChatUnreachable

TIMEOUT_S = 5.0
# Left when we give up: to write down how far we came, and to say so in the log.
RESERVE_S = 4.0
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 20.0
ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What a chat said: the HTTP status and the body, as text."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class Patience:
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


def send(
    address: str, message: Mapping[str, Any], patience: Patience, *, token: str = ""
) -> Answer:
    """Post JSON, and return the chat's answer, whatever it is but "later".

    "Later" is 429, whose Retry-After is kept to, any 5xx, and silence; these are tried again
    with growing pauses.

    Args:
        address: where to; with a webhook it is the secret itself.
        message: what to post.
        patience: for how long to try.
        token: of a bot.

    Raises:
        ChatUnreachable: it did not take the message in time; neither address nor token is in
            the error.
    """
    headers = {"Content-Type": "application/json; charset=utf-8"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(
        address, data=json.dumps(message).encode(), headers=headers, method="POST"
    )
    pause = FIRST_PAUSE_S
    while True:
        asked: float | None = None
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return Answer(answer.status, _text(answer.read(ANSWER_BYTES)))
        except urllib.error.HTTPError as error:
            with error:
                if error.code != 429 and error.code < 500:
                    return Answer(error.code, _text(error.read(ANSWER_BYTES)))
                asked = retry_after(error.headers.get("Retry-After"))
                why = f"the chat answered {error.code}"
        except (OSError, HTTPException) as error:
            # Only the class: what urllib says may repeat the address.
            why = f"the chat does not answer: {type(error).__name__}"
        patience.wait(pause if asked is None else asked, why)
        pause = min(pause * 2, LONGEST_PAUSE_S)


def retry_after(value: str | None) -> float | None:
    """The seconds of a Retry-After; None where it says none (Slack never gives a date)."""
    plain = (value or "").strip()
    return float(plain) if plain.isascii() and plain.isdigit() else None


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")
