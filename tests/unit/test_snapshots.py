"""Snapshots of RDS: named so that a retry finds them, awaited, and given up on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from turnback.errors import AwsError, ConfigurationError, SnapshotFailed
from turnback.recovery.managed.snapshots import ManagedSnapshots
from turnback.recovery.model import Snapshot, SnapshotState, snapshot_identifier
from turnback.recovery.retention import Retention
from turnback.runs.announce import Known
from turnback.runs.order import Order
from turnback.runs.record_types import PlanRecord
from turnback.runs.records import Records
from turnback.runs.reporting.mail import email_text
from turnback.runs.run import Run
from turnback.runs.snapshot import take_snapshot
from turnback.runs.state import ArtifactLocation, RunPlan, RunState
from turnback.runs.status import Status
from turnback.settings import Policy, SnapshotSettings

ORDER = Order("r-1", "orders", ArtifactLocation("b", "k"))
START = datetime(2026, 11, 22, 9, tzinfo=UTC)
TAGS = {
    "run": "r-1",
    "release": "1.0.0",
    "schema_version": "0007",
    "target": "orders",
    "created-by": "turnback",
    "turnback-stack": "prod",
}


@dataclass(frozen=True)
class Taken:
    status: str
    run: str | None = "r-1"
    taken_at: datetime | None = START
    encrypted: bool = True


@dataclass(frozen=True)
class Source:
    status: str = "available"
    encrypted: bool = True


class Rds:
    """RDS, as far as snapshots go: each question is answered by the next status.

    RDS itself cannot run here; its API is held to the same by tests/integration.
    """

    def __init__(
        self, *statuses: str | None, source: Source | None = None, run: str | None = "r-1"
    ) -> None:
        self.statuses = list(statuses)
        self.run = run
        self.source_is = source or Source()
        self.answers: list[Literal["begun", "busy", "quota reached"]] = []
        self.created: list[str] = []
        self.tags: Mapping[str, str] = {}

    def source(self) -> Source:
        return self.source_is

    def find(self, identifier: str) -> Taken | None:
        del identifier
        status = self.statuses.pop(0)
        return Taken(status, self.run) if status else None

    def create(
        self, identifier: str, tags: Mapping[str, str]
    ) -> Literal["begun", "busy", "quota reached"]:
        self.tags = tags
        self.created.append(identifier)
        return self.answers.pop(0) if self.answers else "begun"


class Keeper:
    """Keeps one old snapshot, or fails."""

    def __init__(self, error: AwsError | None = None) -> None:
        self.error = error

    def list(self) -> Sequence[Any]:
        if self.error:
            raise self.error
        return []

    def delete(self, identifier: str) -> None:
        raise AssertionError(identifier)


class Memory:
    """A bucket that keeps things here."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def read(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def write(self, key: str, body: bytes) -> None:
        self.objects[key] = body


def begun() -> Records:
    """The records of a run that was planned, and whose snapshot was begun at START."""
    records = Records(Memory(), "r-1")
    records.write_plan(PlanRecord(1, history=(("0006", "a"), ("0007", "b"))))
    records.began("snapshot", START)
    return records


