"""Backfills on a real server: each row once, whatever happens; a trigger of the server counts."""

from __future__ import annotations

import os
import random
import subprocess
import time
from functools import partial
from pathlib import Path

import psycopg
import pytest
from turnback.engine.backfill.records import Records
from turnback.engine.session.events import RunControl
from turnback.errors import MigrationFailed, MigrationIncomplete
from turnback.migrations.discovery import load_project

from tests.conftest import ProjectFactory
from tests.integration.command_line import PROGRAM, turnback
from tests.integration.terminal import until
from tests.integration.test_engine import apply, engine_for, query

COLUMNS = "email text DEFAULT 'a@b', display_name text, changes int DEFAULT 0"
COUNTER = """
CREATE FUNCTION count_change() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN NEW.changes := OLD.changes + 1; RETURN NEW; END$$;
CREATE TRIGGER counted BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION count_change();
"""
USERS = f"""
CREATE TABLE users (id bigint PRIMARY KEY, {COLUMNS});
INSERT INTO users SELECT n, 'user' || n || '@example.org' FROM generate_series(1, 5000) n;
{COUNTER}
"""
FILL = """-- turnback: backfill table=users key=id{more}
UPDATE users SET display_name = split_part(email, '@', 1) WHERE {{batch}};
"""


def files(sql: str = FILL, setup: str = USERS, more: str = "") -> dict[str, str]:
    return {
        "sql/0001_users.sql": setup,
        "rollback/0001_rollback.sql": "DROP TABLE users; DROP FUNCTION count_change();",
        "sql/0002_fill.sql": sql.format(more=more) if sql is FILL else sql,
        "rollback/0002_rollback.sql": (
            "-- turnback: backfill table=users key=id\n"
            "UPDATE users SET display_name = NULL WHERE {batch};"
        ),
    }


def counted(url: str) -> list[tuple]:
    return query(
        url, "SELECT changes, count(*), count(display_name) FROM users GROUP BY 1 ORDER BY 1"
    )


def test_how_many_rows_there_are_is_estimated_by_the_pages_of_today(
    database: str, project_factory: ProjectFactory
) -> None:
    """The statistics are of a tenth of the rows, as right after a large import."""
    setup = "CREATE TABLE users (id int PRIMARY KEY, display_name text, email text);"
    folder = project_factory(files(setup=setup))
    with engine_for(database) as engine:
        assert engine.run(engine.plan_up(load_project(folder), target="1")).error is None
    rows = "INSERT INTO users SELECT n, NULL, 'mail' FROM generate_series({}, {}) n"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(rows.format(1, 1000))
        connection.execute("ANALYZE users")
        connection.execute(rows.format(1001, 10_000))
    assert apply(database, folder).error is None
    [(estimate,)] = query(database, "SELECT keys_in_all FROM migration_backfills")
    assert 9_000 < estimate < 11_000


@pytest.mark.parametrize("more", ["", " parallel=3", " vacuum=64kB"])
def test_every_row_is_changed_once_and_the_migration_is_recorded(
    database: str, project_factory: ProjectFactory, more: str
) -> None:
    report = apply(database, project_factory(files(more=more)))
    assert report.error is None
    assert counted(database) == [(1, 5000, 5000)]
    ranges = query(
        database, "SELECT state, rows, batches > 1 FROM migration_backfills ORDER BY part"
    )
    assert len(ranges) == (3 if "parallel" in more else 1)
    assert all(state == "done" and several for state, _, several in ranges)
    assert sum(rows for _, rows, _ in ranges) == 5000
    [(vacuums,)] = query(
        database, "SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'users'"
    )
    assert (vacuums > 0) == ("vacuum" in more)
    assert query(database, "SELECT status FROM migration_health") == [("applied",)] * 2


def down(url: str, folder: Path, target: str):
    with engine_for(url) as engine:
        return engine.run(engine.plan_down(load_project(folder), target=target))


def test_its_rollback_is_a_backfill_too(database: str, project_factory: ProjectFactory) -> None:
    folder = project_factory(files())
    assert apply(database, folder).error is None
    assert down(database, folder, "0001").error is None
    assert counted(database) == [(2, 5000, 0)]
    assert apply(database, folder).error is None
    assert counted(database) == [(3, 5000, 5000)]
    assert down(database, folder, "0").error is None


