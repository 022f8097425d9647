"""Snapshot: something to come back to, before anything is changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from turnback.errors import SnapshotFailed
from turnback.recovery.model import Snapshots, SnapshotState
from turnback.runs.order import Order
from turnback.settings import Policy, SnapshotSettings


def take_snapshot(
    order: Order,
    *,
    release: str,
    snapshots: Snapshots,
    settings: SnapshotSettings,
    policy: Policy,
    started_at: datetime,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Begin the run's snapshot, or ask how far it is.

    Args:
        order: the run.
        release: the release it applies.
        snapshots: the way snapshots are taken.
        settings: how often to ask, and for how long.
        policy: whether it may be left out.
        started_at: when the run began.
        now: the time; the clock's, if not given.

    Returns:
        ``kind``, ``id``, ``state`` (``creating``, ``available``, ``not_taken``) and
        ``wait_seconds`` until it is worth asking again.

    Raises:
        SnapshotFailed: there will be no snapshot.
    """
    policy.check_snapshot_kind(settings.kind)
    snapshot = snapshots.take(order.target, order.run, {"run": order.run, "release": release})
    limit = timedelta(minutes=settings.timeout_minutes)
    if snapshot.state is SnapshotState.CREATING and (now or datetime.now(UTC)) > started_at + limit:
        raise SnapshotFailed(
            f"the snapshot {snapshot.id} is not available after {settings.timeout_minutes} minutes",
            hint="look at the database's state in RDS, or raise SnapshotTimeoutMinutes",
        )
    return {**snapshot.to_dict(), "wait_seconds": settings.poll_seconds}
