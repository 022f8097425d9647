"""What is kept between two commands of the same user: whoever loses it waits longer, once."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from pathlib import Path

from turnback.rehearsal.folder import refuse_others

# So much is kept; the state of a thousand small tables has 8 MB.
LIMIT_BYTES = 512 * 2**20
# What a killed command was writing.
_LEFT_OVER_S = 3600


def cache_folder() -> Path:
    """The user's folder for it; it need not exist."""
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        # A user without a name, as in some containers.
        home = Path(tempfile.gettempdir()) / "turnback-cache"
        if sys.platform != "win32":
            home = home.with_name(f"turnback-cache-{os.getuid()}")
    return home / "turnback"


class FolderStates:
    """Stored states as files of a folder; see rehearsal.stored.States.

    Args:
        folder: made when the first one is written. Nobody else may write to it.
        limit: bytes; what was not used for longest is removed beyond it.
    """

    def __init__(self, folder: Path, limit: int = LIMIT_BYTES) -> None:
        self._folder = folder
        self._limit = limit

    def names(self) -> list[str]:
        """The names of those that are there."""
        if not self._folder.is_dir():
            return []
        return [path.name for path in self._folder.iterdir() if _is_name(path.name)]

    def read(self, name: str) -> bytes | None:
        """One of them; None if another command has removed it meanwhile.

        Raises:
            ConfigurationError: somebody else can write to the folder.
        """
        refuse_others(self._folder)
        path = self._folder / name
        try:
            body = path.read_bytes()
            # It was used.
            os.utime(path)
        except FileNotFoundError:
            return None
        return body

    def write(self, name: str, body: bytes) -> None:
        """Keep one, whole or not at all, and remove what is too much.

        Raises:
            ConfigurationError: somebody else can write to the folder.
            OSError: there is no room, or the folder cannot be made.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_others(self._folder)
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix="new-", delete=False) as file:
            new = Path(file.name)
            try:
                # What a power failure cuts short is not used: its reader finds out.
                file.write(body)
                file.flush()
                new.replace(self._folder / name)
            except BaseException:
                new.unlink(missing_ok=True)
                raise
        self._remove_oldest()

    def _remove_oldest(self) -> None:
        found: list[tuple[float, int, Path]] = []
        for path in self._folder.iterdir():
            try:
                at = path.stat()
            except FileNotFoundError:
                continue
            if _is_name(path.name):
                found.append((at.st_mtime, at.st_size, path))
            elif path.name.startswith("new-") and time.time() - at.st_mtime > _LEFT_OVER_S:
                path.unlink(missing_ok=True)
        room = self._limit
        for _, size, path in sorted(found, reverse=True):
            room -= size
            if room < 0:
                path.unlink(missing_ok=True)


def _is_name(name: str) -> bool:
    return bool(re.fullmatch(r"[0-9a-f]{64}", name))
