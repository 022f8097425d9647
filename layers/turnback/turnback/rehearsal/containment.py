"""Keeps what a throw-away server has started: none of it outlives the server or reads our memory.

Migrations cannot start programs there (see rights). This is for the day they can: a program that
detaches itself from the server becomes a child of ours, and is killed with the rest.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from turnback.errors import DatabaseUnreachable

# prctl(2).
_SET_DUMPABLE = 4
_SET_CHILD_SUBREAPER = 36
_SECONDS = 10.0
# Servers of ours; two threads may each have one.
_servers: set[int] = set()


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Kill, at the end, what a server that ran inside has started and left. Linux only.

    From now on other processes of the same user cannot read this one's environment and memory
    (``/proc/PID/environ``), and orphans of its descendants are its children.

    Raises:
        DatabaseUnreachable: something does not end.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    prctl = ctypes.CDLL(None).prctl
    prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    others = _strays(set())
    try:
        yield
    finally:
        _end(others)


@contextlib.contextmanager
def server_of_ours(pid: int) -> Iterator[None]:
    """Leave this process and its children alone, as they are stopped by who started them."""
    _servers.add(pid)
    try:
        yield
    finally:
        _servers.discard(pid)


def _end(others: set[int]) -> None:
    deadline = time.monotonic() + _SECONDS
    while (left := _strays(others)) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.001)
    if left:
        raise DatabaseUnreachable(
            f"programs that the shadow server has started do not end: {sorted(left)}",
            hint="end these processes; a migration that starts programs is not safe to rehearse",
        )


def _strays(others: set[int]) -> set[int]:
    """Our descendants in sessions of their own; each backend begins one, and cannot leave it.

    What we run ourselves, such as pg_dump, is in our session.
    """
    children: dict[int, list[int]] = {}
    sessions = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name, in parentheses, may contain anything (proc_pid_stat(5)).
            _, parent, _, session, *_ = path.read_text().rpartition(")")[2].split()
            pid = int(path.parent.name)
            children.setdefault(int(parent), []).append(pid)
            sessions[pid] = int(session)
    found: set[int] = set()
    waiting, ours = [os.getpid()], os.getsid(0)
    while waiting:
        below = set(children.get(waiting.pop(), ())) - others - _servers
        waiting += below
        found |= {pid for pid in below if sessions[pid] != ours}
    return found
