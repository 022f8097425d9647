"""Snapshots of RDS: named so that a retry finds them, awaited, and given up on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from turnback.errors import SnapshotFailed
from turnback.recovery.managed import ManagedSnapshots
from turnback.recovery.model import Snapshot, SnapshotState, snapshot_identifier
from turnback.runs.order import ArtifactLocation, Order
from turnback.runs.snapshot import take_snapshot
from turnback.settings import Policy, SnapshotSettings

ORDER = Order("r-1", "orders", ArtifactLocation("b", "k"))
START = datetime(2026, 11, 22, 9, tzinfo=UTC)


class Rds:
    """RDS, as far as snapshots go: each question is answered by the next status."""

    def __init__(self, *statuses: str | None) -> None:
        self.statuses = list(statuses)
        self.created: list[str] = []

    def status(self, identifier: str) -> str | None:
        del identifier
        return self.statuses.pop(0)

    def create(self, identifier: str, tags: Mapping[str, str]) -> bool:
        assert set(tags) == {"run", "release"}
        self.created.append(identifier)
        return True


def take(rds: Rds, minutes: int = 0, kind: str = "rds") -> dict[str, object]:
    return take_snapshot(
        ORDER,
        release="1.0.0",
        snapshots=ManagedSnapshots(kind, rds),
        settings=SnapshotSettings(kind, "i", "c", poll_seconds=30, timeout_minutes=120),
        policy=Policy("production", snapshot_required=True, rollback_required=True),
        started_at=START,
        now=START + timedelta(minutes=minutes),
    )


def test_the_first_call_begins_one_and_says_when_to_ask_again() -> None:
    rds = Rds(None, "creating")
    assert take(rds) == {
        "kind": "rds",
        "id": "turnback-orders-r-1",
        "state": "creating",
        "wait_seconds": 30,
    }
    assert rds.created == ["turnback-orders-r-1"]


def test_later_calls_only_ask() -> None:
    rds = Rds("creating", "available")
    assert take(rds)["state"] == "creating"
    assert take(rds)["state"] == "available"
    assert rds.created == []


def test_a_database_that_is_busy_is_asked_again_later() -> None:
    rds = Rds(None, None)
    assert take(rds)["state"] == "creating"


def test_a_snapshot_that_failed_is_an_error() -> None:
    with pytest.raises(SnapshotFailed, match="is failed"):
        take(Rds("failed"))


def test_one_that_takes_too_long_is_an_error_that_names_the_parameter() -> None:
    assert take(Rds("creating"), minutes=120)["state"] == "creating"
    with pytest.raises(SnapshotFailed, match="after 120 minutes") as caught:
        take(Rds("creating"), minutes=121)
    assert "SnapshotTimeoutMinutes" in str(caught.value.hint)
    assert take(Rds("available"), minutes=500)["state"] == "available"


@pytest.mark.parametrize(
    ("target", "run"),
    [
        ("orders", "r-0123456789abcdef0123"),
        ("a", "A--B__c"),
        ("a" * 31, "r" * 80),
        ("a-", "-"),
        ("orders", "r-1-"),
    ],
)
def test_an_identifier_is_one_that_rds_takes(target: str, run: str) -> None:
    name = snapshot_identifier(target, run)
    assert re.fullmatch(r"[a-z](?!.*--)[a-z0-9-]{0,61}[a-z0-9]", name)
    assert name == snapshot_identifier(target, run)


def test_runs_whose_names_are_cut_alike_have_snapshots_of_their_own() -> None:
    runs = ["r" * 79 + "a", "r" * 79 + "b", "r_1", "r-1", "R-1"]
    assert len({snapshot_identifier("orders", run) for run in runs}) == len(runs)


def test_a_snapshot_is_json_for_the_state_machine() -> None:
    snapshot = Snapshot("none", None, SnapshotState.NOT_TAKEN)
    assert snapshot.to_dict() == {"kind": "none", "id": None, "state": "not_taken"}
