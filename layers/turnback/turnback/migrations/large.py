"""A large script: its text stays in its file, and is read in blocks."""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from turnback.errors import ChecksumMismatch
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


class LargeScript(Script):
    """A script that is read from its file whenever it is needed.

    The file is kept open, so that the text is there until the script is let go.

    Attributes:
        length: bytes of its text, without a byte order mark.
        reading: what turnback.sql keeps of it once it was parsed.
    """

    __slots__ = ("_file", "_skipped", "length", "reading")
    _file: int
    _skipped: int
    length: int
    reading: object

    def __init__(self, path: str, file: Path) -> None:
        """Check the file as ``decode`` does. Raises as that and ``read_directives`` do."""
        opened = os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        object.__setattr__(self, "_file", opened)
        whole = os.fstat(opened).st_size
        mark = len(codecs.BOM_UTF8)
        skipped = mark if _read_at(opened, mark, 0) == codecs.BOM_UTF8 else 0
        attributes = {"path": path, "_skipped": skipped, "reading": None, "_line_ends": None}
        for name, value in {**attributes, "length": whole - skipped}.items():
            object.__setattr__(self, name, value)
        if not self._is_text():
            decode(path, self._bytes(-skipped, whole))
        object.__setattr__(self, "checksum", self._digest())
        object.__setattr__(self, "directives", read_directives(path, self.blocks()))

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):
            os.close(self._file)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    @property
    def size(self) -> int:
        return self.length

    @property
    def sql(self) -> str:
        """The whole text, read anew each time."""
        return self.read(0, self.length)

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
        return self._bytes(start, min(end, self.length))

    def blocks(self) -> Iterator[str]:
        """The text in blocks of about a megabyte, each of whole lines."""
        start = 0
        while start < self.length:
            parts, end = list[bytes](), start
            while end < self.length and not (parts and b"\n" in parts[-1]):
                parts.append(self.read_bytes(end, end + BLOCK_BYTES))
                end += len(parts[-1])
            data = b"".join(parts)
            if end < self.length:
                data = data[: data.rindex(b"\n") + 1]
            yield data.decode("utf-8")
            start += len(data)

    def hash(self) -> hashlib._Hash:
        """The beginning of its checksum, which the bytes of its text complete."""
        return hashlib.sha256(codecs.BOM_UTF8 if self._skipped else b"")

    def _bytes(self, start: int, end: int) -> bytes:
        parts = []
        while start < end:
            data = _read_at(self._file, end - start, start + self._skipped)
            if not data:
                raise ChecksumMismatch(
                    "the file has become shorter while it was read",
                    file=self.path,
                    hint="run it again when the file is complete",
                )
            parts.append(data)
            start += len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _digest(self) -> str:
        found = self.hash()
        for start in range(0, self.length, BLOCK_BYTES):
            found.update(self.read_bytes(start, start + BLOCK_BYTES))
        return found.hexdigest()

    def _is_text(self) -> bool:
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            for start in range(0, self.length, BLOCK_BYTES):
                data = self.read_bytes(start, start + BLOCK_BYTES)
                decoder.decode(data)
                if b"\0" in data:
                    return False
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
        return True
