"""What a run tells while it works, as lines."""

from __future__ import annotations

import click

from turnback.cli.output import Output, human_ms
from turnback.engine.session.events import Event

_WORDS = {
    "applied": ("green", "applied"),
    "rolled_back": ("yellow", "rolled back"),
}


_NOTES = {
    "waiting": "waiting for another run: {text}",
    "orphan": "ended the idle session of a run that is gone: {text}",
    "progress": "{what}: {text}",
    "retrying": "{what} did not get its lock: {text}",
    "skipped": "{what}: {text}",
    "lost": "{what}: {text}",
    "resumed": "{what} goes on where it stopped: {text} already",
    "recognised": "{what}: an earlier run has done this already: {text}",
    "notice": "notice: {text}",
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
        elif event.kind in _NOTES:
            self._out.note("  " + _NOTES[event.kind].format(what=what, text=event.text))
