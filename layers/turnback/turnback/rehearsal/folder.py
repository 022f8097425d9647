"""Temporary folders that are removed even if what used them was killed.

A folder is locked while it is used, and a process's locks end with it. So the next one knows which
folders are left over, and removes them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from turnback.errors import ConfigurationError


@contextlib.contextmanager
def locked_folder(prefix: str, remove: Callable[[Path], None]) -> Iterator[Path]:
    """A new folder, removed at the end; those of killed processes are removed first.

    Args:
        prefix: what its name begins with, and that of no other kind of folder.
        remove: removes a folder, and ends what still runs in it.
    """
    _sweep(prefix, remove)
    folder, lock = _new(prefix)
    try:
        yield folder
    finally:
        remove(folder)
        os.close(lock)


def refuse_others(folder: Path) -> None:
    """Refuse a folder that is somebody else's, or that others can write to.

    Raises:
        ConfigurationError: names it.
    """
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise ConfigurationError(
            f"others can write to {folder}", hint="remove it, or set TMPDIR to another folder"
        )


def _new(prefix: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
        # Another process may take it for a leftover until it is locked.
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _sweep(prefix: str, remove: Callable[[Path], None]) -> None:
    for folder in Path(tempfile.gettempdir()).resolve().glob(f"{prefix}*"):
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # gone meanwhile, or somebody else's
        try:
            if os.fstat(lock).st_uid == os.geteuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(folder)
        except BlockingIOError:
            pass  # in use
        finally:
            os.close(lock)
