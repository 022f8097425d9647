"""An embedded Postgres server: make its data directory, start it, connect to it, stop it.

The server is spawned directly (``pg_ctl`` takes five times as long), in a session of its own, so
that Ctrl-C reaches the command and not the server under it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from turnback.errors import ConfigurationError, DatabaseUnreachable
from turnback.local.contrib import contrib
from turnback.local.programs import Account, binaries_for, clean_environment, server_account
from turnback.rehearsal.extensions import StandIns, extension_settings

START_SECONDS = 60.0
STOP_SECONDS = 60.0
# A unix socket's path may have 107 bytes on Linux, 103 on macOS.
SOCKET_PATH_BYTES = 103
FIRST_PORT = 5432


class EmbeddedServer:
    """A running server. As a context manager it is stopped at the end."""

    def __init__(
        self,
        data_dir: Path,
        running: Running,
        *,
        tcp: bool = False,
        fast: bool = False,
        process: subprocess.Popen[bytes] | None = None,
    ) -> None:
        """Describe a running server; :meth:`start` starts one.

        Args:
            data_dir: its data directory.
            running: what its ``postmaster.pid`` says.
            tcp: whether :meth:`url` uses TCP.
            fast: whether the data may be lost when it stops.
            process: the server, if it is a child process.
        """
        self.data_dir = data_dir
        self.pid = running.pid
        self.port = running.port
        self.socket_dir = running.socket_dir
        self._tcp = tcp
        self._fast = fast
        self._authentication: str | None = None
        self._process = process

    @classmethod
    def start(
        cls,
        data_dir: Path,
        *,
        tcp: bool = False,
        fast: bool = False,
        authentication: str | None = None,
        platform: bool = False,
        say: Callable[[str], None] = lambda _: None,
    ) -> Self:
        """Start a server; makes its data directory if it does not exist.

        Args:
            data_dir: made when missing; as root, its parents must be open to other accounts.
            tcp: also listen on a free port of 127.0.0.1, with a password.
            fast: never wait for the disk; a crash loses the data. For temporary servers.
            authentication: for the server of a rehearsal, which has the stand-ins of extensions as
                well: lines to use in place of the ``pg_hba.conf`` that initdb made.
            platform: whether it has the stand-ins of the extensions of a platform.
            say: called with a sentence if a system account is made to run it.

        Raises:
            ConfigurationError: the programs are missing, or the folder cannot be used.
            DatabaseUnreachable: the server did not start; the message has the end of its log.
        """
        data_dir = data_dir.absolute()
        account = server_account(say)
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        if account and not account.enters(data_dir.parent):
            raise ConfigurationError(
                f"The account of the embedded Postgres cannot reach {data_dir.parent}.",
                hint="Postgres does not run as root: choose a folder that others can enter.",
            )
        if not (data_dir / "PG_VERSION").exists():
            make_cluster(data_dir, account, fast=fast)
        deadline = time.monotonic() + START_SECONDS
        while True:
            running = read_running(data_dir)
            if running is None:
                try:
                    more = _hba_file(data_dir, authentication) if authentication else {}
                    which: StandIns = "all" if more else "platform" if platform else "none"
                    found = cls._spawn(data_dir, account, more, which, tcp=tcp, fast=fast)
                    found._authentication = authentication
                    return found
                except _InUse:
                    running = None
            # A server that is stopping, or that a killed command left starting.
            if time.monotonic() > deadline:
                raise DatabaseUnreachable(
                    f"Another server holds {data_dir}.",
                    hint=f"Process {running.pid} uses it." if running else None,
                )
            if running and running.ready:
                raise ConfigurationError(f"A server runs already on {data_dir}.")
            time.sleep(0.02)

    @classmethod
    def _spawn(
        cls,
        data_dir: Path,
        account: Account | None,
        more: Mapping[str, str],
        which: StandIns,
        *,
        tcp: bool,
        fast: bool,
    ) -> Self:
        programs = binaries_for(account)
        port = _free_port() if tcp else FIRST_PORT
        socket_dir = _socket_dir(data_dir, account)
        settings = {
            "listen_addresses": "127.0.0.1" if tcp else "",
            "port": str(port),
            "unix_socket_directories": os.fspath(socket_dir),
            # Statements can contain secrets, and the client receives their errors anyway.
            "log_min_error_statement": "panic",
            **extension_settings(data_dir, programs.parent, contrib(), which),
            **(UNSAFE if fast else {}),
            **more,
        }
        log_path = data_dir.with_name(f"{data_dir.name}.log")
        log_path.touch(mode=0o600)
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [
                    *(programs / "postgres", "-D", data_dir),
                    *(f"--{name}={value}" for name, value in settings.items()),
                ],
                cwd="/",
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        try:
            running = _await_ready(data_dir, process, log_path)
        except BaseException:
            process.send_signal(signal.SIGQUIT)
            process.wait()
            _remove_socket_dir(data_dir, socket_dir)
            raise
        return cls(data_dir, running, tcp=tcp, fast=fast, process=process)

    def url(self, dbname: str = "postgres") -> str:
        """The address of a database in this server, for the superuser ``postgres``.

        Over TCP it contains the password.
        """
        if not self._tcp:
            return self.socket_url(dbname)
        password = quote((self.data_dir / PASSWORD_FILE).read_text(), safe="")
        name = quote(dbname, safe="")
        return f"postgresql://postgres:{password}@127.0.0.1:{self.port}/{name}"

    def socket_url(self, dbname: str = "postgres") -> str:
        """The address for programs on this machine, without a password."""
        host = quote(os.fspath(self.socket_dir), safe="")
        return f"postgresql://postgres@/{quote(dbname, safe='')}?host={host}&port={self.port}"

    def stop(self) -> None:
        """Stop the server and wait for it; does nothing if it has stopped already."""
        self._stop(signal.SIGQUIT if self._fast else signal.SIGINT)

    @contextlib.contextmanager
    def at_rest(self) -> Iterator[Path]:
        """Stop it in order for the block, which gets its data directory, and start it again.

        Its address may be another one then.
        """
        self._stop(signal.SIGINT)
        try:
            yield self.data_dir
        finally:
            again = type(self).start(
                self.data_dir, tcp=self._tcp, fast=self._fast, authentication=self._authentication
            )
            vars(self).update(vars(again))

    def _stop(self, how: signal.Signals) -> None:
        if self._process:
            self._process.send_signal(how)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait()
        else:
            self._stop_found(how)
        _remove_socket_dir(self.data_dir, self.socket_dir)

    def _stop_found(self, how: signal.Signals) -> None:
        """Stop a server that is not a child process; its pid may have been reused."""
        deadline = time.monotonic() + STOP_SECONDS
        sent = False
        while (running := read_running(self.data_dir)) and running.pid == self.pid:
            late = time.monotonic() > deadline
            if late or not sent:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGQUIT if late else how)
                sent = True
            time.sleep(0.01)

    def disown(self) -> None:
        """Leave the server running: it is not waited for, and Python does not warn about it."""
        if self._process:
            self._process.returncode = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _InUse(Exception):
    """Another server still uses the data directory or the port."""


def _await_ready(data_dir: Path, process: subprocess.Popen[bytes], log: Path) -> Running:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None:
        running = read_running(data_dir)
        if running and running.ready and running.pid == process.pid:
            return running
        if time.monotonic() > deadline:
            break
        time.sleep(0.003)
    said = log.read_text(errors="replace").strip()
    if any(sign in said for sign in ("already exists", "still in use", "Address already in use")):
        raise _InUse
    raise DatabaseUnreachable(
        f"The embedded Postgres did not start on {data_dir}:\n{said[-2000:]}",
        hint=f"See its log, {log}, or name your own database with --database-url.",
    )


def _hba_file(data_dir: Path, lines: str) -> dict[str, str]:
    path = data_dir.with_name(f"{data_dir.name}.hba")
    path.write_text(lines)
    path.chmod(0o644)
    return {"hba_file": os.fspath(path)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _socket_dir(data_dir: Path, account: Account | None) -> Path:
    """The data directory, which is private; a short temporary folder when its path is too long."""
    if len(os.fsencode(data_dir / ".s.PGSQL.65535")) <= SOCKET_PATH_BYTES:
        return data_dir
    base = tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix="turnback-", dir=base if len(base) < 60 else "/tmp"))
    if account:
        account.owns(folder)
    return folder


def _remove_socket_dir(data_dir: Path, socket_dir: Path) -> None:
    if socket_dir != data_dir:
        shutil.rmtree(socket_dir, ignore_errors=True)


PASSWORD_FILE = "turnback.password"
# Settings that make a server fast and lose its data in a crash; never for data that is kept.
UNSAFE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_locks_per_transaction": "1024",
    "autovacuum": "off",
    # What is recycled would only make a copy of the data directory larger.
    "wal_recycle": "off",
}


@dataclass(frozen=True, slots=True)
class Running:
    """What ``postmaster.pid`` says about the server of a data directory."""

    pid: int
    port: int
    socket_dir: Path
    ready: bool


def make_cluster(data_dir: Path, account: Account | None, *, fast: bool) -> None:
    """Make a data directory, UTF-8, with the superuser ``postgres``.

    It is made under a temporary name and renamed when complete, so that a killed command leaves no
    incomplete directory. The socket needs no password; TCP does, and the password is made here and
    kept in the directory.

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
                hint="Name your own server with --database-url.",
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
    """The command line of a process; empty if it does not exist or is a zombie."""
    if Path("/proc/self/cmdline").exists():
        try:
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes())
        except OSError:
            return ""
    found = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True
    )
    return found.stdout
