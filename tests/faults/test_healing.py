"""What an interrupted statement leaves behind is found in the catalog and set right."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
from turnback.engine import Event, Report

from tests.conftest import ProjectFactory
from tests.faults.arena import PATIENT, up
from tests.faults.table import Table
from tests.faults.watching import Eye, execute, rows, transaction, value

SETUP = """
CREATE TABLE t (id int, body text);
INSERT INTO t SELECT n, n FROM generate_series(1, 100) n;
CREATE INDEX old ON t (body);
CREATE TABLE p (id int, year int) PARTITION BY LIST (year);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
"""
WRITER = "INSERT INTO t VALUES (1000, 'x')"
READER_OF_ANOTHER_TABLE = "SELECT count(*) FROM p"
INDEXES = (
    "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 't'::regclass ORDER BY 1"
)
INVALID = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
PARTITIONS = "SELECT inhrelid::regclass::text, inhdetachpending FROM pg_inherits"


@dataclass(frozen=True, slots=True)
class Kind:
    """A statement, what it waits for, and the indexes of the table when it has done its work."""

    sql: str
    waits_for: str
    indexes: tuple[str, ...] = ("old",)
    isolation: str = "read committed"


KINDS = {
    "CREATE INDEX CONCURRENTLY": Kind(
        "CREATE INDEX CONCURRENTLY new ON t (id)", WRITER, ("new", "old")
    ),
    # It has built the index, and waits for the end of older snapshots.
    "CREATE INDEX CONCURRENTLY, last phase": Kind(
        "CREATE INDEX CONCURRENTLY new ON t (id)",
        READER_OF_ANOTHER_TABLE,
        ("new", "old"),
        "repeatable read",
    ),
    "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS": Kind(
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS new ON t (id)", WRITER, ("new", "old")
    ),
    "CREATE INDEX CONCURRENTLY, unnamed": Kind(
        "CREATE INDEX CONCURRENTLY ON t (id)", WRITER, ("old", "t_id_idx")
    ),
    "DROP INDEX CONCURRENTLY": Kind("DROP INDEX CONCURRENTLY old", "SELECT id FROM t", ()),
    "REINDEX INDEX CONCURRENTLY": Kind("REINDEX INDEX CONCURRENTLY old", WRITER),
    # With the index of its TOAST table, which is in a schema of the system.
    "REINDEX TABLE CONCURRENTLY": Kind("REINDEX TABLE CONCURRENTLY t", WRITER),
    "DETACH PARTITION CONCURRENTLY": Kind(
        "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY",
        "SELECT id FROM p",
    ),
}
UNRECORDED = {
    "CREATE INDEX CONCURRENTLY": "CREATE INDEX CONCURRENTLY new ON t (id)",
    "CREATE INDEX CONCURRENTLY, unnamed": "CREATE INDEX CONCURRENTLY ON t (id)",
    "DROP INDEX CONCURRENTLY": "DROP INDEX CONCURRENTLY old",
    "DETACH PARTITION CONCURRENTLY": "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY",
    "CREATE DATABASE": "CREATE DATABASE unrecorded",
    "DROP DATABASE": "DROP DATABASE unrecorded",
}
REPEATED = {
    "REINDEX INDEX CONCURRENTLY": "REINDEX INDEX CONCURRENTLY old",
    "VACUUM": "VACUUM (ANALYZE) t",
    "CREATE INDEX … IF NOT EXISTS": "CREATE INDEX CONCURRENTLY IF NOT EXISTS old ON t (id)",
}


@pytest.fixture
def eye(database: str) -> Iterator[Eye]:
    with Eye(database) as made:
        yield made


def project(project_factory: ProjectFactory, sql: str) -> Path:
    """Two migrations: what is there, and a statement."""
    return project_factory(
        {
            "sql/0001_setup.sql": SETUP,
            "sql/0002_statement.sql": f"{sql};\n",
            "rollback/0001_rollback.sql": "DROP TABLE t, p",
            "rollback/0002_rollback.sql": "SELECT 1",
        }
    )


def interrupted(database: str, folder: Path, eye: Eye, kind: Kind, how: str) -> Report:
    """A run whose statement is ended while it waits for somebody."""
    assert up(database, folder, target="0001").error is None
    with ThreadPoolExecutor(1) as pool:
        with transaction(database, kind.waits_for, isolation=kind.isolation):
            # Without attempts it waits in the server, not before it sends the statement.
            at_once = replace(PATIENT, lock_timeout_ms=60_000, lock_retry_s=0)
            hurt = pool.submit(up, database, folder, "r-hurt", options=at_once)
            eye.end(kind.sql, how)
        return hurt.result()


def forget(database: str) -> None:
    """Take away the records that the statement was done, as if they had never been written."""
    for sql in (
        "DELETE FROM migration_log WHERE version = '0002' AND outcome = 'done' RETURNING id",
        "DELETE FROM migrations WHERE version = '0002' RETURNING id",
    ):
        assert rows(database, sql)


@pytest.mark.parametrize("how", ["cancel", "terminate"])
@pytest.mark.parametrize("name", KINDS)
def test_an_interrupted_statement_is_completed_by_the_next_run(
    database: str, project_factory: ProjectFactory, eye: Eye, table: Table, name: str, how: str
) -> None:
    kind = KINDS[name]
    folder = project(project_factory, kind.sql)
    with table.row(f"{name}, interrupted", "the next run completed it, nothing is left"):
        assert interrupted(database, folder, eye, kind, how).error is not None
        report = up(database, folder)
        assert report.error is None, report.error
        assert [index for (index,) in rows(database, INDEXES)] == list(kind.indexes)
        assert rows(database, INVALID) == []
        attached = [] if "DETACH" in name else [("p1", False)]
        assert rows(database, PARTITIONS) == attached


@pytest.mark.parametrize("name", UNRECORDED)
def test_a_statement_that_was_done_without_a_record_is_recognised_and_not_repeated(
    database: str, project_factory: ProjectFactory, table: Table, name: str
) -> None:
    folder = project(project_factory, UNRECORDED[name])
    if name == "DROP DATABASE":
        execute(database, "CREATE DATABASE unrecorded")
    with table.row(f"{name}, record lost", "the next run recognised it"):
        assert up(database, folder).error is None
        oids = "SELECT array_agg(indexrelid::text ORDER BY 1) FROM pg_index"
        before = value(database, oids)
        forget(database)
        events: list[Event] = []
        report = up(database, folder, listener=events.append)
        assert report.error is None, report.error
        assert "recognised" in {event.kind for event in events}
        assert value(database, oids) == before
    if name == "CREATE DATABASE":
        execute(database, "DROP DATABASE unrecorded")


@pytest.mark.parametrize("name", REPEATED)
def test_a_statement_that_may_be_repeated_is_repeated_where_its_record_is_missing(
    database: str, project_factory: ProjectFactory, table: Table, name: str
) -> None:
    folder = project(project_factory, REPEATED[name])
    with table.row(f"{name}, record lost", "the next run repeated it"):
        assert up(database, folder).error is None
        forget(database)
        report = up(database, folder)
        assert report.error is None, report.error
        assert rows(database, INDEXES) == [("old",)]
        assert rows(database, INVALID) == []


def test_an_interrupted_statement_that_was_edited_since_is_run_as_it_stands_now(
    database: str, project_factory: ProjectFactory, eye: Eye, table: Table
) -> None:
    kind = KINDS["CREATE INDEX CONCURRENTLY"]
    folder = project(project_factory, kind.sql)
    with table.row("file edited after an interruption", "the next run ran it as it stood then"):
        assert interrupted(database, folder, eye, kind, "terminate").error is not None
        assert rows(database, INVALID) == [("new",)]
        (folder / "sql/0002_statement.sql").write_text("CREATE INDEX CONCURRENTLY other ON t (id)")
        assert up(database, folder).error is None
        assert rows(database, INDEXES) == [("old",), ("other",)]
        assert rows(database, INVALID) == []


def test_a_unique_index_that_met_duplicates_leaves_nothing_and_is_built_when_they_are_gone(
    database: str, project_factory: ProjectFactory, table: Table
) -> None:
    folder = project(project_factory, "CREATE UNIQUE INDEX CONCURRENTLY ON t (id)")
    with table.row("UNIQUE meets duplicates", "nothing was left; the next run built it"):
        assert up(database, folder, target="0001").error is None
        execute(database, "INSERT INTO t VALUES (1, 'twice')")
        report = up(database, folder)
        assert report.error is not None and report.error.sqlstate == "23505"
        assert rows(database, INDEXES) == [("old",)]
        execute(database, "DELETE FROM t WHERE body = 'twice'")
        assert up(database, folder).error is None
        assert rows(database, INDEXES) == [("old",), ("t_id_idx",)]
        assert rows(database, INVALID) == []


def test_an_invalid_index_of_somebody_else_is_not_taken_for_done_by_if_not_exists(
    database: str, project_factory: ProjectFactory, table: Table
) -> None:
    sql = "CREATE INDEX CONCURRENTLY IF NOT EXISTS new ON t (id)"
    folder = project(project_factory, sql)
    with table.row("an invalid index was there before", "it was dropped and built"):
        assert up(database, folder, target="0001").error is None
        execute(database, "INSERT INTO t VALUES (1, 'twice')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            execute(database, "CREATE UNIQUE INDEX CONCURRENTLY new ON t (id)")
        assert rows(database, INVALID) == [("new",)]
        assert up(database, folder).error is None
        assert rows(database, INDEXES) == [("new",), ("old",)]
        assert rows(database, INVALID) == []
