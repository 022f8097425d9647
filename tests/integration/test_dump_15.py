"""Dumps of a real PostgreSQL 15: one that speaks German, and one that subscribes to another."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import psycopg
import pytest
from turnback.local.scratch import scratch
from turnback.recovery.model import RestoreState

from tests.dumps import EVERYTHING, Memory, contents, dump, request, restore
from tests.other_servers import postgres

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def german() -> Iterator[str]:
    """A server whose messages are German, by a locale that only it has (LOCPATH)."""
    with scratch("locale") as folder:
        made = subprocess.run(
            ["localedef", "-i", "de_DE", "-f", "UTF-8", folder / "de_DE.UTF-8"],
            capture_output=True,
            text=True,
        )
        assert (folder / "de_DE.UTF-8").is_dir(), made.stderr
        with postgres(15, {"lc_messages": "de_DE.UTF-8"}, {"LOCPATH": str(folder)}) as base:
            with (
                psycopg.connect(f"{base}/postgres") as connection,
                pytest.raises(psycopg.errors.DivisionByZero, match="Division durch Null"),
            ):
                connection.execute("SELECT 1 / 0")
            yield base


@pytest.fixture
def owned(german: str) -> Iterator[str]:
    """A database of one of everything, for its owner, who may not choose the language."""
    with psycopg.connect(f"{german}/postgres", autocommit=True) as admin:
        admin.execute("CREATE ROLE inhaber LOGIN CREATEDB PASSWORD 'geheim'")
        admin.execute("CREATE DATABASE laden OWNER inhaber")
    yield german.replace(german.split("//")[1].split("@")[0], "inhaber:geheim") + "/laden"
    with psycopg.connect(f"{german}/postgres", autocommit=True) as admin:
        for (name,) in admin.execute("SELECT datname FROM pg_database WHERE datname ~ '^laden'"):
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        admin.execute("DROP ROLE inhaber")


def test_a_server_that_speaks_german_is_backed_up_and_restored(german: str, owned: str) -> None:
    for url in (owned, f"{german}/laden"):
        with psycopg.connect(owned) as connection:
            connection.execute("DROP SCHEMA IF EXISTS sales, public CASCADE; CREATE SCHEMA public")
            connection.execute("SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
            connection.execute(EVERYTHING.encode())
        before, store, run = contents(owned), Memory(), f"r-{len(url)}"
        record = dump(url, store, run)
        with psycopg.connect(owned) as connection:
            connection.execute("DROP TABLE customers CASCADE")
        assert restore(url, store, request(record, run=run)).state is RestoreState.RESTORED
        assert contents(owned) == before


def test_what_it_cannot_make_is_reported_without_words_that_may_hold_values(owned: str) -> None:
    with psycopg.connect(owned) as connection:
        connection.execute(
            b"CREATE TABLE words (word text); INSERT INTO words VALUES ('a'); "
            b"CREATE FUNCTION low(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE "
            b"AS 'BEGIN RETURN t; END'; CREATE INDEX words_low ON words (low(word)); "
            b"CREATE OR REPLACE FUNCTION low(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE "
            b"AS 'BEGIN RETURN 1 / 0; END'"
        )
    store = Memory()
    progress = restore(owned, store, request(dump(owned, store)))
    assert progress.state is RestoreState.RESTORED
    assert "INDEX words_low" in progress.detail
    assert "the server's words are not English" in progress.detail


@pytest.fixture
def subscribed() -> Iterator[tuple[str, str]]:
    """A database that subscribes to another one of the same server; and that one."""
    with postgres(15, {"wal_level": "logical", "wal_retrieve_retry_interval": "100ms"}) as base:
        with psycopg.connect(f"{base}/postgres", autocommit=True) as admin:
            admin.execute("CREATE DATABASE source")
            admin.execute("CREATE DATABASE copy")
        source, copy = f"{base}/source", f"{base}/copy"
        with psycopg.connect(source, autocommit=True) as connection:
            connection.execute("CREATE TABLE t (n int PRIMARY KEY); INSERT INTO t VALUES (1)")
            connection.execute("CREATE PUBLICATION p FOR TABLE t")
            connection.execute("SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
        with psycopg.connect(copy, autocommit=True) as connection:
            connection.execute("CREATE TABLE t (n int PRIMARY KEY)")
            connection.execute(
                f"CREATE SUBSCRIPTION s CONNECTION '{source}' PUBLICATION p "
                "WITH (create_slot = false)".encode()
            )
        yield copy, source


def arrives(url: str, number: int) -> None:
    """Wait until the row with this number is there."""
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(600):
            if connection.execute("SELECT 1 FROM t WHERE n = %s", [number]).fetchone():
                return
            connection.execute("SELECT pg_sleep(0.05)")
    raise AssertionError(f"row {number} did not arrive")


def add(url: str, number: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO t VALUES (%s)", [number])


def test_a_database_that_subscribes_is_restored_and_its_slot_goes_on_where_it_was(
    subscribed: tuple[str, str],
) -> None:
    """The publisher keeps what comes after the restore: nothing drops or moves its slot."""
    copy, source = subscribed
    arrives(copy, 1)
    add(source, 2)
    arrives(copy, 2)
    store = Memory()
    record = dump(copy, store)
    [limit] = record.limits
    assert limit.startswith("subscription s: a restore makes it disabled")
    kept = restore(copy, store, request(record)).kept
    add(source, 3)
    with psycopg.connect(copy, autocommit=True) as connection:
        found = connection.execute("SELECT subname, subenabled, subslotname FROM pg_subscription")
        assert ("s", False, "s") in found.fetchall()
        assert connection.execute("SELECT n FROM t ORDER BY n").fetchall() == [(1,), (2,)]
        # As docs/backup.md says.
        connection.execute(f"ALTER DATABASE {kept} ALLOW_CONNECTIONS true".encode())
    with psycopg.connect(copy.replace("/copy", f"/{kept}"), autocommit=True) as connection:
        connection.execute("ALTER SUBSCRIPTION s DISABLE")
        connection.execute("ALTER SUBSCRIPTION s SET (slot_name = NONE)")
        connection.execute("DROP SUBSCRIPTION s")
    with psycopg.connect(copy, autocommit=True) as connection:
        connection.execute("ALTER SUBSCRIPTION s ENABLE")
        connection.execute("ALTER SUBSCRIPTION s REFRESH PUBLICATION WITH (copy_data = false)")
    arrives(copy, 3)
    add(source, 4)
    arrives(copy, 4)
