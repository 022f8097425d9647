"""A data directory: made whole or not at all, and what its ``postmaster.pid`` says."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from turnback.errors import ConfigurationError
from turnback.local.account import Account
from turnback.local.binaries import binaries_for, clean_environment

PASSWORD_FILE = "turnback.password"
# What makes a server fast, and its data worthless after a crash; never for data that is kept.
UNSAFE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_locks_per_transaction": "1024",
    "autovacuum": "off",
}


@dataclass(frozen=True, slots=True)
class Running:
    """What ``postmaster.pid`` tells about the server of a data directory."""

    pid: int
    port: int
    socket_dir: Path
    ready: bool


def make_cluster(data_dir: Path, account: Account | None, *, fast: bool) -> None:
    """Make a data directory, UTF-8, with the superuser ``postgres``.

    It is made beside its place and moved there when whole, so that a kill in the middle leaves
    nothing half-made. Over the socket every user who can reach it is let in; over TCP a password
    is asked, made here and kept in the directory.

    Args:
        data_dir: must not exist; its parent must.
        account: who will run the server; None is ourselves.
        fast: do not wait for the disk.

    Raises:
        ConfigurationError: initdb refuses.
    """
    for left in data_dir.parent.glob(f"{data_dir.name}.new-*"):
        shutil.rmtree(left)
    work = Path(tempfile.mkdtemp(dir=data_dir.parent, prefix=f"{data_dir.name}.new-"))
    try:
        work.chmod(0o711)
        new, password = work / "data", work / PASSWORD_FILE
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        new.mkdir(mode=0o700)
        if account:
            account.owns(new)
            account.owns(password)
        done = subprocess.run(
            [
                binaries_for(account) / "initdb",
                *("--pgdata", new, "--username", "postgres", "--pwfile", password),
                *("--auth-local", "trust", "--auth-host", "scram-sha-256"),
                *("--encoding", "UTF8", "--no-instructions"),
                # The same order of text on every system, whatever its C library has.
                *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"),
                *("--set", "timezone=UTC", "--set", "log_timezone=UTC"),
                *(("--no-sync", "--set", "scram_iterations=1") if fast else ()),
            ],
            cwd="/",
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
        if done.returncode:
            raise ConfigurationError(
                f"initdb could not make {data_dir}: {done.stderr.strip() or done.stdout.strip()}",
                hint="Name a server of your own by --database-url.",
            )
        password.rename(new / PASSWORD_FILE)
        new.rename(data_dir)
    finally:
        shutil.rmtree(work)


def read_running(data_dir: Path) -> Running | None:
    """The server that runs on a data directory, or None.

    A ``postmaster.pid`` that a killed server or a reboot left behind is removed: its number may
    by now be another program's, and Postgres would then refuse to start.
    """
    path = data_dir / "postmaster.pid"
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return None
    pid = int(lines[0]) if lines and lines[0].isdigit() else 0
    if not pid and time.time() - path.stat().st_mtime < 1:
        return Running(pid, 0, data_dir, ready=False)  # just being written
    if not pid or os.fspath(data_dir) not in _command_line(pid):
        path.unlink(missing_ok=True)
        for lock in data_dir.glob(".s.PGSQL.*.lock"):
            lock.unlink()  # of the socket; it names the same number
        return None
    if len(lines) < 8:
        return Running(pid, 0, data_dir, ready=False)
    return Running(pid, int(lines[3]), Path(lines[4]), ready=lines[7].strip() == "ready")


def _command_line(pid: int) -> str:
    """The command line of a process, or an empty text when there is none (or a zombie)."""
    if Path("/proc/self/cmdline").exists():
        try:
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes())
        except OSError:
            return ""
    found = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True
    )
    return found.stdout
