"""What is under way, in the last line of a terminal. Only imported when there is one to draw."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from turnback.cli.status_line import SHOWN_AFTER_S
from turnback.wording import duration, visible

_WIDTH = 24


class TerminalStatus:
    """A line that is redrawn: with its time after a second, and a bar for a percentage."""

    def __init__(self) -> None:
        self._what = self._doing = ""
        self._percent: int | None = None
        self._began = 0.0
        # stdout may be a pipe, and no line of it may come to this console.
        self._live = Live(
            console=Console(stderr=True),
            transient=True,
            get_renderable=self._line,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def show(self, what: str) -> None:
        self._what, self._doing, self._percent = what, "", None
        self._began = time.monotonic()
        self._live.start()
        self._live.refresh()

    def progress(self, doing: str, percent: int | None) -> None:
        self._doing, self._percent = doing, percent
        if self._live.is_started:
            self._live.refresh()

    def clear(self) -> None:
        self._what = ""
        self._live.stop()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        self._live.stop()
        try:
            yield
        finally:
            if self._what:
                self._live.start()

    def _line(self) -> RenderableType:
        took = time.monotonic() - self._began
        text = f"  {self._what}"
        if took >= SHOWN_AFTER_S:
            text += f"  {duration(took)}"
        if self._percent is None:
            return cropped("  ".join(filter(None, [text, self._doing])))
        return Group(cropped(text), bar(self._percent, 100, self._doing))


def cropped(text: str) -> Text:
    """A line that is cut where the terminal ends."""
    return Text(visible(text), no_wrap=True, overflow="ellipsis")


def bar(done: int, total: int, text: str) -> Table:
    """A bar with text after it."""
    row = Table.grid(padding=(0, 1))
    drawn = ProgressBar(total=total, completed=min(done, total), width=_WIDTH)
    row.add_row("   ", drawn, cropped(text))
    return row
