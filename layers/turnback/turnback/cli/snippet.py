"""Where something is: its path as seen from the current folder, and its line with a caret."""

from __future__ import annotations

import itertools
import os
import re
import unicodedata
from pathlib import Path

import click

from turnback.errors import TurnbackError
from turnback.settings.project import FILE
from turnback.wording import one_line, visible

# In the context of a command: the folder of turnback.toml.
SETTINGS_FOLDER = "turnback.settings-folder"
_SCRIPT = re.compile(r"(?<![\w./-])[\w./-]+\.sql\b")
# A longer line is cut around the place.
_LONGEST = 100
_TAB = "    "
# A line of a large file can be the whole file.
_LONGEST_LINE = 10_000_000


def seen(text: str) -> str:
    """A text with the path from the current folder in place of each script of the project.

    A terminal or an editor can open that. A file that is not here is left as it is.
    """
    return _SCRIPT.sub(lambda found: _path(found[0]), text)


def located(error: TurnbackError) -> str:
    """The error in one line, with the path of its file from the current folder."""
    return (
        one_line(_path(error.file)) + str(error).removeprefix(error.file)
        if error.file
        else str(error)
    )


def snippet(error: TurnbackError) -> list[str]:
    """The line that the error points at, and a caret under the place; empty without one."""
    # A line of the settings may have a password.
    if error.file is None or error.line is None or error.column is None or error.file == FILE:
        return []
    return line_with_caret(error.file, error.line, error.column)


def line_with_caret(name: str, line: int, column: int) -> list[str]:
    """A line of a file of the project, and a caret under the place; empty if it is not here.

    Args:
        name: the file, relative to the project's folder.
        line, column: both from 1.
    """
    file = _on_disk(name)
    if file is None:
        return []
    try:
        with file.open(encoding="utf-8", errors="replace", newline="\n") as opened:
            for _ in itertools.islice(opened, line - 1):
                pass
            found = opened.readline(_LONGEST_LINE).rstrip("\r\n")
    except OSError:
        return []
    # The byte order mark is not counted.
    found = found.removeprefix("\ufeff")
    number = str(line)
    text, before = _cut(found, column - 1)
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


def _path(name: str) -> str:
    path = _on_disk(name)
    if path is None:
        return name
    try:
        return os.path.relpath(path)
    except ValueError:
        # Another drive of Windows.
        return str(path)


def _on_disk(file: str) -> Path | None:
    """The file on this machine, if the command works with a folder that has it."""
    context = click.get_current_context(silent=True)
    if context is None:
        return None
    folder = context.meta.get(SETTINGS_FOLDER)
    if file != FILE:
        # `release` packs a folder.
        folder = context.params.get("directory") or context.params.get("artifact")
    path = folder / file if isinstance(folder, Path) else None
    return path if path and os.path.lexists(path) else None
