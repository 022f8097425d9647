"""Where an error is: its path as seen from the current folder, and its line with a caret."""

from __future__ import annotations

import itertools
import os
import unicodedata
from pathlib import Path

import click

from turnback.errors import TurnbackError
from turnback.wording import visible

# A longer line is cut around the place.
_LONGEST = 100
_TAB = "    "
# A line of a large file can be the whole file.
_LONGEST_LINE = 10_000_000


def located(error: TurnbackError) -> str:
    """The error in one line, with a path that a terminal or an editor can open."""
    file = _file_of(error)
    if file is None or error.file is None:
        return str(error)
    try:
        path = os.path.relpath(file)
    except ValueError:
        # Another drive of Windows.
        path = str(file)
    return path + str(error).removeprefix(error.file)


def snippet(error: TurnbackError) -> list[str]:
    """The line that the error points at, and a caret under the place; empty without one."""
    file = _file_of(error)
    if file is None or error.line is None or error.column is None:
        return []
    try:
        with file.open(encoding="utf-8", errors="replace", newline="\n") as opened:
            for _ in itertools.islice(opened, error.line - 1):
                pass
            line = opened.readline(_LONGEST_LINE).rstrip("\r\n")
    except OSError:
        return []
    # The byte order mark is not counted.
    line = line.removeprefix("\ufeff")
    number = str(error.line)
    text, before = _cut(line, error.column - 1)
    return [f"    {number} | {text}", f"    {' ' * len(number)} | {' ' * _width(before)}^"]


def _cut(line: str, at: int) -> tuple[str, str]:
    """What is shown of a line, and what of that comes before the place."""
    start = 0
    if _width(_shown(line)) > _LONGEST:
        start = max(at - _LONGEST // 2, 0)
        while _width(_shown(line[start:at])) > _LONGEST // 2:
            start += 1
    before = ("…" if start else "") + _shown(line[start:at])
    room = max(_LONGEST - _width(before), 1)
    rest = _shown(line[at : at + room])
    while _width(rest) > room:
        rest = rest[:-1]
    more = at + room < len(line) or len(rest) < len(_shown(line[at : at + room]))
    return before + rest + ("…" if more else ""), before


def _shown(text: str) -> str:
    return visible(text).replace("\t", _TAB)


def _width(text: str) -> int:
    """The columns that a text takes in a terminal (Unicode Standard Annex 11)."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(one)
        else 2
        if unicodedata.east_asian_width(one) in ("W", "F")
        else 1
        for one in text
    )


def _file_of(error: TurnbackError) -> Path | None:
    """The file on this machine, if the command works with a folder of migrations."""
    context = click.get_current_context(silent=True)
    directory = context.params.get("directory") if context else None
    if error.file is None or not isinstance(directory, Path):
        return None
    file = directory / error.file
    return file if file.is_file() else None
