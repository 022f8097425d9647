"""Stored states of shadow servers in the stack's bucket; see rehearsal.stored.

The function that rehearses runs SQL that nobody has approved yet. It keeps a state under the
SHA-256 of its bytes, and returns that to the state machine. Which SHA-256 the name of a state
stands for is written by the function that announces, which runs no SQL, for a run that has
succeeded. Only a state with a name is used, and only if its bytes have that SHA-256.
"""

from __future__ import annotations

import hashlib
import re

from turnback.runs.state import RunRehearsal
from turnback.store import Store

NAMES, BODIES = "states/names/", "states/bodies/"
# What the state machine gets where nothing was stored; it cannot do without a text.
NO_STATE = "none"
_DIGEST = re.compile("[0-9a-f]{64}")
_KEPT = re.compile(f"({_DIGEST.pattern}) ({_DIGEST.pattern})")


class BucketStates:
    """The states of a stack, for one rehearsal."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._written: tuple[str, bytes] | None = None

    def names(self) -> list[str]:
        """The names of those that are there."""
        return [key.removeprefix(NAMES) for key in self._store.keys(NAMES)]

    def read(self, name: str) -> bytes | None:
        """One of them; None if it does not exist any more, or its bytes are others."""
        wanted = (self._store.read(NAMES + name) or b"").decode(errors="replace")
        body = self._store.read(BODIES + wanted) if _DIGEST.fullmatch(wanted) else None
        return body if body and hashlib.sha256(body).hexdigest() == wanted else None

    def write(self, name: str, body: bytes) -> None:
        """Have one kept, once the rehearsal has proven the release."""
        self._written = name, body

    def keep(self) -> str:
        """Keep what was written; its name and SHA-256, or NO_STATE.

        Raises:
            AwsError: the bucket does not take it.
        """
        if self._written is None:
            return NO_STATE
        name, body = self._written
        digest = hashlib.sha256(body).hexdigest()
        self._store.write(BODIES + digest, body)
        return f"{name} {digest}"


def name_state(store: Store, rehearsal: RunRehearsal | None) -> None:
    """Give the state that a rehearsal has kept its name.

    Raises:
        AwsError: the bucket does not take it.
    """
    if rehearsal and (kept := _KEPT.fullmatch(rehearsal.state)):
        store.write(NAMES + kept[1], kept[2].encode())
