"""The embedded Postgres: the project's own when no database is named, or a throw-away server."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from turnback.errors import ConfigurationError, DatabaseUnreachable
from turnback.local.account import server_account, state_folder
from turnback.local.binaries import binaries
from turnback.local.cluster import Running, read_running
from turnback.local.server import START_SECONDS, EmbeddedServer

__all__ = ["EmbeddedServer", "binaries", "project_server"]


def project_server(folder: Path, *, say: Callable[[str], None] = lambda _: None) -> EmbeddedServer:
    """The project's own server, for when no database is named; durable, over a unix socket.

    It lives in ``.turnback/postgres`` of the folder, is made on first use, is shared by the
    commands that run at the same time, and is stopped by the last that leaves. What a killed
    command left behind, a running server or a stale lock file, is taken over.

    Args:
        folder: the project's folder.
        say: told, in a sentence, what takes long or is not where one would look.

    Raises:
        ConfigurationError: the folder or the programs cannot be used.
        DatabaseUnreachable: the server does not start.
    """
    home = _project_home(folder, say)
    lease = os.open(home / "users.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lease, fcntl.LOCK_SH)
        data_dir = home / "data"
        with _starting(home / "start.lock"):
            running = _await_running(data_dir)
            if running:
                return _SharedServer(data_dir, running).leased(lease)
            if not data_dir.exists():
                say(f"Making a Postgres of the project's own in {home}")
            return _SharedServer.start(data_dir).leased(lease)
    except BaseException:
        os.close(lease)
        raise


def _project_home(folder: Path, say: Callable[[str], None]) -> Path:
    folder = folder.resolve()
    account = server_account()
    own = folder / ".turnback"
    home = own / "postgres"
    try:
        home.mkdir(parents=True, exist_ok=True)
        ignore = own / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        if account:
            for part in (own, home):
                part.chmod(0o755)
    except OSError as error:
        raise ConfigurationError(
            f"The project's own Postgres cannot live in {home}: {error.strerror}.",
            hint="Name a database by --database-url or DATABASE_URL.",
        ) from error
    if account and not account.enters(home):
        home = state_folder(account, "postgres", folder)
        say(f"{folder} is closed to the account of Postgres: its data is in {home}")
    return home


@contextlib.contextmanager
def _starting(path: Path) -> Iterator[None]:
    """Let one command at a time find out whether the server runs, and start it."""
    path.touch(mode=0o600)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _await_running(data_dir: Path) -> Running | None:
    deadline = time.monotonic() + START_SECONDS
    while (running := read_running(data_dir)) and not running.ready:
        if time.monotonic() > deadline:
            raise DatabaseUnreachable(
                f"The project's own Postgres (process {running.pid}) neither starts nor stops.",
                hint=f"See {data_dir}.log, or end that process.",
            )
        time.sleep(0.02)
    return running


class _SharedServer(EmbeddedServer):
    """A server whose users each hold a lock file together; the last of them stops it."""

    _lease: int | None = None

    def leased(self, lease: int) -> Self:
        """Take over the descriptor of the lock file, locked together with the other users."""
        self._lease = lease
        return self

    def stop(self) -> None:
        """Leave the server, and stop it when nobody else uses it."""
        lease, self._lease = self._lease, None
        if lease is None:
            return
        try:
            # Who gets the lock alone is the last one; who comes now waits until it is free again.
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.disown()
        else:
            super().stop()
        finally:
            # The lock goes with its descriptor, after a kill -9 too.
            os.close(lease)
