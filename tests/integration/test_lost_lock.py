"""A migration that releases its run's lock: nothing is applied twice."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from turnback.engine import Engine, Event, Options, RunContext
from turnback.engine.session.events import EventKind, silent
from turnback.errors import HistoryConflict, InvalidMigration, RunnerBusy
from turnback.migrations.discovery import load_project

from tests.conftest import ProjectFactory
from tests.integration.command_line import turnback

# What no check of the file can see.
UNLOCK = (
    "CREATE FUNCTION unlock() RETURNS void LANGUAGE plpgsql AS "
    "$$BEGIN PERFORM pg_advisory_unlock_all(); END$$;\nSELECT unlock();\n"
)
FILES = {
    "sql/0001_unlock.sql": UNLOCK,
    "rollback/0001_rollback.sql": "DROP FUNCTION unlock();\n",
    "sql/0002_row.sql": "CREATE TABLE IF NOT EXISTS paid (id int);\nINSERT INTO paid VALUES (1);\n",
    "rollback/0002_rollback.sql": "DROP TABLE IF EXISTS paid;\n",
}
OUTSIDE = FILES | {
    "sql/0002_row.sql": "-- turnback: no-transaction\n" + FILES["sql/0002_row.sql"],
}


def engine_for(url: str, run: str, listener: Callable[[Event], None] = silent) -> Engine:
    options = Options(batch=False, runner_wait_s=0.3)
    return Engine(url, context=RunContext(run), options=options, listener=listener)


def query(url: str, sql: str) -> list[tuple]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(sql.encode()).fetchall()


@pytest.mark.parametrize("files", [FILES, OUTSIDE], ids=["in a transaction", "outside"])
def test_what_another_run_has_applied_meanwhile_is_not_applied_again(
    database: str, project_factory: ProjectFactory, files: dict[str, str]
) -> None:
    project = load_project(project_factory(files))

    def between(event: Event) -> None:
        if event.kind == EventKind.APPLIED and event.version == "0001":
            with engine_for(database, "r-second") as second:
                assert second.run(second.plan_up(project)).error is None

    with engine_for(database, "r-first", between) as first:
        report = first.run(first.plan_up(project))
    assert isinstance(report.error, HistoryConflict)
    assert "0002 was applied by another run meanwhile" in report.error.message
    assert query(database, "SELECT * FROM paid") == [(1,)]
    assert query(database, "SELECT success FROM migrations") == [(True,), (True,)]
    assert query(
        database,
        "SELECT run_id FROM migration_log WHERE version = '0002' AND outcome = 'done' "
        "AND statement IS NULL",
    ) == [("r-second",)]


@pytest.mark.parametrize("files", [FILES, OUTSIDE], ids=["in a transaction", "outside"])
def test_a_run_stops_while_another_has_the_lock_that_it_lost(
    database: str, project_factory: ProjectFactory, files: dict[str, str]
) -> None:
    project = load_project(project_factory(files))
    with engine_for(database, "r-second") as second:

        def between(event: Event) -> None:
            if event.kind == EventKind.APPLIED and event.version == "0001":
                second.session.lock()

        with engine_for(database, "r-first", between) as first:
            report = first.run(first.plan_up(project))
    assert isinstance(report.error, RunnerBusy)
    assert "took the lock before 0002" in report.error.message
    assert query(database, "SELECT to_regclass('paid')") == [(None,)]


def test_what_another_run_has_rolled_back_meanwhile_is_not_rolled_back_again(
    database: str, project_factory: ProjectFactory
) -> None:
    files = FILES | {"rollback/0002_rollback.sql": "SELECT unlock();\nDROP TABLE paid;\n"}
    files["rollback/0001_rollback.sql"] = "DROP FUNCTION IF EXISTS unlock();\n"
    project = load_project(project_factory(files))
    with engine_for(database, "r-up") as engine:
        assert engine.run(engine.plan_up(project)).error is None

    def between(event: Event) -> None:
        if event.kind == EventKind.ROLLED_BACK and event.version == "0002":
            with engine_for(database, "r-second") as second:
                assert second.run(second.plan_down(project, target="0")).error is None

    with engine_for(database, "r-first", between) as first:
        report = first.run(first.plan_down(project, target="0"))
    assert isinstance(report.error, HistoryConflict)
    assert "0001 was rolled back by another run meanwhile" in report.error.message


@pytest.mark.parametrize(
    "sql",
    [
        "DISCARD ALL;",
        "SELECT pg_advisory_unlock_all();",
        "SELECT 1 WHERE pg_catalog.PG_ADVISORY_UNLOCK_ALL() IS NULL;",
        "DO $$BEGIN PERFORM pg_advisory_unlock_all(); END$$;",
    ],
)
def test_statements_that_release_the_lock_are_refused(
    database: str, project_factory: ProjectFactory, sql: str
) -> None:
    folder = project_factory({"sql/0001_t.sql": f"{sql}\n", "rollback/0001_rollback.sql": "\n"})
    for command, url in (("check", None), ("up", database)):
        answer = turnback(command, url=url, folder=folder)
        assert answer.code == 3, answer
        assert "releases the lock of the run" in answer.err + answer.out
    with engine_for(database, "r") as engine, pytest.raises(InvalidMigration):
        engine.plan_up(load_project(folder))
