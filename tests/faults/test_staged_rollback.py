"""The rollback of a half done migration, cut off anywhere: the next one ends as if it never was."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import psycopg
import pytest
from turnback.engine import Engine, RunContext
from turnback.errors import TurnbackError
from turnback.migrations.discovery import load_project
from turnback.schema.read import fingerprint

from tests.conftest import ProjectFactory
from tests.faults.arena import PATIENT, Arena, Place, Sweep, up
from tests.faults.command import PROGRAM
from tests.faults.proxy import Fault, Link, Proxy, When
from tests.faults.table import Table
from tests.faults.watching import Eye, execute, rows, transaction, until

BASE = "CREATE TABLE t (id int, body text);\nINSERT INTO t VALUES (1, 'a'), (1, 'b');\n"
FORWARD = (
    "-- turnback: no-transaction\nCREATE TABLE a (id int);\nCREATE TABLE b (id int);\n"
    "CREATE INDEX CONCURRENTLY t_body ON t (body);\n"
    "CREATE UNIQUE INDEX CONCURRENTLY t_id ON t (id);\nCREATE TABLE c (id int);\n"
)
BACK = {
    "in a transaction": "DROP TABLE c, b;\nDROP INDEX t_id;\nDROP INDEX t_body;\nDROP TABLE a;\n",
    "outside a transaction": "DROP TABLE c, b;\nDROP INDEX CONCURRENTLY t_id;\n"
    "DROP INDEX CONCURRENTLY t_body;\nDROP TABLE a;\n",
}
AS_IF = "the next rollback ended as one that was never disturbed"
HALF = "r-half"


def project(project_factory: ProjectFactory, way: str) -> Path:
    return project_factory(
        {
            "sql/0001_base.sql": BASE,
            "rollback/0001_rollback.sql": "DROP TABLE t;\n",
            "sql/0002_half.sql": FORWARD,
            "rollback/0002_rollback.sql": BACK[way],
        }
    )


def schema(url: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        return fingerprint(connection).to_json()


def half(url: str, folder: Path) -> str:
    """Leave the second migration half done; the schema before it."""
    assert up(url, folder, target="0001").error is None
    before = schema(url)
    assert up(url, folder, HALF).error is not None
    return before


def back(url: str) -> None:
    """The staged rollback of the run; raises what it fails with."""
    with Engine(url, context=RunContext(HALF), options=PATIENT) as engine:
        report = engine.run(engine.plan_down_run(HALF))
    if report.error:
        raise report.error


def wrong(url: str, before: str) -> list[str]:
    """What is not as it should be after the rollback, as sentences."""
    found = []
    if schema(url) != before:
        found.append("the schema differs")
    if rows(url, "SELECT status FROM migration_health ORDER BY version") != [
        ("applied",),
        ("rolled_back",),
    ]:
        found.append("the history differs")
    if rows(url, "SELECT id, body FROM t ORDER BY body") != [(1, "a"), (1, "b")]:
        found.append("the rows differ")
    with Engine(url, context=RunContext("r-look")) as engine:
        if engine.half_done():
            found.append("it is still half done")
    return found


@pytest.mark.parametrize("way", BACK)
def test_a_staged_rollback_cut_off_at_any_message_is_ended_by_the_next(
    arena: Arena, project_factory: ProjectFactory, table: Table, way: str, sweep: Sweep
) -> None:
    folder = project(project_factory, way)

    def at(place: Place | None) -> tuple[str, list[str]]:
        with arena.database() as name, Proxy(arena.server.url()) as proxy:
            url = arena.server.url(name)
            before = half(url, folder)
            number, when = place or (0, When.BEFORE)
            proxy.arm(Fault(number, when, Link.cut) if place else None)
            with contextlib.suppress(TurnbackError):
                back(proxy.url(name))
            assert not place or proxy.fired
            back(url)
            return proxy.seen, wrong(url, before)

    seen, found = at(None)
    assert found == []
    places = [
        (number, when)
        for number, kind in enumerate(seen, 1)
        for when in ((When.BEFORE, When.ANSWER) if kind in "QS" else (When.BEFORE,))
    ]
    for place in sweep(seen, places):
        with table.row(f"half done, rollback {way}, cut off", AS_IF):
            assert at(place)[1] == [], (seen, place)


@pytest.mark.parametrize("way", BACK)
def test_a_staged_rollback_whose_process_is_killed_is_ended_by_the_next(
    database: str, project_factory: ProjectFactory, table: Table, way: str
) -> None:
    folder = project(project_factory, way)
    said = folder.parent / "said.txt"
    before = half(database, folder)
    command = [PROGRAM, "down", "0001", "--yes", "--database-url", database, "--dir", folder]
    with table.row(f"half done, rollback {way}, kill -9", AS_IF), Eye(database) as eye:
        with transaction(database, "SELECT * FROM t"):
            with said.open("w") as lines:
                running = subprocess.Popen(
                    [*command, "--lock-timeout", "20s"],
                    stdin=subprocess.DEVNULL,
                    stdout=lines,
                    stderr=lines,
                )
            # In the server, or before it sends what would wait there.
            until(
                lambda: bool(eye.waiting("t_body")) or "waits for its lock" in said.read_text(),
                "the rollback waits for the reader",
            )
            running.kill()
            running.wait()
        back(database)
        assert wrong(database, before) == []


def test_an_index_whose_build_was_killed_half_way_is_gone_after_the_rollback(
    database: str, project_factory: ProjectFactory, table: Table
) -> None:
    forward = "CREATE TABLE a ();\nCREATE INDEX CONCURRENTLY ON t (body);\n"
    files = {
        "sql/0001_base.sql": BASE,
        "rollback/0001_rollback.sql": "DROP TABLE t;\n",
        "sql/0002_half.sql": forward,
        # It does not name the index: its name is the server's choice.
        "rollback/0002_rollback.sql": "DROP TABLE a;\n",
    }
    folder = project_factory(files)
    assert up(database, folder, target="0001").error is None
    before = schema(database)
    invalid = "SELECT FROM pg_index WHERE NOT indisvalid"
    command = [PROGRAM, "up", "--database-url", database, "--dir", folder]
    with table.row("index build killed, then rolled back", "no invalid index is left"):
        with transaction(database, "INSERT INTO t VALUES (9, 'x')"), Eye(database) as eye:
            running = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            until(lambda: bool(eye.waiting("CONCURRENTLY")), "the build waits for the writer")
            running.kill()
            running.wait()
            eye.end("CONCURRENTLY", "terminate")
            until(eye.gone, "the session has ended")
        assert len(rows(database, invalid)) == 1
        assert rows(database, "SELECT version FROM migrations") == [("0001",)]
        with Engine(database, context=RunContext("r-down"), options=PATIENT) as engine:
            report = engine.run(engine.plan_down(load_project(folder), target="0001"))
        assert report.error is None, report.error
        assert rows(database, invalid) == []
        assert wrong(database, before) == []


def test_a_partition_left_half_detached_is_attached_again(
    database: str, project_factory: ProjectFactory, table: Table
) -> None:
    base = (
        "CREATE TABLE p (id int, year int) PARTITION BY LIST (year);\n"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);\n"
    )
    files = {
        "sql/0001_base.sql": BASE + base,
        "rollback/0001_rollback.sql": "DROP TABLE t, p;\n",
        "sql/0002_half.sql": "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY;\n",
        "rollback/0002_rollback.sql": "ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1);\n",
    }
    folder = project_factory(files)
    pending = "SELECT inhdetachpending FROM pg_inherits"
    with table.row("DETACH PARTITION fails half way", "it was attached again"):
        assert up(database, folder, target="0001").error is None
        # Without attempts it waits in the server, not before it sends the statement.
        at_once = ["--lock-timeout", "60s", "--lock-retry-for", "0s"]
        with transaction(database, "SELECT * FROM p"), Eye(database) as eye:
            running = subprocess.Popen(
                [PROGRAM, "up", "--database-url", database, "--dir", folder, *at_once],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            until(lambda: bool(eye.waiting("DETACH")), "the detaching waits for the reader")
            eye.end("DETACH", "cancel")
            assert running.wait() == 6
        assert rows(database, pending) == [(True,)]
        with Engine(database, context=RunContext("r-down"), options=PATIENT) as engine:
            report = engine.run(engine.plan_down(load_project(folder), target="0001"))
        assert report.error is None, report.error
        # The CHECK that DETACH CONCURRENTLY gives the partition stays (manual, ALTER TABLE).
        assert rows(database, pending) == [(False,)]
    execute(database, "INSERT INTO p VALUES (1, 1)")
