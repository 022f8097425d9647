"""From the bytes of a file to the text that is sent to the server."""

from __future__ import annotations

import codecs
from array import array
from collections.abc import Iterable

from turnback.errors import InvalidMigration


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1, of a character offset counted from 0."""
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def line_ends(blocks: Iterable[str]) -> array[int]:
    """The offset of each line end in a text that is given in blocks."""
    ends, start = array("Q"), 0
    for block in blocks:
        at = block.find("\n")
        while at >= 0:
            ends.append(start + at)
            at = block.find("\n", at + 1)
        start += len(block)
    return ends


def decode(path: str, data: bytes) -> str:
    """The text of a migration file, without a byte order mark; line ends are kept.

    A NUL byte is refused: libpq would send nothing after it, without an error. A byte order mark is
    removed: the server takes it for a syntax error.

    Raises:
        InvalidMigration: it is not UTF-8, or has a NUL byte; with line and column.
    """
    for mark, name in ((codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16")):
        if data.startswith(mark):
            raise InvalidMigration(
                f"the file is {name}, not UTF-8",
                file=path,
                line=1,
                column=1,
                hint=_SAVE.format(name),
            )
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as exc:
        line, column = position(data[: exc.start].decode("utf-8"), len(data[: exc.start].decode()))
        raise InvalidMigration(
            f"byte 0x{data[exc.start]:02x} is not UTF-8",
            file=path,
            line=line,
            column=column,
            hint=_SAVE.format("LATIN1"),
        ) from exc
    if (nul := text.find("\0")) >= 0:
        line, column = position(text, nul)
        raise InvalidMigration(
            "the file has a NUL byte",
            file=path,
            line=line,
            column=column,
            hint="remove it: PostgreSQL would read nothing after it",
        )
    return text


_SAVE = "save the file as UTF-8, for example: iconv -f {} -t UTF-8"
