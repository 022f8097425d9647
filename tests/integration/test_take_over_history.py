"""The history of another tool becomes ours: all of it or nothing, and once."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest
from turnback.engine import Engine, RunContext
from turnback.engine.run.adopt import Adopted, adopt
from turnback.errors import HistoryConflict, InvalidMigration
from turnback.migrations.discovery import load_project

from tests.conftest import ProjectFactory
from tests.integration.command_line import query

WHEN = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
OF_OTHERS = [
    Adopted("2024-01-01-users", "users", "a" * 64, WHEN, 12),
    Adopted("1.10.0", "ärger 'quoted' \\", "b" * 64, WHEN.replace(tzinfo=None)),
    Adopted("1.2.3", "items", "c" * 64),
]
FILES = {
    "sql/0001_t.sql": "CREATE TABLE t (id int);\n",
    "rollback/0001_rollback.sql": "DROP TABLE t;\n",
}


def adopted(url: str, entries: list[Adopted] = OF_OTHERS, run: str = "r-1") -> tuple[bool, int]:
    """Take over; whether it was there already, and how many there are."""
    with Engine(url, context=RunContext(run, actor="ann")) as engine:
        done = adopt(engine.session, entries, "dbmate: public.schema_migrations")
    assert done.versions == tuple(entry.version for entry in entries)
    return done.again, len(done.versions)


def test_a_history_is_taken_over_with_its_order_and_times(database: str) -> None:
    assert adopted(database) == (False, 3)
    rows = query(
        database,
        "SELECT version, name, kind, success, execution_time, applied_at, position "
        "FROM migrations ORDER BY position",
    )
    names = [entry.name for entry in OF_OTHERS]
    assert [row[:4] for row in rows] == [
        (entry.version, name, "adopted", True) for entry, name in zip(OF_OTHERS, names, strict=True)
    ]
    assert [row[4] for row in rows] == [12, 0, 0]
    assert [row[5] for row in rows[:2]] == [WHEN, WHEN]
    log = query(database, "SELECT version, direction, outcome, error, actor FROM migration_log")
    said = ("adopt", "done", "dbmate: public.schema_migrations", "ann")
    assert sorted(log) == sorted((entry.version, *said) for entry in OF_OTHERS)
    # Again, nothing is written; and health finds that the two tables agree.
    assert adopted(database, run="r-2") == (True, 3)
    assert query(database, "SELECT count(*) FROM migration_log") == [(3,)]
    with Engine(database, context=RunContext("r-3")) as engine:
        assert engine.health().problems == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (OF_OTHERS[:2], "1.10.0|2024-01-01-users"),
        ([*OF_OTHERS, Adopted("2", "more", "d" * 64)], "is in use"),
        ([*OF_OTHERS[:2], Adopted("1.2.3", "items", "e" * 64)], "is in use"),
    ],
    ids=["fewer", "more", "another file"],
)
def test_another_history_is_not_put_over_it(database: str, wrong: list[Adopted], said: str) -> None:
    adopted(database)
    with pytest.raises(HistoryConflict, match=said):
        adopted(database, wrong)
    assert query(database, "SELECT count(*) FROM migration_log") == [(3,)]


def test_a_history_of_ours_that_is_in_use_is_left_alone(
    database: str, project_factory: ProjectFactory
) -> None:
    project = load_project(project_factory(FILES))
    with Engine(database, context=RunContext("r-1")) as engine:
        assert engine.run(engine.plan_up(project)).error is None
        with pytest.raises(HistoryConflict, match="0001 is in it"):
            adopt(engine.session, OF_OTHERS, "dbmate")
        assert engine.run(engine.plan_down(project, target="0")).error is None
        # What was rolled back is no obstacle; and the session has let go of its lock.
        assert adopted(database) == (False, 3)
        assert [entry.version for entry in engine.entries()] == [
            "0001",
            *(entry.version for entry in OF_OTHERS),
        ]


@pytest.mark.parametrize(
    "entries",
    [
        [OF_OTHERS[0], OF_OTHERS[0]],
        [Adopted("", "name", "a" * 64)],
        [Adopted("1" * 1001, "name", "a" * 64)],
        [Adopted("1", "n" * 256, "a" * 64)],
    ],
    ids=["twice", "empty", "a long version", "a long name"],
)
def test_what_the_history_cannot_keep_is_refused(database: str, entries: list[Adopted]) -> None:
    with pytest.raises(InvalidMigration):
        adopted(database, entries)


def test_a_take_over_that_is_cut_off_has_written_nothing(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as other:
        with Engine(database, context=RunContext("r-1")) as engine:
            engine.session.lock()
            engine.session.release_lock()
        # The log's rows are written first; a check of the history's refuses the last one.
        other.execute("ALTER TABLE migrations ADD CHECK (version <> '1.2.3')")
        with pytest.raises(Exception, match="violates check constraint"):
            adopted(database)
        assert query(database, "SELECT count(*) FROM migration_log") == [(0,)]
        assert query(database, "SELECT count(*) FROM migrations") == [(0,)]
