"""Stored states in the bucket: what is believed of what somebody else has written there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from turnback.runs.state import RunRehearsal
from turnback.runs.stored_states import BODIES, NAMES, NO_STATE, BucketStates, name_state

NAME, BODY = "a" * 64, b"a data directory"
DIGEST = hashlib.sha256(BODY).hexdigest()


class Kept:
    """A bucket in memory, as far as this asks for it."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def keys(self, prefix: str) -> Iterator[str]:
        yield from sorted(key for key in self.objects if key.startswith(prefix))

    def read(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def write(self, key: str, body: bytes) -> None:
        self.objects[key] = body


@pytest.fixture
def bucket() -> Kept:
    return Kept()


@pytest.fixture
def states(bucket: Kept) -> BucketStates:
    return BucketStates(bucket)  # type: ignore[arg-type]


def test_a_state_is_kept_when_the_rehearsal_is_good_and_used_when_the_release_succeeded(
    bucket: Kept, states: BucketStates
) -> None:
    assert states.keep() == NO_STATE
    states.write(NAME, BODY)
    assert bucket.objects == {}
    kept = states.keep()
    assert bucket.objects == {BODIES + DIGEST: BODY}
    assert states.names() == []
    name_state(bucket, RunRehearsal("proven", state=kept))  # type: ignore[arg-type]
    assert states.names() == [NAME]
    assert states.read(NAME) == BODY


@pytest.mark.parametrize(
    ("key", "body"),
    [
        (BODIES + DIGEST, b"another data directory"),
        (NAMES + NAME, hashlib.sha256(b"another").hexdigest().encode()),
        (NAMES + NAME, b"../../runs/1/plan.json"),
        (NAMES + NAME, b"\xff"),
    ],
)
def test_a_state_whose_bytes_or_name_were_changed_is_not_read(
    bucket: Kept, states: BucketStates, key: str, body: bytes
) -> None:
    bucket.objects = {BODIES + DIGEST: BODY, NAMES + NAME: DIGEST.encode()}
    assert states.read(NAME) == BODY
    bucket.objects[key] = body
    assert states.read(NAME) is None


def test_no_name_is_written_but_of_a_digest(bucket: Kept) -> None:
    for wrong in ("", NO_STATE, f"../x {DIGEST}", f"{NAME} x", f"{NAME} {DIGEST}\n"):
        name_state(bucket, RunRehearsal("proven", state=wrong))  # type: ignore[arg-type]
    name_state(bucket, None)  # type: ignore[arg-type]
    assert bucket.objects == {}
