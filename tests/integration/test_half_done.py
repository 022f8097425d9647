"""A migration that stopped half way outside a transaction is undone, as far as it was applied."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from turnback.engine import Engine, Event, Options, Report, RunContext
from turnback.engine.session.events import silent
from turnback.errors import (
    MigrationIncomplete,
    RollbackFailed,
    RollbackMissing,
)
from turnback.migrations.discovery import load_project
from turnback.schema.read import fingerprint

from tests.conftest import ProjectFactory
from tests.integration.command_line import turnback

QUICK = Options(lock_timeout_ms=500, lock_retry_s=1, runner_wait_s=1)
RUN = "r-half"
BASE = {
    "sql/0001_base.sql": "CREATE TABLE t (id int, body text);\n"
    "INSERT INTO t VALUES (1, 'one'), (1, 'two');\nCREATE INDEX t_body ON t (body);\n",
    "rollback/0001_rollback.sql": "DROP TABLE t;\n",
}
OUTSIDE = "-- turnback: no-transaction\n"


def with_second(forward: str, back: str | None, **more: str) -> dict[str, str]:
    files = BASE | {"sql/0002_second.sql": forward} | more
    return files | ({"rollback/0002_rollback.sql": back} if back is not None else {})


def engine_for(url: str, run: str = RUN, listener=silent) -> Engine:
    return Engine(
        url,
        context=RunContext(run=run, release="1.0.0", actor="a test"),
        options=QUICK,
        listener=listener,
    )


def execute(url: str, sql: str) -> list[tuple]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def schema(url: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        return fingerprint(connection).to_json()


def half(url: str, folder: Path) -> str:
    """Apply the base in a run of its own, and the second migration half; the schema before it."""
    project = load_project(folder)
    with engine_for(url, "r-base") as engine:
        assert engine.run(engine.plan_up(project, target="0001")).error is None
    before = schema(url)
    with engine_for(url) as engine:
        report = engine.run(engine.plan_up(project, rollback_required=False))
        assert report.error is not None
    return before


def back(url: str, listener=silent) -> Report:
    with engine_for(url, listener=listener) as engine:
        return engine.run(engine.plan_down_run(RUN))


def status(url: str) -> list[tuple]:
    return execute(url, "SELECT status FROM migration_health WHERE version = '0002'")


FAILS = "SELECT 1/0;\n"
# Forward script, rollback script, and the reasons why statements of it are skipped.
CASES = {
    "only the first statement": (
        f"{OUTSIDE}CREATE TABLE a ();\n{FAILS}CREATE TABLE b ();\n",
        "DROP TABLE b;\nDROP TABLE a;\n",
        ["b was never created"],
    ),
    "several things in one statement": (
        f"{OUTSIDE}CREATE TABLE a ();\n{FAILS}CREATE TABLE b ();\n",
        "DROP TABLE b, a CASCADE;\n",
        ["b was never created"],
    ),
    "several columns in one statement": (
        f"{OUTSIDE}ALTER TABLE t ADD COLUMN x int;\n{FAILS}ALTER TABLE t ADD COLUMN y int;\n",
        "ALTER TABLE t DROP COLUMN y, DROP COLUMN x;\n",
        ["t.y was never created"],
    ),
    "an index that was not dropped": (
        f"{OUTSIDE}CREATE TABLE a ();\n{FAILS}DROP INDEX CONCURRENTLY t_body;\n",
        "CREATE INDEX CONCURRENTLY t_body ON t (body);\nDROP TABLE a;\n",
        ["still exists"],
    ),
    "an index that was dropped": (
        f"{OUTSIDE}DROP INDEX CONCURRENTLY t_body;\n{FAILS}",
        "CREATE INDEX CONCURRENTLY t_body ON t (body);\n",
        [],
    ),
    "a unique index that met duplicates": (
        "CREATE TABLE a ();\nCREATE UNIQUE INDEX CONCURRENTLY t_id ON t (id);\n",
        "DROP INDEX CONCURRENTLY t_id;\nDROP TABLE a;\n",
        ["t_id was never created"],
    ),
    "a column that was not dropped": (
        f"{OUTSIDE}ALTER TABLE t ADD COLUMN x int;\n{FAILS}ALTER TABLE t DROP COLUMN body;\n",
        "ALTER TABLE t ADD COLUMN body text;\nCREATE INDEX t_body ON t (body);\n"
        "ALTER TABLE t DROP COLUMN x;\n",
        ["still exists", "still exists"],
    ),
    "a table that was not renamed": (
        f"{OUTSIDE}CREATE TABLE a ();\n{FAILS}ALTER TABLE t RENAME TO old;\n"
        "CREATE TABLE t (id bigint);\n",
        "DROP TABLE t;\nALTER TABLE old RENAME TO t;\nDROP TABLE a;\n",
        ["t was never created", "old was never created"],
    ),
    "a block that had committed": (
        f"{OUTSIDE}DO $$ BEGIN CREATE TABLE a (); COMMIT; RAISE EXCEPTION 'half'; END $$;\n",
        "DROP TABLE a;\n",
        [],
    ),
    "savepoints in the rollback script": (
        f"{OUTSIDE}CREATE TABLE a ();\n{FAILS}",
        "SAVEPOINT s;\nDROP TABLE a;\nROLLBACK TO s;\nDROP TABLE a;\nDROP TABLE nowhere;\n",
        ["never created"],
    ),
    "a table and a column that were renamed, and a table of the rollback itself": (
        f"{OUTSIDE}ALTER TABLE t RENAME TO t2;\nALTER TABLE t2 ADD COLUMN y int;\n{FAILS}",
        "CREATE TABLE kept AS SELECT * FROM t2;\nALTER TABLE t2 RENAME TO t;\n"
        "ALTER TABLE t DROP COLUMN y;\nDROP TABLE kept;\n",
        [],
    ),
    "a type, a function, a schema": (
        f"{OUTSIDE}CREATE TABLE a ();\n{FAILS}CREATE SCHEMA s;\nCREATE TYPE s.y AS ENUM ();\n"
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1;\n",
        "DROP FUNCTION f();\nDROP TYPE s.y;\nDROP SCHEMA s;\nDROP TABLE a;\n",
        ["f was never created", "y was never created", "s was never created"],
    ),
    "a verify script that failed": (
        f"{OUTSIDE}CREATE TABLE a ();\nCREATE INDEX CONCURRENTLY t_id ON t (id);\n",
        "DROP INDEX CONCURRENTLY t_id;\nDROP TABLE a;\n",
        [],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_half_is_taken_back_and_what_was_never_done_is_skipped(
    database: str, project_factory: ProjectFactory, name: str
) -> None:
    forward, rollback, reasons = CASES[name]
    verify = {"verify/0002_verify.sql": "SELECT 1/0;\n"} if name.startswith("a verify") else {}
    before = half(database, project_factory(with_second(forward, rollback, **verify)))
    assert status(database) == [("failed",)]
    events: list[Event] = []
    report = back(database, events.append)

    assert report.error is None, report.error
    assert [done.version for done in report.rolled_back] == ["0002"]
    assert schema(database) == before
    assert status(database) == [("rolled_back",)]
    skipped = [event.text for event in events if event.kind == "skipped"]
    assert len(skipped) == len(reasons)
    for text, reason in zip(skipped, reasons, strict=True):
        assert reason in text
    logged = "SELECT count(*) FROM migration_log WHERE direction = 'down' AND sqlstate IS NOT NULL"
    assert execute(database, logged) == [(len(reasons),)]
    assert execute(database, "SELECT count(*) FROM t") == [(2,)]


def test_after_the_rollback_up_begins_at_the_first_statement(
    database: str, project_factory: ProjectFactory
) -> None:
    forward, rollback, _ = CASES["only the first statement"]
    folder = project_factory(with_second(forward, rollback))
    half(database, folder)
    assert back(database).error is None
    (folder / "sql/0002_second.sql").write_text(forward.replace(FAILS, ""))
    events: list[Event] = []
    with engine_for(database, "r-again", events.append) as engine:
        report = engine.run(engine.plan_up(load_project(folder)))
    assert report.error is None, report.error
    assert "resumed" not in {event.kind for event in events}
    assert execute(database, "SELECT to_regclass('a')::text, to_regclass('b')::text") == [
        ("a", "b")
    ]


def test_the_half_goes_before_what_the_run_had_applied_whole(
    database: str, project_factory: ProjectFactory
) -> None:
    forward, rollback, _ = CASES["only the first statement"]
    project = load_project(project_factory(with_second(forward, rollback)))
    with engine_for(database) as engine:
        engine.run(engine.plan_up(project))
        assert [step.version for step in engine.plan_down_run(RUN).steps] == ["0002", "0001"]
        assert engine.plan_down_run("r-other").empty
        report = engine.run(engine.plan_down_run(RUN))
    assert report.error is None, report.error
    assert execute(database, "SELECT to_regclass('t'), to_regclass('a')") == [(None, None)]


def test_a_half_without_a_rollback_is_refused_before_anything_is_undone(
    database: str, project_factory: ProjectFactory
) -> None:
    forward = f"{OUTSIDE}-- turnback: irreversible because it is\nCREATE TABLE a ();\n{FAILS}"
    half(database, project_factory(with_second(forward, None)))
    with pytest.raises(RollbackMissing, match="0002"):
        back(database)
    assert execute(database, "SELECT to_regclass('a')::text") == [("a",)]


def test_a_first_statement_that_failed_and_left_nothing_is_not_half_done(
    database: str, project_factory: ProjectFactory
) -> None:
    forward = "CREATE UNIQUE INDEX CONCURRENTLY t_id ON t (id);\n"
    half(database, project_factory(with_second(forward, "DROP INDEX CONCURRENTLY t_id;\n")))
    with engine_for(database) as engine:
        assert engine.half_done() == []
        assert engine.plan_down_run(RUN).empty


def test_another_failure_fails_the_rollback_and_keeps_the_half_as_it_is(
    database: str, project_factory: ProjectFactory
) -> None:
    forward = f"{OUTSIDE}CREATE TABLE a ();\nCREATE TABLE b ();\n{FAILS}"
    half(database, project_factory(with_second(forward, "DROP TABLE a;\nSELECT 1 / 0;\n")))
    report = back(database)
    assert isinstance(report.error, RollbackFailed)
    assert (report.error.file, report.error.line) == ("rollback/0002_rollback.sql (stored)", 2)
    assert report.error.hint is not None and "still half done" in report.error.hint
    assert execute(database, "SELECT to_regclass('a')::text, to_regclass('b')::text") == [
        ("a", "b")
    ]
    assert status(database) == [("failed",)]


# The rows are right as they are, and the rollback script would spoil them.
HARMFUL = {
    "an update that was not done": (
        f"{OUTSIDE}CREATE TABLE a ();\n{FAILS}UPDATE t SET id = id * 100;\n",
        "UPDATE t SET id = id / 100;\nDROP TABLE a;\n",
    ),
    "an update of a column that is there still": (
        f"{OUTSIDE}ALTER TABLE t ADD COLUMN x int;\n{FAILS}UPDATE t SET x = id;\n"
        "ALTER TABLE t DROP COLUMN id;\n",
        "ALTER TABLE t ADD COLUMN id int;\nUPDATE t SET id = x;\nALTER TABLE t DROP COLUMN x;\n",
    ),
    "rows brought back into a table that has them": (
        f"{OUTSIDE}CREATE TABLE a (id int, body text);\nINSERT INTO a SELECT * FROM t;\n"
        f"{FAILS}DROP TABLE t;\n",
        "CREATE TABLE t (id int, body text);\nINSERT INTO t SELECT * FROM a;\nDROP TABLE a;\n",
    ),
    "rows brought back into a table that IF NOT EXISTS finds": (
        f"{OUTSIDE}CREATE TABLE a (id int, body text);\nINSERT INTO a SELECT * FROM t;\n"
        f"{FAILS}DROP TABLE t;\n",
        "CREATE TABLE IF NOT EXISTS t (id int, body text);\nINSERT INTO t SELECT * FROM a;\n"
        "DROP TABLE a;\n",
    ),
    "an update of a column that IF NOT EXISTS finds": (
        f"{OUTSIDE}ALTER TABLE t ADD COLUMN x text;\nUPDATE t SET x = upper(body);\n"
        f"{FAILS}ALTER TABLE t DROP COLUMN body;\n",
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS body text;\nUPDATE t SET body = x;\n"
        "ALTER TABLE t DROP COLUMN x;\n",
    ),
    "rows deleted that an insert met": (
        f"{OUTSIDE}CREATE TABLE a ();\nALTER TABLE t ADD CHECK (id > 0) NOT VALID;\n"
        "INSERT INTO t VALUES (0, 'one');\n",
        "DELETE FROM t WHERE body = 'one';\nDROP TABLE a;\n",
    ),
    "a table emptied that an insert did not fill": (
        f"{OUTSIDE}CREATE TABLE a ();\n{FAILS}INSERT INTO t VALUES (3, 'three');\n",
        "TRUNCATE t;\nDROP TABLE a;\n",
    ),
    "a table dropped that nothing makes": (
        f"{OUTSIDE}CREATE TABLE a ();\nALTER TABLE a ADD FOREIGN KEY (x) REFERENCES t;\n",
        "DROP TABLE IF EXISTS a;\nDROP TABLE IF EXISTS t;\n",
    ),
    "a column dropped that nothing makes": (
        f"{OUTSIDE}CREATE TABLE a ();\nALTER TABLE a ADD FOREIGN KEY (x) REFERENCES t;\n",
        "DROP TABLE a;\nALTER TABLE t DROP COLUMN IF EXISTS body;\n",
    ),
}


@pytest.mark.parametrize("outside", ["", OUTSIDE], ids=["in a transaction", "outside"])
@pytest.mark.parametrize("name", HARMFUL)
def test_a_rollback_that_would_harm_rows_is_refused(
    database: str, project_factory: ProjectFactory, name: str, outside: str
) -> None:
    forward, rollback = HARMFUL[name]
    half(database, project_factory(with_second(forward, outside + rollback)))
    report = back(database)
    assert isinstance(report.error, RollbackFailed)
    assert "may be right as they are" in report.error.message
    assert execute(database, "SELECT id, body FROM t ORDER BY body") == [(1, "one"), (1, "two")]


def test_a_rollback_outside_a_transaction_goes_on_where_it_stopped_and_up_waits_for_it(
    database: str, project_factory: ProjectFactory
) -> None:
    forward = f"{OUTSIDE}CREATE TABLE a ();\nCREATE INDEX CONCURRENTLY t_id ON t (id);\n{FAILS}"
    rollback = f"{OUTSIDE}DROP TABLE never;\nDROP TABLE a;\nSELECT 1/0;\nDROP INDEX t_id;\n"
    folder = project_factory(with_second(forward, rollback))
    before = half(database, folder)
    assert isinstance(back(database).error, MigrationIncomplete)
    with engine_for(database, "r-up") as engine:
        report = engine.run(engine.plan_up(load_project(folder)))
    assert isinstance(report.error, MigrationIncomplete)
    assert "stopped in its middle" in report.error.message

    (folder / "rollback/0002_rollback.sql").write_text(rollback.replace("SELECT 1/0", "SELECT 1"))
    with engine_for(database, "r-down") as engine:
        plan = engine.plan_down(load_project(folder), target="0001")
        report = engine.run(plan)
    assert report.error is None, report.error
    assert schema(database) == before
    assert status(database) == [("rolled_back",)]


def test_the_command_line_says_how_to_take_the_half_back_and_does_it(
    database: str, project_factory: ProjectFactory
) -> None:
    forward, rollback, _ = CASES["only the first statement"]
    folder = project_factory(with_second(forward, rollback))
    answer = turnback("up", "--json", url=database, folder=folder)
    assert answer.code == 6
    assert answer.document["error"]["type"] == "MigrationIncomplete"
    assert "turnback down 0001 undoes what was done" in answer.document["error"]["hint"]

    stands = turnback("status", url=database, folder=folder)
    assert "half done (statements done: 1)" in stands.out
    health = turnback("health", "--json", url=database, folder=folder)
    assert (health.code, health.document["problems"][-1]) == (
        3,
        "0002 second is half done; statements done: 1",
    )

    shown = turnback("down", "0001", "--dry-run", url=database, folder=folder)
    assert shown.code == 0
    assert "-- down 0002 second" in shown.out and "half done" in shown.out
    assert "DROP TABLE a" in shown.out
    assert execute(database, "SELECT to_regclass('a')::text") == [("a",)]

    done = turnback("down", "0001", "--yes", "--json", url=database, folder=folder)
    assert done.code == 0
    assert [row["version"] for row in done.document["rolled_back"]] == ["0002"]
    assert execute(database, "SELECT to_regclass('a')") == [(None,)]
    assert status(database) == [("rolled_back",)]


def test_a_half_without_a_rollback_is_no_hint_of_the_command_line(
    database: str, project_factory: ProjectFactory
) -> None:
    forward = f"{OUTSIDE}-- turnback: irreversible because it is\nCREATE TABLE a ();\n{FAILS}"
    folder = project_factory(with_second(forward, None))
    answer = turnback("up", "--json", url=database, folder=folder)
    assert answer.code == 6
    assert "turnback down" not in answer.document["error"]["hint"]
    assert turnback("down", "0001", "--yes", url=database, folder=folder).code == 3
