"""The virtual environment of the local AWS: ministack pins libraries that ours cannot share."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from turnback.errors import ConfigurationError

REQUIREMENTS = "requirements/local-aws.txt"


def local_aws_python(root: Path, say: Callable[[str], None]) -> Path:
    """The interpreter of the local AWS's environment, made in ``.turnback`` when it is not there.

    Made anew when the requirements or our interpreter change.

    Args:
        root: the checkout.
        say: told before the part that takes long.

    Raises:
        ConfigurationError: the environment cannot be made.
    """
    requirements = root / REQUIREMENTS
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    home = root / ".turnback"
    home.mkdir(exist_ok=True)
    folder = home / "local-aws"
    stamp = folder / "made-from"
    with (home / "local-aws.lock").open("w") as lock:
        # Two demos at once make it once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (stamp.exists() and stamp.read_text() == wanted):
            say(f"Making the environment of the local AWS from {REQUIREMENTS} (once)")
            _make(folder, requirements, wanted)
    return folder / "bin" / "python"


def _make(folder: Path, requirements: Path, wanted: str) -> None:
    for left in folder.parent.glob(f"{folder.name}.new-*"):
        shutil.rmtree(left)
    new = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}.new-"))
    try:
        _run([sys.executable, "-m", "venv", new])
        _run(
            [
                *(new / "bin" / "python", "-m", "pip", "install", "--quiet"),
                *("--disable-pip-version-check", "--require-hashes", "-r", requirements),
            ]
        )
        (new / "made-from").write_text(wanted)
        if folder.exists():
            shutil.rmtree(folder)
        # Only the interpreter is used, and it finds its environment wherever that was moved.
        new.rename(folder)
    finally:
        if new.exists():
            shutil.rmtree(new)


def _run(command: list[Path | str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ConfigurationError(
            f"The environment of the local AWS could not be made:\n{done.stderr.strip()[-2000:]}",
            hint="It needs the package registry; try again when that can be reached.",
        )
