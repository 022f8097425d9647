"""The dumps of a store, and the record beside each: what it is of, and its checksum."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from turnback.errors import ConfigurationError, RestoreFailed
from turnback.recovery.contents import Identity
from turnback.recovery.dumps.store import FolderStore
from turnback.recovery.model import NO_HISTORY, SnapshotEntry
from turnback.store import Store

VERSION = 3
# Without what is new in 3, a record is written so that an older turnback can read it.
_OLDER = 2
_S3 = re.compile(r"s3://(?P<bucket>[^/]+)(?:/(?P<key>.*))?")
_DUMPS = "snapshots/"
_NEWER = ("system", "first", "secret", "needs", "search_path")
_AMONG_COUNTERS = "record"

# Opens a bucket by its name.
OpenBucket = Callable[[str], Store]


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
        limits: what a restore will not bring back, or not as it was; see ``limits_of``.
        system: identifier of the server, as of ``Identity``.
        first: the oldest migration of its history, likewise.
        needs: what another server must have before a restore, likewise.
        search_path: that the database gives to every session; None without one.
        secret: random, and nowhere but in this record: it seals what a restore writes into the
            server. None in the record of an older turnback.
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
    limits: Sequence[str] = ()
    system: str | None = None
    first: str | None = None
    needs: Sequence[str] = ()
    search_path: str | None = None
    secret: str | None = field(default=None, repr=False)

    @property
    def identity(self) -> Identity:
        """By what the database is known again that the dump is of."""
        return Identity(self.database, self.system, self.first)

    def to_dict(self) -> dict[str, Any]:
        """For people and machines: all but the secret, and the counters, which are long."""
        shown = asdict(self)
        del shown["counters"], shown["secret"]
        lists = {"limits": list(self.limits), "needs": list(self.needs)}
        return {"kind": "dump", **shown, **lists}

    def entry(self) -> SnapshotEntry:
        """The dump as lists show it."""
        size = f"{human_size(self.bytes)} of a database of {human_size(self.database_bytes)}"
        return SnapshotEntry(
            kind="dump",
            id=self.id,
            run=self.run,
            source=self.database,
            taken_at=self.taken_at,
            release=self.release,
            version=self.schema_version or NO_HISTORY,
            details=(
                size,
                f"{self.entries} objects",
                f"encrypted ({self.encrypted})" if self.encrypted else "not encrypted",
            ),
            document=self.to_dict(),
            limits=self.limits,
            needs=self.needs,
        )

    def write(self, store: Store, key: str) -> None:
        """Put it beside the dump with this key."""
        body = {name: value for name, value in asdict(self).items() if name != "id"}
        # Among the counters: an older turnback takes these as they are, and no other new field.
        newer = {name: body.pop(name) for name in _NEWER}
        body["counters"] = {**self.counters, _AMONG_COUNTERS: newer}
        if not self.limits:
            del body["limits"]
        version = VERSION if self.limits else _OLDER
        store.write(record_key(key), json.dumps({"version": version, **body}, indent=2).encode())


def record_key(key: str) -> str:
    """Where the record of the dump with this key is."""
    return f"{key}.json"


def read_record(store: Store, key: str) -> DumpRecord | None:
    """The record of the dump with this key; None if it does not exist.

    Raises:
        RestoreFailed: it is not the record of a dump, or of a newer turnback.
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
        limits = tuple(fields.pop("limits", ()))
        newer = fields["counters"].pop(_AMONG_COUNTERS, {})
        fields |= {name: newer.get(name) for name in _NEWER}
        fields["needs"] = tuple(fields["needs"] or ())
        return DumpRecord(id=f"{store.prefix}{key}", **fields, limits=limits)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RestoreFailed(
            f"{place} is not the record of a dump",
            hint="nothing was changed; take another snapshot, or restore the dump by hand: "
            "docs/backup.md#how-do-i-restore-a-dump-by-hand",
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


class DumpCatalog:
    """The dumps of a store, of one target or of all: a SnapshotList."""

    def __init__(self, store: Store, target: str | None = None, prefix: str = _DUMPS) -> None:
        """Look in this store.

        Args:
            store: the bucket, or the folder.
            target: whose dumps; None for all.
            prefix: what the keys of all dumps begin with.
        """
        self.store = store
        self.target = target
        self.prefix = prefix

    @property
    def address(self) -> str:
        """``in`` a folder, or ``in s3://bucket/prefix``."""
        return f"in {self.store.prefix}{self.prefix}"

    def records(self) -> Sequence[DumpRecord]:
        """What is known of each dump, newest first; only those that were read back.

        Raises:
            RestoreFailed: a record cannot be read.
        """
        begin = f"{self.prefix}{self.target}/" if self.target is not None else self.prefix
        keys = [key for key in self.store.keys(begin) if key.endswith(record_key(".dump"))]
        found = [read_record(self.store, key.removesuffix(record_key(""))) for key in keys]
        # A record may be removed by another session between the list and the look.
        return sorted(
            (record for record in found if record), key=lambda record: record.taken_at, reverse=True
        )

    def list(self) -> Sequence[SnapshotEntry]:
        """The dumps, newest first."""
        return [record.entry() for record in self.records()]

    def find(self, name: str) -> SnapshotEntry:
        """The dump with this address, or of this run.

        Raises:
            ConfigurationError: there is no such dump, or there are several.
        """
        return self.record(name).entry()

    def record(self, name: str) -> DumpRecord:
        """As ``find``: what is known of the dump."""
        records = self.records()
        matching = [record for record in records if name in (record.run, record.id)]
        if not matching:
            newest = f"; the newest is {records[0].run}" if records else ""
            raise ConfigurationError(
                f"there is no snapshot {name!r} {self.address}, and no file of this name",
                hint=f"turnback snapshots lists those there are{newest}",
            )
        if len(matching) > 1:
            raise ConfigurationError(
                f"there are several snapshots {name!r}",
                hint="name one by its address: " + ", ".join(record.id for record in matching),
            )
        return matching[0]

    def delete(self, identifier: str) -> None:
        """Remove a dump; no error if it does not exist."""
        for record in self.records():
            if record.id == identifier:
                key = key_of(self.store, record.id)
                # Its record goes first: what is recorded can be restored.
                self.store.delete(record_key(key))
                self.store.delete(key)


def open_catalog(place: str, bucket: OpenBucket) -> DumpCatalog:
    """The dumps of a folder, or of ``s3://bucket/prefix``.

    Raises:
        ConfigurationError: it is neither.
    """
    found = _S3.fullmatch(place)
    if found:
        key = (found["key"] or "").strip("/")
        return DumpCatalog(bucket(found["bucket"]), prefix=f"{key}/" if key else "")
    if "://" in place:
        raise ConfigurationError(
            f"{place} is neither a folder nor s3://bucket/prefix", hint="name one of these"
        )
    return DumpCatalog(FolderStore(Path(place)), prefix="")


def find_dump(
    name: str, catalog: Callable[[], DumpCatalog], bucket: OpenBucket
) -> tuple[Store, DumpRecord]:
    """The dump with this path, ``s3://`` address or run, and the store it is in.

    Args:
        name: as a person gave it.
        catalog: opens the catalog to look in, where the name is no address.
        bucket: opens a bucket.

    Raises:
        ConfigurationError: there is no such dump, or it has no record.
    """
    found = _S3.fullmatch(name)
    if found:
        store, key = bucket(found["bucket"]), found["key"] or ""
    elif Path(name).is_file():
        store, key = FolderStore(Path(name).parent), Path(name).name
    else:
        opened = catalog()
        return opened.store, opened.record(name)
    record = read_record(store, key)
    if record is None:
        raise ConfigurationError(
            f"there is no record beside {name} ({Path(name).name}.json), so it is not known "
            "whether the dump is complete",
            hint="copy the record as well; how to restore without one: "
            "docs/backup.md#how-do-i-restore-a-dump-by-hand",
        )
    return store, record


def human_size(size: int) -> str:
    """A size for people: ``17 kB``, ``4711 MB``."""
    return f"{-(-size // 1000)} kB" if size < 10_000_000 else f"{size // 1_000_000} MB"
