"""A migration that waits for a lock: it looks who is in its way, and then waits a little longer
each time, so that nobody queues behind it."""

from __future__ import annotations

import itertools
import math
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import psycopg
import pytest
from turnback.engine import Event
from turnback.engine.run.ladder import LOWEST_MS, Ladder
from turnback.engine.session.events import EventKind, Listener, RunControl
from turnback.engine.session.watch import Blocker
from turnback.errors import MigrationFailed, MigrationIncomplete, RunCancelled
from turnback.migrations.discovery import load_project
from turnback.sql.locks import locks_of
from turnback.sql.script import prepare
from turnback.sql.statements import split
from turnback.sql.waits import first_lock

from tests.conftest import ProjectFactory
from tests.integration.test_engine import apply, engine_for, one_table, query
from tests.unit.migrations import script

SETUP = (
    "CREATE TABLE t1 (id int PRIMARY KEY, v int, CONSTRAINT positive CHECK (v > 0));\n"
    "CREATE TABLE part (id int, year int) PARTITION BY LIST (year);\n"
    "CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);\n"
    "CREATE TABLE base (id int PRIMARY KEY, v int);\n"
    "CREATE SCHEMA app; CREATE TABLE app.t (id int REFERENCES base);\n"
    "CREATE VIEW v1 AS SELECT v FROM base; CREATE VIEW v2 AS SELECT * FROM v1;\n"
    "CREATE DOMAIN age AS int; CREATE TABLE people (a age, b int);\n"
    "CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';\n"
    "CREATE TABLE called (a int CHECK (f(a) = 1));\n"
)
PATIENT = {"lock_timeout_ms": 2000, "lock_retry_s": 30.0}


def with_setup(*changes: str) -> dict[str, str]:
    """The files of a project: the setup, and a migration for each of these."""
    scripts = {f"{number:04}": sql for number, sql in enumerate([SETUP, *changes], 1)}
    files = {f"sql/{version}_change.sql": sql for version, sql in scripts.items()}
    return files | {f"rollback/{version}_rollback.sql": "SELECT 1;\n" for version in scripts}


def apply_to(database: str, folder: Path, number: int, listener: Listener = lambda _: None) -> None:
    """Apply the migrations up to this one, patiently."""
    with engine_for(database, listener=listener, **PATIENT) as engine:
        report = engine.run(engine.plan_up(load_project(folder), target=f"{number:04}"))
    assert report.error is None


@contextmanager
def session_with(database: str, sql: str) -> Iterator[psycopg.Connection]:
    """A session that has done this and is idle in its transaction."""
    with psycopg.connect(database, application_name="pg_dump") as connection:
        connection.execute(sql.encode())
        yield connection
        connection.rollback()


@pytest.mark.parametrize(
    "sql",
    [
        # The lock that somebody is in the way of is the second.
        "SET lock_timeout = '5s';\nALTER TABLE part ADD x text;\nDROP TABLE t1;\n",
        "-- turnback: no-transaction\nALTER TABLE t1 ADD COLUMN note text;\n",
    ],
)
def test_nobody_waits_behind_a_migration_whose_lock_is_not_free(
    database: str, project_factory: ProjectFactory, sql: str
) -> None:
    folder = project_factory(with_setup(sql))
    apply_to(database, folder, 1)
    waits = threading.Event()
    texts: list[str] = []

    def listen(event: Event) -> None:
        if event.kind is EventKind.RETRYING:
            texts.append(event.text)
            waits.set()

    with ThreadPoolExecutor(1) as pool, session_with(database, "SELECT * FROM t1") as reader:
        run = pool.submit(apply_to, database, folder, 2, listen)
        assert waits.wait(20)
        with psycopg.connect(database, autocommit=True) as other:
            # They would fail if they had to wait at all.
            other.execute("SET lock_timeout = '100ms'")
            for _ in range(50):
                assert other.execute("SELECT count(*) FROM t1, part").fetchall() == [(0,)]
        assert not run.done()
        pid = reader.info.backend_pid
        reader.rollback()
        run.result(20)
    assert f"; blocked by pid {pid} (" in texts[0]
    assert re.search(r"pg_dump\), idle in transaction .* since 20..-..-.. ..:..:.. UTC", texts[0])


