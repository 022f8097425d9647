"""Assess: the staged rollback did not bring the database back. What now?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from turnback.errors import DatabaseRefused, DatabaseUnreachable, RollbackMissing, RunnerBusy
from turnback.recovery.model import SnapshotState
from turnback.runs.apply import named
from turnback.runs.order import Order
from turnback.runs.records import Records
from turnback.runs.schema_before import compare_with

if TYPE_CHECKING:
    from turnback.engine import Engine
    from turnback.engine.session.lock import Holder
    from turnback.runs.validate import Connect

_LOCK_WAIT_S = 2.0
# A run that was taken up again days after its snapshot is not what "automatic" was chosen for.
_LONG_S = 24 * 3600
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
    run did change something, where no run works on the database, and where there is something to
    restore from. Even the policy ``automatic`` asks where nobody knows what would be lost, where
    another run's work would be, where more than a day would be, and where it was a person who
    stopped the run.

    Args:
        order: the run.
        state: the state machine's state.
        policy: ``never``, ``approval`` or ``automatic``.
        records: the run's plan, with the history before it, and its counters.
        connect: opens the database.
        written: what was written since these counters were taken.
        now: the time.

    Raises:
        RunnerBusy: a statement of this very run works in the server still.
    """
    plan = records.plan()
    release = str(plan.get("release") or "") or None
    reachable = True
    others: list[str] = []
    try:
        with connect(order, release) as engine:
            other = other_worker(engine, order)
            # Whatever failed may not have lived to report what it did.
            known = named(plan)
            records.add(
                applied=engine.done_by_run(known),
                rolled_back=engine.done_by_run(reversed(known), "down"),
            )
            if nothing_left(engine, order, plan, records):
                return Assessment("as_before", "nothing of the run is in the database")
            others = done_by_others(engine, order, plan, state, records)
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
    loss = loss_since(snapshot, records, written, now)
    reason = "the rollback scripts did not bring the database back"
    if others:
        loss |= {"others": others}
        reason = f"a restore would take back what other runs did: {'; '.join(others)}"
    elif not loss_is_known(loss):
        reason += ", and how much a restore loses is not known"
    elif (loss["seconds"] or 0) > _LONG_S:
        reason += f", and the snapshot is {loss['seconds'] // 3600} hours old"
    elif (state.get("error") or {}).get("Error") == "RunCancelled":
        reason = "a person stopped the run half way"
    elif policy == "automatic":
        return Assessment("restore", reason, loss)
    return Assessment("ask", reason, loss)


def loss_is_known(loss: Mapping[str, Any]) -> bool:
    """Whether rows were counted, and by a server that counted all the time."""
    return "inserted" in loss and not loss.get("reset")


def history_of(plan: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Version and checksum of what was applied before the run, oldest first."""
    return [(str(version), str(checksum)) for version, checksum in plan.get("history", [])]


def applied(engine: Engine) -> list[tuple[str, str]]:
    """Version and checksum of what the database has now, oldest first."""
    found = sorted((entry for entry in engine.entries() if entry.applied), key=lambda e: e.number)
    return [(entry.version, entry.checksum) for entry in found]


def nothing_left(engine: Engine, order: Order, plan: Mapping[str, Any], records: Records) -> bool:
    """Whether the database is as before the run, but for what other runs did."""
    from turnback.engine.look import others

    if not engine.history.exists():
        return not history_of(plan)
    try:
        if not engine.plan_down_run(order.run).empty:
            return False
    except RollbackMissing:
        return False
    schema = engine.history.schema
    if plan.get("direction") == "down" and others.taken_back(engine.connection, schema, order.run):
        return False
    changed = _changed(engine, plan)
    theirs = others.worked_since(engine.connection, schema, order.run, None, changed)
    if changed - {version for other in theirs for version in other.versions}:
        return False
    # A rollback that was cut off before it compared, and a run downwards, have compared nothing.
    word = records.report().get("verified") or compare_with(engine, records).word
    return bool(word != "differs")


def done_by_others(
    engine: Engine,
    order: Order,
    plan: Mapping[str, Any],
    state: Mapping[str, Any],
    records: Records,
) -> list[str]:
    """What other runs did since the snapshot was begun, or since the plan was made."""
    from turnback.engine.look import others

    if not engine.history.exists():
        return []
    # The counters were read before the snapshot was begun, and have the server's own time.
    since = records.counters().get("at") or (state.get("snapshot") or {}).get("taken_at")
    changed = _changed(engine, plan)
    found = others.worked_since(engine.connection, engine.history.schema, order.run, since, changed)
    return [str(other) for other in found]


def other_worker(engine: Engine, order: Order) -> Holder | None:
    """Another run that works on the database now.

    Raises:
        RunnerBusy: this very run does; what it commits later nobody would know of.
    """
    from turnback.engine.session import lock

    found = lock.working(engine.connection, engine.history.schema, wait_s=_LOCK_WAIT_S)
    if found is None or found.application != lock.application_of(order.run):
        return found
    raise RunnerBusy(
        f"a statement of this very run works in the server still: {found}",
        hint="wait until it has ended, or end it: SELECT pg_terminate_backend"
        f"({found.pid}); then look at what stands, by turnback status",
    )


def _changed(engine: Engine, plan: Mapping[str, Any]) -> set[str]:
    """The versions that are not in the history as they were when the run was planned."""
    return {version for version, _ in set(history_of(plan)) ^ set(applied(engine))}


def loss_since(
    snapshot: Mapping[str, Any], records: Records, written: Loss, now: datetime
) -> dict[str, Any]:
    """What was written since the snapshot, as far as that is known."""
    since = str(snapshot.get("taken_at") or "")
    began = datetime.fromisoformat(since) if since else None
    counters = records.counters()
    return {
        "since": since or None,
        "seconds": int((now - began).total_seconds()) if began else None,
        **(written(counters) if counters else {}),
    }