class Counting:
    """A database whose counters say which minute it is."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def counters(self) -> dict[str, Any]:
        return {"inserted": self.now.minute}


def run_at(now: datetime, records: Records) -> Run:
    return Run(
        order=ORDER,
        state=RunState(plan=RunPlan("1.0.0")),
        records=records,
        artifacts=Memory(),
        database=Counting(now),
        policy=Policy("production", snapshot_required=True, rollback_required=True),
        keep_going=lambda: True,
        now=now,
    )


def take(
    rds: Rds,
    minutes: int = 0,
    kind: str = "rds",
    *,
    encryption_required: bool = False,
    prune: Callable[[], list[str]] | None = None,
    retention: Retention | None = None,
) -> dict[str, object]:
    return take_snapshot(
        run_at(START + timedelta(minutes=minutes), begun()),
        ManagedSnapshots(kind, rds, encryption_required=encryption_required, prune=prune),
        SnapshotSettings(kind, "i", "c", poll_seconds=30, timeout_minutes=120, stack="prod"),
        retention,
    ).to_state()


def test_the_first_call_begins_one_and_says_when_to_ask_again() -> None:
    rds = Rds(None, "creating")
    assert take(rds) == {
        "kind": "rds",
        "id": "turnback-orders-r-1",
        "state": "creating",
        "taken_at": "2026-11-22T09:00:00+00:00",
        "encrypted": True,
        "wait_seconds": 30,
        "retention": None,
    }
    assert rds.created == ["turnback-orders-r-1"]
    assert rds.tags == TAGS


def test_later_calls_only_ask() -> None:
    rds = Rds("creating", "available")
    assert take(rds)["state"] == "creating"
    assert take(rds)["state"] == "available"
    assert rds.created == []


@pytest.mark.parametrize("status", ["backing-up", "modifying", "storage-optimization", "renaming"])
def test_a_database_that_is_busy_is_asked_again_later(status: str) -> None:
    rds = Rds(None, None, source=Source(status))
    assert take(rds)["state"] == "creating"
    assert rds.created == []


def test_a_database_that_became_busy_meanwhile_is_asked_again_later() -> None:
    rds = Rds(None, None)
    rds.answers = ["busy"]
    assert take(rds)["state"] == "creating"


@pytest.mark.parametrize(
    "status",
    [
        "stopped",
        "failed",
        "deleting",
        "storage-full",
        "incompatible-network",
        "incompatible-parameters",
        "inaccessible-encryption-credentials",
    ],
)
def test_a_database_that_does_not_come_back_by_itself_is_an_error_at_once(status: str) -> None:
    rds = Rds(None, source=Source(status))
    with pytest.raises(SnapshotFailed, match=status):
        take(rds)
    assert rds.created == []


def test_a_source_that_is_not_encrypted_is_refused_before_anything_is_done() -> None:
    rds = Rds(None, source=Source(encrypted=False))
    with pytest.raises(SnapshotFailed, match="not encrypted") as caught:
        take(rds, encryption_required=True)
    assert "SnapshotEncryptionRequired" in str(caught.value.hint)
    assert rds.created == []


def test_a_source_that_is_not_encrypted_is_taken_where_nobody_demands_it() -> None:
    rds = Rds(None, "creating", source=Source(encrypted=False))
    assert take(rds)["state"] == "creating"


def test_production_demands_encryption_and_the_parameter_overrules_it() -> None:
    def required(**variables: str) -> bool:
        given = {"SNAPSHOT_KIND": "none", **variables}
        return SnapshotSettings.read(given).encryption_required

    assert required(ENVIRONMENT="production")
    assert not required(ENVIRONMENT="staging")
    assert required(ENVIRONMENT="development", SNAPSHOT_ENCRYPTION_REQUIRED="yes")
    assert not required(ENVIRONMENT="production", SNAPSHOT_ENCRYPTION_REQUIRED="no")
    with pytest.raises(ConfigurationError, match="SNAPSHOT_ENCRYPTION_REQUIRED"):
        required(SNAPSHOT_ENCRYPTION_REQUIRED="maybe")


def test_the_retention_is_read_from_its_parameters() -> None:
    settings = SnapshotSettings.read({"SNAPSHOT_KIND": "none"})
    assert (settings.retention_days, settings.least_kept) == (35, 3)
    with pytest.raises(ConfigurationError, match="SNAPSHOTS_KEPT"):
        SnapshotSettings.read({"SNAPSHOT_KIND": "none", "SNAPSHOTS_KEPT": "0"})


def test_when_the_quota_is_reached_old_ones_go_and_it_is_tried_once_more() -> None:
    rds = Rds(None, "creating")
    rds.answers = ["quota reached", "begun"]
    pruned: list[str] = []

    def prune() -> list[str]:
        pruned.append("old")
        return ["old"]

    assert take(rds, prune=prune)["state"] == "creating"
    assert (len(rds.created), pruned) == (2, ["old"])


@pytest.mark.parametrize("prune", [None, list])
def test_a_quota_that_nothing_frees_is_an_error(prune: Callable[[], list[str]] | None) -> None:
    rds = Rds(None)
    rds.answers = ["quota reached", "quota reached"]
    with pytest.raises(SnapshotFailed, match="quota") as caught:
        take(rds, prune=prune)
    assert "SnapshotRetentionDays" in str(caught.value.hint)
    assert len(rds.created) == 2


@pytest.mark.parametrize("run", ["r-2", None])
def test_a_snapshot_of_this_name_that_is_not_of_this_run_is_an_error(run: str | None) -> None:
    with pytest.raises(SnapshotFailed, match="not of this run"):
        take(Rds("available", run=run))


@pytest.mark.parametrize("status", ["failed", "deleting", "incompatible-restore"])
def test_a_snapshot_that_failed_is_an_error(status: str) -> None:
    with pytest.raises(SnapshotFailed, match=f"is {status}"):
        take(Rds(status))


def test_one_that_takes_too_long_is_an_error_that_names_the_parameter() -> None:
    assert take(Rds("creating"), minutes=120)["state"] == "creating"
    with pytest.raises(SnapshotFailed, match="after 120 minutes") as caught:
        take(Rds("creating"), minutes=121)
    assert "SnapshotTimeoutMinutes" in str(caught.value.hint)
    assert take(Rds("available"), minutes=500)["state"] == "available"


def test_retention_waits_for_the_snapshot_and_its_failure_is_only_reported() -> None:
    denied = Retention(Keeper(AwsError("could not list the snapshots")), 35, 3, set)
    assert take(Rds("creating"), retention=denied)["retention"] is None
    assert take(Rds("available"), retention=denied)["retention"] == {
        "removed": [],
        "error": "could not list the snapshots",
        "without_stack": [],
    }
    assert take(Rds("available"), retention=Retention(Keeper(), 35, 3, set))["retention"] == {
        "removed": [],
        "error": None,
        "without_stack": [],
    }


def test_what_keeps_old_snapshots_is_a_note_of_the_run() -> None:
    records = begun()
    denied = Retention(Keeper(AwsError("no route to Step Functions")), 35, 3, set)
    settings = SnapshotSettings("rds", "i", "c", poll_seconds=30, timeout_minutes=120)
    take_snapshot(
        run_at(START, records), ManagedSnapshots("rds", Rds("available")), settings, denied
    )
    report = records.report()
    assert report.notes == ("old snapshots were not removed: no route to Step Functions",)
    # A note is no work on the database.
    assert not report.worked
    status = Known(Status.SNAPSHOT_TAKEN, RunState(run="r-1"), records.plan(), report).report()
    assert status.notes == report.notes
    assert "no route to Step Functions" in email_text(status)


def test_the_schema_version_of_an_empty_database_is_none() -> None:
    rds, records = Rds(None, "creating"), Records(Memory(), "r-1")
    settings = SnapshotSettings("rds", "i", "c", poll_seconds=30, timeout_minutes=120)
    take_snapshot(run_at(START, records), ManagedSnapshots("rds", rds), settings)
    assert rds.tags["schema_version"] == "none"


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
    assert snapshot.to_dict() == {
        "kind": "none",
        "id": None,
        "state": "not_taken",
        "taken_at": None,
        "encrypted": None,
    }


def test_the_limit_counts_from_the_first_call_and_not_from_the_run_which_may_wait_for_days() -> (
    None
):
    records = Records(Memory(), "r-1")
    late = START + timedelta(days=2)
    settings = SnapshotSettings("rds", "i", "c", poll_seconds=30, timeout_minutes=120)

    def call(minutes: int) -> dict[str, Any]:
        run = run_at(late + timedelta(minutes=minutes), records)
        return take_snapshot(run, ManagedSnapshots("rds", Rds("creating")), settings).to_state()

    assert call(0)["state"] == "creating"
    assert call(120)["state"] == "creating"
    with pytest.raises(SnapshotFailed, match="not available after 120 minutes"):
        call(121)
    # The rows were counted once, before the snapshot was begun.
    assert records.counters() == {"inserted": 0}
