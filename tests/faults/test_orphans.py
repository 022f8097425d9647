"""A session that holds the lock: idle ones of ours are ended, all others are awaited."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from turnback.engine import Event
from turnback.engine.session import lock
from turnback.errors import RunnerBusy

from tests.conftest import ProjectFactory
from tests.faults.arena import PATIENT, up
from tests.faults.table import Table
from tests.faults.watching import until

IMPATIENT = replace(PATIENT, runner_wait_s=0.5)


@pytest.fixture
def folder(project_factory: ProjectFactory) -> Path:
    return project_factory(
        {"sql/0001_one.sql": "CREATE TABLE one ()", "rollback/0001_rollback.sql": "DROP TABLE one"}
    )


def holder(database: str, application: str) -> psycopg.Connection:
    """Somebody who holds the lock of a run."""
    connection = psycopg.connect(database, application_name=application, autocommit=True)
    connection.execute("SELECT pg_advisory_lock(%s)", [lock.lock_key("public")])
    return connection


@pytest.mark.parametrize("state", ["idle", "idle in transaction", "idle in transaction (aborted)"])
def test_an_idle_session_of_ours_that_holds_the_lock_is_ended(
    database: str, folder: Path, table: Table, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    monkeypatch.setattr(lock, "ORPHAN_S", 1)
    events: list[Event] = []
    with (
        table.row("idle orphan with the lock", "the next run ended it"),
        holder(database, "turnback/r-frozen") as orphan,
    ):
        if state != "idle":
            orphan.execute("BEGIN")
        if "aborted" in state:
            with pytest.raises(psycopg.errors.DivisionByZero):
                orphan.execute("SELECT 1 / 0")
        report = up(database, folder, listener=events.append)
        assert report.error is None, report.error
        assert "orphan" in {event.kind for event in events}
        with pytest.raises(psycopg.OperationalError):
            orphan.execute("SELECT 1")


def test_a_session_of_ours_that_works_is_awaited(
    database: str, folder: Path, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "ORPHAN_S", 0)
    events: list[Event] = []
    with (
        table.row("session of ours that works", "the next run waited for its end"),
        psycopg.connect(database, autocommit=True) as gate,
        ThreadPoolExecutor(2) as pool,
    ):
        gate.execute("SELECT pg_advisory_lock(7)")
        working = holder(database, "turnback/r-works")
        work = pool.submit(working.execute, "SELECT pg_advisory_lock(7)")
        until(lambda: blocked(gate) == 1, "the other session works")
        run = pool.submit(up, database, folder, listener=events.append)
        until(lambda: "waiting" in {event.kind for event in events}, "our run waits")
        gate.execute("SELECT pg_advisory_unlock(7)")
        assert work.result().fetchall()
        working.close()
        report = run.result()
        assert report.error is None, report.error
        assert "orphan" not in {event.kind for event in events}


def test_an_idle_session_of_somebody_else_is_never_ended(
    database: str, folder: Path, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "ORPHAN_S", 0)
    with (
        table.row("idle session of somebody else", "left alone; the run left with RunnerBusy"),
        holder(database, "psql") as other,
    ):
        report = up(database, folder, options=IMPATIENT)
        assert isinstance(report.error, RunnerBusy)
        assert "psql" in report.error.message
        assert other.execute("SELECT 1").fetchall() == [(1,)]


def blocked(connection: psycopg.Connection) -> int:
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    ((count,),) = connection.execute(query).fetchall()
    return int(count)
