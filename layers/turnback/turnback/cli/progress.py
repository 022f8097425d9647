"""What a run tells while it works, as lines."""

from __future__ import annotations

import click

from turnback.cli.output import Output, human_ms
from turnback.engine.events import Event

_WORDS = {
    "applied": ("green", "applied"),
    "rolled_back": ("yellow", "rolled back"),
}


class Progress:
    """Prints the events of a run: what was done as result, the rest as notes."""

    def __init__(self, out: Output) -> None:
        self._out = out

    def __call__(self, event: Event) -> None:
        what = f"{event.version} {event.name}" if event.version else ""
        if event.kind in _WORDS:
            color, word = _WORDS[event.kind]
            took = human_ms(event.execution_ms)
            self._out.result(f"  {click.style(f'{word:<11}', fg=color)} {what}  {took}")
        elif event.kind == "waiting":
            self._out.note(f"  waiting for another run: {event.text}")
        elif event.kind == "retrying":
            self._out.note(f"  {what} did not get its lock: {event.text}")
        elif event.kind == "resumed":
            self._out.note(f"  {what} goes on where it stopped: {event.text} already")
        elif event.kind == "notice":
            self._out.note(f"  notice: {event.text}")
