"""Snapshot: a copy of the database to restore, taken before anything is changed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from turnback.errors import SnapshotFailed
from turnback.recovery.model import (
    CREATED_BY,
    NO_HISTORY,
    STACK_TAG,
    SnapshotState,
    SnapshotTaker,
    version_tag,
)
from turnback.runs.run import Run, next_poll
from turnback.runs.state import RetentionReport, RunSnapshot
from turnback.settings import SnapshotSettings

if TYPE_CHECKING:
    from turnback.recovery.retention import Retention


def take_snapshot(
    run: Run,
    snapshots: SnapshotTaker,
    settings: SnapshotSettings,
    retention: Retention | None = None,
) -> RunSnapshot:
    """Begin the run's snapshot, or ask how far it is.

    The counters of written rows are kept with it: later they say how much a restore would lose.

    Args:
        run: the run.
        snapshots: takes snapshots.
        settings: how often to ask, and for how long.
        retention: removes old snapshots once the new one is available; None removes none.

    Raises:
        RunCancelled: somebody cancelled the run.
        TurnLost: the run was redriven after its turn had passed.
        SnapshotFailed: there will be no snapshot.
    """
    run.refuse_cancelled()
    run.refuse_lost_turn()
    run.policy.check_snapshot_kind(settings.kind)
    history, records = run.records.plan().history, run.saved
    tags = {
        "run": records.run,
        "release": run.release or "",
        "schema_version": version_tag(history[-1][0]) if history else NO_HISTORY,
        "target": run.order.target,
        "created-by": CREATED_BY,
        **({STACK_TAG: settings.stack} if settings.stack else {}),
    }
    began = records.began("snapshot", run.now)
    if settings.kind != "none" and not records.counters():
        records.write_counters(run.database.counters())
    snapshot = snapshots.take(run.order.target, records.run, tags)
    limit = timedelta(minutes=settings.timeout_minutes)
    if snapshot.state is SnapshotState.CREATING and run.now > began + limit:
        raise SnapshotFailed(
            f"the snapshot {snapshot.id} is not available after {settings.timeout_minutes} minutes",
            hint="look at the database's state in RDS, or raise SnapshotTimeoutMinutes",
        )
    for one in snapshot.limits:
        run.records.add_note(f"not restored as it is: {one}")
    waited_s = run.state.snapshot.wait_seconds if run.state.snapshot else 0
    removed = None
    if retention is not None and snapshot.state is SnapshotState.AVAILABLE:
        removed = RetentionReport.from_state(retention.report(run.now))
        if removed.error:
            run.records.add_note(f"old snapshots were not removed: {removed.error}")
    return RunSnapshot(
        snapshot.kind,
        snapshot.id,
        snapshot.state.value,
        taken_at=snapshot.taken_at,
        encrypted=snapshot.encrypted,
        wait_seconds=next_poll(waited_s, settings.poll_seconds),
        retention=removed,
    )
