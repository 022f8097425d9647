"""Filling an empty database from a dump, in three passes: its tables, their rows, and the rest.

A dump streams from the store into pg_restore; nothing lies on the disk. pg_restore works with an
empty search path and in an order of its own. Under these, a function that names an object without
its schema fails, and so does a CHECK constraint whose function reads a table that has no rows yet,
though both work in the database. So what fails is tried again: with a search path for the
functions, and as long as some of it succeeds.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import psycopg

from turnback.engine.session.connection import Connection, connect
from turnback.engine.session.disclosure import public_output
from turnback.engine.session.events import Options
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
    binary,
    ended_in_time,
    environment_for,
    feed,
    may_choose_language,
)
from turnback.recovery.endpoint import Endpoint
from turnback.store import Store

# pg_restore 17 and later set this first; a server before 17 does not know it. The error is known by
# the command: its text is in the language of the server.
_HARMLESS = "Command was: SET transaction_timeout = 0;"
_ENTRY = re.compile(r"pg_restore: from TOC entry (\d+); \d+ \d+ (.*)")
_ERROR = "pg_restore: error: "
# Words of libpq itself, which are English under LC_ALL=C, whatever the server speaks.
_LOST = re.compile(
    "server closed the connection|no connection to the server|SSL connection has been closed|"
    "could not (?:receive data from|send data to) server|connection to server .* failed: (?!FATAL)"
)
_SHOWN = 2000
# Output of one pass that is read, in bytes: a line for each object, more for one that failed.
_READ = 64_000_000
# What a database does not need to be right: it can be made again from the rows.
_CAN_WAIT = ("INDEX ", "MATERIALIZED VIEW DATA ", "STATISTICS ", "COMMENT ")
# Functions of users that have no search path of their own.
_FUNCTIONS = """
SELECT pg_catalog.format('ALTER ROUTINE %I.%I(%s)', n.nspname, p.proname,
                         pg_catalog.pg_get_function_identity_arguments(p.oid))
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
 WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
   AND l.lanname NOT IN ('internal', 'c') AND p.prokind IN ('f', 'p')
   AND NOT EXISTS (SELECT FROM pg_catalog.unnest(p.proconfig) s WHERE s LIKE 'search_path=%')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
"""
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
    """

    entry: int | None
    what: str
    message: str
    whole: str = field(default="", repr=False)

    @property
    def can_wait(self) -> bool:
        """Whether the database is right without it: it can be made again from the rows."""
        return self.what.startswith(_CAN_WAIT)

    def __str__(self) -> str:
        return f"{self.what}: {self.message}" if self.what else self.message


class Filling:
    """Restores one dump into one empty database.

    It is not one transaction (--single-transaction): that would hold a lock on every object, of
    which a server has few (max_locks_per_transaction).
    """

    def __init__(
        self,
        endpoint: Endpoint,
        store: Store,
        record: DumpRecord,
        seconds: float,
        search_path: str | None,
    ) -> None:
        """Fill this database.

        Args:
            endpoint: the database.
            store: where the dump is.
            record: what is known of the dump.
            seconds: after which pg_restore is ended.
            search_path: of the old database; None for the server's.
        """
        self._passes = _Passes(endpoint, store, record, seconds)
        self._endpoint = endpoint
        self._path = search_path

    def rows(self) -> None:
        """Restore the tables and their rows.

        Raises:
            RestoreFailed: the dump is gone or was changed, the time is over, or not every row
                could be restored.
            DatabaseUnreachable, AwsError: the connection was lost, or S3 does not answer.
        """
        passes, functions = self._passes, _SearchPath(self._endpoint, self._path)
        # pg_restore runs what it reads while it reads it: a changed dump must never reach it.
        passes.verify()
        passes.refuse(_again(passes, functions, passes.run("--section=pre-data")))
        rows = passes.run("--section=data", whole=True)
        passes.refuse(_again(passes, functions, rows))
        functions.reset()

    def schema(self) -> list[Failure]:
        """Restore all but the rows; what of it could not be made.

        A subscription is left out: a database that has one cannot be dropped.

        Raises:
            RestoreFailed: the dump is gone or was changed, or the time is over.
            DatabaseUnreachable, AwsError: the connection was lost, or S3 does not answer.
        """
        passes, functions = self._passes, _SearchPath(self._endpoint, self._path)
        found: list[Failure] = []
        for section in ("pre-data", "post-data"):
            failures = passes.run(f"--section={section}", "--no-subscriptions")
            found += _again(passes, functions, failures)
        return found

    def connects(self) -> None:
        """See that the database can be connected to, before ``rest`` begins.

        Raises:
            DatabaseUnreachable, DatabaseRefused: it cannot.
        """
        self._endpoint.open("turnback fill").close()

    def rest(self) -> list[str]:
        """Restore what depends on the rows: indexes, constraints, triggers.

        Returns:
            The indexes and the like that could not be made, each with its error.

        Raises:
            RestoreFailed: the dump is gone or was changed, the time is over, or what protects the
                rows could not be restored.
        """
        passes, functions = self._passes, _SearchPath(self._endpoint, self._path)
        passes.verify()
        rest = _again(passes, functions, passes.run("--section=post-data"))
        passes.refuse([one for one in rest if not one.can_wait])
        functions.reset()
        return [str(one) for one in rest]

    def analyze(self) -> None:
        """Make the planner's statistics.

        A dump has none, and without them the first minutes of a restored database are its slowest.
        """
        with self._session() as session:
            session.execute("ANALYZE")

    def _session(self) -> Connection:
        return connect(
            self._endpoint.conninfo(), application_name="turnback analyze", options=Options()
        )