def test_rows_that_cannot_be_changed_are_named_and_the_others_are_changed(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(
        files(
            setup=USERS + "UPDATE users SET email = repeat('x', 99) WHERE id IN (7, 4999);"
            "ALTER TABLE users ADD CHECK (length(display_name) < 50);"
        )
    )
    report = apply(database, folder)
    assert isinstance(report.error, MigrationIncomplete)
    assert "2 rows of public.users could not be changed, 4,998 rows were" in str(report.error)
    assert "id = 7: new row for relation" in str(report.error)
    assert "id = 4999: " in str(report.error)
    query(database, "UPDATE users SET email = 'a@b' WHERE id = 7")
    report = apply(database, folder)
    assert "1 row of public.users could not be changed" in str(report.error)
    query(database, "UPDATE users SET email = 'a@b' WHERE id = 4999")
    assert apply(database, folder).error is None
    assert query(database, "SELECT count(*) FROM users WHERE display_name IS NULL") == [(0,)]
    assert query(database, "SELECT rows, parked FROM migration_backfills") == [(5000, [])]


KEYS = {
    "two columns": ("a int, b text, PRIMARY KEY (a, b)", "a,b", "n % 7, n::text"),
    "uuid": ("id uuid PRIMARY KEY", "id", "gen_random_uuid()"),
    "text": ('id text COLLATE "C" PRIMARY KEY', "id", "md5(n::text)"),
    "a unique index": ("id numeric NOT NULL UNIQUE", "id", "n / 3.0"),
    "a quoted name": ('"Id Nr" char(5) PRIMARY KEY', '"Id Nr"', "lpad(n::text, 5)"),
    "a number without all its digits": ("id float8 PRIMARY KEY", "id", "n / 9.0::float8"),
    "a domain of an extension's type": (
        "id ci PRIMARY KEY",
        "id",
        "substr('aBcD', n % 4 + 1, 1) || n",
    ),
    "a time": ("at timestamptz PRIMARY KEY", "at", "now() + n * interval '1.5 ms'"),
}


@pytest.mark.parametrize("kind", KEYS)
def test_the_key_may_be_any_unique_index(
    database: str, project_factory: ProjectFactory, kind: str
) -> None:
    columns, key, values = KEYS[kind]
    setup = (
        "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET extra_float_digits = 0', "
        "current_database()); END$$;"
        "CREATE EXTENSION citext; CREATE DOMAIN letters AS citext; CREATE DOMAIN ci AS letters;"
        f"CREATE TABLE users ({columns}, {COLUMNS}); {COUNTER}"
        f"INSERT INTO users SELECT {values} FROM generate_series(1, 3000) n;"
    )
    sql = FILL.format(more="").replace("key=id", f"key={key}")
    folder = project_factory(files(sql, setup))
    with engine_for(database) as engine:
        engine.run(engine.plan_up(load_project(folder), target="0001"))
    assert apply(database, folder).error is None
    assert counted(database) == [(1, 3000, 3000)]


@pytest.mark.parametrize(
    ("directive", "said"),
    [
        ("table=nobody key=id", "there is no table nobody"),
        ("table=users key=nr alias=users", "the table users has no column nr"),
        ("table=users key=email", "no unique index of users has the key email"),
        ("table=users key=nick", "nick may be null"),
    ],
)
def test_a_key_that_does_not_order_the_rows_is_refused_before_anything_is_changed(
    database: str, project_factory: ProjectFactory, directive: str, said: str
) -> None:
    sql = FILL.format(more="").replace("table=users key=id", directive)
    sql = sql.replace("UPDATE users", "UPDATE nobody") if "nobody" in directive else sql
    setup = USERS + "ALTER TABLE users ADD nick text UNIQUE;"
    report = apply(database, project_factory(files(sql, setup)))
    assert isinstance(report.error, MigrationFailed)
    assert said in str(report.error)
    assert (report.error.file, report.error.line) == ("sql/0002_fill.sql", 1)
    assert counted(database) == [(0, 5000, 0)]


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        (
            "INSERT INTO copies SELECT u.id, email FROM users u WHERE {batch}",
            "SELECT count(*), count(DISTINCT id) FROM copies",
        ),
        ("DELETE FROM users WHERE {batch} AND id > 0", "SELECT 5000 - count(*), 5000 FROM users"),
        (
            "WITH few AS (SELECT 1 AS one) UPDATE users u SET email = one || '-' FROM few "
            "WHERE {batch}",
            "SELECT sum(changes), count(*) FROM users WHERE email LIKE '1-%'",
        ),
    ],
)
def test_it_may_insert_or_delete_and_have_a_with(
    database: str, project_factory: ProjectFactory, sql: str, rows: str
) -> None:
    text = f"-- turnback: backfill table=users key=id\n{sql} -- each once\n;"
    setup = f"{USERS} CREATE TABLE copies (id bigint, email text);"
    assert apply(database, project_factory(files(text, setup))).error is None
    assert query(database, rows) == [(5000, 5000)]


