"""Dumps as files of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from turnback.errors import ConfigurationError, SnapshotFailed

_CHUNK = 1024 * 1024


class FolderStore:
    """Dumps as files of a folder, each whole or not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    @property
    def prefix(self) -> str:
        """The folder's path."""
        return f"{self._folder}/"

    def read(self, key: str) -> bytes | None:
        """The file's bytes, or None."""
        try:
            return (self._folder / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, key: str, body: bytes) -> None:
        """Write a file, whole or not at all."""
        with self.upload(key, {}) as file:
            file.send(body)

    def stream(self, key: str) -> Iterator[bytes]:
        """The file in chunks of 1 MiB.

        Raises:
            ConfigurationError: there is no such file, or it may not be read.
        """
        try:
            with (self._folder / key).open("rb") as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
        except OSError as error:
            raise ConfigurationError(
                f"{self._folder / key} cannot be read: {error.strerror}",
                hint="turnback snapshots shows what is there",
            ) from error

    def upload(self, key: str, tags: Mapping[str, str]) -> FileUpload:
        """A file to be written piece by piece; a folder keeps no tags."""
        del tags
        return FileUpload(self._folder / key)

    def keys(self, prefix: str) -> Iterator[str]:
        """The keys that begin so, sorted."""
        found = (path for path in self._folder.rglob("*") if path.is_file())
        names = sorted(path.relative_to(self._folder).as_posix() for path in found)
        yield from (name for name in names if name.startswith(prefix))

    def delete(self, key: str) -> None:
        """Remove the file; no error if it does not exist."""
        (self._folder / key).unlink(missing_ok=True)


class FileUpload:
    """A file that has its name only when it is whole and on the disk."""

    encryption: str | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        # Always the same name: what a killed command left is overwritten by the next.
        self._part = path.with_name(f".{path.name}.part")
        self._file: IO[bytes] | None = None

    def __enter__(self) -> FileUpload:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Whoever may read a dump may read every row of the database.
            opened = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"{self._path} cannot be written: {error.strerror}",
                hint="name another place: turnback backup --into FOLDER",
            ) from error
        self._file = os.fdopen(opened, "wb")
        return self

    def send(self, data: bytes) -> None:
        """Add bytes at the end."""
        assert self._file is not None
        try:
            self._file.write(data)
        except OSError as error:
            raise SnapshotFailed(
                f"{self._path} cannot be written: {error.strerror}",
                hint="make room, or name another place: turnback backup --into FOLDER",
            ) from error

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._file is not None
        if kind is not None:
            # The buffer cannot be flushed to a full disk; the file goes anyway.
            with suppress(OSError):
                self._file.close()
            self._part.unlink(missing_ok=True)
            return
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.rename(self._path)
        except OSError as failed:
            self._part.unlink(missing_ok=True)
            raise SnapshotFailed(
                f"{self._path} cannot be written: {failed.strerror}",
                hint="make room, or name another place: turnback backup --into FOLDER",
            ) from failed
