"""The system account that runs Postgres when we are root, because Postgres refuses root.

A normal user runs the server as themselves, and nothing here does anything.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from turnback.errors import ConfigurationError

NAME = "turnback"
# Accounts that systems without useradd have, and that own nothing a server could harm.
SUBSTITUTES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """A system account by its numbers, as ``subprocess`` takes them."""

    uid: int
    gid: int

    def owns(self, path: Path) -> None:
        """Give a file or folder (not what is in it) to this account."""
        os.chown(path, self.uid, self.gid)

    def enters(self, folder: Path) -> bool:
        """Whether this account can go through every folder down to, and into, ``folder``."""
        folder = folder.resolve()
        return all(self._passes(parent.stat()) for parent in (folder, *folder.parents))

    def _passes(self, found: os.stat_result) -> bool:
        if found.st_uid == self.uid:
            return bool(found.st_mode & stat.S_IXUSR)
        if found.st_gid == self.gid:
            return bool(found.st_mode & stat.S_IXGRP)
        return bool(found.st_mode & stat.S_IXOTH)


def server_account() -> Account | None:
    """The account to run a server as; None when we are not root and run it ourselves.

    Made by ``useradd`` on first use.

    Raises:
        ConfigurationError: there is no such account and none can be made.
    """
    if os.geteuid() != 0:
        return None
    found = _find(NAME)
    if found is None and (useradd := shutil.which("useradd")):
        made = subprocess.run(
            [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", NAME],
            capture_output=True,
            text=True,
        )
        # Two first uses at once: the one that lost finds the account of the other.
        found = _find(NAME)
        if found is None:
            raise ConfigurationError(
                f"The system account {NAME!r} could not be made: {made.stderr.strip()}",
                hint="Run as a normal user, or name a server of your own by --database-url.",
            )
    found = found or next(filter(None, map(_find, SUBSTITUTES)), None)
    if found is None:
        raise ConfigurationError(
            "Postgres does not run as root, and there is no other account to run it as.",
            hint="Run as a normal user, or name a server of your own by --database-url.",
        )
    return found


def _find(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid) if entry.pw_uid != 0 else None


def state_folder(account: Account, name: str, of: Path) -> Path:
    """A folder that ``account`` can reach, for what cannot stay in ``of``; the same each time.

    Args:
        account: who has to reach it.
        name: what it is for; the beginning of the folder's name.
        of: the folder it stands for; two different ones get two folders.
    """
    label = f"{name}-{hashlib.sha256(os.fsencode(of.resolve())).hexdigest()[:12]}"
    for parent in (Path("/var/lib/turnback"), Path(tempfile.gettempdir()) / "turnback-state"):
        try:
            folder = parent / label
            for part in (parent, folder):
                part.mkdir(mode=0o755, parents=True, exist_ok=True)
                if part.is_symlink() or part.stat().st_uid != os.geteuid():
                    raise ConfigurationError(
                        f"{part} belongs to somebody else.",
                        hint="Remove it, or name a server of your own by --database-url.",
                    )
                part.chmod(0o755)
        except OSError:
            continue  # a read-only system: the next place
        if account.enters(folder):
            return folder
    raise ConfigurationError(
        "There is no folder that the account of the embedded Postgres can reach.",
        hint="Run as a normal user, or name a server of your own by --database-url.",
    )
