"""The status of each migration, from the files and the history alone."""

from __future__ import annotations

import pytest
from turnback.engine.look.history import Entry
from turnback.engine.look.status import MigrationStatus, statuses

from tests.unit.migrations import entry, migration, project

ONE, TWO = migration("0001"), migration("0002")


def words(*history: Entry) -> dict[str, str]:
    return {item.version: item.status for item in statuses(project(ONE, TWO), history)}


@pytest.mark.parametrize(
    ("row", "status"),
    [
        (entry(ONE), "applied"),
        (entry(ONE, success=False), "failed"),
        (entry(ONE, rolled_back_at="2026"), "rolled_back"),
        (entry(ONE, success=False, rolled_back_at="2026"), "rolled_back"),
        (entry(ONE, checksum="other"), "changed"),
        # Another file than the one that failed, or was rolled back, is what it should be.
        (entry(ONE, checksum="other", success=False), "failed"),
        (entry(ONE, checksum="other", rolled_back_at="2026"), "rolled_back"),
    ],
)
def test_the_history_gives_the_status(row: Entry, status: str) -> None:
    assert words(row) == {"0001": status, "0002": "pending"}


def test_without_a_row_a_migration_is_pending() -> None:
    assert words() == {"0001": "pending", "0002": "pending"}


@pytest.mark.parametrize(
    ("status", "pending"),
    [
        ("pending", True),
        ("failed", True),
        ("rolled_back", True),
        ("applied", False),
        ("changed", False),
        ("missing", False),
    ],
)
def test_up_runs_what_is_pending_failed_or_rolled_back(status: str, pending: bool) -> None:
    assert MigrationStatus("0001", "m", status, None, None, "").pending is pending


def test_an_applied_migration_without_a_file_is_missing_and_another_one_is_forgotten() -> None:
    gone, undone = migration("0003"), migration("0004")
    found = statuses(project(ONE), [entry(gone), entry(undone, rolled_back_at="2026")])
    assert [(item.version, item.status) for item in found] == [
        ("0001", "pending"),
        ("0003", "missing"),
    ]
    assert (found[1].name, found[1].checksum, found[1].execution_ms) == (
        "m3",
        gone.forward.checksum,
        12,
    )


def test_versions_are_numbers() -> None:
    other = migration("1", name="m1")
    assert [item.status for item in statuses(project(ONE), [entry(other)])] == ["applied"]
    found = statuses(project(TWO), [entry(migration("10")), entry(migration("9"))])
    assert [item.version for item in found] == ["0002", "9", "10"]


def test_a_status_has_what_the_history_says_and_the_checksum_of_the_file() -> None:
    (item,) = statuses(project(ONE), [entry(ONE, checksum="other", success=False)])
    assert item == MigrationStatus(
        "0001",
        "m1",
        "failed",
        "2026-11-01T10:00:00.000Z",
        12,
        ONE.forward.checksum,
        "it failed",
    )
    assert item.to_dict() == {
        "version": "0001",
        "name": "m1",
        "status": "failed",
        "applied_at": "2026-11-01T10:00:00.000Z",
        "execution_ms": 12,
        "checksum": ONE.forward.checksum,
        "kind": "migration",
    }
