"""Roll back: what this run applied, newest first, with the rollback scripts in the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from turnback.errors import RunnerBusy
from turnback.runs.order import Order
from turnback.runs.records import Records

if TYPE_CHECKING:
    from turnback.runs.validate import Connect


def roll_back(
    order: Order,
    *,
    release: str | None,
    records: Records,
    connect: Connect,
    keep_going: Callable[[], bool],
) -> dict[str, Any]:
    """Roll back the migrations that this run applied; called again, it goes on where it was.

    Args:
        order: the run.
        release: the release it applied.
        records: the report to write.
        connect: opens the database.
        keep_going: asked between migrations whether there is time for another.

    Returns:
        ``done``, and how many were ``rolled_back`` now and are ``remaining``.

    Raises:
        TurnbackError: a rollback script failed; what it would have undone is still there.
    """
    with connect(order, release) as engine:
        plan = engine.plan_down_run(order.run)
        report = engine.down(plan, keep_going=keep_going)
        # Only now, with the lock had in between, is it certain that no session of an apply that
        # was cut off still works: what it committed meanwhile is rolled back by the next call.
        left = engine.plan_down_run(order.run)
    error = report.error
    if isinstance(error, RunnerBusy) and plan.empty and not _ours(error, order):
        # Another run has the lock, which an apply of ours would have to hold: there is none, and
        # it left nothing.
        error = None
    records.add(rolled_back=report.rolled_back, error=error.to_dict() if error else None)
    if error:
        raise error
    return {
        "done": left.empty,
        "rolled_back": len(report.rolled_back),
        "remaining": len(left.steps),
    }


def _ours(error: RunnerBusy, order: Order) -> bool:
    """Whether it is this run itself that holds the lock, by the name its sessions go by."""
    return f"turnback/{order.run} " in error.message
