"""The application, stopped while its database goes back, and started with what fits it.

What each part was is looked up before any is stopped, and kept by the caller: a call that is
repeated after half of them were stopped must not take the 0 it finds for what there was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol

from turnback.errors import ApplicationNotStopped, AwsError

Before = dict[str, Any]


class Part(Protocol):
    """One thing that is stopped and started; every method can be repeated."""

    def look(self) -> Before:
        """What it is now: JSON, kept until it is started again."""

    def stop(self, before: Before, since: datetime, now: datetime) -> bool:
        """Have it stopped; whether nothing of it works any more.

        Args:
            before: what ``look`` said.
            since: when stopping began.
            now: the time.
        """

    def start(self, before: Before, release: str | None) -> bool:
        """Have it as it was, with this release where it is known; whether that is done."""

    def by_hand(self, before: Before) -> str:
        """What a person does when ``start`` cannot."""


Parts = Callable[[str, str], Part]


def look(names: Sequence[tuple[str, str]], parts: Parts) -> list[Before]:
    """What each part is, before anything is stopped.

    Args:
        names: kind and name of each.
        parts: makes a part of a kind and a name.

    Returns:
        One for each, with its ``kind`` and ``name``.

    Raises:
        ApplicationNotStopped: one of them is not there, or may not be read.
    """
    found = []
    failures = _Failures("the application could not be looked at, so nothing of it was stopped")
    for kind, name in names:
        with failures.of(kind, name):
            found.append({"kind": kind, "name": name, **parts(kind, name).look()})
    failures.tell()
    return found


def stop(stopped: Sequence[Before], parts: Parts, since: datetime, now: datetime) -> list[str]:
    """Have every part stopped, also when one of them fails.

    Args:
        stopped: what ``look`` said.
        parts: makes a part of a kind and a name.
        since: when stopping began.
        now: the time.

    Returns:
        Those of which something still works.

    Raises:
        ApplicationNotStopped: names every part that could not be stopped.
    """
    working = []
    failures = _Failures("not all of the application could be stopped")
    for before in stopped:
        kind, name = before["kind"], before["name"]
        with failures.of(kind, name):
            if not parts(kind, name).stop(before, since, now):
                working.append(f"{kind} {name}")
    failures.tell()
    return working


def start(stopped: Sequence[Before], parts: Parts, release: str | None) -> list[str]:
    """Have every part as it was, also when one of them fails.

    Args:
        stopped: what ``look`` said.
        parts: makes a part of a kind and a name.
        release: the release that the schema fits; None where that is not known, so that each
            gets the one it had.

    Returns:
        Those that are not done yet.

    Raises:
        ApplicationNotStopped: names every part that could not be started, and says what to do.
    """
    waiting = []
    failures = _Failures("not all of the application could be started again")
    for before in stopped:
        kind, name = before["kind"], before["name"]
        part = parts(kind, name)
        with failures.of(kind, name, hint=part.by_hand(before)):
            if not part.start(before, release):
                waiting.append(f"{kind} {name}")
    failures.tell()
    return waiting


class _Failures:
    """What failed of several things that are all tried, told as one error at the end."""

    def __init__(self, message: str) -> None:
        self._message = message
        self._told: list[str] = []
        self._hints: list[str] = []
        self._first: AwsError | None = None

    @contextmanager
    def of(self, kind: str, name: str, hint: str | None = None) -> Iterator[None]:
        try:
            yield
        except AwsError as error:
            self._first = self._first or error
            self._told.append(f"{kind} {name}: {error.message}")
            self._hints.append(hint or error.hint or "")

    def tell(self) -> None:
        if self._first is not None:
            hints = [hint for hint in dict.fromkeys(self._hints) if hint]
            raise ApplicationNotStopped(
                f"{self._message}: {'; '.join(self._told)}", hint="; ".join(hints) or None
            ) from self._first
