"""Files too large for one message, sent in parts of one transaction: what is kept, what is said.

The sizes are made small, so that a file of a few lines is large.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from turnback.engine.session.events import RunControl
from turnback.errors import ChecksumMismatch, MigrationFailed
from turnback.migrations import large
from turnback.migrations.discovery import load_project
from turnback.sql import bulk, bulk_reader

from tests.conftest import ProjectFactory
from tests.integration.test_engine import apply, engine_for, query

ROWS = "".join(f"INSERT INTO t VALUES ({n}, 'zwölf'), ({n + 1000}, 'b');\n" for n in range(30))


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "LARGE_BYTES", 500)
    for module in (large, bulk, bulk_reader):
        monkeypatch.setattr(module, "BLOCK_BYTES", 300)
    monkeypatch.setattr(bulk_reader, "_PIECE_BYTES", 100)


@pytest.fixture
def folder(project_factory: ProjectFactory) -> Path:
    return project_factory(
        {
            "sql/0001_t.sql": "CREATE TABLE t (id int PRIMARY KEY, name text);",
            "rollback/0001_rollback.sql": "DROP TABLE t;",
            "sql/0002_rows.sql": ROWS,
            "rollback/0002_rollback.sql": "DELETE FROM t;",
        }
    )


def write(folder: Path, sql: str, path: str = "sql/0002_rows.sql") -> None:
    (folder / path).write_text(sql)


def kept(url: str) -> tuple[int, list[tuple]]:
    applied = "SELECT version FROM migrations WHERE success AND rolled_back_at IS NULL ORDER BY 1"
    return query(url, "SELECT count(*) FROM t")[0][0], query(url, applied)


ALL = (60, [("0001",), ("0002",)])
NOTHING = (0, [("0001",)])


@pytest.mark.parametrize(
    "sql",
    [
        ROWS,
        f"-- a comment\nBEGIN;\n{ROWS}COMMIT;\n-- the end\n",
        f"{ROWS}SELECT 'no semicolon'",
        f"SAVEPOINT a;\n{ROWS}RELEASE a;",
        f"{ROWS}-- ends in a comment",
    ],
)
def test_all_of_it_is_applied_and_recorded(database: str, folder: Path, sql: str) -> None:
    write(folder, sql)
    report = apply(database, folder)
    assert report.error is None
    assert kept(database) == ALL
    if "SAVEPOINT" not in sql:
        record = "SELECT xmin::text FROM migrations WHERE version = '0002'"
        assert query(database, f"SELECT DISTINCT xmin::text FROM t EXCEPT {record}") == []


@pytest.mark.parametrize("number", [0, 13, 29])
def test_an_error_has_its_line_and_nothing_is_kept(
    database: str, folder: Path, number: int
) -> None:
    lines = ROWS.splitlines()
    lines[number] = "INSERT INTO t VALUES (7, 'ö'), (5000, nobody);"
    write(folder, "\n".join(lines))
    error = apply(database, folder).error
    assert isinstance(error, MigrationFailed)
    assert (error.line, error.column) == (number + 1, 39)
    assert error.statement == lines[number].removesuffix(";")
    assert kept(database) == NOTHING


def test_an_error_without_a_position_has_that_of_its_statement(database: str, folder: Path) -> None:
    write(folder, f"{ROWS}INSERT INTO t VALUES (3, 'again');\nSELECT 1;\n")
    error = apply(database, folder).error
    assert isinstance(error, MigrationFailed)
    assert (error.line, error.column, error.sqlstate) == (31, 1, "23505")
    assert kept(database) == NOTHING


def test_its_verify_script_can_refuse_it(database: str, folder: Path) -> None:
    (folder / "verify").mkdir()
    write(folder, "SELECT 1;\nSELECT nothing;", "verify/0002_verify.sql")
    error = apply(database, folder).error
    assert isinstance(error, MigrationFailed)
    assert (error.file, error.line, error.column) == ("verify/0002_verify.sql", 2, 8)
    assert kept(database) == NOTHING


@pytest.mark.parametrize("end", ["", "COPY t FROM stdin;\n5000\t'b'\n\\.\n"])
def test_a_file_that_changes_after_it_was_checked_is_not_applied(
    database: str, folder: Path, end: str
) -> None:
    write(folder, ROWS + end)
    with engine_for(database) as engine:
        plan = engine.plan_up(load_project(folder))
        write(folder, (end and ROWS) + (end or ROWS).replace("'b'", "'c'"))
        report = engine.run(plan)
    assert isinstance(report.error, ChecksumMismatch)
    assert kept(database) == NOTHING


def test_a_setting_that_changes_how_the_rest_is_read_is_refused(
    database: str, folder: Path
) -> None:
    write(folder, f"SET standard_conforming_strings = off;\n{ROWS}")
    error = apply(database, folder).error
    assert isinstance(error, MigrationFailed)
    assert "standard_conforming_strings" in error.message
    assert kept(database) == NOTHING


def test_a_run_that_has_to_leave_before_all_is_sent_keeps_nothing_and_says_so(
    database: str, folder: Path
) -> None:
    write(folder, f"SELECT pg_sleep(60);\n{ROWS}")
    project = load_project(folder)
    with engine_for(database) as engine:
        engine.run(engine.plan_up(project, target="0001"))
        # It leaves as soon as its first part is under way.
        control = RunControl(keep_going=lambda: awake(database))
        report = engine.run(engine.plan_up(project), control)
    assert isinstance(report.error, MigrationFailed)
    assert "could not be sent in the time" in report.error.message
    assert report.running is None
    assert kept(database) == NOTHING
    assert awake(database)


def awake(url: str) -> bool:
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = "
    return query(url, f"{asleep}current_database()") == [(0,)]


def test_a_rollback_script_may_be_large_as_well(database: str, folder: Path) -> None:
    write(
        folder,
        "".join(f"DELETE FROM t WHERE id IN ({n}, {n + 1000});\n" for n in range(30)),
        "rollback/0002_rollback.sql",
    )
    assert apply(database, folder).error is None
    with engine_for(database) as engine:
        report = engine.run(engine.plan_down(load_project(folder), target="0001"))
    assert report.error is None
    assert kept(database) == NOTHING


def test_it_may_run_outside_a_transaction(database: str, folder: Path) -> None:
    write(folder, f"{ROWS}CREATE INDEX CONCURRENTLY i ON t (name);\n")
    assert apply(database, folder).error is None
    assert kept(database) == ALL


def test_psql_reads_the_same_rows(database: str, folder: Path) -> None:
    apply(database, folder)
    with psycopg.connect(database) as connection:
        ours = connection.execute("SELECT * FROM t ORDER BY id").fetchall()
        connection.execute("TRUNCATE t")
        connection.execute(ROWS.encode())
        assert connection.execute("SELECT * FROM t ORDER BY id").fetchall() == ours
