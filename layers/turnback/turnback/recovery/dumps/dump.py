"""Dumps: pg_dump streamed into a bucket, and read back before anything relies on it."""

from __future__ import annotations

import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg

from turnback.engine.session.connection import Connection
from turnback.engine.session.message import lost, said_by, server_trouble
from turnback.engine.session.query import outage, outages
from turnback.engine.session.read_only import refuse_read_only, replica
from turnback.errors import SnapshotFailed
from turnback.recovery.contents import Identity, counters, identify, last_applied
from turnback.recovery.dumps.catalog import DumpRecord, read_record
from turnback.recovery.dumps.limits import Limits, limits_of
from turnback.recovery.dumps.programs import (
    LOST,
    binary,
    chunks,
    ended_in_time,
    environment_for,
    feed,
    hidden_password,
    last_error,
    refuse_newer_server,
    session_options,
)
from turnback.recovery.dumps.proof import prove
from turnback.recovery.dumps.server import read_properties
from turnback.recovery.endpoint import Endpoint
from turnback.recovery.model import Snapshot, SnapshotState, version_tag
from turnback.schema.platform import is_of_others
from turnback.store import Store

DUMP_LIMIT_MEGABYTES = 5000
MEGABYTE = 1_000_000
MANAGED = "set the parameter SnapshotKind to rds or aurora"


