"""A script that removes what turnback has recorded is not kept: its own message looks for that."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from turnback.errors import MigrationFailed, RollbackFailed, TurnbackError
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project
from turnback.rehearsal.proof import rehearse
from turnback.rehearsal.shadow import Shadow

from tests.conftest import ProjectFactory
from tests.integration.command_line import turnback
from tests.integration.test_engine import apply, engine_for, one_table, query

EMPTY_ALL = (
    "DO $$ DECLARE name text; BEGIN "
    "FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' "
    "LOOP EXECUTE 'TRUNCATE ' || quote_ident(name); END LOOP; END $$"
)


def unseen(sql: str) -> str:
    """SQL that is put together at run time, so that no reading of the files finds it."""
    return f"DO $$ BEGIN EXECUTE reverse('{sql[::-1]}'); END $$"


REMOVALS = [
    "DELETE FROM migrations",
    unseen("TRUNCATE migrations"),
    "UPDATE migrations SET success = false",
    "DELETE FROM migration_log",
    "RESET ALL; DELETE FROM migration_log WHERE version = '0001'",
    EMPTY_ALL,
    unseen("DROP SCHEMA public CASCADE"),
    unseen("DROP SCHEMA public CASCADE") + "; CREATE SCHEMA public",
    unseen("DROP TABLE migrations CASCADE"),
    unseen("DROP TABLE migrations CASCADE; CREATE TABLE migrations (version text)"),
]


def with_second(forward: str, rollback: str = "SELECT 1;\n") -> dict[str, str]:
    return one_table(1) | {
        "sql/0002_second.sql": f"{forward};\n",
        "rollback/0002_rollback.sql": rollback,
    }


@pytest.mark.parametrize("removal", REMOVALS)
def test_a_migration_that_removes_the_history_is_refused_and_rolled_back(
    database: str, project_factory: ProjectFactory, removal: str
) -> None:
    # Both in one message: what the first has recorded is gone for the second one's check as well.
    error = apply(database, project_factory(with_second(removal))).error
    assert isinstance(error, MigrationFailed)
    assert error.file == "sql/0002_second.sql"
    assert "removes what turnback has recorded" in error.message
    found = "SELECT version, success, rolled_back_at IS NULL FROM migrations ORDER BY 1"
    assert query(database, found) == [("0001", True, True), ("0002", False, True)]
    assert query(database, "SELECT to_regclass('t1') IS NOT NULL") == [(True,)]
    assert turnback("health", url=database).code == 3


@pytest.mark.parametrize(
    "script", [EMPTY_ALL, "-- turnback: no-transaction\nUPDATE migrations SET success = false"]
)
def test_a_rollback_that_removes_the_history_is_refused_and_changes_nothing(
    database: str, project_factory: ProjectFactory, script: str
) -> None:
    folder = project_factory(with_second("CREATE TABLE t2 (id int)", f"{script};\n"))
    assert apply(database, folder).error is None
    with engine_for(database) as engine:
        error = engine.run(engine.plan_down(load_project(folder), target="0001")).error
    assert isinstance(error, RollbackFailed)
    assert query(database, "SELECT count(*) FROM migrations WHERE rolled_back_at IS NULL") == [(2,)]


def test_a_statement_outside_a_transaction_that_removes_the_history_is_not_kept(
    database: str, project_factory: ProjectFactory
) -> None:
    script = "-- turnback: no-transaction\nCREATE TABLE t2 (id int);\nDELETE FROM migration_log"
    error = apply(database, project_factory(with_second(script)), batch=False).error
    assert isinstance(error, MigrationFailed)
    assert "statement 1 is done and kept" in error.hint
    assert query(database, "SELECT count(*) FROM migration_log WHERE outcome = 'done'") == [(2,)]


def test_a_block_that_may_commit_and_removed_the_history_is_reported(
    database: str, project_factory: ProjectFactory
) -> None:
    script = f"-- turnback: no-transaction\n{EMPTY_ALL}"
    error = apply(database, project_factory(with_second(script)), batch=False).error
    assert isinstance(error, MigrationFailed)
    assert "ran outside a transaction and were kept" in error.hint


def test_the_rehearsal_finds_that_a_migration_removes_the_history(
    project_factory: ProjectFactory, server: EmbeddedServer
) -> None:
    project = load_project(project_factory(with_second(EMPTY_ALL)))
    found = rehearse(project, project.migrations, Shadow(server.url())).migrations[-1]
    assert found.forward == "failed"
    assert "removes what turnback has recorded" in str(found.error)


@pytest.mark.parametrize(
    ("rollback", "what"),
    [
        ("DROP TABLE t2, migrations;", "the table migrations is one"),
        ("DROP TABLE IF EXISTS public.migration_log CASCADE;", "the table migration_log is one"),
        ("DROP SCHEMA public CASCADE;", "the schema public has the tables"),
        ("SET search_path = public; TRUNCATE t2, migrations;", "the table migrations is one"),
        ("DROP TABEL t2;", "syntax error"),
    ],
)
def test_up_and_check_refuse_a_rollback_that_cannot_be_used(
    database: str, project_factory: ProjectFactory, rollback: str, what: str
) -> None:
    folder = project_factory(with_second("CREATE TABLE t2 (id int)", f"{rollback}\n"))
    with pytest.raises(TurnbackError, match=what) as refused:
        apply(database, folder)
    assert refused.value.file == "rollback/0002_rollback.sql"
    assert query(database, "SELECT to_regclass('t1')") == [(None,)]
    assert what in turnback("check", folder=folder).out


def test_tables_of_the_same_names_elsewhere_may_be_dropped(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(
        with_second(
            "CREATE SCHEMA app; CREATE TABLE app.migrations (id int)",
            "SET search_path = app; DROP TABLE migrations; DROP SCHEMA app;\n",
        )
    )
    assert apply(database, folder).error is None
    with engine_for(database) as engine:
        assert engine.run(engine.plan_down(load_project(folder), target="0")).error is None


@pytest.mark.parametrize(
    ("removal", "problem"),
    [
        ("DELETE FROM migrations", "the log says that 0001 was applied"),
        ("DELETE FROM migration_log", "the log has no record of it"),
        ("DROP TABLE migrations CASCADE", "the history is gone"),
    ],
)
def test_health_says_that_the_history_was_removed_by_somebody_else(
    database: str, project_factory: ProjectFactory, removal: str, problem: str
) -> None:
    folder = project_factory(one_table(1))
    assert apply(database, folder).error is None
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(removal.encode())
    answer = turnback("health", url=database, folder=folder)
    assert answer.code == 3
    assert problem in answer.err


def test_down_warns_of_a_table_that_an_earlier_migration_has_made(
    database: str, project_factory: ProjectFactory
) -> None:
    folder: Path = project_factory(
        {
            "sql/0001_app.sql": "CREATE SCHEMA app; CREATE TABLE app.t (id int);\n",
            "rollback/0001_rollback.sql": "DROP SCHEMA app CASCADE;\n",
            "sql/0002_more.sql": "CREATE TABLE app.u (id int);\n",
            "rollback/0002_rollback.sql": "DROP SCHEMA app CASCADE;\n",
        }
    )
    assert apply(database, folder).error is None
    answer = turnback("down", "0001", "--dry-run", url=database, folder=folder)
    assert "rollback/0002_rollback.sql:1 table app.t, with its rows" in answer.err
    assert "app.u" not in answer.err
    answer = turnback("down", "0", "--dry-run", url=database, folder=folder)
    assert "rollback/0001_rollback.sql" not in answer.err
