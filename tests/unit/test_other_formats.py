"""Files with both halves of a migration, as other tools write them."""

from __future__ import annotations

import pytest
from turnback.engine.run.plan import plan_up, step_down
from turnback.errors import InvalidMigration
from turnback.sql.check import check_migration

from tests.unit.migrations import migration, project

UP, DOWN = "CREATE TABLE a ();\n", "DROP TABLE a;\n"
# Tool → the markers of its files, also as its parser reads them though nobody writes them.
MARKERS = [
    ("dbmate", "-- migrate:up", "-- migrate:down"),
    ("dbmate", "--migrate:up transaction:false", "  -- migrate:down transaction:false"),
    ("goose", "-- +goose Up", "-- +goose Down"),
    ("goose", "--+goose UP", "--   +goose   down"),
    ("sql-migrate", "-- +migrate Up", "-- +migrate Down"),
    ("sql-migrate", "-- +migrate Up notransaction", "-- +migrate Down notransaction"),
    ("node-pg-migrate", "-- Up Migration", "-- Down Migration"),
    ("node-pg-migrate", "--up migration", "---- down  migration\r"),
]


@pytest.mark.parametrize(("tool", "up", "down"), MARKERS)
def test_a_file_with_both_halves_is_refused_by_check_and_up(tool: str, up: str, down: str) -> None:
    both = migration("0002", f"{up}\n{UP}{down}\n{DOWN}")
    (finding,) = check_migration(both)
    with pytest.raises(InvalidMigration) as caught:
        plan_up(project(both), [])
    assert str(caught.value) == str(finding)
    assert f"a file for {tool}: " in finding.message
    assert (finding.file, finding.line) == ("sql/0002_m2.sql", 3)
    assert "rollback/0002_rollback.sql" in str(finding.hint)


@pytest.mark.parametrize(("tool", "up", "down"), MARKERS)
def test_a_rollback_or_verify_script_with_both_halves_is_refused(
    tool: str, up: str, down: str
) -> None:
    text = f"{up}\n{UP}{down}\n{DOWN}"
    for wrong in (migration("0002", back=text), migration("0002", verify=text)):
        (finding,) = check_migration(wrong)
        assert f"a file for {tool}: " in finding.message
        assert finding.line == 1
        with pytest.raises(InvalidMigration, match=tool):
            plan_up(project(wrong), [])
    with pytest.raises(InvalidMigration, match=tool):
        step_down(migration("0002", back=text))


@pytest.mark.parametrize(("up", "down"), [markers[1:] for markers in MARKERS])
def test_a_half_that_kept_its_own_marker_is_accepted(up: str, down: str) -> None:
    split = migration("0002", f"{up}\n{UP}", f"{down}\n{DOWN}")
    assert check_migration(split) == []
    assert len(plan_up(project(split), []).steps) == 1


@pytest.mark.parametrize(
    "sql",
    [
        "-- Down migration is in rollback/0002_rollback.sql\nSELECT 1;\n",
        "SELECT 1; -- see -- migrate:down\n",
        "INSERT INTO notes VALUES ('\n-- migrate:down\n');\n",
        "DO $$BEGIN\n-- +goose Down\nEND$$;\n",
        "-- migrate:downwards\nSELECT 1;\n",
    ],
)
def test_a_sentence_a_string_and_a_body_are_no_markers(sql: str) -> None:
    assert check_migration(migration("0002", sql)) == []


def test_a_marker_after_a_string_that_looks_like_one_is_found() -> None:
    sql = "INSERT INTO notes VALUES ('\n-- migrate:down\n');\n-- migrate:down\nSELECT 1;\n"
    (finding,) = check_migration(migration("0002", sql))
    assert finding.line == 4
