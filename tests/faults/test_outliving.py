"""A run leaves its statement to the server, and comes back to hear how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from turnback.engine import Event, Report
from turnback.errors import MigrationFailed, RunnerBusy

from tests.conftest import ProjectFactory
from tests.faults.arena import PATIENT, up
from tests.faults.table import Table
from tests.faults.watching import Eye, rows, transaction, until, value

LEAVES = replace(PATIENT, detachable=True)
IMPATIENT = replace(PATIENT, runner_wait_s=0.2)
# Somebody's transaction with an old snapshot, for whose end CREATE INDEX CONCURRENTLY waits, and
# with the lock that the gate waits for.
IN_THE_WAY = "SELECT pg_advisory_lock(7)"
GATE = """
DO $$ BEGIN
    WHILE NOT pg_try_advisory_xact_lock(7) LOOP PERFORM pg_sleep(0.02); END LOOP;
END $$;
"""
NOTICES = "DO $$ BEGIN FOR n IN 1..20000 LOOP RAISE NOTICE 'still here'; END LOOP; END $$;\n"
ROWS = "SELECT repeat('still here', 100) FROM generate_series(1, 1000);\n"
TABLE = "CREATE TABLE made_{} (id int);\n"
# What waits for somebody: the files from 0002 on, and the version that waits.
LONG = {
    "CREATE INDEX CONCURRENTLY": (["CREATE INDEX CONCURRENTLY made ON t (id)"], "0002"),
    "file with more behind its index": (
        [f"CREATE INDEX CONCURRENTLY made ON t (id);\n{TABLE.format(2)}"],
        "0002",
    ),
    "one transaction": ([TABLE.format(2) + GATE], "0002"),
    "one transaction that says much": ([TABLE.format(2) + GATE + NOTICES], "0002"),
    "first of four in a message": (
        [TABLE.format(2) + GATE, *(TABLE.format(n) for n in (3, 4, 5))],
        "0002",
    ),
    "tenth of ninety in a message": (
        [(TABLE + (GATE if n == 11 else "")).format(n) for n in range(2, 92)],
        "0011",
    ),
    "third of four in a message": (
        [TABLE.format(2), TABLE.format(3), TABLE.format(4) + GATE, TABLE.format(5)],
        "0004",
    ),
}
SELECTS_MUCH = "one transaction that selects much"
LONG_BUT_TALKING = {SELECTS_MUCH: ([TABLE.format(2) + GATE + ROWS], "0002")}
DONE = "SELECT DISTINCT version FROM migration_log WHERE outcome = 'done'"
APPLIED_ONCE = (
    "SELECT version FROM migration_log WHERE direction = 'up' AND outcome = 'done' "
    "AND statement IS NULL ORDER BY id"
)
MADE = (
    "SELECT oid::regclass::text, oid::text FROM pg_class "
    "WHERE relname LIKE 'made%' AND relkind IN ('r', 'i') ORDER BY 1"
)


@pytest.fixture
def eye(database: str) -> Iterator[Eye]:
    with Eye(database) as made:
        yield made


@pytest.fixture
def folder(database: str, project_factory: ProjectFactory, name: str) -> Path:
    """A project whose first migration is applied, and whose next ones wait for somebody."""
    forward = ["CREATE TABLE t (id int)", *(LONG | LONG_BUT_TALKING)[name][0]]
    files = {f"sql/{n:04}_step.sql": sql for n, sql in enumerate(forward, 1)}
    files |= {f"rollback/{n:04}_rollback.sql": "SELECT 1" for n in range(1, len(forward) + 1)}
    made = project_factory(files)
    assert up(database, made, target="0001").error is None
    return made


def leave(database: str, folder: Path, eye: Eye, events: list[Event]) -> Report:
    """A run that goes away as soon as it waits for somebody."""
    return up(
        database,
        folder,
        "r-left",
        options=LEAVES,
        listener=events.append,
        keep_going=lambda: not eye.waiting(),
    )


@pytest.mark.parametrize("name", LONG)
def test_a_statement_that_is_left_to_the_server_ends_there_and_is_recorded(
    database: str, folder: Path, eye: Eye, table: Table, name: str
) -> None:
    versions = [f"{n:04}" for n in range(1, len(LONG[name][0]) + 2)]
    what = "it ended in the server, with its record; the next run was free to start"
    with table.row(f"left to the server, {name}", what):
        with transaction(database, IN_THE_WAY, isolation="repeatable read"):
            report = leave(database, folder, eye, [])
            assert report.error is None
            assert report.running is not None
            assert report.running.version == LONG[name][1]
            # The same run asks again; another one learns who works.
            again = up(database, folder, "r-left", options=IMPATIENT)
            assert again.error is None
            assert again.running is not None
            other = up(database, folder, "r-other", options=IMPATIENT)
            assert isinstance(other.error, RunnerBusy)
            assert "turnback/r-left" in other.error.message
        until(eye.gone, "the end of what was left")
        made = rows(database, MADE)
        assert (LONG[name][1],) in rows(database, DONE)
        events: list[Event] = []
        report = up(database, folder, listener=events.append)
        assert report.error is None, report.error
        assert not {"lost", "recognised"} & {event.kind for event in events}
        assert rows(database, APPLIED_ONCE) == [(version,) for version in versions]
        # What was there when the server had ended its work was not made again.
        assert set(made) <= set(rows(database, MADE))
        assert "made" in dict(made) or "made_2" in dict(made)
        assert value(database, "SELECT bool_and(indisvalid) FROM pg_index")


@pytest.mark.parametrize("name", LONG)
def test_a_statement_that_is_left_and_ends_without_a_record_is_run_again_and_then_given_up(
    database: str, folder: Path, eye: Eye, table: Table, name: str
) -> None:
    versions = [f"{n:04}" for n in range(1, len(LONG[name][0]) + 2)]
    what = "run again, given up after two such ends, done by the next run"
    with table.row(f"left and terminated, {name}", what):
        with transaction(database, IN_THE_WAY, isolation="repeatable read"):
            events: list[Event] = []
            for _ in range(2):
                report = leave(database, folder, eye, events)
                assert report.error is None
                assert report.running is not None
                eye.end("", "terminate")
                until(eye.gone, "the end of what was terminated")
            assert [event.version for event in events if event.kind == "lost"] == [LONG[name][1]]
            report = leave(database, folder, eye, events)
            assert isinstance(report.error, MigrationFailed)
            assert report.error.version == LONG[name][1]
        report = up(database, folder)
        assert report.error is None, report.error
        assert rows(database, APPLIED_ONCE) == [(version,) for version in versions]
        assert value(database, "SELECT bool_and(indisvalid) FROM pg_index")


@pytest.mark.parametrize("name", [SELECTS_MUCH])
def test_a_transaction_that_sends_rows_after_we_left_is_taken_back_whole_and_run_again(
    database: str, folder: Path, eye: Eye, table: Table, name: str
) -> None:
    with table.row(f"left to the server, {name}", "rolled back by the server; the next run did it"):
        with transaction(database, IN_THE_WAY):
            assert leave(database, folder, eye, []).running is not None
        until(eye.gone, "the end of what was left")
        assert rows(database, MADE) == []
        events: list[Event] = []
        report = up(database, folder, listener=events.append)
        assert report.error is None, report.error
        assert "lost" in {event.kind for event in events}
        assert rows(database, APPLIED_ONCE) == [("0001",), ("0002",)]


@pytest.mark.parametrize("name", ["CREATE INDEX CONCURRENTLY"])
def test_clearing_up_may_be_left_to_the_server_as_often_as_it_takes(
    database: str, folder: Path, eye: Eye, table: Table
) -> None:
    what = "no failure of the migration; done by the run after"
    with table.row("left and terminated, while clearing up", what):
        with transaction(database, "INSERT INTO t VALUES (0)"):
            assert leave(database, folder, eye, []).running is not None
            eye.end("CREATE INDEX", "terminate")
            until(eye.gone, "the end of what was terminated")
            for _ in range(3):
                report = leave(database, folder, eye, [])
                assert report.error is None
                assert report.running is not None
                eye.end("DROP INDEX", "terminate")
                until(eye.gone, "the end of what was terminated")
        report = up(database, folder)
        assert report.error is None, report.error
        assert value(database, "SELECT bool_and(indisvalid) FROM pg_index")
