"""The project's embedded Postgres, used when no database is named."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from turnback.errors import ConfigurationError, DatabaseUnreachable
from turnback.local.programs import binaries, server_account, state_folder
from turnback.local.server import START_SECONDS, EmbeddedServer, Running, read_running

# A file that says to leave the server running.
_KEEP = "keep-running"
# A file that says that its database is one of a platform.
_PLATFORM = "platform"


def project_server(
    folder: Path, *, platform: bool = False, say: Callable[[str], None] = lambda _: None
) -> EmbeddedServer:
    """The project's embedded server; durable, over a unix socket.

    Its data is in ``.turnback/postgres``. It is made on first use, shared by commands that run at
    the same time, and stopped by the last one. A running server or a stale lock file that a killed
    command left is reused.

    Args:
        folder: the project's folder.
        platform: whether it gets the stand-ins of a platform's extensions, now and later.
        say: called with a sentence about what takes long or is in an unexpected place.

    Raises:
        ModuleNotFoundError: the programs are not installed.
        ConfigurationError: the folder or the programs cannot be used.
        DatabaseUnreachable: the server does not start.
    """
    # Before anything is made.
    binaries()
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
            if platform:
                (home / _PLATFORM).touch()
            of_platform = (home / _PLATFORM).exists()
            return _SharedServer.start(data_dir, platform=of_platform).leased(lease)
    except BaseException:
        os.close(lease)
        raise


def keep_running(
    folder: Path, *, platform: bool = False, say: Callable[[str], None] = lambda _: None
) -> str:
    """Start the project's server and leave it running after its last user; returns its address.

    Raises as ``project_server``.
    """
    server = project_server(folder, platform=platform, say=say)
    (_project_home(folder, say) / _KEEP).touch()
    server.stop()
    return server.url()


def has_data(folder: Path) -> bool:
    """Whether the project's server has been made."""
    return (_project_home(folder) / "data").exists()


def running_server(folder: Path) -> EmbeddedServer | None:
    """The project's server, if it is running; it is not stopped by closing it."""
    home = _project_home(folder)
    running = read_running(home / "data")
    return EmbeddedServer(home / "data", running) if running and running.ready else None


def stop_running(folder: Path) -> bool:
    """Stop a server that ``keep_running`` has started; returns whether one was running.

    Commands that are using it finish first; the last one stops it.
    """
    home = _project_home(folder)
    (home / _KEEP).unlink(missing_ok=True)
    if read_running(home / "data") is None:
        return False
    project_server(folder).stop()
    return True


def remove_data(folder: Path) -> bool:
    """Remove the project's server with all its data; returns whether there was one.

    Raises:
        ConfigurationError: a command is using it.
    """
    home = _project_home(folder)
    if not (home / "data").exists():
        return False
    stop_running(folder)
    if read_running(home / "data") is not None:
        raise ConfigurationError(
            "Another command is using the embedded Postgres.", hint="Try again when it has ended."
        )
    shutil.rmtree(home / "data")
    return True


def _project_home(folder: Path, say: Callable[[str], None] | None = None) -> Path:
    """Where the project's server is; without ``say``, no system account is made for it."""
    folder = folder.resolve()
    account = server_account(say) if say else server_account(make=False)
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
            hint="Name a database with --database-url or DATABASE_URL.",
        ) from error
    if account and not account.enters(home):
        home = state_folder(account, "postgres", home / _identity(home))
        if say:
            say(f"The account of Postgres cannot enter {folder}: its data is in {home}")
    return home


def _identity(home: Path) -> str:
    """What tells this folder from one that was at its path before, whose data is another's."""
    file = home / "identity"
    if not file.exists():
        token = secrets.token_hex(8)
        new = home / f"identity-{token}"
        new.write_text(token)
        # Of two commands at the same time the first one names it, with all its text.
        with contextlib.suppress(FileExistsError):
            os.link(new, file)
        new.unlink()
    return file.read_text()


@contextlib.contextmanager
def _starting(path: Path) -> Iterator[None]:
    """Let one command at a time check for the server and start it."""
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
    """A server whose users share a lock on a file; the last one stops it."""

    _lease: int | None = None

    def leased(self, lease: int) -> Self:
        """Take over the descriptor of the shared lock file."""
        self._lease = lease
        return self

    def stop(self) -> None:
        """Leave the server; stops it if nobody else uses it, and it is not to be kept running."""
        lease, self._lease = self._lease, None
        if lease is None:
            return
        if (self.data_dir.parent / _KEEP).exists():
            self.disown()
            os.close(lease)
            return
        try:
            # Only the last user can get an exclusive lock; a new one waits until it is released.
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.disown()
        else:
            super().stop()
        finally:
            # Closing the descriptor releases the lock; so does kill -9.
            os.close(lease)