def test_rows_that_arrive_meanwhile_are_found_by_a_sweep(
    database: str, project_factory: ProjectFactory
) -> None:
    sql = FILL.format(more=" sweep=yes").replace("WHERE", "WHERE display_name IS NULL AND")
    # A row arrives for each that is changed, before and behind the range that is worked on.
    arrive = """
    CREATE FUNCTION arrive() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
        IF OLD.id BETWEEN 2000 AND 2009 THEN
            INSERT INTO users VALUES (-OLD.id, 'x@y'), (OLD.id + 10000, 'x@y');
        END IF;
        RETURN NULL;
    END$$;
    CREATE TRIGGER arrive AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION arrive();
    """
    assert apply(database, project_factory(files(sql, USERS + arrive))).error is None
    assert counted(database) == [(1, 5020, 5020)]


def test_a_pause_keeps_its_place_and_what_was_done_before_is_not_done_again(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(files())
    paused = []

    def pause(event) -> None:
        if event.kind == "progress" and not paused:
            paused.append(1)
            with engine_for(database, "r-other") as other:
                (one,) = other.backfills()
                records = Records("public", one.version, one.direction)
                other.steer(records.set_state("paused"))

    report = apply(database, folder, listener=pause)
    assert isinstance(report.error, MigrationIncomplete)
    assert "paused when" in str(report.error)
    ((done,),) = query(database, "SELECT count(*) FROM users WHERE changes > 0")
    assert 0 < done < 5000
    assert "the backfill of 0002 is paused" in str(apply(database, folder).error)
    with engine_for(database) as engine:
        engine.steer(Records("public", "0002", "up").set_state("running"))
    assert apply(database, folder).error is None
    assert counted(database) == [(1, 5000, 5000)]


def test_a_run_that_must_leave_goes_on_later(
    database: str, project_factory: ProjectFactory
) -> None:
    folder, calls = project_factory(files()), iter(range(4))
    with engine_for(database) as engine:
        control = RunControl(keep_going=lambda: next(calls, None) is not None)
        report = engine.run(engine.plan_up(load_project(folder)), control)
    assert report.error is None and report.remaining == ["0002"]
    assert query(database, "SELECT count(*) < 5000 FROM users WHERE changes > 0") == [(True,)]
    assert apply(database, folder).error is None
    assert counted(database) == [(1, 5000, 5000)]


def test_the_statement_may_be_corrected_on_the_way(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(files(FILL.format(more="").replace("email", "emial")))
    report = apply(database, folder)
    assert isinstance(report.error, MigrationIncomplete)
    assert (report.error.line, report.error.column) == (2, 44)
    (folder / "sql/0002_fill.sql").write_text(FILL.format(more=""))
    assert apply(database, folder).error is None
    assert counted(database) == [(1, 5000, 5000)]


def test_it_waits_while_the_projects_query_says_so(
    database: str, project_factory: ProjectFactory
) -> None:
    said = []

    def go(event) -> None:
        said.append(event.text)
        if "waits" in event.text:
            query(database, "DELETE FROM busy")

    setup = USERS + "CREATE TABLE busy (); INSERT INTO busy DEFAULT VALUES;"
    folder = project_factory(files(setup=setup))
    (folder.parent / "turnback.toml").write_text(
        '[backfill]\nquery = "SELECT count(*) > 0 FROM public.busy;"\n'
    )
    report = apply(database, folder, listener=go)
    assert report.error is None
    assert said.count("waits: the query of [backfill] says so") == 1
    assert counted(database) == [(1, 5000, 5000)]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("COMMIT; DELETE FROM users; SELECT false", "COMMIT in the file would end"),
        ("SET TRANSACTION READ WRITE; DELETE FROM users", "it is not one SELECT"),
        ("SELEC false", "it is not one SELECT"),
        ("SELECT nextval('s')", "cannot execute nextval() in a read-only transaction"),
    ],
)
def test_the_projects_query_changes_nothing(
    database: str, project_factory: ProjectFactory, asked: str, said: str
) -> None:
    folder = project_factory(files(setup=USERS + "CREATE SEQUENCE s;"))
    (folder.parent / "turnback.toml").write_text(f'[backfill]\nquery = "{asked}"\n')
    error = apply(database, folder).error
    assert error is not None
    assert said in error.message
    assert query(database, "SELECT count(*) FROM users") == [(5000,)]


