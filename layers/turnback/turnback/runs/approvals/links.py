"""Links that answer for one person: signed, good for a time, good once."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from itsdangerous import BadData, URLSafeSerializer

from turnback.errors import ApprovalRefused, ConfigurationError
from turnback.runs.approvals.record import Question

# What the signature is for: the key signs nothing else, and a later form of link gets another.
_SALT = "turnback approval link 2"
_KEY_LENGTH = 32
_TOKEN_LENGTH = 2000


@dataclass(frozen=True, slots=True)
class Link:
    """What a link says.

    Attributes:
        run, gate: of the question; the gate is its name, as ``release-2``.
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
        url: address of the function that takes answers; empty where the stack has none.
        key: gives the secret key; asked only when a link is made.
    """

    url: str
    key: Callable[[], str]

    def make(self, run: str, question: Question, person: str) -> str | None:
        """The link by which this person answers this question; None without an address."""
        if not self.url:
            return None
        nonce = secrets.token_urlsafe(16)
        token = sign(Link(run, question.name, person, question.expires_at, nonce), self.key())
        return f"{self.url.rstrip('/')}/?t={quote(token)}"


def sign(link: Link, key: str) -> str:
    """The link as text that only the holder of the key can have made.

    Raises:
        ConfigurationError: the key is too short to be one.
    """
    parts = [link.run, link.gate, link.person, int(link.expires_at.timestamp()), link.nonce]
    return str(_serializer(key).dumps(parts))


def read(token: str, key: str) -> Link:
    """The link in a text.

    Raises:
        ApprovalRefused: it was changed, or was not made with the key.
        ConfigurationError: the key is too short to be one.
    """
    serializer, token = _serializer(key), token[:_TOKEN_LENGTH]
    try:
        parts = serializer.loads(token)
    except (BadData, UnicodeError):
        parts = _read_old_form(token, key)
    if parts is None:
        raise ApprovalRefused(
            "this link is not genuine: it was changed, or it is not from here",
            hint="use the whole link from the message, or turnback approve",
        )
    run, gate, person, expires, nonce = parts
    return Link(run, gate, person, datetime.fromtimestamp(expires, UTC), nonce)


def _serializer(key: str) -> URLSafeSerializer:
    if len(key) < _KEY_LENGTH:
        raise ConfigurationError(
            f"the key of the approval links has less than {_KEY_LENGTH} characters",
            hint="let the stack make it: the secret ApprovalKey",
        )
    options = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    return URLSafeSerializer(key, salt=_SALT, signer_kwargs=options)


def _read_old_form(token: str, key: str) -> list[str | int] | None:
    """A link that the release before this one made: such a link is good for 24 hours at most.

    To be removed with the next release.
    """
    body, _, signature = token.partition(".")
    try:
        text, signed = _decoded(body), _decoded(signature)
    except (binascii.Error, ValueError):
        return None
    expected = hmac.digest(key.encode(), b"turnback approval link 1\n" + text, "sha256")
    # In constant time: the answer must not show how much of a guess was right.
    return list(json.loads(text)) if hmac.compare_digest(expected, signed) else None


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
