"""Snapshot: something to come back to, before anything is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from turnback.errors import SnapshotFailed
from turnback.recovery.model import CREATED_BY, SnapshotState, SnapshotTaker
from turnback.runs.order import Order
from turnback.runs.records import Records
from turnback.settings import Policy, SnapshotSettings

if TYPE_CHECKING:
    from turnback.recovery.retention import Retention


def take_snapshot(
    order: Order,
    *,
    release: str,
    records: Records,
    count: Callable[[], dict[str, Any]],
    snapshots: SnapshotTaker,
    retention: Retention | None = None,
    settings: SnapshotSettings,
    policy: Policy,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Begin the run's snapshot, or ask how far it is.

    Args:
        order: the run.
        release: the release it applies.
        records: the run's plan; gets the counters of written rows, as of now.
        count: reads those counters: later they tell how much a restore would lose.
        snapshots: the way snapshots are taken.
        retention: removes old ones once the new one is there; None removes none.
        settings: how often to ask, and for how long.
        policy: whether it may be left out.
        now: the time; the clock's, if not given.

    Returns:
        ``kind``, ``id``, ``state`` (``creating``, ``available``, ``not_taken``), ``taken_at``,
        ``encrypted`` and ``wait_seconds`` until it is worth asking again; once it is available
        ``retention``: what was ``removed``, and the ``error`` that kept it from removing more.

    Raises:
        SnapshotFailed: there will be no snapshot.
    """
    policy.check_snapshot_kind(settings.kind)
    tags = {
        "run": order.run,
        "release": release,
        "schema_version": schema_version(records.plan()) or "none",
        "target": order.target,
        "created-by": CREATED_BY,
    }
    now = now or datetime.now(UTC)
    began = records.began("snapshot", now)
    if settings.kind != "none" and not records.counters():
        records.write_counters(count())
    snapshot = snapshots.take(order.target, order.run, tags)
    limit = timedelta(minutes=settings.timeout_minutes)
    if snapshot.state is SnapshotState.CREATING and now > began + limit:
        raise SnapshotFailed(
            f"the snapshot {snapshot.id} is not available after {settings.timeout_minutes} minutes",
            hint="look at the database's state in RDS, or raise SnapshotTimeoutMinutes",
        )
    result = {**snapshot.to_dict(), "wait_seconds": settings.poll_seconds}
    if retention is not None and snapshot.state is SnapshotState.AVAILABLE:
        result["retention"] = retention.report(now)
    return result


def schema_version(plan: Mapping[str, Any]) -> str | None:
    """The version that the database was at when the run was planned; None where it had none."""
    history = plan.get("history") or []
    return str(history[-1][0]) if history else None
