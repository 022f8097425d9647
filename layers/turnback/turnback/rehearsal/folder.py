"""Temporary folders that are removed even if what used them was killed.

A folder is locked while it is used, and a process's locks end with it. So the next one knows which
folders are left over, and removes them.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from turnback.errors import ConfigurationError

MEMORY = Path("/dev/shm")


def has_room(folder: Path, needed: int) -> bool:
    """Whether a folder is in memory, may have programs, and has so many bytes of room.

    A database is 300 files, which a file system in memory makes, and removes, in a third of the
    time of a disk.
    """
    try:
        found = os.statvfs(folder)
        left = re.search(r"^MemAvailable: *(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
    except OSError:
        return False
    return (
        not found.f_flag & os.ST_NOEXEC
        and os.access(folder, os.W_OK | os.X_OK)
        and found.f_bavail * found.f_frsize > needed
        and left is not None
        and int(left[1]) * 1024 > needed
    )


@contextlib.contextmanager
def locked_folder(
    prefix: str, remove: Callable[[Path], None], place: Path | None = None
) -> Iterator[Path]:
    """A new folder, removed at the end; those of killed processes are removed first.

    Args:
        prefix: what its name begins with, and that of no other kind of folder.
        remove: removes a folder, and ends what still runs in it.
        place: the folder that it is in, that of temporary files or ``MEMORY``.
    """
    temporary = Path(tempfile.gettempdir())
    for one in {temporary.resolve(), MEMORY}:
        _sweep(one, prefix, remove)
    folder, lock = _new(place or temporary, prefix)
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
    if sys.platform == "win32":
        # There the folders of a user are closed to others.
        return
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise ConfigurationError(
            f"others can write to {folder}", hint="remove it, or set TMPDIR to another folder"
        )


def _new(place: Path, prefix: str) -> tuple[Path, int]:
    # Not on Windows.
    import fcntl

    while True:
        folder = Path(tempfile.mkdtemp(dir=place, prefix=prefix)).resolve()
        # Another process may take it for a leftover until it is locked.
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _sweep(place: Path, prefix: str, remove: Callable[[Path], None]) -> None:
    import fcntl

    for folder in place.glob(f"{prefix}*"):
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
