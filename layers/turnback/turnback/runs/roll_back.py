"""Roll back: what this run applied, newest first, with the rollback scripts in the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from turnback.errors import RunnerBusy
from turnback.runs.apply import next_wait
from turnback.runs.order import Order
from turnback.runs.records import Records

if TYPE_CHECKING:
    from turnback.engine import Engine
    from turnback.runs.validate import Connect


def roll_back(
    order: Order,
    *,
    release: str | None,
    records: Records,
    connect: Connect,
    keep_going: Callable[[], bool],
    wait_s: float,
    waited_s: int = 0,
) -> dict[str, Any]:
    """Roll back the migrations that this run applied; called again, it goes on where it was.

    Args:
        order: the run.
        release: the release it applied.
        records: the report to write.
        connect: opens the database.
        keep_going: asked whether there is time to go on.
        wait_s: how long to wait for what this run itself still does in the server, seconds.
        waited_s: for how long the state machine waited before this call, seconds.

    Returns:
        ``done``, how many were ``rolled_back`` now and are ``remaining``, and for how many seconds
        to wait before the next call.

    Raises:
        TurnbackError: a rollback script failed; what it would have undone is still there.
    """
    with connect(order, release) as engine:
        if _works_still(engine, order, wait_s):
            wait = next_wait(waited_s)
            return {"done": False, "rolled_back": 0, "remaining": 0, "wait_seconds": wait}
        report = engine.down(engine.plan_down_run(order.run), keep_going=keep_going)
    error = report.error.to_dict() if report.error else None
    records.add(rolled_back=report.rolled_back, error=error)
    if report.error:
        raise report.error
    return {
        "done": not report.remaining,
        "rolled_back": len(report.rolled_back),
        "remaining": len(report.remaining),
        "wait_seconds": next_wait(waited_s) if report.running else 0,
    }


def _works_still(engine: Engine, order: Order, wait_s: float) -> bool:
    """Whether an apply of this run that was cut off goes on in the server.

    What it commits later would stay, and nobody would know. Everything a run does, it does under
    the lock: who gets it, or finds another run holding it, knows that this run does nothing.
    """
    from turnback.engine import lock

    schema = engine.history.schema
    try:
        lock.acquire(engine.connection, schema, wait_s=wait_s, listener=lambda _: None)
    except RunnerBusy:
        found = lock.holder(engine.connection, lock.lock_key(schema))
        return found is not None and found.application == lock.application_of(order.run)
    lock.release(engine.connection, schema)
    return False