FREE = [
    ("ALTER TABLE t1 VALIDATE CONSTRAINT positive;", "INSERT INTO t1 VALUES (7, 7)"),
    ("CREATE INDEX ON t1 (v);", "SELECT * FROM t1 FOR UPDATE"),
    ("ALTER TABLE t1 ADD UNIQUE (v);", "SELECT * FROM part"),
]


def test_a_lock_that_nobody_is_in_the_way_of_is_taken_at_once(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(with_setup(*(sql for sql, _ in FREE)))
    apply_to(database, folder, 1)
    kinds: list[EventKind] = []
    for number, (_, held) in enumerate(FREE, 2):
        with session_with(database, held):
            apply_to(database, folder, number, lambda event: kinds.append(event.kind))
    assert EventKind.RETRYING not in kinds


TAKEN = [
    ("CREATE INDEX t1_v ON t1 (v);", "INSERT INTO t1 VALUES (7, 7)"),
    ("ALTER TABLE part ADD COLUMN note text;", "SELECT * FROM part_1"),
    ("DROP INDEX t1_v;", "SELECT * FROM t1"),
    ("CREATE TABLE c (id int REFERENCES t1);", "INSERT INTO t1 VALUES (7, 7)"),
    ("CREATE TABLE part_2 PARTITION OF part FOR VALUES IN (2);", "SELECT * FROM part"),
    ("ALTER TABLE base DROP COLUMN v CASCADE;", "SELECT * FROM v2"),
    ("DROP FUNCTION f CASCADE;", "SELECT * FROM called"),
    ("DROP DOMAIN age CASCADE;", "SELECT * FROM people"),
    ("ALTER TABLE base DROP CONSTRAINT base_pkey CASCADE;", "SELECT * FROM app.t"),
    ("DROP SCHEMA app CASCADE;", "SELECT * FROM app.t"),
    ("DO 'BEGIN ALTER TABLE people ADD c int; END';", "SELECT * FROM people"),
]


def test_who_is_in_the_way_is_known_before_the_first_attempt(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(with_setup(*(sql for sql, _ in TAKEN)))
    apply_to(database, folder, 1)
    for number, (_, held) in enumerate(TAKEN, 2):
        texts: list[str] = []
        with session_with(database, held) as other:

            def let_go(
                event: Event, texts: list[str] = texts, other: psycopg.Connection = other
            ) -> None:
                if event.kind is EventKind.RETRYING:
                    texts.append(event.text)
                    other.rollback()

            apply_to(database, folder, number, let_go)
        assert [text.partition(" on ")[0] for text in texts] == ["waits for its lock"]


@pytest.mark.parametrize("application", ["pg_dump", "psql"])
def test_a_dump_is_waited_for_longer_than_others(
    database: str, project_factory: ProjectFactory, application: str
) -> None:
    folder = project_factory(with_setup("ALTER TABLE t1 ADD a int;"))
    apply_to(database, folder, 1)
    asked = itertools.count()
    texts: list[str] = []

    def listen(event: Event) -> None:
        if event.kind is EventKind.RETRYING:
            texts.append(event.text)

    with psycopg.connect(database, application_name=application) as reader:
        reader.execute("SELECT * FROM t1")

        def cancelled() -> None:
            # Asked once a second, and more than once before: after more than --lock-retry-for.
            if next(asked) == 4:
                reader.rollback()

        with engine_for(database, listener=listen, lock_timeout_ms=100, lock_retry_s=0.5) as engine:
            plan = engine.plan_up(load_project(folder))
            error = engine.run(plan, RunControl(cancelled=cancelled)).error
    waits = application == "pg_dump"
    assert (error is None) == waits
    assert ("; a dump is waited for until its end" in texts[0]) == waits


def test_a_table_that_somebody_always_reads_is_changed_between_two_readers(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(with_setup("ALTER TABLE t1 ADD COLUMN note text;"))
    apply_to(database, folder, 1)
    texts: list[str] = []
    read = "SELECT * FROM t1"
    with session_with(database, read) as first, psycopg.connect(database) as second:

        def take_turns(event: Event) -> None:
            if event.kind is EventKind.RETRYING:
                texts.append(event.text)
                leaving, coming = (first, second) if len(texts) == 1 else (second, None)
                if coming:
                    coming.execute(read)
                leaving.rollback()

        apply_to(database, folder, 2, take_turns)
        # It has tried, although there was a reader all the time.
        assert len(texts) == 2
        assert "lock timeout" in texts[1] and f"pid {second.info.backend_pid} " in texts[1]


def test_a_block_waits_once_and_is_not_tried_again_before_its_blocker_has_gone(
    database: str, project_factory: ProjectFactory
) -> None:
    # What it does before would be repeated by each attempt.
    block = (
        "-- turnback: lock-timeout 1s\n"
        "DO 'BEGIN UPDATE part SET id = 1; EXECUTE ''ALTER TABLE t1 ADD a int''; END';\n"
    )
    folder = project_factory(with_setup(block))
    apply_to(database, folder, 1)
    texts: list[str] = []
    asked = itertools.count()
    with session_with(database, "SELECT * FROM t1") as reader:

        def cancelled() -> None:
            if texts and next(asked) == 2:
                reader.rollback()

        def listen(event: Event) -> None:
            if event.kind is EventKind.RETRYING:
                texts.append(event.text)

        with engine_for(database, listener=listen, **PATIENT) as engine:
            plan = engine.plan_up(load_project(folder))
            assert engine.run(plan, RunControl(cancelled=cancelled)).error is None
        [text] = texts
        assert f"; blocked by pid {reader.info.backend_pid} (" in text


LATER = [
    ("SELECT 1; ALTER TABLE t1 ADD a int;", "2s"),
    ("ALTER TABLE t1 ADD b int;", "2s"),
    ("-- turnback: lock-timeout 3s\nALTER TABLE t1 ADD c int;", "3s"),
    ("SET lock_timeout = '4s'; ALTER TABLE t1 ADD d int;", "4s"),
    ("SET LOCAL lock_timeout = 5000; ALTER TABLE t1 ADD e int -- end\n;", "5s"),
    ("SET LOCAL lock_timeout = 0; ALTER TABLE t1 ADD f int;", "0"),
    ("SET \"LOCK_Timeout\" = '6s'; ALTER TABLE t1 ADD g int;", "6s"),
    ("SET lock_timeout = '7s'; SET lock_timeout TO DEFAULT; ALTER TABLE t1 ADD h int;", "2s"),
    ("SET lock_timeout = '8s'; RESET ALL; ALTER TABLE t1 ADD i int;", "2s"),
    ("SET lock_timeout FROM CURRENT; ALTER TABLE t1 ADD j int;", "2s"),
]


@pytest.mark.parametrize("batch", [True, False])
def test_a_later_lock_waits_up_to_the_lock_timeout(
    database: str, project_factory: ProjectFactory, batch: bool
) -> None:
    seen = "CREATE TABLE seen{} AS SELECT current_setting('lock_timeout') AS value"
    changes = [f"{sql}\n{seen.format(number)}" for number, (sql, _) in enumerate(LATER)]
    report = apply(database, project_factory(with_setup(*changes)), **PATIENT, batch=batch)
    assert report.error is None
    read = " UNION ALL ".join(f"SELECT value FROM seen{number}" for number in range(len(LATER)))
    assert query(database, read) == [(value,) for _, value in LATER]


PLACES = [
    ("ALTER TABLE t1 ADD a nosuch;\nSELECT 1;\n", (1, 22)),
    ("SET lock_timeout = '1s';\nALTER TABLE t1 DROP nosuch;\n", (2, 1)),
    ("ALTER TABLE t1 ADD a int;\nSELECT nosuch;\nSELECT 1;\n", (2, 8)),
    ("CREATE TABLE a ();\nALTER TABLE t1 ADD a int; SELECT 'é'; SELECT 1 / 0;\n", (2, 39)),
    ("SELECT nosuch;\nALTER TABLE t1 ADD a int;\n", (1, 8)),
    ("-- turnback: no-transaction\nALTER TABLE t1 ADD a nosuch;\n", (2, 22)),
    ("SELECT 'é'; DO $a$\nBEGIN\n  PERFORM 1;\n\tRAISE 'x';\nEND $a$;\n", (4, 2)),
    ("DO 'BEGIN ALTER TABLE t1 ADD a int;\n ASSERT ''x'' = ''y'';\nEND';\n", (2, 2)),
    (
        "-- turnback: no-transaction\n"
        "DO $$BEGIN PERFORM 1;\n DECLARE a int = 1/0;\nBEGIN END; END$$",
        (3, 2),
    ),
    ("DO E'BEGIN\\nRAISE \\'x\\'; END';\n", (1, 1)),
    ("DO $$BEGIN NULL;\n EXECUTE 'DO $a$BEGIN RAISE $b$x$b$; END$a$'; END$$;\n", (2, 2)),
    ("DO $$BEGIN\n FOO BAR;\nEND$$;\n", (2, 2)),
]


def test_an_error_points_into_the_file_whatever_was_sent_around_it(
    database: str, project_factory: ProjectFactory
) -> None:
    found = []
    for sql, _ in PLACES:
        error = apply(database, project_factory(with_setup(sql)), **PATIENT, batch=False).error
        assert isinstance(error, MigrationFailed | MigrationIncomplete)
        found.append((error.line, error.column))
    assert found == [place for _, place in PLACES]


@pytest.mark.parametrize("ends", ["cancelled", "out of time"])
def test_a_run_that_waits_for_a_lock_can_be_cancelled_or_leave(
    database: str, project_factory: ProjectFactory, ends: str
) -> None:
    folder = project_factory(with_setup("ALTER TABLE t1 ADD a int;"))
    apply_to(database, folder, 1)
    waits = threading.Event()
    control = RunControl(
        cancelled=lambda: "a test" if waits.is_set() and ends == "cancelled" else None,
        keep_going=lambda: not (waits.is_set() and ends == "out of time"),
    )

    def listen(event: Event) -> None:
        if event.kind is EventKind.RETRYING:
            waits.set()

    with (
        session_with(database, "SELECT * FROM t1"),
        engine_for(database, listener=listen, **PATIENT) as engine,
    ):
        report = engine.run(engine.plan_up(load_project(folder)), control)
    assert report.remaining == ["0002"]
    # Nothing failed, and the next call goes on.
    assert isinstance(report.error, RunCancelled) if ends == "cancelled" else report.error is None
    assert query(database, "SELECT outcome FROM migration_log WHERE version = '0002'") == []


def test_a_rollback_lets_nobody_wait_behind_it_either(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(
        with_setup("ALTER TABLE t1 ADD a int;")
        | {"rollback/0002_rollback.sql": "ALTER TABLE t1 DROP a;\n"}
    )
    apply_to(database, folder, 2)
    texts: list[str] = []
    with session_with(database, "SELECT * FROM t1") as reader:

        def let_go(event: Event) -> None:
            if event.kind is EventKind.RETRYING:
                texts.append(event.text)
                reader.rollback()

        with engine_for(database, listener=let_go, **PATIENT) as engine:
            assert engine.run(engine.plan_down(load_project(folder), target="0001")).error is None
    assert [text.partition(";")[0] for text in texts] == ["waits for its lock on t1"]


HALF_DONE = ("", "-- turnback: no-transaction\n")


@pytest.mark.parametrize("header", HALF_DONE)
def test_the_rollback_of_what_is_half_done_lets_nobody_wait_behind_it_either(
    database: str, project_factory: ProjectFactory, header: str
) -> None:
    forward = "-- turnback: no-transaction\nALTER TABLE t1 ADD a int;\nSELECT 1 / 0;\n"
    back = f"{header}DO 'BEGIN IF true THEN ALTER TABLE t1 DROP a; END IF; END';\n"
    folder = project_factory(with_setup(forward) | {"rollback/0002_rollback.sql": back})
    assert apply(database, folder, **PATIENT).error is not None
    texts: list[str] = []
    with session_with(database, "SELECT * FROM t1") as reader:

        def let_go(event: Event) -> None:
            if event.kind is EventKind.RETRYING:
                texts.append(event.text)
                reader.rollback()

        with engine_for(database, listener=let_go, lock_timeout_ms=0, lock_retry_s=30) as engine:
            assert engine.run(engine.plan_down(load_project(folder), target="0001")).error is None
    # Without the timeout of an attempt it would have waited for the reader without end.
    [text] = texts
    assert text.startswith("did not get its lock") and "lock timeout" in text


BLOCKS = [
    ("BEGIN ALTER TABLE t1 ADD a int; END", True),
    ("BEGIN IF to_regclass('x') IS NULL THEN CREATE TABLE x (); DROP TABLE t1; END IF; END", True),
    ("DECLARE n int; BEGIN SELECT count(*) INTO n FROM pg_class; DROP TABLE t1; END", True),
    ("BEGIN DROP TABLE t1; EXCEPTION WHEN undefined_table THEN NULL; END", True),
    ("BEGIN DROP TABLE t1; EXCEPTION WHEN OTHERS THEN NULL; END", False),
    ("BEGIN DROP TABLE t1; DROP TABLE part; END", False),
    ("BEGIN UPDATE part SET id = 1; DROP TABLE t1; END", False),
    ("BEGIN DROP TABLE t1; UPDATE part SET id = 1; END", False),
    ("BEGIN PERFORM fill(); DROP TABLE t1; END", False),
    ("BEGIN PERFORM 1 FROM t1; DROP TABLE t1; END", False),
    ("BEGIN EXECUTE 'DROP TABLE t1'; END", False),
]


def test_a_block_climbs_where_it_does_nothing_but_wait_for_one_lock() -> None:
    found = [
        first_lock(prepare(script("sql/0001_a.sql", f"DO $$ {body} $$;"))) is not None
        for body, _ in BLOCKS
    ]
    assert found == [climbs for _, climbs in BLOCKS]


def test_a_blocker_whose_state_this_user_may_not_see_is_named_without_it() -> None:
    hidden = Blocker(7, "app", "pg_dump", "", 0, "<insufficient privilege>", "", "3/7", False)
    assert str(hidden) == "pid 7 (app, pg_dump)"
    since = replace(hidden, state="active", seconds=9, since="2026-11-30 03:00:00")
    assert str(since) == (
        "pid 7 (app, pg_dump), active for 9 s, in its transaction since 2026-11-30 03:00:00 UTC"
    )


def ladder(top_ms: int, retry_s: float) -> Ladder:
    nobody = Mock(spec=psycopg.Connection)
    return Ladder(nobody, top_ms, retry_s, say=lambda _: None, meanwhile=lambda: None)


def test_the_attempts_wait_longer_each_time_up_to_the_lock_timeout() -> None:
    patient = ladder(2000, retry_s=60)
    rungs = [patient.rung_ms]
    for _ in range(5):
        patient.climb()
        rungs.append(patient.rung_ms)
    # For the first half minute nobody waits for longer than this.
    assert rungs == [10, 20, 40, 80, 160, 160]
    late = ladder(2000, retry_s=1e-9)
    for _ in range(9):
        late.climb()
    assert late.rung_ms == 2000
    assert ladder(2000, retry_s=0).rung_ms == 2000
    assert ladder(5, retry_s=60).rung_ms == 5 < LOWEST_MS
    # Without a limit it climbs too, and does not end.
    assert (ladder(0, retry_s=60).rung_ms, ladder(0, retry_s=60).deadline) == (10, math.inf)


def test_what_makes_new_things_only_waits_for_nobody() -> None:
    for sql in one_table(1).values():
        for statement in split(sql):
            assert bool(locks_of(statement)) == (statement.kind == "DropStmt")
