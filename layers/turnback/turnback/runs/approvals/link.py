"""Links that answer for one person: signed, good for a time, good once."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from turnback.errors import ApprovalRefused, ConfigurationError
from turnback.runs.approvals.record import Question

# What the signature is for: the key signs nothing else, and a later form of link gets another.
_PURPOSE = b"turnback approval link 1\n"
_KEY_LENGTH = 32
_TOKEN_LENGTH = 2000


@dataclass(frozen=True, slots=True)
class Link:
    """What a link says.

    Attributes:
        run, gate: of the question.
        person: whose answer it carries.
        expires_at: until when it is good.
        nonce: tells two links of one person apart.
    """

    run: str
    gate: str
    person: str
    expires_at: datetime
    nonce: str


@dataclass(frozen=True, slots=True)
class LinkMaker:
    """Makes links.

    Attributes:
        url: address of the function that takes answers.
        key: gives the secret key; asked only when a link is made.
    """

    url: str
    key: Callable[[], str]

    def make(self, run: str, question: Question, person: str) -> str:
        """The link by which this person answers this question."""
        nonce = secrets.token_urlsafe(16)
        token = sign(Link(run, question.gate, person, question.expires_at, nonce), self.key())
        return f"{self.url.rstrip('/')}/?t={quote(token)}"


def sign(link: Link, key: str) -> str:
    """The link as text that only the holder of the key can have made.

    Raises:
        ConfigurationError: the key is too short to be one.
    """
    parts = [link.run, link.gate, link.person, int(link.expires_at.timestamp()), link.nonce]
    body = json.dumps(parts, separators=(",", ":")).encode()
    return f"{_encoded(body)}.{_encoded(_signature(body, key))}"


def read(token: str, key: str) -> Link:
    """The link in a text.

    Raises:
        ApprovalRefused: nobody with the key made it, or it was changed.
        ConfigurationError: the key is too short to be one.
    """
    body, _, signature = token[:_TOKEN_LENGTH].partition(".")
    try:
        told, signed = _decoded(body), _decoded(signature)
    except (binascii.Error, ValueError):
        told, signed = b"", b""
    # In constant time: nobody learns from our answer how much of a guess was right.
    if not hmac.compare_digest(_signature(told, key), signed):
        raise ApprovalRefused(
            "this link is not genuine: it was changed, or it is not from here",
            hint="use the whole link from the message, or turnback approve",
        )
    run, gate, person, expires, nonce = json.loads(told)
    return Link(run, gate, person, datetime.fromtimestamp(expires, UTC), nonce)


def _signature(body: bytes, key: str) -> bytes:
    if len(key) < _KEY_LENGTH:
        raise ConfigurationError(
            f"the key of the approval links has less than {_KEY_LENGTH} characters",
            hint="let the stack make it: the secret ApprovalKey",
        )
    return hmac.digest(key.encode(), _PURPOSE + body, "sha256")


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
