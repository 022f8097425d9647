"""The tables of a run: printed, and put into bench/README.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

README = Path(__file__).resolve().with_name("README.md")


def heading(command: str, server_version: str) -> str:
    """When, by which command and on what was measured, and how to read it."""
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, `{command}`, PostgreSQL {server_version}, "
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs. "
        "Seconds are medians of whole processes; ratios are of those medians.\n"
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, words: int = 1) -> str:
    """A Markdown table; all columns but the first ``words`` are numbers."""
    rule = ["---"] * words + ["---:"] * (len(columns) - words)
    lines = [f"| {' | '.join(row)} |" for row in (columns, *rows)]
    lines.insert(1, f"|{'|'.join(rule)}|")
    return "\n".join(lines) + "\n"


def publish(section: str, text: str, *, write: bool, page: Path = README) -> None:
    """Print a section, and with ``write`` put it between its two marks in a page."""
    print(text, end="")
    if write:
        begin, end = f"<!-- {section} begins -->", f"<!-- {section} ends -->"
        head, rest = page.read_text(encoding="utf-8").split(begin)
        tail = rest.split(end)[1]
        page.write_text(f"{head}{begin}\n{text}{end}{tail}", encoding="utf-8")
