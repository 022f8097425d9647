"""Files that hold a migration and its rollback, each below a line that begins it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from turnback.migrations.layouts.reading import Reading
from turnback.migrations.model import Migration, Script
from turnback.migrations.psql import skip_comments

Part = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Sections:
    """The sections of a file.

    Attributes:
        up, down: the parts of the file, in characters from and to; each begins with a line.
        up_outside, down_outside: whether the section runs outside a transaction.
    """

    up: Sequence[Part]
    down: Sequence[Part]
    up_outside: bool = False
    down_outside: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A file with its checksum, and what it is as a migration."""

    path: str
    version: str
    name: str
    text: str
    checksum: str


def divided(reading: Reading, file: Text, found: Sections, down_marker: str) -> Migration | None:
    """The migration of a file with two sections.

    A section without a statement is no rollback script.

    Args:
        reading: the project.
        file: the file.
        found: its sections.
        down_marker: the line that begins the rollback, for a hint.

    Returns:
        None, and a finding, where a directive in it is wrong.
    """
    forward = _script(reading, file, found.up, outside=found.up_outside)
    if forward is None:
        return None
    rollback = None
    if not is_blank(only(file.text, found.down)):
        rollback = _script(reading, file, found.down, outside=found.down_outside, rollback=True)
    return Migration(
        file.version,
        file.name,
        forward,
        rollback,
        write_rollback=f"write it below '{down_marker}' in {file.path}",
    )


def _script(
    reading: Reading,
    file: Text,
    parts: Sequence[Part],
    *,
    outside: bool,
    rollback: bool = False,
) -> Script | None:
    text = only(file.text, parts)
    script = reading.part(file.path, text, file.checksum, rollback=rollback)
    if script is None or not outside:
        return script
    return replace(script, directives=replace(script.directives, no_transaction=True))


def only(text: str, parts: Sequence[Part]) -> str:
    """Parts of a text, each line with the number that it has in the whole."""
    found, at = [], 0
    for start, end in parts:
        found += ["\n" * text.count("\n", at, start), text[start:end]]
        at = end
    return "".join(found)


def is_blank(sql: str) -> bool:
    """Whether a text has nothing but comments, and nothing in them for turnback."""
    return skip_comments(sql) == len(sql) and "turnback:" not in sql


def line_of(text: str, match: re.Match[str]) -> int:
    """The number of the line that a match begins in, from 1."""
    return text.count("\n", 0, match.start()) + 1


def after_line(text: str, at: int) -> int:
    """Where the next line begins."""
    return text.find("\n", at) + 1 or len(text)
