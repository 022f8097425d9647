"""Restore: a new database from the snapshot, looked at, then put in the old one's place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from turnback.errors import DatabaseRefused, DatabaseUnreachable, RestoreFailed, RunnerBusy
from turnback.recovery.model import (
    Place,
    Restorer,
    RestoreRequest,
    RestoreState,
    Snapshot,
    SnapshotState,
)
from turnback.runs.assess import (
    Loss,
    applied,
    done_by_others,
    history_of,
    loss_since,
    nothing_left,
    other_worker,
)
from turnback.runs.order import Order
from turnback.runs.records import Records
from turnback.settings.recovery import RestoreSettings

if TYPE_CHECKING:
    from turnback.engine import Engine
    from turnback.runs.validate import Connect

ConnectAt = Callable[[Order, Place], AbstractContextManager["Engine"]]


def restore(
    order: Order,
    state: Mapping[str, Any],
    *,
    restores: Restorer,
    settings: RestoreSettings,
    records: Records,
    connect: Connect,
    connect_at: ConnectAt,
    written: Loss,
    now: datetime,
) -> dict[str, Any]:
    """Do the next step of the run's restore, or ask how far it is.

    Before the first step and again before the swap the database that would be replaced is looked
    at: hours may have passed since a person was asked.

    Args:
        order: the run.
        state: the state machine's state, with the run's snapshot.
        restores: the way databases are restored.
        settings: from what, and for how long.
        records: the run's plan, with the history before it.
        connect: opens the database that is replaced.
        connect_at: opens the database at another place.
        written: what was written since the counters were taken that were kept with the snapshot.
        now: the time.

    Returns:
        ``state``, ``detail``, ``kept``, ``restored_to`` and ``wait_seconds`` until it is worth
        asking again.

    Raises:
        RestoreFailed: it cannot end well, or not in time; or another run changed the database
            since a person was told what a restore loses.
    """
    plan = records.plan()
    if not records.has_begun("restore"):
        _refuse_unforeseen(order, plan, state, records, connect)
    began = records.began("restore", now)
    expected = history_of(plan)

    def check(place: Place) -> None:
        with connect_at(order, place) as engine:
            if applied(engine) != expected:
                raise RestoreFailed(
                    "the history in the restored database is not the one before the run",
                    hint="the old database is untouched; look at the snapshot before you use it",
                )
        _refuse_unforeseen(order, plan, state, records, connect)
        _count(state, records, written, now)

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
    # With the old one's name away nothing answers: stopping there would be the worst of all.
    limit = timedelta(minutes=settings.timeout_minutes * (2 if progress.kept else 1))
    if not restored and now > began + limit:
        raise RestoreFailed(
            f"the restore did not end in {int(limit.total_seconds() // 60)} minutes: "
            f"{progress.detail}",
            hint="turnback does no further step of it: look at the database in AWS and end it by "
            "hand (docs/restore-rds.md), or raise RestoreTimeoutMinutes for the next time",
        )
    return {**progress.to_dict(), "wait_seconds": settings.poll_seconds}


def _refuse_unforeseen(
    order: Order,
    plan: Mapping[str, Any],
    state: Mapping[str, Any],
    records: Records,
    connect: Connect,
) -> None:
    """Refuse to throw away what nobody was told of; a database without an answer tells nothing."""
    told = ((state.get("assessment") or {}).get("loss") or {}).get("others") or []
    try:
        with connect(order, str(plan.get("release") or "") or None) as engine:
            busy = other_worker(engine, order)
            new = [
                one
                for one in done_by_others(engine, order, plan, state, records)
                if one not in told
            ]
            whole = nothing_left(engine, order, plan, records)
    except RunnerBusy as error:
        raise RestoreFailed(error.message, hint=error.hint) from error
    except (DatabaseUnreachable, DatabaseRefused):
        return
    if busy:
        raise RestoreFailed(
            f"another run works on the database: {busy}",
            hint="nothing was restored; wait for it, and look at what it did",
        )
    if whole:
        raise RestoreFailed(
            "nothing of the run is in the database any more, so nothing is restored",
            hint="turnback status shows what stands",
        )
    if new:
        raise RestoreFailed(
            f"a restore would take back what other runs did meanwhile: {'; '.join(new)}",
            hint="nothing was restored, and nobody was asked about these; look at what stands, "
            "then mend it by a new release, or restore by hand",
        )


def _count(state: Mapping[str, Any], records: Records, written: Loss, now: datetime) -> None:
    """Count again what is lost: the application has gone on writing since a person was asked."""
    told = (state.get("assessment") or {}).get("loss") or {}
    try:
        loss = loss_since(state.get("snapshot") or {}, records, written, now)
    except (DatabaseUnreachable, DatabaseRefused):
        return
    others = {"others": told["others"]} if told.get("others") else {}
    records.add_loss({**loss, **others})


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
