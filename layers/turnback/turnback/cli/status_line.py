"""What is under way, where the output is not a terminal: a line now and then, or none."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

# What is over sooner is not worth a line in a pipe, nor a time on a terminal.
SHOWN_AFTER_S = 1.0
_STEP_PERCENT = 10


class StatusLine(Protocol):
    """Shows what is under way."""

    def show(self, what: str) -> None:
        """Say what is under way."""

    def progress(self, doing: str, percent: int | None) -> None:
        """Say what it does now, and how far that is."""

    def clear(self) -> None:
        """Nothing is under way any more."""

    def paused(self) -> AbstractContextManager[None]:
        """A block in which lines can be printed."""


class NoStatus:
    """Shows nothing."""

    def show(self, what: str) -> None:
        """Nothing."""

    def progress(self, doing: str, percent: int | None) -> None:
        """Nothing."""

    def clear(self) -> None:
        """Nothing."""

    def paused(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()


class PipeStatus:
    """A line for what takes longer than a second, and one for each ten percent.

    Args:
        say: prints a line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._what = self._said = ""
        self._timer: threading.Timer | None = None
        # The timer prints from a thread of its own.
        self._lock = threading.Lock()

    def show(self, what: str) -> None:
        with self._lock:
            self._stop()
            self._what = what
            self._timer = threading.Timer(SHOWN_AFTER_S, self._announce, [what])
            self._timer.daemon = True
            self._timer.start()

    def progress(self, doing: str, percent: int | None) -> None:
        with self._lock:
            key = doing if percent is None else str(percent // _STEP_PERCENT)
            if key != self._said:
                self._said = key
                self._say(": ".join(filter(None, [f"  {self._what}", doing])))

    def _announce(self, what: str) -> None:
        with self._lock:
            if what == self._what and not self._said:
                self._say(f"  {what}")

    def _stop(self) -> None:
        self._what = self._said = ""
        if self._timer:
            self._timer.cancel()

    def clear(self) -> None:
        with self._lock:
            self._stop()

    def paused(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()
