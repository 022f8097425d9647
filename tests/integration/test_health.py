"""`turnback health` reports everything that is not as it should be, and exits with 3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from turnback.recovery.dumps.successor import COMPLETE, KEPT, Mark, Names

from tests.conftest import ProjectFactory
from tests.dumps import Memory, dump
from tests.integration.command_line import turnback

FILES = {
    "sql/0001_t.sql": "CREATE TABLE t (id int);\n",
    "rollback/0001_rollback.sql": "DROP TABLE t;\n",
}


def execute(url: str, sql: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.encode())


def problems(url: str, folder: Path) -> list[str]:
    answer = turnback("health", "--json", url=url, folder=folder)
    found = answer.document["problems"]
    assert answer.code == (3 if found else 0), answer
    return found


@pytest.fixture
def folder(database: str, project_factory: ProjectFactory) -> Path:
    """A project that is applied."""
    written = project_factory(FILES)
    assert turnback("up", url=database, folder=written).code == 0
    return written


def test_a_rollback_that_failed_is_a_problem_until_it_is_done(database: str, folder: Path) -> None:
    assert problems(database, folder) == []
    execute(database, "CREATE VIEW v AS SELECT id FROM t")
    assert turnback("down", "--yes", url=database, folder=folder).code == 1
    (found,) = problems(database, folder)
    assert found.startswith("the rollback of 0001 t failed: ")
    assert "cannot drop table t" in found
    execute(database, "DROP VIEW v")
    assert turnback("down", "--yes", url=database, folder=folder).code == 0
    assert problems(database, folder) == []


def test_a_rollback_that_failed_is_no_problem_after_a_repair(database: str, folder: Path) -> None:
    execute(database, "CREATE VIEW v AS SELECT id FROM t")
    assert turnback("down", "--yes", url=database, folder=folder).code == 1
    execute(database, "DROP TABLE t CASCADE")
    repaired = turnback(
        "repair", "0001", "--rolled-back", "--because", "by hand", url=database, folder=folder
    )
    assert repaired.code == 0
    assert problems(database, folder) == []


@pytest.mark.parametrize(
    ("direction", "outcome", "problem"),
    [
        ("up", "detached", "0002 was left to the server, and its end is not recorded"),
        ("down", "detached", "the rollback of 0002 was left to the server, and its end is not"),
        ("up", "started", "0002 has begun, and its end is not recorded"),
        ("down", "started", "the rollback of 0002 has begun, and its end is not recorded"),
    ],
)
def test_work_whose_end_is_not_recorded_is_a_problem(
    database: str, folder: Path, direction: str, outcome: str, problem: str
) -> None:
    execute(
        database,
        "INSERT INTO migration_log (run_id, version, direction, outcome, actor) "
        f"VALUES ('r-1', '0002', '{direction}', '{outcome}', 'a test')",
    )
    (found,) = problems(database, folder)
    assert found.startswith(problem)


@pytest.fixture
def beside(database: str, admin: psycopg.Connection) -> Iterator[Names]:
    """The names of a restore of this database, which are dropped after the test."""
    names = Names.of(str(conninfo_to_dict(database)["dbname"]), "r-20261129T101112Z-a1b2c3")
    yield names
    for name in (names.kept, names.successor):
        admin.execute(f"DROP DATABASE IF EXISTS {name}".encode())


def test_what_restores_have_left_beside_the_database_is_a_problem(
    database: str, folder: Path, admin: psycopg.Connection, beside: Names
) -> None:
    record = dump(database, Memory())
    for name, state in ((beside.kept, KEPT), (beside.successor, COMPLETE)):
        admin.execute(f"CREATE DATABASE {name} STRATEGY file_copy".encode())
        mark = Mark(state, "r-1", record.sha256, "2026-11-29").text(0, record)
        admin.execute(f"COMMENT ON DATABASE {name} IS '{mark}'".encode())
    assert problems(database, folder) == [
        f"database {beside.kept} (owner postgres) was kept by a restore; drop it when it is not "
        "needed any more",
        f"database {beside.successor} (owner postgres) is left of a restore that has not finished",
    ]
    # Those of another database are not this one's.
    other = database.replace(beside.current, "postgres")
    assert not any(beside.current in problem for problem in problems(other, folder))
    admin.execute(f"COMMENT ON DATABASE {beside.kept} IS 'mine'".encode())
    admin.execute(f"COMMENT ON DATABASE {beside.successor} IS NULL".encode())
    assert problems(database, folder) == []
    # Cut off between CREATE DATABASE and the mark.
    admin.execute(f"ALTER DATABASE {beside.successor} ALLOW_CONNECTIONS false".encode())
    assert [beside.successor in problem for problem in problems(database, folder)] == [True]


def test_an_invalid_index_is_a_problem(database: str, folder: Path) -> None:
    execute(database, "INSERT INTO t VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        execute(database, "CREATE UNIQUE INDEX CONCURRENTLY i ON t (id)")
    (found,) = problems(database, folder)
    assert "is invalid" in found
