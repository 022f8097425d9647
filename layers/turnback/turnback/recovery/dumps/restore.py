"""Restoring a dump: into a new database beside the old one, then the names are swapped.

PostgreSQL renames a database only while no session is in it, and takes a lock on it that every new
session has to wait for (dbcommands.c, RenameDatabase; postinit.c, InitPostgres). So the rename is
begun first; while it waits, up to five seconds, a second session ends those that are there, and
no new one can connect in between. A client that was waiting gets the error that the database was
renamed, and finds the restored one at its next try.

Both renames commit in one transaction: a kill at any moment leaves either the old database,
answering as before, or the restored one in its place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import psycopg

from turnback.engine.session.connection import Connection
from turnback.engine.session.message import said_by, server_trouble
from turnback.engine.session.query import outage, outages
from turnback.errors import ConfigurationError, DatabaseUnreachable, RestoreFailed
from turnback.recovery.dumps.catalog import DumpRecord, key_of, read_record
from turnback.recovery.dumps.fill import Filling
from turnback.recovery.dumps.server import (
    Properties,
    leading_session,
    open_maintenance,
    read_properties,
)
from turnback.recovery.dumps.successor import (
    KEPT,
    Mark,
    Names,
    find_database,
    make_successor,
    marked_databases,
    name_in_use,
    refuse_missing_rights,
    refuse_missing_settings,
    run_by_hand,
)
from turnback.recovery.endpoint import Endpoint
from turnback.recovery.model import Place, RestoreProgress, RestoreRequest, RestoreState, Snapshot
from turnback.sql.quoting import identifier, literal
from turnback.store import Store

# What is left for the answer, after pg_restore was ended.
RESERVE_S = 20.0
# The swap may wait five seconds for the sessions to go, three times.
_SWAP_S = 20.0
# Between two looks for sessions that are to be ended.
_PAUSE_S = 0.05


class RestoreDump:
    """Restores a dump in one call, if there is time; a call that was cut off is taken up again.

    All it knows is in the server: the databases' names, and the mark in their comments. What was
    not restored whole is dropped and made again.
    """

    def __init__(self, endpoint: Endpoint, store: Store, seconds_left: Callable[[], float]) -> None:
        """Restore this database from dumps of this store.

        Args:
            endpoint: the database, by the name that it has and will have again.
            store: the bucket, or a folder.
            seconds_left: seconds until the function is stopped; pg_restore is ended before.
        """
        self._endpoint = endpoint
        self._store = store
        self._seconds_left = seconds_left

    @outages()
    def advance(self, request: RestoreRequest) -> RestoreProgress:
        """Restore, check, swap; see Restorer.

        Raises:
            RestoreFailed: it cannot end well; the old database answers as before.
            RunnerBusy: another run restores this database.
            DatabaseUnreachable, AwsError: no answer, or no more; the next call continues.
        """
        record = self.record(request.snapshot)
        with leading_session(self._endpoint, request.run) as connection:
            if connection is None:
                return RestoreProgress(
                    RestoreState.RESTORING, "an earlier call of this run is still at work"
                )
            try:
                return self._advance(connection, request, record)
            except psycopg.Error as error:
                raise self._refused(error) from error

    @outages()
    def beside(self, snapshot: Snapshot, name: str, run: str) -> Sequence[str]:
        """Restore into a database of its own, and swap nothing.

        Args:
            snapshot: the dump.
            name: of the new database; there must be none of this name.
            run: who makes it; one that this run left unfinished is made again.

        Returns:
            What could not be made of the dump; see ``Filling``.

        Raises:
            RestoreFailed: the name is taken, or it cannot be restored.
        """
        record = self.record(snapshot)
        with leading_session(self._endpoint, run) as connection:
            if connection is None:
                raise RestoreFailed(
                    f'another session is restoring into "{name}"',
                    hint="nothing was changed; wait until it has ended",
                )
            try:
                properties = read_properties(connection, self._endpoint.name)
                missing = self._make(connection, name, properties, record, run)
                settings = f"WITH CONNECTION LIMIT {properties.connection_limit}"
                connection.execute(f"ALTER DATABASE {identifier(name)} {settings}".encode())
                comment = f"COMMENT ON DATABASE {identifier(name)} IS "
                connection.execute((comment + literal(properties.comment)).encode())
            except psycopg.Error as error:
                raise self._refused(error) from error
        return missing

    @outages()
    def look(self, record: DumpRecord, beside: tuple[str, str] | None = None) -> None:
        """Find out beforehand, and change nothing, what would refuse the restore.

        Args:
            record: of the dump.
            beside: name and run of a restore that swaps nothing; see beside.

        Raises:
            ConfigurationError: the name is taken.
            RestoreFailed: a right is missing; names the statement that gives it.
        """
        with open_maintenance(self._endpoint, "turnback restore") as connection:
            database, user = self._endpoint.name, self._endpoint.user
            properties = read_properties(connection, database)
            refuse_missing_rights(connection, user, database, swaps=beside is None)
            refuse_missing_settings(connection, user, database, properties)
            if beside is None:
                return
            name, run = beside
            found = find_database(connection, name, database, record)
            if found is not None and not found.is_left_of(run):
                raise ConfigurationError(
                    f'there is a database "{name}" already',
                    hint="nothing was changed; give --into another name, or drop it if it "
                    "is not needed",
                )

    def names(self, run: str) -> Names:
        """The databases that the restore of this run has to do with."""
        return Names.of(self._endpoint.name, run)

    def stopped(self, run: str, dump: DumpRecord) -> Sequence[str]:
        """In which state an interrupted restore of this run has left the databases.

        Raises:
            RestoreFailed, DatabaseUnreachable, DatabaseRefused: the server cannot be asked.
        """
        names = self.names(run)
        with open_maintenance(self._endpoint, "turnback restore") as connection:
            kept = find_database(connection, names.kept, names.current, dump)
            new = find_database(connection, names.successor, names.current, dump)
        if kept is not None and kept.mark is not None:
            return [
                f'Stopped after the swap: "{names.current}" is the restored database, and '
                f'"{names.kept}" the old one. The restore is done.'
            ]
        unchanged = f'Stopped: "{names.current}" is unchanged'
        if new is None:
            return [
                f"{unchanged}, and nothing is left of the restore.",
                "The same command begins it again.",
            ]
        if new.is_whole(run, dump):
            return [
                f'{unchanged}. "{names.successor}" is restored whole, and was not swapped in.',
                "The same command swaps them; or drop it.",
            ]
        if new.begun_by(run, dump):
            return [
                f'{unchanged}. "{names.successor}" has all its rows.',
                "The same command makes what is missing in it; or drop it.",
            ]
        return [
            f'{unchanged}. "{names.successor}" is not filled whole.',
            "The same command makes it again; or drop it.",
        ]

    @outages()
    def unfinished(self, dump: DumpRecord) -> str | None:
        """The run of a restore of this dump that was cut off before the swap; None without one.

        One that was cut off before it could mark its database, by the command line, counts as well:
        what it made is empty, and nothing else would ever drop it.
        """
        with open_maintenance(self._endpoint, "turnback restore") as connection:
            found = marked_databases(connection, self._endpoint.name, dump)
        unmarked = None
        for name, one in found:
            mark = one.mark
            if (
                mark is not None
                and mark.sha256 == dump.sha256
                and mark.state != KEPT
                and name == self.names(mark.run).successor
            ):
                return mark.run
            run = run_by_hand(name)
            if (
                run
                and one.mark is None
                and one.is_left_of(run)
                and name == self.names(run).successor
            ):
                unmarked = run
        return unmarked

    def record(self, snapshot: Snapshot | None) -> DumpRecord:
        """What is known of a snapshot.

        Raises:
            RestoreFailed: it is not a dump, or has no record.
        """
        if snapshot is None or snapshot.kind != "dump" or snapshot.id is None:
            raise RestoreFailed(
                "there is no dump to restore: "
                + (snapshot.kind if snapshot else "a point in time")
                + " was asked for",
                hint="nothing was changed; a point in time needs SnapshotKind rds or aurora",
            )
        record = read_record(self._store, key_of(self._store, snapshot.id))
        if record is None:
            raise RestoreFailed(
                f"there is no record of the dump {snapshot.id}",
                hint="nothing was changed; the dump was removed, or was never read back. "
                "turnback snapshots shows those that can be restored",
            )
        return record

    def _advance(
        self, connection: Connection, request: RestoreRequest, record: DumpRecord
    ) -> RestoreProgress:
        names = Names.of(self._endpoint.name, request.run)
        mark = Mark(KEPT, request.run, record.sha256, record.taken_at)
        kept = find_database(connection, names.kept, names.current, record)
        if kept is not None:
            if kept.mark is None or kept.mark.run != request.run:
                raise name_in_use(names.kept)
            return _restored(names, kept.mark)
        properties = read_properties(connection, names.current)
        refuse_missing_rights(connection, self._endpoint.user, names.current)
        refuse_missing_settings(connection, self._endpoint.user, names.current, properties)
        successor = find_database(connection, names.successor, names.current, record)
        if successor is None or not successor.is_whole(request.run, record):
            missing = self._make(connection, names.successor, properties, record, request.run)
        else:
            missing = successor.mark.missing if successor.mark else ()
        try:
            request.check(Place(name=names.successor))
        except DatabaseUnreachable as error:
            return RestoreProgress(RestoreState.CHECKING, error.message)
        if self._seconds_left() < _SWAP_S:
            return RestoreProgress(
                RestoreState.SWAPPING, f'"{names.successor}" is whole; the next call swaps'
            )
        mark = replace(mark, comment=properties.comment, missing=missing)
        swap(
            connection,
            lambda: open_maintenance(self._endpoint, f"turnback swap {request.run}"),
            names,
            properties,
            mark.text(properties.oid, record),
        )
        return _restored(names, mark)

    def _make(
        self,
        connection: Connection,
        name: str,
        properties: Properties,
        record: DumpRecord,
        run: str,
    ) -> Sequence[str]:
        into = replace(self._endpoint, name=name)
        seconds = self._seconds_left() - RESERVE_S
        filling = Filling(into, self._store, record, seconds, properties.search_path)
        return make_successor(connection, into, properties, record, run, filling)

    def _refused(self, error: psycopg.Error) -> RestoreFailed | DatabaseUnreachable:
        said = said_by(error)
        if passing := outage(error):
            passing.hint = "the old database was not touched; the next call continues from here"
            return passing
        return RestoreFailed(
            f"the server refuses a step of the restore: {said}",
            sqlstate=error.sqlstate,
            hint="the old database answers as before; "
            f"{server_trouble(error.sqlstate) or 'give us that right'}, then restore again",
        )


def _restored(names: Names, mark: Mark) -> RestoreProgress:
    missing = f"; not made, and to be made by hand: {'; '.join(mark.missing)}"
    return RestoreProgress(
        RestoreState.RESTORED,
        f'the dump of {mark.taken_at} is restored; the old database is "{names.kept}"'
        + (missing if mark.missing else ""),
        kept=names.kept,
        restored_to=mark.taken_at,
    )


def swap(
    connection: Connection,
    open_second: Callable[[], Connection],
    names: Names,
    properties: Properties,
    mark: str,
) -> None:
    """Give the successor the old one's name, and the old one the name it is kept under.

    The old one takes no sessions afterwards: nothing can write into it by mistake. Its owner
    opens it with ALTER DATABASE … ALLOW_CONNECTIONS true.

    Args:
        connection: the leading session.
        open_second: another session in the maintenance database.
        names: of the databases.
        properties: those that the old one has and the successor gets.
        mark: the comment of the kept one.

    Raises:
        RestoreFailed: not possible now; the old database answers as before.
    """
    _refuse_prepared(connection, names.current)
    statements = [
        f"ALTER DATABASE {identifier(names.current)} RENAME TO {identifier(names.kept)}",
        f"ALTER DATABASE {identifier(names.successor)} RENAME TO {identifier(names.current)}",
        f"ALTER DATABASE {identifier(names.current)} WITH CONNECTION LIMIT "
        f"{properties.connection_limit} IS_TEMPLATE {str(properties.template).lower()}",
        f"COMMENT ON DATABASE {identifier(names.current)} IS {literal(properties.comment)}",
        f"COMMENT ON DATABASE {identifier(names.kept)} IS {literal(mark)}",
        f"ALTER DATABASE {identifier(names.kept)} WITH ALLOW_CONNECTIONS false",
    ]
    with open_second() as second:
        for last in (False, False, True):
            with _sessions_ended(second, names) as not_ended:
                try:
                    connection.execute("BEGIN")
                    for statement in statements:
                        connection.execute(statement.encode())
                    connection.execute("COMMIT")
                    return
                except (psycopg.errors.ObjectInUse, psycopg.errors.LockNotAvailable) as error:
                    connection.execute("ROLLBACK")
                    if last or not_ended:
                        raise _still_there(error, not_ended, names) from error
                except psycopg.Error:
                    if not connection.closed:
                        connection.execute("ROLLBACK")
                    raise


@contextmanager
def _sessions_ended(second: Connection, names: Names) -> Iterator[list[str]]:
    """End every session in the databases, again and again; collects those that it may not end."""
    over = threading.Event()
    not_ended: list[str] = []

    def end() -> None:
        while not over.wait(_PAUSE_S):
            try:
                found = second.execute(
                    "SELECT pid, usename, application_name, state "
                    "FROM pg_catalog.pg_stat_activity WHERE datname = ANY(%s)",
                    [[names.current, names.successor]],
                ).fetchall()
            except psycopg.Error as error:
                not_ended.append(f"unknown sessions ({said_by(error)})")
                return
            for pid, user, application, state in found:
                try:
                    second.execute("SELECT pg_catalog.pg_terminate_backend(%s)", [pid])
                except psycopg.Error as error:
                    who = (
                        f"pid {pid} ({user}, {application or 'unnamed'}, {state}): {said_by(error)}"
                    )
                    if who not in not_ended:
                        not_ended.append(who)

    thread = threading.Thread(target=end, daemon=True)
    thread.start()
    try:
        yield not_ended
    finally:
        over.set()
        thread.join()


def _refuse_prepared(connection: Connection, database: str) -> None:
    found = connection.execute(
        "SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = %s", [database]
    ).fetchall()
    if found:
        raise RestoreFailed(
            f"the old database has prepared transactions, and cannot be renamed: "
            f"{', '.join(str(gid) for (gid,) in found)}",
            hint="COMMIT PREPARED or ROLLBACK PREPARED them, then restore again; the old "
            "database answers as before",
        )


def _still_there(error: psycopg.Error, not_ended: list[str], names: Names) -> RestoreFailed:
    who = "; ".join(not_ended[:5]) or str(said_by(error))
    return RestoreFailed(
        f'sessions in "{names.current}" could not be ended, so the swap did not happen: {who}',
        sqlstate=error.sqlstate,
        hint=f"the old database answers as before, the restored one is whole in "
        f'"{names.successor}"; end those sessions, or GRANT pg_signal_backend to us, and restore '
        "again",
    )
