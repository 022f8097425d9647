"""The demo's story: its steps as they are told, numbered, and each with its time."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from turnback.cli.output import Output

if TYPE_CHECKING:
    from turnback.cli.follow_states import StepEvent


class Story:
    """The steps as they are told: numbered, and each with its time."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._number = 0
        self._began = self._step_began = time.monotonic()
        self._in_line = False

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    def step(self, title: str) -> None:
        """Begin the next step."""
        self._number += 1
        self._step_began = time.monotonic()
        self._out.result(click.style(f"\n{self._number}. {title}", bold=True))

    def say(self, text: str) -> None:
        """Tell something of the current step."""
        self._end_line()
        self._out.result(f"   {text}".rstrip())

    def right(self, fact: str) -> None:
        """Tell something that is as it should be."""
        self.say(f"{click.style('✓', fg='green')} {fact}")

    def done(self, text: str = "done") -> None:
        """End the current step."""
        took = time.monotonic() - self._step_began
        self._out.result(f"   {click.style(text, fg='green')} ({took:.1f} s)")

    def state(self, event: StepEvent) -> None:
        """Tell that a state of the state machine begins, or ends."""
        if event.seconds is None:
            self._end_line()
            click.echo(f"     {event.name:<24}", nl=False)
            sys.stdout.flush()
            self._in_line = True
            return
        if not self._in_line:
            click.echo(f"     {event.name:<24}", nl=False)
        self._in_line = False
        error = click.style(f"  {event.error}", fg="red") if event.error else ""
        click.echo(f"{event.seconds:5.1f} s{error}")
        if event.detail:
            click.echo(f"       {event.detail}")

    def _end_line(self) -> None:
        if self._in_line:
            click.echo()
        self._in_line = False