class DumpSnapshots:
    """Snapshots by pg_dump, for databases that RDS does not run.

    A dump passes through memory in pieces and never lies on the function's disk. A small record
    beside it is written only after it was read back, and all of it but the rows was restored for
    a trial.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        store: Store,
        seconds_left: Callable[[], float],
        *,
        history_schema: str = "public",
        limit_megabytes: int = DUMP_LIMIT_MEGABYTES,
        prefix: str = "snapshots/",
    ) -> None:
        """Dump this database into this bucket.

        Args:
            endpoint: the database.
            store: the bucket, or a folder.
            seconds_left: seconds until the function is stopped; the dump gives up before.
            history_schema: schema of the history tables.
            limit_megabytes: size of the database from which no dump is begun; 0 is without limit.
            prefix: what the key of every dump begins with.
        """
        self._endpoint = endpoint
        self._store = store
        self._seconds_left = seconds_left
        self._history_schema = history_schema
        self._limit = limit_megabytes
        self._prefix = prefix

    def key(self, target: str, run: str) -> str:
        """Where the dump of this run is."""
        return f"{self._prefix}{target}/{run}.dump"

    def take(self, target: str, run: str, tags: Mapping[str, str]) -> Snapshot:
        """Dump the database and verify the dump; a run's second call finds the first one's.

        A run restores from it, so it is of the writer, and not of a standby that lags.

        Raises:
            DatabaseNotReady: the server accepts no writes.
            SnapshotFailed: too large, too slow, refused, or it cannot be read back or restored.
            DatabaseUnreachable, DatabaseRefused: it cannot be connected to, or refuses.
        """
        with self._endpoint.open("turnback dump") as connection:
            refuse_read_only(connection)
        record = self.record(target, run, tags)
        encrypted = True if record.encrypted else None
        return Snapshot(
            "dump",
            record.id,
            SnapshotState.AVAILABLE,
            record.taken_at,
            encrypted,
            tuple(record.limits),
        )

    @outages()
    def record(
        self,
        target: str,
        run: str,
        tags: Mapping[str, str],
        report: Callable[[int], None] = lambda _: None,
    ) -> DumpRecord:
        """As ``take``, and what is known of the dump.

        Args:
            target: the database's name in turnback.
            run: the run the dump belongs to.
            tags: what to write on it.
            report: called now and then with the number of bytes written.
        """
        key = self.key(target, run)
        known = read_record(self._store, key)
        if known is not None:
            return known
        with self.source() as source:
            version = source.schema_version
            schema = {"schema_version": version_tag(version)} if version else {}
            size, written, encrypted = self._dump(source, key, {**tags, **schema}, report)
        entries, read = self._read_back(key)
        if written != read:
            raise SnapshotFailed(
                f"the dump {self._store.prefix}{key} reads back differently from what was written",
                hint="release again; when it happens again, look at the bucket's other writers",
            )
        record = DumpRecord(
            id=f"{self._store.prefix}{key}",
            target=target,
            run=run,
            release=tags.get("release"),
            schema_version=source.schema_version,
            history_schema=self._history_schema,
            database=self._endpoint.name,
            database_bytes=source.bytes,
            server_version=source.server_version,
            taken_at=source.taken_at,
            sha256=written,
            bytes=size,
            entries=entries,
            encrypted=encrypted,
            counters=source.counters,
            limits=source.limits.differs,
            needs=source.limits.needs,
            search_path=source.search_path,
            system=source.identity.system,
            first=source.identity.first,
            secret=secrets.token_hex(32),
        )
        unmade = prove(self._endpoint, self._store, record, self._seconds_left())
        record = replace(record, limits=(*record.limits, *unmade))
        record.write(self._store, key)
        return record

    def source(self) -> AbstractContextManager[DumpSource]:
        """What would be dumped, held for a ``with`` block; see open_source."""
        return open_source(self._endpoint, self._history_schema, self._limit)

    def _dump(
        self,
        source: DumpSource,
        key: str,
        tags: Mapping[str, str],
        report: Callable[[int], None],
    ) -> tuple[int, str, str | None]:
        endpoint = self._endpoint.renewed()
        try:
            return self._dump_as(endpoint, source, key, tags, report)
        except SnapshotFailed:
            if self._endpoint.login is None or not endpoint.refuses_login():
                raise
        # It was rotated since it was asked for.
        self._endpoint.open("turnback dump").close()
        return self._dump_as(self._endpoint.renewed(), source, key, tags, report)

    def _dump_as(
        self,
        endpoint: Endpoint,
        source: DumpSource,
        key: str,
        tags: Mapping[str, str],
        report: Callable[[int], None],
    ) -> tuple[int, str, str | None]:
        size, digest = 0, sha256()
        with (
            tempfile.TemporaryFile() as complaints,
            subprocess.Popen(
                [
                    *(source.program, "--format=custom", "--no-password"),
                    *("--lock-wait-timeout=30s", f"--snapshot={source.exported}"),
                    # A setting of the database may ask for one that does not have every character.
                    f"--encoding={source.encoding}",
                ],
                env=environment_for(source.program, endpoint, source.options),
                stdout=subprocess.PIPE,
                stderr=complaints,
            ) as process,
            ended_in_time(process, self._seconds_left()) as late,
        ):
            upload = self._store.upload(key, tags)
            with upload as writer:
                for chunk in chunks(process.stdout):
                    writer.send(chunk)
                    digest.update(chunk)
                    size += len(chunk)
                    report(size)
                if process.wait() != 0:
                    # Raised inside the block, so that the upload is aborted and leaves nothing.
                    said = last_error(complaints)
                    if not late.is_set() and LOST.search(said):
                        raise lost(RuntimeError(f"pg_dump: {hidden_password(said, endpoint)}"))
                    raise _failed(said, endpoint, late=late.is_set())
            return size, digest.hexdigest(), writer.encryption

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
            ended_in_time(process, self._seconds_left()) as late,
        ):
            for chunk in self._store.stream(key):
                digest.update(chunk)
                feed(process.stdin, chunk)
                if late.is_set():
                    raise _failed("", self._endpoint, late=True)
            feed(process.stdin, None)
            if process.wait() != 0:
                raise SnapshotFailed(
                    f"the dump cannot be read back: {last_error(complaints)}",
                    hint="release again; nothing was changed",
                )
            listing.seek(0)
            entries = sum(1 for line in listing if line.strip() and not line.startswith(b";"))
        return entries, digest.hexdigest()


@dataclass(frozen=True, slots=True)
class DumpSource:
    """The database as the dump sees it: everything of one and the same transaction.

    Attributes:
        exported: name of the transaction's snapshot, for pg_dump to join.
        taken_at: its start, ISO 8601 in UTC.
        encoding: of the database.
        bytes: size of the database.
        server_version: as the server says it.
        schema_version: the version last applied.
        identity: by what the database is known again.
        counters: the row counters.
        limits: what the dump cannot hold.
        search_path: that the database gives to every session; None without one.
        program: the pg_dump that can dump it.
        options: of the server, for pg_dump.
    """

    exported: str
    taken_at: str
    encoding: str
    bytes: int
    server_version: str
    schema_version: str | None
    identity: Identity
    counters: dict[str, Any]
    limits: Limits
    search_path: str | None
    program: Path
    options: str


@contextmanager
def open_source(
    endpoint: Endpoint, history_schema: str, limit_megabytes: int
) -> Iterator[DumpSource]:
    """The database at one moment, held for the ``with`` block so that pg_dump can join it.

    Args:
        endpoint: the database.
        history_schema: schema of the history tables.
        limit_megabytes: size from which it is refused; 0 is without limit.

    Raises:
        SnapshotFailed: it is larger than a dump is good for, or pg_dump is too old for it.
        DatabaseUnreachable, DatabaseRefused: it cannot be connected to, or refuses.
    """
    with endpoint.open("turnback dump") as connection:
        program = refuse_newer_server(connection.info.server_version)
        if is_of_others(connection):
            raise SnapshotFailed(
                "this is a database of Supabase: only Supabase can restore schemas such as auth",
                hint="use the project's backups, daily or to a point in time; where a policy wants "
                'a snapshot, name them in turnback.toml: [environments.NAME] backups = "…"',
            )
        identity = identify(connection, history_schema)
        standby = replica(connection)
        try:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            source = _look(connection, identity, history_schema, program)
            if standby:
                differs = (f"it is taken from {standby}", *source.limits.differs)
                source = replace(source, limits=replace(source.limits, differs=differs))
        except psycopg.Error as error:
            if passing := outage(error):
                raise passing from error
            raise SnapshotFailed(
                f"the dump could not begin: {said_by(error)}",
                sqlstate=error.sqlstate,
                hint=server_trouble(error.sqlstate)
                or "the user must be able to connect and to read every table",
            ) from error
        if limit_megabytes and source.bytes > limit_megabytes * MEGABYTE:
            raise SnapshotFailed(
                f"the database has {source.bytes // MEGABYTE} MB; a dump is made of up to "
                f"{limit_megabytes} MB (DUMP_LIMIT_MEGABYTES)",
                hint=f"{MANAGED}: a snapshot of RDS does not depend on the size; nothing was "
                "changed",
            )
        yield source
        try:
            connection.execute("ROLLBACK")
        except psycopg.Error as error:
            raise SnapshotFailed(
                f"the session that the dump was taken in has ended: {said_by(error)}",
                sqlstate=error.sqlstate,
                hint="take it again: what pg_dump read after that is of another moment",
            ) from error


def _look(
    connection: Connection, identity: Identity, history_schema: str, program: Path
) -> DumpSource:
    row = connection.execute(
        "SELECT pg_catalog.pg_export_snapshot(), "
        "to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), "
        "pg_catalog.pg_database_size(pg_catalog.current_database()), "
        "pg_catalog.current_setting('server_version'), "
        "pg_catalog.current_setting('server_encoding')"
    ).fetchone()
    assert row is not None
    exported, taken_at, size, version, encoding = row
    assert isinstance(size, int)
    return DumpSource(
        exported=str(exported),
        taken_at=str(taken_at),
        encoding=str(encoding),
        bytes=size,
        server_version=str(version),
        schema_version=last_applied(connection, history_schema),
        identity=identity,
        counters=counters(connection),
        limits=limits_of(connection),
        search_path=read_properties(connection, identity.name).search_path,
        program=program,
        options=session_options(connection),
    )


def _failed(complaint: str, endpoint: Endpoint, *, late: bool) -> SnapshotFailed:
    if late:
        return SnapshotFailed(
            "the dump did not end in the time that one function call has", hint=MANAGED
        )
    return SnapshotFailed(
        f"pg_dump failed: {hidden_password(complaint, endpoint)}",
        hint="the user must be able to connect and to read every table; nothing was changed",
    )
