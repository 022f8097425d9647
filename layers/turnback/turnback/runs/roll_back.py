"""Roll back: what this run did, newest first, with the rollback scripts in the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from turnback.errors import RollbackFailed
from turnback.runs.apply import named, next_wait
from turnback.runs.order import Order
from turnback.runs.records import Records
from turnback.runs.schema_before import compare_with

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

    One that failed half way outside a transaction is taken back first. Afterwards the schema is
    compared with the fingerprint that was taken before the run.

    Args:
        order: the run.
        release: the release it applied.
        records: the report to write.
        connect: opens the database.
        keep_going: asked whether there is time to go on.
        wait_s: how long to wait for what this run itself still does in the server, seconds.
        waited_s: for how long the state machine waited before this call, seconds.

    Returns:
        ``done``, how many were ``rolled_back`` now and are ``remaining``, for how many seconds to
        wait before the next call, and what the schema was ``verified`` as: ``exact``,
        ``column_order``, ``names``, or ``unknown`` where there is nothing to compare with; None
        before it is done.

    Raises:
        VerificationFailed: all was rolled back, and the schema is not as before the run.
        RollbackFailed: another run applied a migration on top of them; nothing was taken back.
        TurnbackError: a rollback script failed; what it would have undone is still there.
    """
    checked = None
    with connect(order, release) as engine:
        if _works_still(engine, order, wait_s):
            wait = next_wait(waited_s)
            return _answer(done=False, wait_seconds=wait)
        plan = engine.plan_down_run(order.run)
        versions = [step.version for step in plan.steps]
        report = engine.down(
            plan,
            keep_going=keep_going,
            before=lambda: _refuse_built_on(engine, order, versions),
        )
        failure = report.error
        if not report.remaining and failure is None:
            checked = compare_with(engine, records)
            failure = checked.error
        # With what an earlier call rolled back, and did not live to report.
        known = engine.done_by_run(reversed(named(records.plan())), "down")
    records.add(
        rolled_back=[*known, *report.rolled_back],
        error=failure.to_dict() if failure else None,
        verified=checked.word if checked else None,
        notes=checked.notes if checked else (),
    )
    if failure:
        raise failure
    return _answer(
        done=not report.remaining,
        rolled_back=len(report.rolled_back),
        remaining=len(report.remaining),
        wait_seconds=next_wait(waited_s) if report.running else 0,
        verified=checked.word if checked else None,
    )


def _answer(
    *,
    done: bool,
    wait_seconds: int,
    rolled_back: int = 0,
    remaining: int = 0,
    verified: str | None = None,
) -> dict[str, Any]:
    return {
        "done": done,
        "rolled_back": rolled_back,
        "remaining": remaining,
        "wait_seconds": wait_seconds,
        "verified": verified,
    }


def _refuse_built_on(engine: Engine, order: Order, versions: list[str]) -> None:
    """Refuse to take away from under another run's migrations what they may stand on."""
    from turnback.engine.look import others

    found = others.built_on(engine.connection, engine.history.schema, order.run, versions)
    if found:
        raise RollbackFailed(
            f"{', '.join(versions[:10])} cannot be rolled back: applied after it, and perhaps "
            f"built on it, is what another run did: {'; '.join(map(str, found))}",
            version=versions[0],
            hint="nothing was taken back by this call; keep it, release a migration that mends "
            "it, or roll back the other run's migrations first",
        )


def _works_still(engine: Engine, order: Order, wait_s: float) -> bool:
    """Whether an apply of this run that was cut off goes on in the server.

    What it commits later would stay, and nobody would know.
    """
    from turnback.engine.session import lock

    found = lock.working(engine.connection, engine.history.schema, wait_s=wait_s)
    return found is not None and found.application == lock.application_of(order.run)
