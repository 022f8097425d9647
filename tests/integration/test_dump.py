"""Dumps: verified before they are relied on, and given up in time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import psycopg
import pytest
from turnback.errors import SnapshotFailed
from turnback.recovery.dump import DumpSnapshots
from turnback.recovery.endpoint import Endpoint

KEY = "snapshots/orders/r-1.dump"


class Upload:
    """An object being written into memory."""

    def __init__(self, store: Memory, key: str) -> None:
        self._store, self._key, self._body = store, key, b""

    def send(self, data: bytes) -> None:
        self._body += data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._store.objects[self._key] = self._store.stored(self._body)
            self._store.uploads += 1


class Memory:
    """A bucket that keeps its objects here, and may store something else than it was given."""

    name = "bucket"

    def __init__(self, cut: int | None = None, prefix: bytes = b"") -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads = 0
        self._cut, self._prefix = cut, prefix

    def stored(self, body: bytes) -> bytes:
        return self._prefix + body[: self._cut]

    def read(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def write(self, key: str, body: bytes) -> None:
        self.objects[key] = body

    def stream(self, key: str) -> Iterator[bytes]:
        body = self.objects[key]
        yield from (body[start : start + 1000] for start in range(0, len(body), 1000))

    def upload(self, key: str, tags: Mapping[str, str]) -> Upload:
        assert set(tags) == {"run", "release"}
        return Upload(self, key)


def snapshots(database: str, store: Memory, *, seconds: float = 60, **fields: Any) -> DumpSnapshots:
    url = urlsplit(database)
    whole = {
        "host": url.hostname,
        "port": url.port,
        "username": url.username,
        "password": unquote(url.password or ""),
        "dbname": url.path.lstrip("/"),
    }
    tls = fields.pop("tls", "disable")
    endpoint = Endpoint.from_secret({**whole, **fields}, {}, tls, "/nowhere.pem")
    return DumpSnapshots(endpoint, store, lambda: seconds)


def take(taker: DumpSnapshots) -> dict[str, Any]:
    return taker.take("orders", "r-1", {"run": "r-1", "release": "1.0.0"}).to_dict()


@pytest.fixture
def filled(database: str) -> str:
    """A database with something in it."""
    with psycopg.connect(database) as connection:
        connection.execute(
            "CREATE TABLE orders AS SELECT n, md5(n::text) FROM generate_series(1, 9000) n"
        )
    return database


def test_a_dump_is_recorded_with_its_checksum_once_it_was_read_back(filled: str) -> None:
    store = Memory()
    assert take(snapshots(filled, store)) == {
        "kind": "dump",
        "id": f"s3://bucket/{KEY}",
        "state": "available",
    }
    record = json.loads(store.objects[f"{KEY}.json"])
    assert record["bytes"] == len(store.objects[KEY]) > 100_000
    assert record["entries"] == 2
    assert (record["run"], record["release"]) == ("r-1", "1.0.0")


def test_a_retry_finds_the_dump_that_is_there(filled: str) -> None:
    store = Memory()
    assert take(snapshots(filled, store)) == take(snapshots(filled, store))
    assert store.uploads == 1


def test_a_dump_that_was_not_verified_is_made_again(filled: str) -> None:
    store = Memory()
    store.objects[KEY] = b"what a function that was stopped left"
    take(snapshots(filled, store))
    assert store.uploads == 1


@pytest.mark.parametrize(
    ("store", "said"),
    [
        (Memory(cut=-1), "reads back differently"),
        (Memory(cut=20), "cannot be read back"),
        (Memory(cut=0), "cannot be read back"),
        (Memory(prefix=b"x"), "cannot be read back"),
    ],
    ids=["last byte lost", "cut off", "empty", "not a dump"],
)
def test_a_dump_that_does_not_read_back_is_not_recorded(
    filled: str, store: Memory, said: str
) -> None:
    with pytest.raises(SnapshotFailed, match=said):
        take(snapshots(filled, store))
    assert f"{KEY}.json" not in store.objects


def test_a_dump_that_fails_leaves_nothing_and_says_why_without_the_password(filled: str) -> None:
    store = Memory()
    with pytest.raises(SnapshotFailed, match="authentication failed") as caught:
        take(snapshots(filled, store, password="hunter2"))
    assert "hunter2" not in str(caught.value)
    assert store.objects == {}


def test_a_dump_gives_up_before_the_function_is_stopped(filled: str) -> None:
    store = Memory()
    with psycopg.connect(filled) as other:
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(SnapshotFailed, match="the time that one function call has") as caught:
            take(snapshots(filled, store, seconds=0))
    assert "SnapshotKind" in str(caught.value.hint)
    assert store.objects == {}


def test_the_embedded_pg_dump_can_speak_tls(filled: str) -> None:
    """It is built without, and would refuse the option; psycopg's libpq asks the server."""
    with pytest.raises(SnapshotFailed, match="server does not support SSL"):
        take(snapshots(filled, Memory(), tls="require"))
