"""A run as it is shown: redrawn in place on a terminal, a line each in a pipe."""

from __future__ import annotations

import re
import shutil
from datetime import datetime

import click

from turnback.cli.follow import Look
from turnback.cli.output import Output, human_ms
from turnback.runs.watching.story import Step, in_one_line

_WIDTH = 24
_PERCENT = re.compile(r"\d{1,3} ?%")
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_QUESTIONS = {"AskApproval": "release", "AskRestore": "restore"}


class Lines:
    """A line for each step that has ended, and for what is worth knowing in between."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._shown = 0
        self._retries = 0
        self._said = ""
        self._in_the_way = ""

    def show(self, look: Look) -> None:
        """Print what is new since the last look."""
        for step in _closed(look)[self._shown :]:
            for line in step_lines(step):
                self._out.result(line)
            self._shown += 1
            self._retries = 0
            self._said = self._in_the_way = ""
        current = look.story.current
        if current is None:
            return
        for error in current.retried[self._retries :]:
            # What is in the way stays the same as a rule; how often is said at the end.
            if error["type"] != self._in_the_way:
                told = f"{error['type']}: {in_one_line(error)}"
                self._out.result(f"  {current.title}: {told}; tried again")
            self._in_the_way = str(error["type"])
        self._retries = len(current.retried)
        said = _in_short(look, current)
        if said and said != self._said:
            self._out.result(f"  {said}")
            self._said = said

    def note(self, text: str) -> None:
        """A line on stderr."""
        self._out.note(text)

    def close(self) -> None:
        """Nothing is left to do."""


class Live:
    """The steps that have ended, and below them the current one, redrawn at each look."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._shown = 0
        self._drawn = 0
        self._looks = 0

    def show(self, look: Look) -> None:
        """Redraw what has changed."""
        self._erase()
        for step in _closed(look)[self._shown :]:
            for line in step_lines(step):
                self._out.result(line)
            self._shown += 1
        self._looks += 1
        width = shutil.get_terminal_size().columns
        for line in self._current(look):
            # A line that wraps would be two, and only one of them erased.
            self._out.result(line[: width - 1])
            self._drawn += 1

    def note(self, text: str) -> None:
        """A line that stays."""
        self._erase()
        self._out.note(text)

    def close(self) -> None:
        """Take away what would be redrawn."""
        self._erase()

    def _erase(self) -> None:
        if self._drawn:
            click.echo(f"\x1b[{self._drawn}F\x1b[J", nl=False, err=self._out.as_json, color=True)
            self._drawn = 0

    def _current(self, look: Look) -> list[str]:
        step = look.story.current
        if step is None:
            return []
        spinner = _SPINNER[self._looks % len(_SPINNER)]
        seconds = (look.now - step.began).total_seconds()
        lines = [f"{spinner} {step.title:<22} {_time(max(seconds, 0)):>10}  {step.result}"]
        if step.retried or step.failure:
            error = step.failure or step.retried[-1]
            lines.append(f"    try {step.tries}: {error['type']}: {in_one_line(error)}")
        if look.planned:
            lines.append(f"    {bar(look.done, look.planned)} {_migrations(look)}")
        if look.progress and look.progress.version:
            lines.append(f"    {_what(look)}")
        if look.progress and look.progress.text:
            share = look.progress.percent
            part = "" if share is None else f"{bar(share, 100)} "
            lines.append(f"    {part}{look.progress.text}")
        if step.name in _QUESTIONS:
            lines.append(f"    {_question(look, step)}")
        return lines


def bar(done: int, of: int) -> str:
    """A bar of 24 characters, filled as far as it is done."""
    full = round(_WIDTH * min(done, of) / of)
    return f"[{'█' * full}{'·' * (_WIDTH - full)}]"


def step_lines(step: Step) -> list[str]:
    """A step that has ended, with its time, what came of it, and its error if it has one."""
    mark = click.style("✗", fg="red") if step.failure else click.style("✓", fg="green")
    took = _time(step.seconds) if step.seconds is not None else ""
    tries = f" ({step.tries} tries)" if step.tries > 1 else ""
    error = click.style(step.error, fg="red") if step.error else ""
    result = "  ".join(filter(None, [error, step.result]))
    at = _clock(step.began)
    lines = [f"{mark} {at}  {step.title:<22} {took:>10}  {result}{tries}".rstrip()]
    if step.failure:
        lines.append(f"    {step.detail}")
    return lines


def _closed(look: Look) -> list[Step]:
    return [step for step in look.story.steps if step.closed]


def _clock(at: datetime) -> str:
    return f"{at.astimezone():%H:%M:%S}"


def _time(seconds: float) -> str:
    return human_ms(round(seconds * 1000))


def _migrations(look: Look) -> str:
    return f"{look.done} of {look.planned} migrations"


def _what(look: Look) -> str:
    progress = look.progress
    if progress is None or progress.version is None:
        return ""
    return f"{progress.version} {progress.name or ''}".rstrip()


def _question(look: Look, step: Step) -> str:
    what = _QUESTIONS[step.name]
    return f"waits for people to approve the {what}: turnback approve {look.run}"


def _in_short(look: Look, step: Step) -> str:
    """What the current step is at, for a reader who sees each line only once."""
    if step.name in _QUESTIONS:
        return _question(look, step)
    if look.progress is None:
        return ""
    text = look.progress.text
    if look.progress.percent is not None:
        # A line for each ten percent will do.
        text = _PERCENT.sub(f"{look.progress.percent // 10 * 10} %", text)
    parts = [_migrations(look) if look.planned else "", _what(look), text]
    return ": ".join(filter(None, parts))
