"""A run on a terminal, redrawn in place. Only imported when such a display starts."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from turnback.cli.display import (
    QUESTIONS,
    human_s,
    migration_at_work,
    migrations_of,
    new_notes,
    question,
    step_lines,
)
from turnback.cli.output import on_terminal
from turnback.cli.terminal_status import bar, cropped
from turnback.runs.reporting.execution import RunStep, in_one_line
from turnback.runs.watching.follow import RunView


class LiveDisplay:
    """The steps that have ended, and below them the current one, which is redrawn."""

    def __init__(self, console: Console, *, animate: bool = True) -> None:
        """Start drawing.

        Args:
            console: a terminal.
            animate: redraw between the calls of ``show`` too, so that the spinner turns.
        """
        self._shown = 0
        self._noted: tuple[str, ...] = ()
        self._spinner = Spinner("dots")
        self._live = Live(console=console, transient=True, auto_refresh=animate)
        self._live.start()

    def show(self, view: RunView) -> None:
        """Redraw what has changed."""
        closed = [step for step in view.story.steps if step.closed]
        for step in closed[self._shown :]:
            for line in step_lines(step):
                self._live.console.print(Text.from_ansi(on_terminal(line)))
        self._shown = len(closed)
        for note in new_notes(view, self._noted):
            self._live.console.print(f"    {note}", markup=False, highlight=False)
        self._noted = view.progress.notes if view.progress else ()
        step_now = view.story.current
        self._live.update(self._rows(view, step_now) if step_now else Text(), refresh=True)

    def note(self, text: str) -> None:
        """Print a line above the current step."""
        self._live.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Remove what would be redrawn."""
        self._live.stop()

    def _rows(self, view: RunView, step: RunStep) -> RenderableType:
        seconds = max((view.now - step.began).total_seconds(), 0)
        head = Table.grid(padding=(0, 1))
        text = f"{step.title:<22} {human_s(seconds):>10}  {step.result}"
        head.add_row(self._spinner, cropped(text))
        rows: list[RenderableType] = [head]
        if step.retried or step.failure:
            error = step.failure or step.retried[-1]
            rows.append(cropped(f"    try {step.tries}: {error.type}: {in_one_line(error)}"))
        if view.planned:
            rows.append(bar(view.done, view.planned, migrations_of(view)))
        if view.progress and view.progress.version:
            rows.append(cropped(f"    {migration_at_work(view)}"))
        if view.progress and view.progress.text:
            percent, text = view.progress.percent, view.progress.text
            rows.append(cropped(f"    {text}") if percent is None else bar(percent, 100, text))
        if step.name in QUESTIONS:
            rows.append(cropped(f"    {question(view, step)}"))
        return Group(*rows)
