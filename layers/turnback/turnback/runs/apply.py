"""Apply and verify: the next migrations, as many as time allows; then a look at the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from turnback.errors import VerificationFailed
from turnback.runs.artifacts import ArtifactStore, fetched
from turnback.runs.order import Order
from turnback.runs.records import Records
from turnback.settings import Policy

if TYPE_CHECKING:
    from turnback.engine import Plan
    from turnback.runs.validate import Connect

FIRST_WAIT_S = 2
LONGEST_WAIT_S = 300


def apply(
    order: Order,
    *,
    artifacts: ArtifactStore,
    records: Records,
    connect: Connect,
    policy: Policy,
    keep_going: Callable[[], bool],
    waited_s: int = 0,
) -> dict[str, Any]:
    """Apply what is pending of the run's plan; called again, it goes on where it was.

    Args:
        order: the run.
        artifacts: where its artifact is.
        records: its plan, and the report to write.
        connect: opens the database.
        policy: what the environment demands.
        keep_going: asked whether there is time to go on; when there is none, a statement that is
            under way is left to the server, and the next call awaits its end.
        waited_s: for how long the state machine waited before this call, seconds.

    Returns:
        ``done``, how many were ``applied`` now and are ``remaining``, what is ``running`` in the
        server without us, and for how many seconds to wait before the next call.

    Raises:
        TurnbackError: a migration failed, or the plan does not hold any more.
    """
    planned = records.planned()
    with (
        fetched(artifacts, order.artifact) as found,
        connect(order, found.artifact.release) as engine,
    ):
        plan = engine.plan_up(found.artifact.project, rollback_required=policy.rollback_required)
        _refuse_unplanned(plan, planned)
        report = engine.up(plan, keep_going=keep_going)
        # With what an earlier call left to the server, and nobody has reported yet.
        done = [*report.applied, *engine.done_by_run(found.artifact.project)]
    error = report.error.to_dict() if report.error else None
    records.add(applied=done, error=error)
    if report.error:
        raise report.error
    return {
        "done": not report.remaining,
        "applied": len(report.applied),
        "remaining": len(report.remaining),
        "running": str(report.running) if report.running else None,
        "wait_seconds": next_wait(waited_s) if report.running else 0,
    }


def next_wait(waited_s: int) -> int:
    """How long to wait before asking again for what runs without us: ever longer, seconds."""
    return min(max(2 * waited_s, FIRST_WAIT_S), LONGEST_WAIT_S)


def verify(
    order: Order, *, artifacts: ArtifactStore, records: Records, connect: Connect
) -> dict[str, Any]:
    """Compare the history with the plan, and look for what a failure may have left behind.

    Raises:
        VerificationFailed: the database is not what the plan said.
    """
    planned = records.planned()
    with (
        fetched(artifacts, order.artifact) as found,
        connect(order, found.artifact.release) as engine,
    ):
        engine.verify(found.artifact.project, planned)
    return {"verified": len(planned)}


def _refuse_unplanned(plan: Plan, planned: list[str]) -> None:
    known = set(planned)
    strange = [step.version for step in plan.steps if step.version not in known]
    if strange:
        raise VerificationFailed(
            f"{', '.join(strange[:10])} became pending after the plan was made",
            version=strange[0],
            hint="someone else changed the history meanwhile; release again for a new plan",
        )
