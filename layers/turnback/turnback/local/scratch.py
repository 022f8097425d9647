"""A temporary folder for one run, removed with its processes even if the run is killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from turnback.local.server import read_running
from turnback.rehearsal.folder import locked_folder

# A process with this variable in its environment belongs to that folder's run.
MARK = "TURNBACK_SCRATCH"
# Where a run keeps its Postgres, so that the next one finds it.
POSTGRES = "postgres/data"


@contextlib.contextmanager
def scratch(kind: str, place: Path | None = None) -> Iterator[Path]:
    """A new folder; at the end, its processes are ended and it is removed.

    Folders that killed runs of the same kind left are removed first.

    Args:
        kind: a word that is part of the folder's name.
        place: the folder that it is in; that of temporary files if not given.
    """
    with locked_folder(f"turnback-{kind}-", _remove, place) as folder:
        # As root, Postgres runs as another account, which must be able to enter.
        folder.chmod(0o711)
        yield folder


def _remove(folder: Path) -> None:
    if (server := read_running(folder / POSTGRES)) is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(server.pid, signal.SIGQUIT)
    deadline = time.monotonic() + 5
    while left := processes_of(folder):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    # A server that is just ending may still write a file between the listing and the removal.
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=time.monotonic() < deadline)


def processes_of(folder: Path) -> list[int]:
    """The processes of a run, by the mark in their environment; not this one."""
    mark = f"{MARK}={folder}"
    if Path("/proc/self/environ").exists():
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                variables = os.fsdecode(path.read_bytes()).split("\0")
            except OSError:
                continue  # gone meanwhile, or another user's
            if mark in variables:
                found.append(int(path.parent.name))
    else:
        listed = subprocess.run(
            ["ps", "-axwwE", "-o", "pid=,command="], capture_output=True, text=True
        )
        lines = (line.split() for line in listed.stdout.splitlines())
        found = [int(line[0]) for line in lines if mark in line[1:]]
    return [pid for pid in found if pid != os.getpid()]
