"""What the tests of dumps and restores share: a store in memory, a database full of everything."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import psycopg
from turnback.local.programs import binaries, clean_environment
from turnback.recovery.dumps.catalog import DumpRecord
from turnback.recovery.dumps.dump import DumpSnapshots
from turnback.recovery.dumps.restore import RestoreDump
from turnback.recovery.endpoint import Endpoint
from turnback.recovery.model import (
    Place,
    RestoreProgress,
    RestoreRequest,
    RestoreState,
    Snapshot,
    SnapshotState,
)
from turnback.store import Store

RUN = "r-20261122T101112Z-abcdef"
# Everything that a dump has to bring back: each kind of object, and rows in it.
EVERYTHING = """
CREATE EXTENSION hstore;
CREATE SCHEMA sales;
CREATE TYPE sales.mood AS ENUM ('calm', 'merry');
CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    shout text GENERATED ALWAYS AS (upper(name)) STORED,
    tags hstore
);
CREATE TABLE sales.orders (
    id serial PRIMARY KEY,
    customer bigint NOT NULL REFERENCES customers,
    felt sales.mood DEFAULT 'calm',
    amount numeric(12, 2) CHECK (amount >= 0),
    note bytea
);
CREATE INDEX orders_by_customer ON sales.orders (customer);
CREATE VIEW sales.totals AS
    SELECT name, sum(amount) AS total FROM customers c JOIN sales.orders o ON o.customer = c.id
    GROUP BY name;
CREATE MATERIALIZED VIEW busiest AS SELECT name FROM sales.totals ORDER BY total DESC LIMIT 3;
CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.note := coalesce(NEW.note, '\\x00ff'); RETURN NEW; END $$;
CREATE TRIGGER orders_loud BEFORE INSERT ON sales.orders FOR EACH ROW EXECUTE FUNCTION loud();
INSERT INTO customers (name, tags)
    SELECT 'customer ' || n, hstore('n', n::text) FROM generate_series(1, 300) n;
INSERT INTO customers (name, tags) VALUES ('Żółw 🐢 ''quoted'' \\ back', NULL);
INSERT INTO sales.orders (customer, felt, amount)
    SELECT 1 + n % 300, CASE n % 2 WHEN 0 THEN 'merry' ELSE 'calm' END::sales.mood, n * 1.5
    FROM generate_series(1, 2000) n;
CREATE SEQUENCE tickets START 41;
SELECT nextval('tickets');
SELECT lo_from_bytea(0, '\\xdeadbeef');
REFRESH MATERIALIZED VIEW busiest;
COMMENT ON TABLE customers IS 'who buys';
"""


class Upload:
    """An object being written into memory."""

    encryption = "AES256"

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

    prefix = "s3://bucket/"

    def __init__(self, cut: int | None = None, before: bytes = b"") -> None:
        self.objects: dict[str, bytes] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.uploads = 0
        self._cut, self._before = cut, before

    def stored(self, body: bytes) -> bytes:
        return self._before + body[: self._cut]

    def read(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def write(self, key: str, body: bytes) -> None:
        self.objects[key] = body

    def stream(self, key: str) -> Iterator[bytes]:
        body = self.objects[key]
        yield from (body[start : start + 1000] for start in range(0, len(body), 1000))

    def upload(self, key: str, tags: Mapping[str, str]) -> Upload:
        self.tags[key] = dict(tags)
        return Upload(self, key)

    def keys(self, prefix: str) -> Iterator[str]:
        yield from sorted(key for key in self.objects if key.startswith(prefix))

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)


def dump(database: str, store: Store, run: str = RUN) -> DumpRecord:
    """A dump of the database, taken for a run."""
    taker = DumpSnapshots(Endpoint.from_url(database), store, lambda: 60)
    return taker.record("orders", run, {"run": run, "release": "1.0.0"})


def request(
    record: DumpRecord, check: Callable[[Place], None] = lambda _: None, run: str = RUN
) -> RestoreRequest:
    """To restore this dump."""
    snapshot = Snapshot("dump", record.id, SnapshotState.AVAILABLE)
    return RestoreRequest("orders", run, snapshot, None, check)


def restore(
    database: str, store: Store, wanted: RestoreRequest, seconds: float = 120
) -> RestoreProgress:
    """Call until it is restored, as the state machine does."""
    restoring = RestoreDump(Endpoint.from_url(database), store, lambda: seconds)
    for _ in range(200):
        progress = restoring.advance(wanted)
        if progress.state is RestoreState.RESTORED:
            return progress
    raise AssertionError(progress)


def contents(database: str) -> dict[str, list[Any]]:
    """Every row of every table, view and sequence, every large object, every definition."""
    found: dict[str, list[Any]] = {}
    with psycopg.connect(database) as connection:

        def rows(sql: str) -> list[Any]:
            return connection.execute(sql.encode()).fetchall()

        for name, kind in rows(
            "SELECT c.oid::regclass::text, c.relkind FROM pg_class c JOIN pg_namespace n "
            "ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'v', 'm', 'S') "
            "AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') ORDER BY 1"
        ):
            # How many numbers a sequence has fetched ahead is lost in a dump, and harmless.
            found[name] = rows(
                f"SELECT last_value, is_called FROM {name}"
                if kind == "S"
                else f"SELECT * FROM {name} AS t ORDER BY t::text"
            )
        found["large objects"] = rows(
            "SELECT oid, lo_get(oid) FROM pg_largeobject_metadata ORDER BY oid"
        )
        found["columns"] = rows(
            "SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), "
            "attnotnull, attidentity, attgenerated, pg_get_expr(adbin, adrelid) "
            "FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum "
            "WHERE attrelid >= 16384 AND attnum > 0 "
            "AND attrelid::regclass::text NOT LIKE 'pg_toast%' ORDER BY 1, attnum"
        )
        found["constraints"] = rows(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) "
            "FROM pg_constraint WHERE oid >= 16384 ORDER BY 1, 2"
        )
        found["indexes"] = rows(
            "SELECT pg_get_indexdef(indexrelid), indisvalid FROM pg_index "
            "WHERE indexrelid >= 16384 AND indrelid::regclass::text NOT LIKE 'pg_toast%' ORDER BY 1"
        )
        found["extensions"] = rows("SELECT extname, extversion FROM pg_extension ORDER BY 1")
        found["triggers"] = rows(
            "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
        )
        found["comments"] = rows(
            "SELECT obj_description('customers'::regclass)"
            if "customers" in found
            else "SELECT 1 WHERE false"
        )
    return found


def others(admin: psycopg.Connection[Any], database: str) -> list[tuple[str, bool]]:
    """The databases whose names begin with this one's, and whether they take connections."""
    name = database.rsplit("/", 1)[1]
    return admin.execute(
        "SELECT datname, datallowconn FROM pg_database WHERE datname LIKE %s ORDER BY 1",
        [f"{name}\\_%"],
    ).fetchall()


def pg_dump_schema(url: str) -> str:
    """What pg_dump says of the schema of a database: the same text for the same schema."""
    return subprocess.run(
        [binaries() / "pg_dump", "--schema-only", "--restrict-key=same", url],
        env=clean_environment(),
        capture_output=True,
        check=True,
        text=True,
    ).stdout
