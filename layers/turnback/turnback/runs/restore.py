"""Restore: a new database from the snapshot, looked at, then put in the old one's place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from turnback.errors import RestoreFailed
from turnback.recovery.model import (
    Place,
    RestoreRequest,
    Restores,
    RestoreState,
    Snapshot,
    SnapshotState,
)
from turnback.runs.assess import applied, history_of
from turnback.runs.order import Order
from turnback.runs.records import Records
from turnback.settings.recovery import RestoreSettings

if TYPE_CHECKING:
    from turnback.engine import Engine

ConnectAt = Callable[[Order, Place], AbstractContextManager["Engine"]]


def restore(
    order: Order,
    state: Mapping[str, Any],
    *,
    restores: Restores,
    settings: RestoreSettings,
    records: Records,
    connect_at: ConnectAt,
    now: datetime,
) -> dict[str, Any]:
    """Do the next step of the run's restore, or ask how far it is.

    Args:
        order: the run.
        state: the state machine's state, with the run's snapshot.
        restores: the way databases are restored.
        settings: from what, and for how long.
        records: the run's plan, with the history before it.
        connect_at: opens the database at another place.
        now: the time.

    Returns:
        ``state``, ``detail``, ``kept``, ``restored_to`` and ``wait_seconds`` until it is worth
        asking again.

    Raises:
        RestoreFailed: it cannot end well, or not in time.
    """
    plan = records.plan()
    began = records.began("restore", now)
    expected = history_of(plan)

    def check(place: Place) -> None:
        with connect_at(order, place) as engine:
            if applied(engine) != expected:
                raise RestoreFailed(
                    "the history in the restored database is not the one before the run",
                    hint="the old database is untouched; look at the snapshot before you use it",
                )

    progress = restores.advance(
        RestoreRequest(
            target=order.target,
            run=order.run,
            snapshot=_snapshot(state),
            until=_until(state, records) if settings.source == "point-in-time" else None,
            check=check,
        )
    )
    restored = progress.state is RestoreState.RESTORED
    if not restored and now > began + timedelta(minutes=settings.timeout_minutes):
        raise RestoreFailed(
            f"the restore did not end in {settings.timeout_minutes} minutes: {progress.detail}",
            hint="it may still end by itself: look at the database in AWS, or raise "
            "RestoreTimeoutMinutes",
        )
    return {**progress.to_dict(), "wait_seconds": settings.poll_seconds}


def _snapshot(state: Mapping[str, Any]) -> Snapshot:
    taken = state.get("snapshot") or {}
    if taken.get("state") != SnapshotState.AVAILABLE:
        raise RestoreFailed(
            "the run has no snapshot to restore from",
            hint="turnback snapshots lists older ones",
        )
    return Snapshot(
        str(taken["kind"]),
        str(taken["id"]),
        SnapshotState.AVAILABLE,
        taken_at=taken.get("taken_at"),
        encrypted=taken.get("encrypted"),
    )


def _until(state: Mapping[str, Any], records: Records) -> datetime | None:
    """Just before the run's first change; without a record of it, when the snapshot was taken."""
    moment = records.fingerprint().get("taken_at")
    moment = moment or (state.get("snapshot") or {}).get("taken_at")
    return datetime.fromisoformat(str(moment)) if moment else None