def test_a_setting_that_the_projects_query_makes_ends_with_it(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(files())
    asked = "SELECT set_config('search_path', 'nowhere', false) IS NULL"
    (folder.parent / "turnback.toml").write_text(f'[backfill]\nquery = "{asked}"\n')
    assert apply(database, folder).error is None
    assert counted(database) == [(1, 5000, 5000)]


# So that a run takes seconds: each row, half a millisecond.
SLOWLY = USERS.replace("BEGIN NEW", "BEGIN PERFORM pg_sleep(0.0005); NEW")


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_a_killed_run_repeats_nothing_and_loses_nothing(
    database: str, project_factory: ProjectFactory, kills: int
) -> None:
    setup = SLOWLY.replace("5000", str(2000 * kills))
    folder, chance = project_factory(files(setup=setup, more=" parallel=2")), random.Random(7)
    for _ in range(kills):
        kill_during_up(database, folder, chance.uniform(0, 0.2))
    assert changed(database) < 2000 * kills
    assert turnback("up", url=database, folder=folder).code == 0
    ((changes, rows, filled),) = counted(database)
    assert (changes, rows) == (1, filled)


def changed(url: str) -> int:
    if query(url, "SELECT to_regclass('users')") == [(None,)]:
        return 0
    return sum(rows for changes, rows, _ in counted(url) if changes)


def kill_during_up(url: str, folder: Path, after_s: float) -> None:
    """Kill a run so many seconds after it has changed something."""
    before = changed(url)
    process = subprocess.Popen(
        [PROGRAM, "up", "--dir", str(folder)],
        env={**os.environ, "DATABASE_URL": url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: changed(url) > before)
    time.sleep(after_s)
    process.kill()
    process.wait()


def test_the_commands_show_and_steer_it(database: str, project_factory: ProjectFactory) -> None:
    folder = project_factory(
        files(setup=USERS + "ALTER TABLE users ADD CHECK (id <> 40 OR display_name IS NULL);")
    )
    run = partial(turnback, url=database, folder=folder)
    assert "No backfill" in run("backfill", "status").out
    assert run("backfill", "pause", "0002").code == 2
    answer = run("up")
    assert answer.code == 6 and "id = 40: " in answer.err
    assert "half done (statements done: none)" in run("status").out
    (shown,) = run("backfill", "status", "--json").document["backfills"]
    assert (shown["status"], shown["rows"], shown["parked"][0]["key"]) == ("running", 4999, ["40"])
    assert run("backfill", "speed", "2", "--target", "50ms", "--pause", "10ms").code == 0
    assert run("backfill", "pause", "0002").code == 0
    assert "turnback backfill resume 0002" in run("up").err
    assert run("backfill", "resume", "0002").code == 0
    assert query(database, "SELECT target_ms, pause_ms FROM migration_backfills") == [(50, 10)]
    assert run("backfill", "cancel", "0002").code == 0
    assert run("down", "1", "--yes").code == 0
    assert query(database, "SELECT count(display_name) FROM users") == [(0,)]


def test_an_error_of_its_verify_script_has_its_line_and_the_rows_are_not_changed_again(
    database: str, project_factory: ProjectFactory
) -> None:
    verify = "SELECT 1;\nSELECT count(*) FROM nothing;\n"
    folder = project_factory(files() | {"verify/0002_verify.sql": verify})
    error = apply(database, folder).error
    assert isinstance(error, MigrationIncomplete)
    assert (error.file, error.line) == ("verify/0002_verify.sql", 2)
    (folder / "verify/0002_verify.sql").write_text("SELECT 1;\n")
    assert apply(database, folder).error is None
    assert counted(database) == [(1, 5000, 5000)]