def _again(
    passes: _Passes, functions: _SearchPath, failures: Sequence[Failure]
) -> Sequence[Failure]:
    """Try again what failed, as long as some of it succeeds; what is left, with its first error.

    An entry that had succeeded in part fails the second time because its object exists.
    """
    first = {one.entry: one for one in failures}
    left = len(failures) + 1
    while failures and len(failures) < left and None not in first:
        left = len(failures)
        functions.set()
        failures = passes.run(entries=[one.entry for one in failures if one.entry])
    return [first.get(one.entry, one) for one in failures]


class _SearchPath:
    """A search path for the functions of the new database, while it is being filled."""

    def __init__(self, endpoint: Endpoint, path: str | None) -> None:
        self._endpoint = endpoint
        self._path = path
        self._altered: list[str] = []

    def set(self) -> None:
        """Set it where it is not set yet; functions that we may not alter are left out."""
        path = self._path if self._path is not None else self._usual()
        with self._connect() as session:
            for (alter,) in session.execute(_FUNCTIONS).fetchall():
                try:
                    session.execute(f"{alter} SET search_path TO {path or chr(34) * 2}".encode())
                except psycopg.errors.InsufficientPrivilege:
                    continue
                self._altered.append(str(alter))

    def reset(self) -> None:
        """Leave the functions as they are in the dump."""
        if not self._altered:
            return
        with self._connect() as session:
            for alter in self._altered:
                session.execute(f"{alter} RESET search_path".encode())

    def _usual(self) -> str:
        """The path of a session that asks for none."""
        with connect(
            self._endpoint.conninfo(), application_name="turnback fill", options=Options()
        ) as session:
            row = session.execute("SELECT pg_catalog.current_setting('search_path')").fetchone()
        return str(row[0]) if row else ""

    def _connect(self) -> Connection:
        return self._endpoint.open("turnback fill")


class _Passes:
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
        self._chooses: bool | None = None

    def run(self, *options: str, entries: Sequence[int] = (), whole: bool = False) -> list[Failure]:
        """Restore a part of the dump; what of it failed.

        Args:
            options: of pg_restore.
            entries: numbers in the table of contents, where only these are to be restored.
            whole: whether the dump is read to its end, and its checksum compared.
        """
        seconds = self._until - time.monotonic()
        if seconds <= 0:
            raise self._late()
        program, endpoint = _program(), self._endpoint.renewed()
        database = self._endpoint.name.replace("\\", "\\\\").replace("'", "\\'")
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
                    [
                        str(program),
                        # Verbose, it names the entry that an error is of.
                        *("--format=custom", "--no-password", "--verbose", *options),
                        f"--dbname=dbname='{database}'",
                    ],
                    env=environment_for(program, endpoint, english=self._english()),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
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
                said = complaints.read(_READ).decode(errors="replace").strip()
        if endpoint.password:
            # libpq does not repeat it, but a broken proxy might.
            said = said.replace(endpoint.password, "***")
        if whole:
            self._compare()
        if code and _LOST.search(said):
            raise DatabaseUnreachable(
                "the connection of pg_restore was lost",
                hint="the old database was not touched; the next call continues",
                detail=said[-_SHOWN:],
            )
        failures = errors_in(said)
        if code and not failures and _HARMLESS not in said:
            failures = [_failure(None, "", said[-_SHOWN:].rpartition("\n")[2])]
        return failures

    def _english(self) -> bool:
        if self._chooses is None:
            with self._endpoint.open("turnback fill") as session:
                self._chooses = may_choose_language(session)
        return self._chooses

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

    def refuse(self, failures: Sequence[Failure]) -> None:
        """Raise the error for these, if there are any."""
        if not failures:
            return
        others = f" (and {len(failures) - 1} more errors)" if len(failures) > 1 else ""
        shown = f"{str(failures[0])[:_SHOWN]}{others}"
        raise RestoreFailed(
            f"pg_restore failed: {shown}",
            hint=f"the old database answers as before; {advice_on(failures[0].whole)}",
            detail=failures[0].whole,
        )

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
