"""A server of our own to be hurt as a whole: killed, out of locks, out of disk."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
from turnback.local.programs import server_account
from turnback.local.server import EmbeddedServer, make_cluster

TABLESPACE = "tiny"
_FILE_SYSTEM_MB = 32
_BLOCK = bytes(1 << 13)
# Little room for locks. A commit waits for its log to be written; that the system then writes it
# to the disk is only needed where the whole machine may die, and a test cannot kill that.
_SETTINGS = """
fsync = off
max_connections = 20
max_locks_per_transaction = 10
autovacuum = off
"""


class Fragile:
    """A server that keeps what it has committed, with a small lock table.

    Attributes:
        server: the one that runs now; a new one after ``restart``.
    """

    def __init__(self, data_dir: Path) -> None:
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        make_cluster(data_dir, server_account(), fast=True)
        with (data_dir / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS)
        self._data_dir = data_dir
        self.server = EmbeddedServer.start(data_dir, tcp=True)

    def kill(self) -> None:
        """End every process of the server by SIGKILL, at one moment as far as that is possible."""
        postmaster = self.server.pid
        os.kill(postmaster, signal.SIGSTOP)
        for pid in (*_children(postmaster), postmaster):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def restart(self) -> None:
        """Start it again after a kill."""
        self.server.stop()
        self.server = EmbeddedServer.start(self._data_dir, tcp=True)

    @contextlib.contextmanager
    def locks_taken(self) -> Iterator[None]:
        """Let another session hold locks until there is no room for one more."""
        with psycopg.connect(self.server.socket_url(), autocommit=True) as connection:
            with contextlib.suppress(psycopg.errors.OutOfMemory):
                connection.execute("SELECT pg_advisory_lock(n) FROM generate_series(1, 1000000) n")
                raise AssertionError("the lock table has no end")
            yield
            # A session that is closed gives its locks back a moment later.
            connection.execute("SELECT pg_advisory_unlock_all()")


def mount_tiny(folder: Path, megabytes: int = _FILE_SYSTEM_MB) -> str | None:
    """Mount a small file system on a new folder; why not, where we may not."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError as error:
        return str(error)
    return done.stderr.strip() or "mount refuses" if done.returncode else None


@contextlib.contextmanager
def tablespace_on(server: EmbeddedServer, folder: Path) -> Iterator[None]:
    """A tablespace in a mounted folder, which is unmounted in the end."""
    try:
        folder.chmod(0o711)
        place = folder / TABLESPACE
        place.mkdir(mode=0o700)
        if account := server_account():
            account.owns(place)
        with psycopg.connect(server.socket_url(), autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE {TABLESPACE} LOCATION '{place}'")
            yield
            connection.execute(f"DROP TABLESPACE {TABLESPACE}")
    finally:
        # The server's processes may still have a file of it open.
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Leave no room on a file system."""
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(_BLOCK):
            pass
    try:
        yield
    finally:
        ballast.unlink()


def _children(parent: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True
    )
    pairs = (line.split() for line in listed.stdout.splitlines())
    return [int(pid) for pid, of in pairs if int(of) == parent]
