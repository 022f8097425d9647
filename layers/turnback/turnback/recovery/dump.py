"""Dumps: pg_dump streamed into a bucket, and read back before anything relies on it."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from hashlib import sha256
from typing import IO, Protocol

from turnback.errors import SnapshotFailed
from turnback.recovery.binaries import binary, tls_environment
from turnback.recovery.endpoint import Endpoint
from turnback.recovery.model import Snapshot, SnapshotState

_CHUNK = 1024 * 1024


class Writer(Protocol):
    """An object being written."""

    def send(self, data: bytes) -> None:
        """Add bytes at the end."""


class DumpStore(Protocol):
    """The bucket that dumps are kept in."""

    name: str

    def read(self, key: str) -> bytes | None:
        """A small object, or None."""

    def write(self, key: str, body: bytes) -> None:
        """Store a small object."""

    def stream(self, key: str) -> Iterator[bytes]:
        """A large object in chunks."""

    def upload(self, key: str, tags: Mapping[str, str]) -> AbstractContextManager[Writer]:
        """A large object to be written; it is there only when the block ends well."""


class DumpSnapshots:
    """Snapshots by pg_dump, for databases that RDS does not run.

    A dump passes through memory in pieces and never lies on the function's disk. A small record
    beside it is written only after it was read back, so what is recorded can be restored.
    """

    def __init__(
        self, endpoint: Endpoint, store: DumpStore, seconds_left: Callable[[], float]
    ) -> None:
        """Dump this database into this bucket.

        Args:
            endpoint: the database.
            store: the bucket.
            seconds_left: seconds until the function is stopped; the dump gives up before.
        """
        self._endpoint = endpoint
        self._store = store
        self._seconds_left = seconds_left

    def take(self, target: str, run: str, tags: Mapping[str, str]) -> Snapshot:
        """Dump the database and verify the dump; a run's second call finds the first one's."""
        key = f"snapshots/{target}/{run}.dump"
        snapshot = Snapshot("dump", f"s3://{self._store.name}/{key}", SnapshotState.AVAILABLE)
        if self._store.read(f"{key}.json") is not None:
            return snapshot
        size, written = self._dump(key, tags)
        entries, read = self._read_back(key)
        if written != read:
            raise SnapshotFailed(
                f"the dump {snapshot.id} reads back differently from what was written",
                hint="release again; when it happens again, look at the bucket's other writers",
            )
        record = {"version": 1, "sha256": written, "bytes": size, "entries": entries, **tags}
        self._store.write(f"{key}.json", json.dumps(record).encode())
        return snapshot

    def _dump(self, key: str, tags: Mapping[str, str]) -> tuple[int, str]:
        program = binary("pg_dump")
        tls = {} if self._endpoint.tls == "disable" else tls_environment(program)
        environment = {**os.environ, **tls, **self._endpoint.environment()}
        size, digest = 0, sha256()
        with (
            tempfile.TemporaryFile() as complaints,
            subprocess.Popen(
                [program, "--format=custom", "--no-password", "--lock-wait-timeout=30s"],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=complaints,
            ) as process,
            _ended_in_time(process, self._seconds_left()) as late,
            self._store.upload(key, tags) as upload,
        ):
            for chunk in _chunks(process.stdout):
                upload.send(chunk)
                digest.update(chunk)
                size += len(chunk)
            if process.wait() != 0:
                # Raised inside the block, so that the upload is aborted and leaves nothing.
                raise self._failed(_tail(complaints), late=late.is_set())
        return size, digest.hexdigest()

    def _read_back(self, key: str) -> tuple[int, str]:
        digest = sha256()
        with (
            tempfile.TemporaryFile() as listing,
            tempfile.TemporaryFile() as complaints,
            subprocess.Popen(
                [binary("pg_restore"), "--list"],
                stdin=subprocess.PIPE,
                stdout=listing,
                stderr=complaints,
            ) as process,
        ):
            for chunk in self._store.stream(key):
                digest.update(chunk)
                _feed(process.stdin, chunk)
            _feed(process.stdin, None)
            if process.wait() != 0:
                raise SnapshotFailed(
                    f"the dump cannot be read back: {_tail(complaints)}",
                    hint="release again; nothing was changed",
                )
            listing.seek(0)
            entries = sum(1 for line in listing if line.strip() and not line.startswith(b";"))
        return entries, digest.hexdigest()

    def _failed(self, complaint: str, *, late: bool) -> SnapshotFailed:
        if late:
            return SnapshotFailed(
                "the dump did not end in the time that one function call has",
                hint="set the parameter SnapshotKind to rds or aurora",
            )
        # libpq does not repeat the password, but a broken proxy might.
        shown = complaint.replace(self._endpoint.password, "***")
        return SnapshotFailed(
            f"pg_dump failed: {shown}",
            hint="the user must be able to connect and to read every table; nothing was changed",
        )


def _chunks(pipe: IO[bytes] | None) -> Iterator[bytes]:
    assert pipe is not None
    while chunk := pipe.read(_CHUNK):
        yield chunk


def _feed(pipe: IO[bytes] | None, chunk: bytes | None) -> None:
    """Write to pg_restore, which closes its end as soon as it has read the list."""
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


def _tail(file: IO[bytes], length: int = 2000) -> str:
    file.seek(0)
    return file.read().decode(errors="replace").strip()[-length:]


@contextmanager
def _ended_in_time(process: subprocess.Popen[bytes], seconds: float) -> Iterator[threading.Event]:
    """Kill the process before the time is over, or when the block fails; tell if it was late."""
    late = threading.Event()

    def stop() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(max(seconds, 1), stop)
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        process.kill()
