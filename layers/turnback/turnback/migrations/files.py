"""Where the files of a project are: a folder, or the zip of an artifact."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from turnback.errors import OutOfSpace
from turnback.migrations import large
from turnback.settings.project import FILE as SETTINGS
from turnback.settings.project import bytes_of, open_regular

if TYPE_CHECKING:
    # Most projects are in a folder, and zipfile takes 3 ms to import.
    from turnback.migrations.zips import Zip, ZipEntry

# Nearly all scripts are shorter.
_MOST_BYTES = 16_384


class Files(Protocol):
    """The files of a project, by their paths below its folder, with forward slashes."""

    @property
    def path(self) -> Path:
        """The folder: on disk, or in the zip."""

    def is_folder(self, path: str) -> bool:
        """Whether there is such a folder; the empty path is the project itself."""

    def names(self, folder: str) -> list[str]:
        """The names in a folder. Raises FileNotFoundError, NotADirectoryError, OSError."""

    def below(self, folder: str) -> Iterator[str]:
        """The paths of all files below a folder. Raises OSError."""

    def read(self, path: str) -> bytes:
        """A whole file. Raises OSError, or what is wrong with the zip."""

    def settings(self) -> bytes | None:
        """The ``turnback.toml`` beside the folder; None without one. Raises as ``read``."""

    def open(self, path: str) -> bytes | large.FileText:
        """A file as it is to be read: all of its bytes, unless it is a large one."""


class Folder:
    """A folder on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def is_folder(self, path: str) -> bool:
        """See Files."""
        return (self.path / path).is_dir()

    def names(self, folder: str) -> list[str]:
        """See Files."""
        return os.listdir(self.path / folder)  # noqa: PTH208 (a third of the time)

    def below(self, folder: str) -> Iterator[str]:
        """See Files."""

        def fail(error: OSError) -> None:
            raise error

        for parent, _, names in os.walk(self.path / folder, onerror=fail):
            for name in names:
                yield (Path(parent) / name).relative_to(self.path).as_posix()

    def read(self, path: str) -> bytes:
        """See Files."""
        with open_regular(self.path / path) as opened:
            return opened.read()

    def settings(self) -> bytes | None:
        """See Files."""
        return bytes_of(self.path.resolve().parent / SETTINGS)

    def open(self, path: str) -> bytes | large.FileText:
        """See Files."""
        # One descriptor and one read for most files: a project has thousands.
        with open_regular(self.path / path) as opened:
            # A read makes room for all that it asks for.
            data = opened.read(min(_MOST_BYTES, large.LARGE_BYTES))
            if len(data) == _MOST_BYTES:
                data += opened.read(large.LARGE_BYTES - _MOST_BYTES)
        return large.OpenFile(self.path / path) if len(data) == large.LARGE_BYTES else data


class ZippedFolder:
    """A folder of a zip, whose files are read from the zip.

    Of its large files only the one that was read last is unpacked: reading jumps about in it.
    """

    def __init__(
        self,
        opened: Zip,
        folder: str,
        entries: Mapping[str, ZipEntry],
        into: Path | None,
        settings: ZipEntry | None = None,
    ) -> None:
        """Take files of a zip.

        Args:
            opened: the zip.
            folder: its folder in the zip.
            entries: its files, by their paths below that folder.
            into: where a large file is unpacked; None for the temporary folder.
            settings: the ``turnback.toml`` beside that folder.

        Raises:
            OutOfSpace: the largest file could not be unpacked.
        """
        self._zip = opened
        self.path = Path(folder)
        self._entries = dict(entries)
        self._into = str(into or tempfile.gettempdir())
        self._settings = settings
        self._names: dict[str, dict[str, None]] = {"": {}}
        for path in self._entries:
            inside, name = "", path
            while name:
                part, _, name = name.partition("/")
                self._names.setdefault(inside, {})[part] = None
                inside = f"{inside}/{part}" if name and inside else part
        self._unpacked: tuple[ZipEntry, large.OpenFile] | None = None
        largest = max((entry.file_size for entry in entries.values()), default=0)
        if largest >= large.LARGE_BYTES:
            OutOfSpace.refuse(self._into, largest, "the largest file of the release")

    def is_folder(self, path: str) -> bool:
        """See Files."""
        return path in self._names

    def names(self, folder: str) -> list[str]:
        """See Files."""
        if folder in self._entries:
            raise NotADirectoryError(folder)
        if folder not in self._names:
            raise FileNotFoundError(folder)
        return list(self._names[folder])

    def below(self, folder: str) -> Iterator[str]:
        """See Files."""
        inside = f"{folder}/" if folder else ""
        return (path for path in self._entries if path.startswith(inside))

    def read(self, path: str) -> bytes:
        """See Files."""
        if path not in self._entries:
            raise FileNotFoundError(path)
        return b"".join(self._zip.chunks(self._entries[path]))

    def settings(self) -> bytes | None:
        """See Files."""
        return b"".join(self._zip.chunks(self._settings)) if self._settings else None

    def open(self, path: str) -> bytes | large.FileText:
        """See Files."""
        entry = self._entries[path]
        return self.read(path) if entry.file_size < large.LARGE_BYTES else _Member(self, entry)

    def chunks(self, entry: ZipEntry) -> Iterator[bytes]:
        """The bytes of a file."""
        return self._zip.chunks(entry)

    def close(self) -> None:
        """Let go of the zip, and of the file that is unpacked."""
        self._unpacked = None
        self._zip.close()

    def unpacked(self, entry: ZipEntry) -> large.OpenFile:
        """A file of the zip as one that can be read at any place."""
        if self._unpacked is None or self._unpacked[0] is not entry:
            # Its space is free again before the next one is written.
            self._unpacked = None
            handle, name = tempfile.mkstemp(dir=self._into)
            try:
                with os.fdopen(handle, "wb") as file:
                    for chunk in self.chunks(entry):
                        file.write(chunk)
                self._unpacked = entry, large.OpenFile(Path(name))
            finally:
                # Windows removes no file that is open.
                with contextlib.suppress(PermissionError):
                    Path(name).unlink()
        return self._unpacked[1]


class _Member:
    """A large file of a zip."""

    def __init__(self, folder: ZippedFolder, entry: ZipEntry) -> None:
        self._folder = folder
        self._entry = entry
        self.size = entry.file_size

    def chunks(self) -> Iterator[bytes]:
        return self._folder.chunks(self._entry)

    def read(self, start: int, end: int) -> bytes:
        return self._folder.unpacked(self._entry).read(start, end)
