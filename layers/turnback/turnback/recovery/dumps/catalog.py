"""The dumps of a store, and the record beside each: what it is of, and its checksum."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from turnback.errors import RestoreFailed
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


VERSION = 2


@dataclass(frozen=True, slots=True)
class DumpRecord:
    """What is known of a dump. It is written when the dump was read back, and not before.

    Attributes:
        id: the dump's address: ``s3://bucket/key``, or the path of a file.
        target: the database's name in turnback.
        run: the run it was taken for.
        release: the release of that run; None for ``turnback backup``.
        schema_version: the version last applied; None where there is no history.
        history_schema: schema of the history tables.
        database: the database's name in its server.
        database_bytes: its size in the server.
        server_version: of the server, as it says it: ``16.4``.
        taken_at: ISO 8601 in UTC; what was committed after it is not in the dump.
        sha256: checksum of the dump, hex.
        bytes: size of the dump.
        entries: number of entries in its table of contents.
        encrypted: how the store said it is encrypted; None is not at all.
        counters: the row counters when it was taken, as of ``counters``.
    """

    id: str
    target: str
    run: str
    release: str | None
    schema_version: str | None
    history_schema: str
    database: str
    database_bytes: int
    server_version: str
    taken_at: str
    sha256: str
    bytes: int
    entries: int
    encrypted: str | None
    counters: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For people and machines: all but the counters, which are long."""
        shown = asdict(self)
        del shown["counters"]
        return {"kind": "dump", **shown}

    def write(self, store: Store, key: str) -> None:
        """Put it beside the dump with this key."""
        body = {name: value for name, value in asdict(self).items() if name != "id"}
        store.write(record_key(key), json.dumps({"version": VERSION, **body}, indent=2).encode())


def record_key(key: str) -> str:
    """Where the record of the dump with this key is."""
    return f"{key}.json"


def read_record(store: Store, key: str) -> DumpRecord | None:
    """The record of the dump with this key; None where there is none.

    Raises:
        RestoreFailed: it is no record of a dump, or of a newer turnback.
    """
    body = store.read(record_key(key))
    if body is None:
        return None
    place = f"{store.prefix}{record_key(key)}"
    try:
        fields = json.loads(body)
        version = int(fields.pop("version"))
        if version > VERSION:
            raise RestoreFailed(
                f"{place} was written by a newer turnback",
                hint="upgrade turnback: pip install --upgrade turnback",
            )
        return DumpRecord(id=f"{store.prefix}{key}", **fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RestoreFailed(
            f"{place} is not the record of a dump",
            hint="nothing was changed; take another snapshot, or restore the dump by hand: "
            "docs/backup.md",
        ) from error


def key_of(store: Store, address: str) -> str:
    """The key of the dump with this address.

    Raises:
        RestoreFailed: the dump lies elsewhere.
    """
    if not address.startswith(store.prefix):
        raise RestoreFailed(
            f"the snapshot {address} is not in {store.prefix}",
            hint="nothing was changed; a run restores its own snapshot only",
        )
    return address.removeprefix(store.prefix)
