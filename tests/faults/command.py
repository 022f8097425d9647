"""``turnback up`` as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("turnback")


def start_up(url: str, folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start it and do not wait; what it says is not kept."""
    return subprocess.Popen(
        [PROGRAM, "up", "--database-url", url, "--dir", folder, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
