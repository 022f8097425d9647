"""What dumps there are, newest first, and removing one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from turnback.recovery.dumps.record import DumpRecord, key_of, read_record, record_key
from turnback.store import Store


class DumpCatalog:
    """The dumps of a store."""

    def __init__(self, store: Store, prefix: str = "snapshots/") -> None:
        """Look in this store.

        Args:
            store: the bucket, or the folder.
            prefix: what the keys of all dumps begin with.
        """
        self._store = store
        self._prefix = prefix

    def list(self, target: str | None = None) -> Sequence[DumpRecord]:
        """The dumps of a target, or of all, newest first; only those that were read back.

        Raises:
            RestoreFailed: a record cannot be read.
        """
        begin = f"{self._prefix}{target}/" if target is not None else self._prefix
        keys = [key for key in self._store.keys(begin) if key.endswith(record_key(".dump"))]
        found = [read_record(self._store, key.removesuffix(record_key(""))) for key in keys]
        # A record may be removed by another session between the list and the look.
        return sorted(
            (record for record in found if record), key=lambda record: record.taken_at, reverse=True
        )

    def delete(self, dump: DumpRecord) -> None:
        """Remove a dump. Its record goes first: what is recorded can be restored."""
        key = key_of(self._store, dump.id)
        self._store.delete(record_key(key))
        self._store.delete(key)


@dataclass(frozen=True, slots=True)
class KeptDump:
    """A dump as the rule of retention sees it."""

    id: str
    run: str
    taken_at: datetime
    available: bool = True


class DumpKeeper:
    """The dumps of one target, for the rule of retention (recovery/retention.py, Keeper)."""

    def __init__(self, catalog: DumpCatalog, target: str) -> None:
        self._catalog = catalog
        self._target = target

    def kept(self) -> Iterator[KeptDump]:
        """Those that were read back, newest first."""
        for dump in self._catalog.list(self._target):
            yield KeptDump(dump.id, dump.run, datetime.fromisoformat(dump.taken_at))

    def delete(self, identifier: str) -> None:
        """Remove one; one that is gone already is no error."""
        for dump in self._catalog.list(self._target):
            if dump.id == identifier:
                self._catalog.delete(dump)
