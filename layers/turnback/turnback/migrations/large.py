"""A large script: its text stays in its file, and is read in blocks."""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from turnback.errors import ChecksumMismatch, InvalidMigration
from turnback.migrations.headers import read_directives
from turnback.migrations.model import Script
from turnback.migrations.text import decode

# From this size on a script is not kept in memory.
LARGE_BYTES = 1024 * 1024
BLOCK_BYTES = 1024 * 1024

if sys.platform == "win32":
    _seeking = threading.Lock()

    def _read_at(file: int, size: int, start: int) -> bytes:
        with _seeking:
            os.lseek(file, start, os.SEEK_SET)
            return os.read(file, size)
else:
    _read_at = os.pread


class FileText(Protocol):
    """The bytes of a file that is not kept in memory."""

    @property
    def size(self) -> int:
        """How many bytes it had when it was opened."""

    def chunks(self) -> Iterable[bytes]:
        """All of it, from the beginning, in chunks of ``BLOCK_BYTES``."""

    def read(self, start: int, end: int) -> bytes:
        """The bytes between two places; fewer at the end of the file."""


class OpenFile:
    """A file on disk, kept open: its text is there until it is let go."""

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self.size = os.fstat(self._file).st_size

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):
            os.close(self._file)

    def chunks(self) -> Iterator[bytes]:
        """See FileText."""
        for start in range(0, self.size, BLOCK_BYTES):
            yield self.read(start, min(start + BLOCK_BYTES, self.size))

    def read(self, start: int, end: int) -> bytes:
        """See FileText."""
        parts = []
        while start < end and (data := _read_at(self._file, end - start, start)):
            parts.append(data)
            start += len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)


class LargeScript(Script):
    """A script that is read from its file whenever it is needed.

    Attributes:
        length: bytes of its text, without a byte order mark.
        reading: what turnback.sql keeps of it once it was parsed.
    """

    __slots__ = ("_file", "_skipped", "length", "reading")
    _file: FileText
    _skipped: int
    length: int
    reading: object

    def __init__(self, path: str, file: FileText, *, rollback: bool = False) -> None:
        """Check the file as ``decode`` does. Raises as that and ``read_directives`` do."""
        mark = len(codecs.BOM_UTF8)
        skipped, checksum = 0, hashlib.sha256()

        def hashed() -> Iterator[bytes]:
            nonlocal skipped
            for number, data in enumerate(file.chunks()):
                checksum.update(data)
                if b"\0" in data:
                    raise _NoText
                if number == 0 and data.startswith(codecs.BOM_UTF8):
                    skipped = mark
                yield data

        try:
            directives = read_directives(path, _blocks(hashed()), rollback=rollback)
        except (UnicodeDecodeError, _NoText):
            decode(path, b"".join(file.chunks()))
            raise InvalidMigration("the file is not text", file=path) from None
        attributes = {"path": path, "_file": file, "reading": None, "_line_ends": None}
        more = {"_skipped": skipped, "length": file.size - skipped, "directives": directives}
        for name, value in {**attributes, **more, "checksum": checksum.hexdigest()}.items():
            object.__setattr__(self, name, value)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    @property
    def size(self) -> int:
        return self.length

    @property
    def sql(self) -> str:
        """The whole text, read anew each time."""
        return "".join(self.blocks())

    @property
    def head(self) -> str:
        """The beginning of the text, which has the header."""
        return next(self.blocks(), "")

    def read(self, start: int, end: int) -> str:
        """The text between two bytes."""
        return self.read_bytes(start, end).decode("utf-8")

    def read_bytes(self, start: int, end: int) -> bytes:
        """The bytes between two places.

        Raises:
            ChecksumMismatch: the file has become shorter.
        """
        end = min(end, self.length)
        if start >= end:
            return b""
        data = self._file.read(start + self._skipped, end + self._skipped)
        if len(data) < end - start:
            raise ChecksumMismatch(
                "the file has become shorter while it was read",
                file=self.path,
                hint="run it again when the file is complete",
            )
        return data

    def blocks(self) -> Iterator[str]:
        """The text in blocks of about a megabyte, each of whole lines."""
        return _blocks(self._file.chunks())

    def hash(self) -> hashlib._Hash:
        """The beginning of its checksum, which the bytes of its text complete."""
        return hashlib.sha256(codecs.BOM_UTF8 if self._skipped else b"")


class _NoText(Exception):
    """The file has a NUL byte."""


def _blocks(chunks: Iterable[bytes]) -> Iterator[str]:
    first, parts = True, list[bytes]()
    for chunk in chunks:
        data = chunk.removeprefix(codecs.BOM_UTF8) if first else chunk
        first = False
        if end := data.rfind(b"\n") + 1:
            yield b"".join((*parts, data[:end])).decode("utf-8")
            parts = [data[end:]] if end < len(data) else []
        else:
            parts.append(data)
    if parts:
        yield b"".join(parts).decode("utf-8")
