"""Dumps that a person takes and restores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from turnback.errors import (
    ConfigurationError,
    DatabaseRefused,
    DatabaseUnreachable,
    HistoryConflict,
    RestoreFailed,
)
from turnback.recovery.by_hand import (
    BackupPlan,
    Loss,
    Report,
    RestorePlan,
    expected_history,
    loss_of_everything,
    loss_since,
)
from turnback.recovery.contents import Identity, counters, expects_version, identify
from turnback.recovery.dumps.catalog import DumpCatalog, DumpRecord, human_size
from turnback.recovery.dumps.dump import DumpSnapshots
from turnback.recovery.dumps.restore import RestoreDump
from turnback.recovery.endpoint import Endpoint
from turnback.recovery.model import (
    NO_HISTORY,
    RestoreRequest,
    Snapshot,
    SnapshotEntry,
    SnapshotState,
)
from turnback.store import Store

# A command has no time limit of its own; a week is longer than any dump takes.
_NO_LIMIT_S = 7 * 24 * 3600.0
_REPORT_EVERY_S = 5.0


class DumpBackup:
    """A dump of one database into one catalog."""

    def __init__(
        self,
        endpoint: Endpoint,
        catalog: DumpCatalog,
        run: str,
        target: str | None,
        history_schema: str,
    ) -> None:
        """Dump this database.

        Args:
            endpoint: the database.
            catalog: where the dump goes.
            run: the id of this backup.
            target: names the folder; the catalog's target, or else the database, if not given.
            history_schema: schema of the history tables.
        """
        self._endpoint = endpoint
        self._catalog = catalog
        self._run = run
        self._target = target or catalog.target or _folder_name(endpoint.name)
        self._snapshots = DumpSnapshots(
            endpoint,
            catalog.store,
            lambda: _NO_LIMIT_S,
            history_schema=history_schema,
            limit_megabytes=0,
            prefix=catalog.prefix,
        )

    def plan(self) -> BackupPlan:
        """Size and version of what would be dumped."""
        address = f"{self._catalog.store.prefix}{self._snapshots.key(self._target, self._run)}"
        with self._snapshots.source() as source:
            size = human_size(source.bytes)
            document = {
                "id": address,
                "database_bytes": source.bytes,
                "server_version": source.server_version,
                "schema_version": source.schema_version,
                "limits": list(source.limits.differs),
                "needs": list(source.limits.needs),
            }
        return BackupPlan(
            [
                f"{self._endpoint.name}: {size} would be dumped to",
                f"  {address}",
                *(f"  not as it is: {limit}" for limit in source.limits.differs),
                *(
                    f"  another server needs, before a restore: {need}"
                    for need in source.limits.needs
                ),
            ],
            document,
        )

    def take(self, report: Report) -> SnapshotEntry:
        """Dump, read back, and write the record."""
        reported_at = time.monotonic()

        def written_so_far(written: int) -> None:
            nonlocal reported_at
            if time.monotonic() >= reported_at + _REPORT_EVERY_S:
                reported_at = time.monotonic()
                report(f"{human_size(written)} written")

        tags = {"run": self._run}
        return self._snapshots.record(self._target, self._run, tags, written_so_far).entry()


class DumpRestore:
    """A restore of one dump, in place of a database or beside it."""

    def __init__(self, endpoint: Endpoint, store: Store, record: DumpRecord, run: str) -> None:
        """Restore this dump.

        Args:
            endpoint: the database.
            store: where the dump is.
            record: what is known of the dump.
            run: the id of this restore, unless an earlier one is continued.
        """
        self.restorer = RestoreDump(endpoint, store, lambda: _NO_LIMIT_S)
        self._endpoint = endpoint
        self.record = record
        self._run = run
        self._snapshot = Snapshot("dump", record.id, SnapshotState.AVAILABLE)

    def plan(self) -> RestorePlan:
        """See Restore."""
        self.restorer.look(self.record)
        record, endpoint = self.record, self._endpoint
        unfinished = self.restorer.unfinished(record)
        run = unfinished or self._run
        names = self.restorer.names(run)
        return RestorePlan(
            kept=names.kept,
            steps=[
                f'1. "{names.successor}": a new database, filled from the dump; needs {self.room}',
                f"2. it must answer{expected_history(record.schema_version or NO_HISTORY)}",
                f'3. it swaps names with "{names.current}", which ends every session',
                f'4. "{names.kept}" is the old database; it is kept',
            ],
            place=f'"{names.current}"',
            request=RestoreRequest(
                record.target,
                run,
                self._snapshot,
                None,
                expects_version(endpoint, record.schema_version, record.history_schema),
            ),
            begun=unfinished is not None,
            another=self._another(),
        )

    def _another(self) -> str | None:
        """How one sees that the dump is of another database; see RestorePlan."""
        record, endpoint = self.record, self._endpoint
        target = Identity(endpoint.name, None, None)
        # One that does not answer, or has no history that can be read, is restored all the more.
        with (
            suppress(DatabaseUnreachable, DatabaseRefused, HistoryConflict),
            endpoint.open("turnback restore") as connection,
        ):
            target = identify(connection, record.history_schema)
        return record.identity.differs_from(target)

    @property
    def room(self) -> str:
        """How much disk the restore needs in the server."""
        return f"about {human_size(self.record.database_bytes)}"

    def loss(self, *, another: bool) -> Loss:
        """See Restore."""
        record = self.record
        if another:
            return loss_of_everything(lambda: counters(self._endpoint))
        return loss_since(record.taken_at, record.counters, lambda: counters(self._endpoint))

    def stopped(self, request: RestoreRequest, detail: str | None) -> Sequence[str]:
        """See Restore; the server is asked."""
        del detail
        try:
            return self.restorer.stopped(request.run, self.record)
        except (DatabaseUnreachable, DatabaseRefused, RestoreFailed) as error:
            return [
                f'Stopped; the server cannot be asked how far it came: {error.message}. "'
                f'{self._endpoint.name}" is either the old database or the whole restored one.',
                "The same command continues from there.",
            ]

    def removal(self, kept: str) -> Sequence[str]:
        """See Restore."""
        return [
            "The old database takes no sessions. To look at it: "
            f'ALTER DATABASE "{kept}" WITH ALLOW_CONNECTIONS true',
            f'When nobody needs it any more: DROP DATABASE "{kept}"',
        ]

    def beside(self, name: str, *, dry_run: bool) -> Sequence[str]:
        """Restore into a new database of this name, and swap nothing.

        Args:
            name: of the new database.
            dry_run: whether only to find out what would refuse it.

        Returns:
            What could not be made of the dump.

        Raises:
            ConfigurationError: the name cannot be used.
            RestoreFailed: it cannot be restored.
        """
        if not 0 < len(name.encode()) <= 63 or "\0" in name:
            raise ConfigurationError("the name of a database has 1 to 63 bytes", hint="see --into")
        run = f"{self.record.run} into {name}"
        self.restorer.look(self.record, (name, run))
        return [] if dry_run else self.restorer.beside(self._snapshot, name, run)


def _folder_name(database: str) -> str:
    """The name of a database as the name of a folder."""
    return "".join(letter if letter.isalnum() or letter in "_-" else "_" for letter in database)
