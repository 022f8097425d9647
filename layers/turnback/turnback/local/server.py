"""One embedded Postgres server: started, addressed, stopped.

The server is spawned directly (``pg_ctl`` takes five times as long), in a session of its own, so
that Ctrl-C reaches the command and not the server under it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from turnback.errors import ConfigurationError, DatabaseUnreachable
from turnback.local.account import Account, server_account
from turnback.local.binaries import binaries_for, clean_environment
from turnback.local.cluster import (
    PASSWORD_FILE,
    UNSAFE,
    Running,
    make_cluster,
    read_running,
)
from turnback.rehearsal.extensions import control_path

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
        """Describe a server that runs; :meth:`start` starts one.

        Args:
            data_dir: its data directory.
            running: what its ``postmaster.pid`` says.
            tcp: whether :meth:`url` leads over TCP.
            fast: whether the data may be lost when it stops.
            process: the server, when it is a child of ours.
        """
        self.data_dir = data_dir
        self.pid = running.pid
        self.port = running.port
        self.socket_dir = running.socket_dir
        self._tcp = tcp
        self._fast = fast
        self._process = process

    @classmethod
    def start(cls, data_dir: Path, *, tcp: bool = False, fast: bool = False) -> Self:
        """Start a server, after making its data directory when there is none.

        Args:
            data_dir: made when missing; as root, its parents must be open to other accounts.
            tcp: listen on a free port of 127.0.0.1 as well, where a password is asked.
            fast: never wait for the disk; a crash loses the data. For throw-away servers.

        Raises:
            ConfigurationError: the programs are missing, or the folder cannot be used.
            DatabaseUnreachable: the server did not start; the message has the end of its log.
        """
        data_dir = data_dir.absolute()
        account = server_account()
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        if account and not account.enters(data_dir.parent):
            raise ConfigurationError(
                f"The account of the embedded Postgres cannot reach {data_dir.parent}.",
                hint="Postgres does not run as root: choose a folder that is open to others.",
            )
        if not (data_dir / "PG_VERSION").exists():
            make_cluster(data_dir, account, fast=fast)
        deadline = time.monotonic() + START_SECONDS
        while True:
            running = read_running(data_dir)
            if running is None:
                try:
                    return cls._spawn(data_dir, account, tcp=tcp, fast=fast)
                except _Taken:
                    running = None
            # One that is just stopping, or that a killed command left starting.
            if time.monotonic() > deadline:
                raise DatabaseUnreachable(
                    f"Another server holds {data_dir}.",
                    hint=f"Process {running.pid} uses it." if running else None,
                )
            if running and running.ready:
                raise ConfigurationError(f"A server runs already on {data_dir}.")
            time.sleep(0.02)

    @classmethod
    def _spawn(cls, data_dir: Path, account: Account | None, *, tcp: bool, fast: bool) -> Self:
        port = _free_port() if tcp else FIRST_PORT
        socket_dir = _socket_dir(data_dir, account)
        settings = {
            "listen_addresses": "127.0.0.1" if tcp else "",
            "port": str(port),
            "unix_socket_directories": os.fspath(socket_dir),
            # Statements can hold secrets, and the client is told of their errors anyway.
            "log_min_error_statement": "panic",
            "extension_control_path": control_path(data_dir),
            **(UNSAFE if fast else {}),
        }
        log_path = data_dir.with_name(f"{data_dir.name}.log")
        log_path.touch(mode=0o600)
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [
                    *(binaries_for(account) / "postgres", "-D", data_dir),
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

        Over TCP it holds the password.
        """
        if not self._tcp:
            return self.socket_url(dbname)
        password = quote((self.data_dir / PASSWORD_FILE).read_text(), safe="")
        name = quote(dbname, safe="")
        return f"postgresql://postgres:{password}@127.0.0.1:{self.port}/{name}"

    def socket_url(self, dbname: str = "postgres") -> str:
        """The address for programs of this machine, which needs no password."""
        host = quote(os.fspath(self.socket_dir), safe="")
        return f"postgresql://postgres@/{quote(dbname, safe='')}?host={host}&port={self.port}"

    def stop(self) -> None:
        """Stop the server, and wait until it is gone; one that is gone already is fine."""
        how = signal.SIGQUIT if self._fast else signal.SIGINT
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
        """Stop a server that is no child of ours; its number could be another program's by now."""
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
        """Let the server go on without us: it is not awaited, and not warned about."""
        if self._process:
            self._process.returncode = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class _Taken(Exception):
    """The data directory, or the port, is still another server's."""


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
        raise _Taken
    raise DatabaseUnreachable(
        f"The embedded Postgres did not start on {data_dir}:\n{said[-2000:]}",
        hint=f"Its log is {log}. A database of your own is named by --database-url.",
    )


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
