"""The rollback of a backfill that is half done; a trigger counts the changes of each row."""

from __future__ import annotations

from turnback.engine.backfill.records import Records
from turnback.engine.session.events import RunControl
from turnback.errors import MigrationIncomplete, TurnbackError
from turnback.migrations.discovery import load_project

from tests.conftest import ProjectFactory
from tests.integration.test_backfill import USERS, counted, down, files
from tests.integration.test_engine import apply, engine_for, query

# More than 100 rows fail, which ends the backfill in its middle.
CHECK = "ALTER TABLE users ADD CHECK (id < 4000 OR display_name IS NULL);"


def listed(url: str) -> list[tuple[str, str]]:
    """Direction and state of the backfills that ``turnback backfill status`` shows."""
    with engine_for(url) as engine:
        return [(one.direction, one.state) for one in engine.backfills()]


def test_what_was_done_of_it_is_rolled_back_when_it_is_given_up(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(files(setup=USERS + CHECK))
    report = apply(database, folder)
    assert "100 rows failed before it" in str(report.error.hint)
    ((done,),) = query(database, "SELECT count(*) FROM users WHERE changes > 0")
    assert down(database, folder, "0001").error is None
    assert query(database, "SELECT count(display_name) FROM users") == [(0,)]
    # The rollback has left out what it had not reached.
    ((twice, once),) = query(
        database,
        "SELECT count(*) FILTER (WHERE changes = 2), count(*) FILTER (WHERE id >= 4200 AND "
        "changes > 0) FROM users",
    )
    assert (twice, once) == (done, 0)


def test_it_begins_anew_after_its_rollback_whatever_that_was(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(files(setup=USERS + CHECK))
    (folder / "rollback/0002_rollback.sql").write_text("-- turnback: keep-rows because of a test\n")
    assert isinstance(apply(database, folder).error, MigrationIncomplete)
    assert listed(database) == [("up", "running")]
    assert down(database, folder, "0").error is None
    # Nothing of it is under way, or done: that script knows no backfill.
    assert listed(database) == []
    (folder / "sql/0001_users.sql").write_text(USERS)
    assert apply(database, folder).error is None
    assert counted(database) == [(1, 5000, 5000)]
    assert listed(database) == [("up", "done")]
    assert down(database, folder, "0001").error is None
    assert listed(database) == []


def test_it_is_not_applied_while_its_rollback_is_half_done(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(files(setup=USERS + CHECK))
    assert isinstance(apply(database, folder).error, MigrationIncomplete)
    query(
        database,
        "ALTER TABLE users ADD CONSTRAINT complete CHECK (id <> 40 OR display_name IS NOT NULL) "
        "NOT VALID",
    )
    assert isinstance(down(database, folder, "0001").error, TurnbackError)
    assert "the rollback of 0002, which was half done, stopped" in str(
        apply(database, folder).error
    )
    query(database, "ALTER TABLE users DROP CONSTRAINT complete")
    assert down(database, folder, "0001").error is None
    assert query(database, "SELECT count(display_name) FROM users") == [(0,)]


def test_what_was_done_before_it_was_cancelled_and_begun_anew_is_rolled_back_too(
    database: str, project_factory: ProjectFactory
) -> None:
    folder, calls = project_factory(files(setup=USERS + CHECK)), iter(range(4))
    assert isinstance(apply(database, folder).error, MigrationIncomplete)
    with engine_for(database) as engine:
        engine.steer(Records("public", "0002", "up").set_state("cancelled"))
        control = RunControl(keep_going=lambda: next(calls, None) is not None)
        assert engine.run(engine.plan_up(load_project(folder)), control).remaining == ["0002"]
    assert [changes for changes, _, _ in counted(database)] == [0, 1, 2]
    assert down(database, folder, "0001").error is None
    assert query(database, "SELECT count(display_name) FROM users") == [(0,)]
