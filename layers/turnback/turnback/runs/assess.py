"""Assess: the staged rollback did not bring the database back. What now?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from turnback.errors import DatabaseRefused, DatabaseUnreachable, RollbackMissing
from turnback.recovery.model import SnapshotState
from turnback.runs.order import Order
from turnback.runs.records import Records

if TYPE_CHECKING:
    from turnback.engine import Engine
    from turnback.runs.validate import Connect

Loss = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Assessment:
    """What to do next, and why.

    Attributes:
        decision: ``as_before``: the database is as before the run, nothing is to be done;
            ``restore``; ``ask`` a person whether to restore; ``no``: it cannot be restored.
        reason: one sentence.
        loss: what a restore would lose, or None where nothing is known of it.
    """

    decision: str
    reason: str
    loss: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As the state machine carries it."""
        return {"decision": self.decision, "reason": self.reason, "loss": self.loss}


def assess(
    order: Order,
    state: Mapping[str, Any],
    *,
    policy: str,
    records: Records,
    connect: Connect,
    written: Loss,
    now: datetime,
) -> Assessment:
    """Look at what stands, and decide by the policy.

    A restore throws away what was written since the snapshot, so it is offered only where this
    run did change something, where no other run works on the database, and where there is
    something to restore from. Without an answer from the database nobody knows what a restore
    would lose; then even the policy ``automatic`` asks.

    Args:
        order: the run.
        state: the state machine's state.
        policy: ``never``, ``approval`` or ``automatic``.
        records: the run's plan, with the history before it, and its counters.
        connect: opens the database.
        written: what was written since these counters were taken.
        now: the time.
    """
    plan = records.plan()
    release = str(plan.get("release") or "") or None
    reachable = True
    try:
        with connect(order, release) as engine:
            if _as_before(engine, order, history_of(plan)) and not _differs(records):
                return Assessment("as_before", "nothing of the run is in the database")
            other = _other_run(engine, order)
    except (DatabaseUnreachable, DatabaseRefused):
        reachable, other = False, None
    if other:
        return Assessment("no", f"another run works on the database: {other}")
    if policy == "never":
        return Assessment("no", "the stack's RestorePolicy is never")
    snapshot = state.get("snapshot") or {}
    if snapshot.get("state") != SnapshotState.AVAILABLE:
        return Assessment("no", "the run has no snapshot to restore from")
    if not reachable:
        return Assessment(
            "ask", "the database does not answer, so what a restore loses is not known"
        )
    return Assessment(
        "restore" if policy == "automatic" else "ask",
        "the rollback scripts did not bring the database back",
        _loss(snapshot, records, written, now),
    )


def history_of(plan: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Version and checksum of what was applied before the run, oldest first."""
    return [(str(version), str(checksum)) for version, checksum in plan.get("history", [])]


def applied(engine: Engine) -> list[tuple[str, str]]:
    """Version and checksum of what the database has now, oldest first."""
    found = sorted((entry for entry in engine.entries() if entry.applied), key=lambda e: e.number)
    return [(entry.version, entry.checksum) for entry in found]


def _as_before(engine: Engine, order: Order, before: list[tuple[str, str]]) -> bool:
    try:
        nothing_left = engine.plan_down_run(order.run).empty
    except RollbackMissing:
        return False
    return nothing_left and applied(engine) == before


def _differs(records: Records) -> bool:
    """Whether the schema was compared with the one before the run, and is another."""
    return records.report().get("verified") == "differs"


def _other_run(engine: Engine, order: Order) -> str | None:
    from turnback.engine import lock

    found = lock.holder(engine.connection, lock.lock_key(engine.history.schema))
    mine = lock.application_of(order.run)
    return None if found is None or found.application == mine else str(found)


def _loss(
    snapshot: Mapping[str, Any], records: Records, written: Loss, now: datetime
) -> dict[str, Any]:
    since = str(snapshot.get("taken_at") or "")
    began = datetime.fromisoformat(since) if since else None
    counters = records.counters()
    return {
        "since": since or None,
        "seconds": int((now - began).total_seconds()) if began else None,
        **(written(counters) if counters else {}),
    }
