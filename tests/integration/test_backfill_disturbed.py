"""What others do to the table of a backfill while it runs, and what a stop does to its sessions."""

from __future__ import annotations

import psycopg
import pytest
from turnback.engine.session.events import RunControl
from turnback.errors import MigrationIncomplete
from turnback.migrations.discovery import load_project

from tests.conftest import ProjectFactory
from tests.integration.test_backfill import USERS, counted, files
from tests.integration.test_engine import apply, engine_for, query


def test_no_session_goes_on_when_the_run_has_stopped(
    database: str, project_factory: ProjectFactory
) -> None:
    folder, begun = project_factory(files(setup=USERS + "ANALYZE users;", more=" parallel=2")), []

    with psycopg.connect(database) as other:

        def look(event) -> None:
            if event.kind == "started" and event.version == "0002":
                other.execute("SELECT FROM users WHERE id > 2500 FOR UPDATE")
            if event.kind == "progress":
                begun.append(event)

        def keep_going() -> bool:
            if begun:
                other.rollback()
            return not begun

        with engine_for(database, listener=look, lock_timeout_ms=60_000, batch=False) as engine:
            report = engine.run(engine.plan_up(load_project(folder)), RunControl(keep_going))
    assert report.error is None and report.remaining == ["0002"]
    # The second range was at its first batch.
    ((rows,),) = query(database, "SELECT count(*) FROM users WHERE changes > 0 AND id > 2500")
    assert rows <= 1000
    assert apply(database, folder).error is None
    assert counted(database) == [(1, 5000, 5000)]


@pytest.mark.parametrize("at", ["a batch", "the beginning"])
def test_a_lock_on_the_whole_table_is_waited_for(
    database: str, project_factory: ProjectFactory, at: str
) -> None:
    folder, kind = project_factory(files()), "progress" if at == "a batch" else "started"
    with psycopg.connect(database) as other:

        def lock(event) -> None:
            if event.kind == kind and event.version == "0002" and not waits:
                other.execute("LOCK TABLE users")
            elif event.kind == "retrying":
                waits.append(event.text)
                other.rollback()

        waits: list[str] = []
        report = apply(database, folder, listener=lock, lock_timeout_ms=50, batch=False)
    assert report.error is None
    assert "lock timeout" in waits[0]
    assert counted(database) == [(1, 5000, 5000)]


@pytest.mark.parametrize(
    ("change", "back", "said"),
    [
        ("users RENAME TO people", "people RENAME TO users", 'relation "public.users" does not'),
        ("users RENAME id TO nr", "users RENAME nr TO id", "column t.id does not exist"),
    ],
)
def test_a_table_that_is_changed_meanwhile_fails_the_migration_which_can_go_on_later(
    database: str, project_factory: ProjectFactory, change: str, back: str, said: str
) -> None:
    folder, changed_once = project_factory(files()), []

    def rename(event) -> None:
        if event.kind == "progress" and not changed_once:
            changed_once.append(query(database, f"ALTER TABLE {change}"))

    report = apply(database, folder, listener=rename)
    assert isinstance(report.error, MigrationIncomplete)
    assert said in str(report.error)
    assert (report.error.file, report.error.line) == ("sql/0002_fill.sql", 2)
    query(database, f"ALTER TABLE {back}")
    assert apply(database, folder).error is None
    assert counted(database) == [(1, 5000, 5000)]
