"""The engine on a real server: what is kept, what is not, and what the error says."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from turnback.engine import Engine, Event, Options, RunContext
from turnback.engine.look.other_runs import applied_on_top
from turnback.engine.session.events import RunControl, silent
from turnback.errors import (
    DatabaseUnreachable,
    LockTimeout,
    MigrationFailed,
    MigrationIncomplete,
    RollbackFailed,
    RunCancelled,
    RunnerBusy,
    VerificationFailed,
)
from turnback.migrations.discovery import load_project

from tests.conftest import ProjectFactory
from tests.integration.terminal import until

pytestmark = pytest.mark.every_major(15)
QUICK = Options(lock_timeout_ms=100, lock_retry_s=0.5, runner_wait_s=0.3)


def engine_for(url: str, run: str = "r-test", listener=None, **options) -> Engine:
    return Engine(
        url,
        context=RunContext(run=run, release="1.0.0", actor="a test"),
        options=Options(**options) if options else QUICK,
        listener=listener or silent,
    )


def query(url: str, sql: str) -> list[tuple]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql)
        while cursor.nextset():
            pass
        return cursor.fetchall() if cursor.description else []


def one_table(number: int) -> dict[str, str]:
    return {
        f"sql/{number:04}_t{number}.sql": f"CREATE TABLE t{number} (id int);\n",
        f"rollback/{number:04}_rollback.sql": f"DROP TABLE t{number};\n",
    }


def tables(count: int) -> dict[str, str]:
    return {path: sql for n in range(1, count + 1) for path, sql in one_table(n).items()}


def apply(url: str, folder, **options):
    with engine_for(url, **options) as engine:
        return engine.run(engine.plan_up(load_project(folder)))


@pytest.mark.parametrize("batch", [True, False])
def test_up_applies_every_pending_migration_and_records_each(
    database: str, project_factory: ProjectFactory, batch: bool
) -> None:
    report = apply(database, project_factory(tables(5)), batch=batch)
    assert report.error is None
    assert [done.version for done in report.applied] == ["0001", "0002", "0003", "0004", "0005"]
    assert query(database, "SELECT version, status FROM migration_health ORDER BY version") == [
        (f"000{n}", "applied") for n in range(1, 6)
    ]
    assert query(database, "SELECT count(*) FROM migration_log WHERE outcome = 'done'") == [(5,)]


@pytest.mark.parametrize("batch", [True, False])
def test_a_failing_migration_stops_the_run_and_keeps_only_what_came_before(
    database: str, project_factory: ProjectFactory, batch: bool
) -> None:
    files = tables(5) | {"sql/0003_t3.sql": "CREATE TABLE t3 (id int);\nSELECT 1/0;\n"}
    report = apply(database, project_factory(files), batch=batch)
    assert isinstance(report.error, MigrationFailed)
    assert (report.error.file, report.error.line) == ("sql/0003_t3.sql", 2)
    assert report.error.sqlstate == "22012"
    assert [done.version for done in report.applied] == ["0001", "0002"]
    assert report.remaining == ["0003", "0004", "0005"]
    assert query(database, "SELECT version, success FROM migrations ORDER BY version") == [
        ("0001", True),
        ("0002", True),
        ("0003", False),
    ]
    assert query(database, "SELECT to_regclass('t3'), to_regclass('t4')") == [(None, None)]


def test_a_failed_migration_runs_again_after_it_was_fixed(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(one_table(1) | {"sql/0001_t1.sql": "CREATE TABLE t1 (id nonsense);"})
    assert apply(database, folder).error is not None
    (folder / "sql/0001_t1.sql").write_text("CREATE TABLE t1 (id int);")
    assert apply(database, folder).error is None
    assert query(database, "SELECT status, error FROM migration_health") == [("applied", None)]


def test_an_error_position_counts_characters_after_emoji_and_windows_line_ends(
    database: str, project_factory: ProjectFactory
) -> None:
    sql = "-- 🐘 é\r\nCREATE TABLE a (id int);\r\nSELECT '🐘🐘', no_such_column FROM a;\r\n"
    report = apply(database, project_factory(one_table(1) | {"sql/0001_t1.sql": sql}))
    assert report.error is not None
    assert (report.error.line, report.error.column) == (3, 14)


def test_a_comment_in_the_last_line_does_not_swallow_the_record(
    database: str, project_factory: ProjectFactory
) -> None:
    files = one_table(1) | {"sql/0001_t1.sql": "CREATE TABLE t1 (id int) -- the end"}
    assert apply(database, project_factory(files)).error is None
    assert query(database, "SELECT count(*) FROM migrations") == [(1,)]


@pytest.mark.parametrize("end", ["SELECT 'open", "SELECT $x$open", "/* open", 'SELECT "open'])
def test_an_unterminated_quote_or_comment_records_nothing_as_applied(
    database: str, project_factory: ProjectFactory, end: str
) -> None:
    report = apply(database, project_factory(one_table(1) | {"sql/0001_t1.sql": end}))
    assert isinstance(report.error, MigrationFailed)
    assert query(database, "SELECT success FROM migrations") == [(False,)]


def test_savepoints_work_inside_a_migration(database: str, project_factory: ProjectFactory) -> None:
    sql = (
        "CREATE TABLE t1 (id int);\nSAVEPOINT s;\nINSERT INTO t1 VALUES (1);\n"
        "ROLLBACK TO s;\nINSERT INTO t1 VALUES (2);\n"
    )
    assert apply(database, project_factory(one_table(1) | {"sql/0001_t1.sql": sql})).error is None
    assert query(database, "SELECT id FROM t1") == [(2,)]


def test_nothing_leaks_from_one_migration_into_the_next(
    database: str, project_factory: ProjectFactory
) -> None:
    leaks = (
        "SET lock_timeout = '7s'; SET search_path = pg_catalog; SET TIME ZONE 'Asia/Tokyo';"
        "SET session_replication_role = replica; CREATE ROLE {role}; SET ROLE {role};"
    )
    role = "leaker_" + database.rsplit("/", 1)[1].split("?")[0]
    look = (
        "CREATE TABLE seen AS SELECT current_setting('lock_timeout') AS lock_timeout, "
        "current_setting('search_path') AS search_path, current_setting('TimeZone') AS zone, "
        "current_setting('session_replication_role') AS replication, "
        "current_user = session_user AS ourselves;"
    )
    files = one_table(1) | one_table(2)
    files |= {"sql/0001_t1.sql": leaks.format(role=role), "sql/0002_t2.sql": look}
    for batch in (True, False):
        report = apply(database, project_factory(files), batch=batch)
        assert report.error is None
        zone = query(database, "SHOW TimeZone")[0][0]
        assert query(database, "SELECT * FROM seen") == [
            ("2s", '"$user", public', zone, "origin", True)
        ]
        query(
            database,
            f"DROP TABLE seen; DELETE FROM migrations; DELETE FROM migration_log;DROP ROLE {role}",
        )


@pytest.mark.parametrize("batch", [True, False])
def test_a_prepared_statement_does_not_outlive_its_migration(
    database: str, project_factory: ProjectFactory, batch: bool
) -> None:
    files = tables(2)
    files |= dict.fromkeys(["sql/0001_t1.sql", "sql/0002_t2.sql"], "PREPARE look AS SELECT 1;")
    assert apply(database, project_factory(files), batch=batch).error is None


def test_a_migration_that_switches_role_is_recorded_all_the_same(
    database: str, project_factory: ProjectFactory
) -> None:
    role = "weak_" + database.rsplit("/", 1)[1].split("?")[0]
    sql = f"CREATE ROLE {role}; SET ROLE {role}; SELECT set_config('search_path', '', false);"
    report = apply(database, project_factory(one_table(1) | {"sql/0001_t1.sql": sql}))
    assert report.error is None
    assert query(database, f"DROP ROLE {role}; SELECT count(*) FROM migrations") == [(1,)]


def test_down_runs_the_rollback_scripts_in_reverse_and_up_applies_them_again(
    database: str, project_factory: ProjectFactory
) -> None:
    project = load_project(project_factory(tables(3)))
    with engine_for(database) as engine:
        engine.run(engine.plan_up(project))
        report = engine.run(engine.plan_down(project, target="0001"))
        assert [done.version for done in report.rolled_back] == ["0003", "0002"]
        assert [item.status for item in engine.status(project)] == [
            "applied",
            "rolled_back",
            "rolled_back",
        ]
        assert [d.version for d in engine.run(engine.plan_up(project)).applied] == ["0002", "0003"]
    assert query(database, "SELECT count(*) FROM migrations") == [(3,)]


@pytest.mark.parametrize("count", [3, 1])
def test_a_failing_rollback_leaves_its_migration_applied(
    database: str, project_factory: ProjectFactory, count: int
) -> None:
    files = tables(count) | {"rollback/0001_rollback.sql": "DROP TABLE t1;\nDROP TABLE nowhere;\n"}
    project = load_project(project_factory(files))
    with engine_for(database) as engine:
        engine.run(engine.plan_up(project))
        report = engine.run(engine.plan_down(project, target="0"))
        assert isinstance(report.error, RollbackFailed)
        assert (report.error.file, report.error.line) == ("rollback/0001_rollback.sql", 2)
        assert engine.status(project)[0].status == "applied"
    assert query(database, "SELECT to_regclass('t1')::text") == [("t1",)]


def test_the_migrations_of_a_run_are_known_by_its_id(
    database: str, project_factory: ProjectFactory
) -> None:
    project = load_project(project_factory(tables(3)))
    with engine_for(database, run="r-first") as engine:
        engine.run(engine.plan_up(project, target="0001"))
    with engine_for(database, run="r-second") as engine:
        engine.run(engine.plan_up(project))
        plan = engine.plan_down_run("r-second")
        assert [step.version for step in plan.steps] == ["0003", "0002"]
        assert plan.steps[0].runnable.script.sql == "DROP TABLE t3;\n"
        assert engine.plan_down_run("r-nobody").empty


def test_a_statement_that_cannot_run_in_a_transaction_runs_on_its_own(
    database: str, project_factory: ProjectFactory
) -> None:
    files = tables(2) | {
        "sql/0002_t2.sql": "CREATE INDEX CONCURRENTLY t1_id ON t1 (id);",
        "rollback/0002_rollback.sql": "DROP INDEX CONCURRENTLY t1_id;",
    }
    project = load_project(project_factory(files))
    with engine_for(database) as engine:
        assert engine.run(engine.plan_up(project)).error is None
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 't1_id'::regclass"
        assert query(database, valid) == [(True,)]
        assert engine.run(engine.plan_down(project, target="0001")).error is None
    assert query(database, "SELECT to_regclass('t1_id')") == [(None,)]


def test_a_file_half_done_outside_a_transaction_goes_on_where_it_stopped(
    database: str, project_factory: ProjectFactory
) -> None:
    sql = (
        "-- turnback: no-transaction\nCREATE TABLE a (id int);\n"
        "SET search_path = other;\nCREATE TABLE b (id int);\n"
    )
    folder = project_factory(one_table(1) | {"sql/0001_t1.sql": sql})
    first = apply(database, folder)
    assert isinstance(first.error, MigrationIncomplete)
    assert first.error.line == 4
    assert query(database, "CREATE SCHEMA other; SELECT to_regclass('a')::text") == [("a",)]
    events: list[Event] = []
    second = apply(database, folder, listener=events.append)
    assert second.error is None
    assert [event.text for event in events if event.kind == "resumed"] == ["1 of 3 are done"]
    assert query(database, "SELECT to_regclass('other.b')::text") == [("other.b",)]


def test_a_failed_concurrent_index_leaves_no_invalid_index_behind(
    database: str, project_factory: ProjectFactory
) -> None:
    files = one_table(1) | one_table(2)
    files["sql/0001_t1.sql"] = "CREATE TABLE t1 (id int); INSERT INTO t1 VALUES (1), (1);"
    files["sql/0002_t2.sql"] = "CREATE UNIQUE INDEX CONCURRENTLY t1_id ON t1 (id);"
    report = apply(database, project_factory(files))
    assert isinstance(report.error, MigrationFailed)
    assert query(database, "SELECT to_regclass('t1_id')") == [(None,)]


def test_an_invalid_index_left_by_a_killed_run_is_built_again(
    database: str, project_factory: ProjectFactory
) -> None:
    files = tables(2) | {
        "sql/0002_t2.sql": "CREATE INDEX CONCURRENTLY IF NOT EXISTS t1_id ON t1 (id);"
    }
    folder = project_factory(files)
    with engine_for(database) as engine:
        engine.run(engine.plan_up(load_project(folder), target="0001"))
    query(
        database,
        "CREATE INDEX t1_id ON t1 (id);"
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't1_id'::regclass",
    )
    assert apply(database, folder).error is None
    assert query(
        database, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't1_id'::regclass"
    ) == [(True,)]


def test_a_lock_that_is_never_free_ends_with_lock_timeout_and_nothing_done(
    database: str, project_factory: ProjectFactory
) -> None:
    files = tables(2) | {"sql/0002_t2.sql": "ALTER TABLE t1 ADD COLUMN note text;"}
    folder = project_factory(files)
    with engine_for(database) as engine:
        engine.run(engine.plan_up(load_project(folder), target="0001"))
    events: list[Event] = []
    with psycopg.connect(database) as reader:
        reader.execute("SELECT * FROM t1")
        with engine_for(database, listener=events.append) as engine:
            report = engine.run(engine.plan_up(load_project(folder)))
    assert isinstance(report.error, LockTimeout)
    assert any(event.kind == "retrying" for event in events)
    assert apply(database, folder).error is None


def test_a_lock_that_becomes_free_is_taken_at_a_later_try(
    database: str, project_factory: ProjectFactory
) -> None:
    files = tables(2) | {"sql/0002_t2.sql": "ALTER TABLE t1 ADD COLUMN note text;"}
    project = load_project(project_factory(files))
    with engine_for(database) as engine:
        engine.run(engine.plan_up(project, target="0001"))
    with psycopg.connect(database) as reader:
        reader.execute("SELECT * FROM t1")

        def let_go(event: Event) -> None:
            if event.kind == "retrying":
                reader.rollback()

        with engine_for(database, listener=let_go, lock_timeout_ms=100, lock_retry_s=30) as engine:
            assert engine.run(engine.plan_up(project)).error is None


def test_a_second_runner_learns_who_holds_the_lock_and_leaves(
    database: str, project_factory: ProjectFactory
) -> None:
    project = load_project(project_factory(tables(1)))
    with engine_for(database, run="r-first") as first, engine_for(database) as second:
        first.session.lock()
        report = second.run(second.plan_up(project))
    assert isinstance(report.error, RunnerBusy)
    assert "turnback/r-first" in report.error.message


def test_a_plan_made_before_another_run_finished_does_nothing_twice(
    database: str, project_factory: ProjectFactory
) -> None:
    project = load_project(project_factory(tables(2)))
    with engine_for(database) as late, engine_for(database) as early:
        plan = late.plan_up(project)
        early.run(early.plan_up(project))
        report = late.run(plan)
    assert report.error is None
    assert report.applied == []


def test_a_verify_script_that_fails_takes_its_migration_with_it(
    database: str, project_factory: ProjectFactory
) -> None:
    files = tables(1) | {
        "verify/0001_verify.sql": "SELECT 1;\nDO $$ BEGIN ASSERT false, 'no rows'; END $$;\n"
    }
    report = apply(database, project_factory(files))
    assert isinstance(report.error, MigrationFailed)
    assert (report.error.file, report.error.line) == ("verify/0001_verify.sql", 2)
    assert "no rows" in report.error.message
    assert query(database, "SELECT to_regclass('t1')") == [(None,)]


def test_a_verify_script_cannot_change_anything(
    database: str, project_factory: ProjectFactory
) -> None:
    files = tables(1) | {"verify/0001_verify.sql": "INSERT INTO t1 VALUES (1);"}
    report = apply(database, project_factory(files))
    assert report.error is not None
    assert report.error.sqlstate == "25006"


def test_a_header_directive_changes_the_timeout_of_its_migration_only(
    database: str, project_factory: ProjectFactory
) -> None:
    look = "CREATE TABLE seen_{n} AS SELECT current_setting('statement_timeout') AS value;"
    files = tables(2) | {
        "sql/0001_t1.sql": "-- turnback: statement-timeout 10min\n" + look.format(n=1),
        "sql/0002_t2.sql": look.format(n=2),
    }
    assert apply(database, project_factory(files)).error is None
    assert query(database, "SELECT * FROM seen_1, seen_2") == [("10min", "0")]


def test_verify_finds_a_migration_that_is_not_applied(
    database: str, project_factory: ProjectFactory
) -> None:
    project = load_project(project_factory(tables(2)))
    with engine_for(database) as engine:
        engine.run(engine.plan_up(project, target="0001"))
        engine.verify(project, ["0001"])
        with pytest.raises(VerificationFailed, match="0002 is pending"):
            engine.verify(project, ["0001", "0002"])


def test_the_last_release_is_that_of_the_newest_migration_still_applied(
    database: str, project_factory: ProjectFactory
) -> None:
    project = load_project(project_factory(tables(1)))
    with engine_for(database) as engine:
        assert engine.last_release() is None
        engine.run(engine.plan_up(project))
        assert engine.last_release() == "1.0.0"
        engine.run(engine.plan_down(project, target="0"))
        assert engine.last_release() is None


def test_a_verify_script_that_fails_after_a_concurrent_index_is_tried_again(
    database: str, project_factory: ProjectFactory
) -> None:
    files = tables(2) | {
        "sql/0002_t2.sql": "CREATE INDEX CONCURRENTLY t1_id ON t1 (id);",
        "verify/0002_verify.sql": "DO $$ BEGIN\nASSERT (SELECT count(*) FROM t1) > 0; END $$;",
    }
    folder = project_factory(files)
    first = apply(database, folder)
    assert isinstance(first.error, MigrationIncomplete)
    assert (first.error.file, first.error.line) == ("verify/0002_verify.sql", 1)
    assert query(database, "SELECT success FROM migrations WHERE version = '0002'") == [(False,)]
    query(database, "INSERT INTO t1 VALUES (1)")
    assert apply(database, folder).error is None


def test_vacuum_full_gives_up_its_lock_in_time_and_is_tried_again(
    database: str, project_factory: ProjectFactory
) -> None:
    files = tables(2) | {"sql/0002_t2.sql": "VACUUM (FULL) t1;"}
    project = load_project(project_factory(files))
    with engine_for(database) as engine:
        engine.run(engine.plan_up(project, target="0001"))
    events: list[Event] = []
    with psycopg.connect(database, application_name="a long reader") as reader:
        reader.execute("SELECT * FROM t1")

        def let_go(event: Event) -> None:
            events.append(event)
            if event.kind == "retrying":
                reader.rollback()

        with engine_for(database, listener=let_go, lock_timeout_ms=400, lock_retry_s=30) as engine:
            assert engine.run(engine.plan_up(project)).error is None
    tries = [event.text for event in events if event.kind == "retrying"]
    assert "a long reader" in tries[0]


def test_the_error_of_a_lock_timeout_names_who_blocked(
    database: str, project_factory: ProjectFactory
) -> None:
    files = tables(2) | {"sql/0002_t2.sql": "ALTER TABLE t1 ADD COLUMN note text;"}
    project = load_project(project_factory(files))
    with engine_for(database) as engine:
        engine.run(engine.plan_up(project, target="0001"))
    with psycopg.connect(database, application_name="a long reader") as reader:
        reader.execute("SELECT * FROM t1")
        with engine_for(database, lock_timeout_ms=400, lock_retry_s=0) as engine:
            report = engine.run(engine.plan_up(project))
        assert report.error is not None
        assert f"pid {reader.info.backend_pid}" in report.error.message
        assert "a long reader" in report.error.message
        assert "idle in transaction" in report.error.message
    logged = query(database, "SELECT error FROM migration_log WHERE outcome = 'failed'")
    assert "a long reader" in logged[0][0]


SECRET = "ada@example.com"


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("CREATE UNIQUE INDEX people_mail ON people (mail);", "people_mail"),
        ("UPDATE people SET age = -1 WHERE id = 1;", "grown"),
        ("ALTER TABLE people ALTER mail TYPE int USING mail::int;", "integer"),
        ("ALTER TABLE people ALTER mail TYPE json USING mail::json;", "json"),
        ("INSERT INTO people SELECT id, mail, age FROM people WHERE age = 17;", "people_pkey"),
    ],
)
def test_values_of_rows_are_in_no_message_and_not_in_the_history(
    database: str, project_factory: ProjectFactory, sql: str, named: str
) -> None:
    rows = f"(1, '{SECRET}', 17), (2, '{SECRET}', NULL)"
    first = (
        "CREATE TABLE people (id int PRIMARY KEY, mail text, "
        "age int CONSTRAINT grown CHECK (age > 0));\n"
    )
    undo = {f"rollback/000{n}_rollback.sql": "SELECT 1;\n" for n in (1, 2)}
    before = {"sql/0001_people.sql": first, "rollback/0001_rollback.sql": "SELECT 1;\n"}
    assert apply(database, project_factory(before)).error is None
    query(database, f"INSERT INTO people VALUES {rows}")
    report = apply(database, project_factory({**before, **undo, "sql/0002_more.sql": sql}))
    assert report.error is not None and named in report.error.message
    assert "ada" not in json.dumps(report.error.to_dict()) + str(report.error)
    # Whoever has the database's rights may ask for it.
    assert report.error.detail and report.error.detail not in report.error.message
    log = query(database, "SELECT l::text FROM migration_log l WHERE outcome = 'failed'")
    assert log and "ada" not in str(log)


def test_the_sql_of_another_session_is_in_no_message_and_not_in_the_history(
    database: str, project_factory: ProjectFactory
) -> None:
    files = tables(2) | {"sql/0002_t2.sql": "ALTER TABLE t1 ADD COLUMN note text;"}
    project = load_project(project_factory(files))
    with engine_for(database) as engine:
        engine.run(engine.plan_up(project, target="0001"))
    events: list[str] = []
    with psycopg.connect(database, application_name="billing") as other:
        other.execute(f"UPDATE t1 SET id = 1 WHERE '{SECRET}' <> ''")
        with engine_for(
            database,
            listener=lambda event: events.append(event.text),
            lock_timeout_ms=400,
            lock_retry_s=0,
        ) as engine:
            report = engine.run(engine.plan_up(project))
    assert report.error is not None
    assert "billing" in report.error.message
    log = query(database, "SELECT l::text FROM migration_log l WHERE outcome = 'failed'")
    assert SECRET not in str(log) + str(report.error) + " ".join(events)


def test_a_block_that_commits_runs_where_the_header_asks_for_no_transaction(
    database: str, project_factory: ProjectFactory
) -> None:
    sql = (
        "-- turnback: no-transaction\nCREATE TABLE t1 (id int);\n"
        "DO $$ BEGIN FOR n IN 1..3 LOOP INSERT INTO t1 VALUES (n); COMMIT; END LOOP; END $$;\n"
    )
    assert apply(database, project_factory(one_table(1) | {"sql/0001_t1.sql": sql})).error is None
    assert query(database, "SELECT count(*) FROM t1") == [(3,)]


def test_a_block_that_fails_after_it_committed_is_incomplete_and_says_what_was_kept(
    database: str, project_factory: ProjectFactory
) -> None:
    sql = (
        "-- turnback: no-transaction\n"
        "DO $$ BEGIN CREATE TABLE t1 (); COMMIT; RAISE EXCEPTION 'half way'; END $$;\n"
    )
    report = apply(database, project_factory(one_table(1) | {"sql/0001_t1.sql": sql}))
    assert isinstance(report.error, MigrationIncomplete)
    assert report.error.hint is not None
    assert "what statement 1 had committed was kept" in report.error.hint
    assert query(database, "SELECT to_regclass('t1')::text") == [("t1",)]


def test_what_another_run_applied_after_the_first_of_our_migrations_is_on_top_of_them(
    database: str, project_factory: ProjectFactory
) -> None:
    project = load_project(project_factory(tables(4)))
    for run, target in (("r-1", "0001"), ("r-ours", "0002"), ("r-3", "0003"), ("r-ours", "0004")):
        with engine_for(database, run=run) as engine:
            assert engine.run(engine.plan_up(project, target=target)).error is None
    with engine_for(database) as engine:
        found = applied_on_top(engine.connection, "public", "r-ours", ["0002", "0004"])
        assert [(other.run, other.versions) for other in found] == [("r-3", ("0003",))]
        assert applied_on_top(engine.connection, "public", "r-ours", ["0004"]) == []
        assert applied_on_top(engine.connection, "public", "r-ours", []) == []


def test_only_an_invalid_index_of_exactly_that_name_is_dropped_before_one_is_built(
    database: str, project_factory: ProjectFactory
) -> None:
    create = "CREATE UNIQUE INDEX CONCURRENTLY"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1), (1)")
        for name in ("t_id", "my_t_id", '"x.t_id"', "t_id_2", '"T_id"'):
            with pytest.raises(psycopg.errors.UniqueViolation):
                connection.execute(f"{create} {name} ON t (id)".encode())
        connection.execute("DELETE FROM t")
    files = {
        "sql/0001_index.sql": f"{create} IF NOT EXISTS t_id ON t (id);\n",
        "rollback/0001_rollback.sql": "DROP INDEX CONCURRENTLY t_id;\n",
    }
    assert apply(database, project_factory(files)).error is None
    indexes = (
        "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "WHERE i.indrelid = 't'::regclass ORDER BY c.relname COLLATE \"C\""
    )
    assert query(database, indexes) == [
        ("T_id", False),
        ("my_t_id", False),
        ("t_id", True),
        ("t_id_2", False),
        ("x.t_id", False),
    ]


def test_a_cancelled_run_stops_after_the_migration_that_is_under_way(
    database: str, project_factory: ProjectFactory
) -> None:
    # All of them are in one message, and the second is held up until the cancel has arrived.
    files = tables(5) | {"sql/0002_t2.sql": "CREATE TABLE t2 ();\nSELECT pg_advisory_xact_lock(7);"}
    cancelled = threading.Event()
    control = RunControl(cancelled=lambda: "a test cancelled it" if cancelled.is_set() else None)
    project = load_project(project_factory(files))
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND {}"
    waits = locks.format("NOT granted")
    # Held by the second session, which holds nothing else.
    told = locks.format(
        "granted AND pid IN (SELECT pid FROM pg_stat_activity "
        "WHERE application_name LIKE 'turnback-monitor/%')"
    )
    with (
        psycopg.connect(database, autocommit=True) as holder,
        engine_for(database, lock_timeout_ms=60_000) as engine,
        ThreadPoolExecutor() as pool,
    ):
        holder.execute("SELECT pg_advisory_lock(7)")
        running = pool.submit(engine.run, engine.plan_up(project), control)
        until(lambda: query(database, waits) == [(1,)])
        cancelled.set()
        until(lambda: query(database, told) == [(1,)])
        holder.execute("SELECT pg_advisory_unlock(7)")
        report = running.result()
    assert isinstance(report.error, RunCancelled)
    assert report.error.message.startswith("a test cancelled it: 2 of 5 migrations were applied")
    assert [done.version for done in report.applied] == ["0001", "0002"]
    # Nothing of it remains: the next run does the rest.
    rest = apply(database, project.folder)
    assert [done.version for done in rest.applied] == ["0003", "0004", "0005"]


def test_what_a_batch_committed_before_the_connection_was_lost_is_reported_as_applied(
    database: str, project_factory: ProjectFactory
) -> None:
    files = tables(4) | {
        "sql/0003_ends.sql": "SELECT pg_terminate_backend(pg_backend_pid());\n",
        "rollback/0003_rollback.sql": "SELECT 1;\n",
    }
    files = {name: text for name, text in files.items() if "0003_t" not in name}
    report = apply(database, project_factory(files))
    assert isinstance(report.error, DatabaseUnreachable)
    assert [done.version for done in report.applied] == ["0001", "0002"]
    assert list(report.remaining) == ["0003", "0004"]
    rows = query(database, "SELECT version FROM migrations WHERE success ORDER BY version")
    assert rows == [("0001",), ("0002",)]
