"""Running pg_dump and pg_restore: data through pipes, an end in time, their own words kept."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO

from turnback.errors import SnapshotFailed
from turnback.recovery.dumps.binaries import binary, tls_environment
from turnback.recovery.endpoint import Endpoint

CHUNK = 1024 * 1024


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


def environment_for(program: Path, endpoint: Endpoint) -> dict[str, str]:
    """The variables under which a program reaches the database, by TLS where that is wanted."""
    tls = {} if endpoint.tls == "disable" else tls_environment(program)
    return {**os.environ, "LC_ALL": "C", **tls, **endpoint.environment()}


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


def tail(file: IO[bytes], length: int = 2000) -> str:
    """The last of what a program complained about."""
    file.seek(0)
    return file.read().decode(errors="replace").strip()[-length:]


@contextmanager
def ended_in_time(process: subprocess.Popen[bytes], seconds: float) -> Iterator[threading.Event]:
    """Kill the process before the time is over, or when the block fails; tell if it was late."""
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
