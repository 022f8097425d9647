"""The demo's story: its steps as they are told, numbered, and each with its time."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

import click

from turnback.cli.output import Output


class Story:
    """The steps as they are told: numbered, and each with its time."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._number = 0
        self._began = self._step_began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    def step(self, title: str) -> None:
        """Begin the next step."""
        self._number += 1
        self._step_began = time.monotonic()
        self._out.result(click.style(f"\n{self._number}. {title}", bold=True))

    def say(self, text: str = "") -> None:
        """Tell something of the current step."""
        self._out.result(f"   {text}".rstrip())
        # Into a pipe as well, line by line.
        sys.stdout.flush()

    def right(self, fact: str) -> None:
        """Tell something that is as it should be."""
        self.say(f"{click.style('✓', fg='green')} {fact}")

    def done(self, text: str = "done") -> None:
        """End the current step."""
        took = time.monotonic() - self._step_began
        self._out.result(f"   {click.style(text, fg='green')} ({took:.1f} s)")

    def quote(self, lines: Iterable[str]) -> None:
        """Tell word for word what somebody or something says."""
        for line in lines:
            self.say(f"  │ {line}")
