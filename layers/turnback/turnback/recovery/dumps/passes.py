"""Runs of pg_restore over one dump: what each of them could not do, and what the dump contains.

A dump streams from the store into pg_restore; nothing lies on the disk.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO

from turnback.engine.session.disclosure import public_output
from turnback.engine.session.read_only import refuse_read_only
from turnback.errors import (
    AwsError,
    DatabaseUnreachable,
    RestoreFailed,
    SnapshotFailed,
    TurnbackError,
)
from turnback.recovery.dumps.catalog import DumpRecord, key_of
from turnback.recovery.dumps.programs import (
    CHUNK,
    LOST,
    binary,
    ended_in_time,
    environment_for,
    feed,
    hidden_password,
    session_options,
)
from turnback.recovery.endpoint import Endpoint
from turnback.store import Store

# pg_restore 17 and later set this first; a server before 17 does not know it. The error is known by
# the command: its text is in the language of the server.
_HARMLESS = "Command was: SET transaction_timeout = 0;"
_ENTRY = re.compile(r"pg_restore: from TOC entry (\d+); \d+ \d+ (.*)")
_ERROR = "pg_restore: error: "
_LISTED = re.compile(r"^(\d+); \d+ \d+ (.*)$", re.MULTILINE)
_UNCONNECTED = re.compile("connection to server .* failed: ")
_SHOWN = 2000
# Output of one pass that is read, in bytes: a line for each object, more for one that failed.
_READ = 64_000_000
# What a database does not need to be right: it can be made again, and no row depends on it.
_CAN_WAIT = (
    "INDEX ",
    "MATERIALIZED VIEW DATA ",
    "STATISTICS ",
    "COMMENT ",
    "PUBLICATION ",
    "EVENT TRIGGER ",
    "SUBSCRIPTION ",
)
_CAUSES = (
    (
        r"No space left on device|could not extend file|disk full",
        "the server's disk is full: a restore needs as much room again as the database has. "
        "Make room, then restore again",
    ),
    (
        r'extension "[^"]*" is not available|could not open extension control file',
        "install the extension on the server (on RDS: choose an engine version that has it), "
        "then restore again",
    ),
    (
        r"must be owner of|permission denied|must be able to SET ROLE|must be superuser",
        "restore as a user who owns what is in the dump: the database's owner, or the master user "
        "of RDS made a member of the owners",
    ),
    (r'role "[^"]*" does not exist', "create the role: a dump holds no roles; then restore again"),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """What pg_restore could not do.

    Attributes:
        entry: number in the dump's table of contents; None for a command of its own.
        what: the entry: ``INDEX public users_name_idx app``.
        message: pg_restore's words, without values of rows.
        whole: all of them.
        made: whether it was made all the same, in another way; the message says how.
    """

    entry: int | None
    what: str
    message: str
    whole: str = field(default="", repr=False)
    made: bool = False

    @property
    def can_wait(self) -> bool:
        """Whether the database is right without it, and it can be made later."""
        return self.made or self.what.startswith(_CAN_WAIT)

    def __str__(self) -> str:
        return f"{self.what}: {self.message}" if self.what else self.message


class Passes:
    """Runs pg_restore over one dump, several times, within one time."""

    def __init__(
        self, endpoint: Endpoint, store: Store, record: DumpRecord, seconds: float
    ) -> None:
        self._endpoint = endpoint
        self._store = store
        self._record = record
        self._until = time.monotonic() + seconds
        # Of the dump up to the end of each block: one pass reads it to its end, and every other one
        # must have read the same.
        self._digests: list[bytes] = []
        self._verified = False
        self._session: str | None = None

    def run(
        self,
        *options: str,
        entries: Sequence[int] = (),
        whole: bool = False,
        again: bool = True,
    ) -> list[Failure]:
        """Restore a part of the dump; what of it failed.

        Args:
            options: of pg_restore.
            entries: numbers in the table of contents, where only these are to be restored.
            whole: whether the dump is read to its end, and its checksum compared.
            again: whether to do it once more, where the login was rotated meanwhile.

        Raises:
            DatabaseUnreachable: it failed because the server was out of reach, or read-only.
        """
        endpoint = self._endpoint.renewed()
        database = endpoint.name.replace("\\", "\\\\").replace("'", "\\'")
        code, said = self._run(
            # Verbose, it names the entry that an error is of.
            ("--no-password", "--verbose", *options, f"--dbname=dbname='{database}'"),
            environment_for(_program(), endpoint, self._options()),
            entries,
            whole=whole,
        )
        said = hidden_password(said, endpoint)
        if whole:
            self._compare()
        if code and LOST.search(said):
            raise DatabaseUnreachable(
                "the connection of pg_restore was lost",
                hint="the old database was not touched; the next call continues",
                detail=said[-_SHOWN:],
            )
        failures = errors_in(said)
        if code and not failures and _HARMLESS not in said:
            failures = [_failure(None, "", said[-_SHOWN:].rpartition("\n")[2])]
        if code and failures:
            # What could not connect has done nothing, and can be run again.
            rotated = (
                self._endpoint.login and _UNCONNECTED.search(said) and endpoint.refuses_login()
            )
            with self._endpoint.open("turnback fill") as session:
                refuse_read_only(session)
            if rotated and again:
                return self.run(*options, entries=entries, whole=whole, again=False)
        return failures

    def entries(self) -> dict[int, str]:
        """The dump's table of contents: each entry's number, and what it is."""
        listing = self._output("--list")
        return {int(number): what for number, what in _LISTED.findall(listing)}

    def statement(self, entry: int) -> str:
        """The SQL of one entry that has no rows."""
        script = self._output("--file=-", entries=[entry])
        # Before it, settings of the session; before each entry and at the end, comments.
        _, _, found = script.partition("\n-- Name: ")
        _, _, found = found.partition("\n--\n")
        return found.rpartition("\n--\n-- PostgreSQL database dump complete")[0].strip()

    def _output(self, *options: str, entries: Sequence[int] = ()) -> str:
        with tempfile.TemporaryFile() as output:
            code, said = self._run(options, {"LC_ALL": "C"}, entries, output=output)
            if code:
                raise RestoreFailed(
                    f"the dump cannot be read: {said[-_SHOWN:]}",
                    hint="the old database answers as before; restore another snapshot",
                )
            output.seek(0)
            return output.read().decode(errors="replace")

    def _run(
        self,
        options: Sequence[str],
        environment: Mapping[str, str],
        entries: Sequence[int],
        *,
        whole: bool = False,
        output: int | IO[bytes] = subprocess.DEVNULL,
    ) -> tuple[int, str]:
        """Run pg_restore with the dump as its input; its exit code, and what it said."""
        seconds = self._until - time.monotonic()
        if seconds <= 0:
            raise self._late()
        with (
            tempfile.NamedTemporaryFile("w", encoding="utf-8") as listed,
            tempfile.TemporaryFile() as complaints,
        ):
            if entries:
                listed.writelines(f"{entry}; 0 0\n" for entry in entries)
                listed.flush()
                options = (*options, f"--use-list={listed.name}")
            with (
                subprocess.Popen(
                    [str(_program()), "--format=custom", *options],
                    env=dict(environment),
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=complaints,
                ) as process,
                ended_in_time(process, seconds) as late,
            ):
                for chunk in self._chunks():
                    feed(process.stdin, chunk)
                    # It has read what it needs, or has failed.
                    if process.poll() is not None and not whole:
                        break
                feed(process.stdin, None)
                code = process.wait()
                if late.is_set():
                    raise self._late()
                complaints.seek(0)
                return code, complaints.read(_READ).decode(errors="replace").strip()

    def _options(self) -> str:
        if self._session is None:
            with self._endpoint.open("turnback fill") as session:
                self._session = session_options(session)
        return self._session

    def verify(self) -> None:
        """See that the dump is the one that was taken, unless a pass has read it all."""
        if not self._verified:
            for _ in self._chunks():
                pass
            self._compare()

    def _compare(self) -> None:
        if not self._digests or self._digests[-1].hex() != self._record.sha256:
            raise self._changed()
        self._verified = True

    def _chunks(self) -> Iterator[bytes]:
        """The dump in blocks of 1 MiB; raises where an earlier pass has read something else."""
        digest = sha256()
        try:
            for number, block in enumerate(
                _blocks(self._store.stream(key_of(self._store, self._record.id)))
            ):
                digest.update(block)
                if number == len(self._digests):
                    self._digests.append(digest.digest())
                elif self._digests[number] != digest.digest():
                    raise self._changed()
                yield block
        except (RestoreFailed, AwsError):
            # S3 may answer the next call.
            raise
        except TurnbackError as error:
            raise RestoreFailed(
                f"the dump cannot be read: {error.message}",
                hint="the old database answers as before; restore another snapshot",
            ) from error

    def _changed(self) -> RestoreFailed:
        return RestoreFailed(
            f"the dump {self._record.id} is not the one that was taken: its checksum differs",
            hint="the old database answers as before; restore another snapshot, and find out who "
            "can write there",
        )

    def _late(self) -> RestoreFailed:
        record = self._record
        return RestoreFailed(
            f"the dump of {record.bytes // 1_000_000} MB was not restored in the time that one "
            "function call has",
            hint="the old database answers as before; restore it from a machine without that "
            f"limit: turnback restore {record.id}",
        )


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks of one size, the last one excepted."""
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        while len(waiting) >= CHUNK:
            yield bytes(waiting[:CHUNK])
            del waiting[:CHUNK]
    if waiting:
        yield bytes(waiting)


def errors_in(said: str) -> list[Failure]:
    """The errors in pg_restore's output, one for each entry: its first, the cause of the others."""
    found: list[Failure] = []
    entry: int | None = None
    what, parts = "", re.split(r"\n(?=pg_restore: )", said)
    for part in parts:
        if match := _ENTRY.match(part):
            entry, what = int(match[1]), match[2].strip()
        elif part.startswith(_ERROR) and _HARMLESS not in part:
            found.append(_failure(entry, what, part.removeprefix(_ERROR).strip()[:_SHOWN]))
    first = {one.entry: one for one in reversed(found)}
    return [one for one in found if first[one.entry] is one]


def _failure(entry: int | None, what: str, said: str) -> Failure:
    return Failure(entry, what, public_output(said), said)


def _program() -> Path:
    try:
        return binary("pg_restore")
    except SnapshotFailed as error:
        raise RestoreFailed(error.message, hint=error.hint) from error


def advice_on(complaint: str) -> str:
    """What to do about an error of pg_restore."""
    return next(
        (text for pattern, text in _CAUSES if re.search(pattern, complaint)),
        "look for its cause in the server's log, then restore again",
    )
