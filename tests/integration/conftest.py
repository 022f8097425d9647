"""The stack, deployed for a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.integration.moto_stack import Stack, deployed
from tests.integration.releases import Deploy


@pytest.fixture
def deploy(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deploy]:
    """Deploys the stack with these parameters; the snapshot is none unless they say so."""
    with ExitStack() as opened:

        def make(**parameters: str) -> Stack:
            defaults = {"Environment": "development", "SnapshotKind": "none"}
            return opened.enter_context(deployed(database, monkeypatch, {**defaults, **parameters}))

        yield make
