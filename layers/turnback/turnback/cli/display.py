"""A run as lines of text."""

from __future__ import annotations

import re

import click

from turnback.cli.output import Output, human_ms
from turnback.runs.reporting.execution import RunStep, in_one_line
from turnback.runs.watching.follow import RunView

QUESTIONS = {"AskApproval": "release", "AskRestore": "restore"}
_PERCENT = re.compile(r"\d{1,3} ?%")


class Lines:
    """A line for each step that has ended, and for news in between."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._shown = 0
        self._retries = 0
        self._said = ""
        self._blocker = ""
        self._noted: tuple[str, ...] = ()

    def show(self, view: RunView) -> None:
        """Print what is new since the last call."""
        for step in [step for step in view.story.steps if step.closed][self._shown :]:
            for line in step_lines(step):
                self._out.result(line)
            self._shown += 1
            self._retries = 0
            self._said = self._blocker = ""
        current = view.story.current
        if current is None:
            return
        for error in current.retried[self._retries :]:
            # The same error is printed once; the number of tries is printed at the end.
            if error.type != self._blocker:
                line = f"{error.type}: {in_one_line(error)}"
                self._out.result(f"  {current.title}: {line}; retrying")
            self._blocker = error.type
        self._retries = len(current.retried)
        for note in new_notes(view, self._noted):
            self._out.result(f"  {note}")
        self._noted = view.progress.notes if view.progress else ()
        said = _in_short(view, current)
        if said and said != self._said:
            self._out.result(f"  {said}")
            self._said = said

    def note(self, text: str) -> None:
        """A line on stderr."""
        self._out.note(text)

    def close(self) -> None:
        """Nothing is redrawn."""


def step_lines(step: RunStep) -> list[str]:
    """A step that has ended, with its time, its result, and its error if it has one."""
    mark = click.style("✗", fg="red") if step.failure else click.style("✓", fg="green")
    took = human_s(step.seconds) if step.seconds is not None else ""
    tries = f" ({step.tries} tries)" if step.tries > 1 else ""
    error = click.style(step.failure.type, fg="red") if step.failure else ""
    result = "  ".join(filter(None, [error, step.result]))
    at = f"{step.began.astimezone():%H:%M:%S}"
    lines = [f"{mark} {at}  {step.title:<22} {took:>10}  {result}{tries}".rstrip()]
    if step.failure:
        lines.append(f"    {in_one_line(step.failure)}")
    return lines


def human_s(seconds: float) -> str:
    """A time for people."""
    return human_ms(round(seconds * 1000))


def new_notes(view: RunView, before: tuple[str, ...]) -> list[str]:
    """What the engine has noted since, such as a statement that an earlier run has done."""
    notes = view.progress.notes if view.progress else ()
    return [note for note in notes if note not in before]


def migrations_of(view: RunView) -> str:
    """How many of the planned migrations are done."""
    return f"{view.done} of {view.planned} migrations"


def migration_at_work(view: RunView) -> str:
    """Version and name of the migration that is running."""
    progress = view.progress
    if progress is None or progress.version is None:
        return ""
    return f"{progress.version} {progress.name or ''}".rstrip()


def question(view: RunView, step: RunStep) -> str:
    """How to answer the question that a step asks."""
    return f"waiting for approval of the {QUESTIONS[step.name]}: turnback approve {view.run}"


def _in_short(view: RunView, step: RunStep) -> str:
    """The progress of the current step, for a reader who sees each line only once."""
    if step.name in QUESTIONS:
        return question(view, step)
    if step.name == "WaitForTurn":
        return step.result
    if view.progress is None:
        return ""
    text = view.progress.text
    if view.progress.percent is not None:
        # One line for each ten percent.
        text = _PERCENT.sub(f"{view.progress.percent // 10 * 10} %", text)
    parts = [migrations_of(view) if view.planned else "", migration_at_work(view), text]
    return ": ".join(filter(None, parts))
