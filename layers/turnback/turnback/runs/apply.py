"""Apply and verify: the next migrations, as many as time allows; then a look at the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnback.errors import VerificationFailed
from turnback.migrations.model import Project
from turnback.runs.artifacts import fetched
from turnback.runs.order import Order
from turnback.runs.records import Records
from turnback.runs.schema_before import keep
from turnback.settings import Policy
from turnback.store import ObjectStore

if TYPE_CHECKING:
    from turnback.engine import Engine, Plan
    from turnback.runs.validate import Connect

FIRST_WAIT_S = 2
LONGEST_WAIT_S = 300


def apply(
    order: Order,
    *,
    artifacts: ObjectStore,
    records: Records,
    connect: Connect,
    policy: Policy,
    keep_going: Callable[[], bool],
    cancelled: Callable[[], str | None] = lambda: None,
    waited_s: int = 0,
) -> dict[str, Any]:
    """Do what is left of the run's plan, up or down; called again, it goes on where it was.

    Before its first change the schema's fingerprint is kept, for the staged rollback to compare.

    Args:
        order: the run.
        artifacts: where its artifact is.
        records: its plan, and the report to write.
        connect: opens the database.
        policy: what the environment demands.
        keep_going: asked whether there is time to go on; when there is none, a statement that is
            under way is left to the server, and the next call awaits its end.
        cancelled: asked between migrations; gives a reason where a person stopped the run.
        waited_s: for how long the state machine waited before this call, seconds.

    Returns:
        ``done``, how many were ``applied`` or ``rolled_back`` now and are ``remaining``, what is
        ``running`` in the server without us, and for how many seconds to wait before the next
        call.

    Raises:
        RunCancelled: ``cancelled`` gave a reason; the message says how far the run came.
        TurnbackError: a migration failed, or the plan does not hold any more.
    """
    planned = records.plan()
    versions = records.planned()
    with _opened(order, planned, artifacts, connect) as (engine, project):
        plan = _what_is_left(engine, planned, project, policy)
        _refuse_unplanned(plan, versions)
        carry = engine.up if plan.direction == "up" else engine.down
        report = carry(
            plan,
            keep_going=keep_going,
            cancelled=cancelled,
            before=lambda: keep(engine, records),
            done_before=len(versions) - len(plan.steps),
        )
        # With what an earlier call left to the server, and nobody has reported yet.
        known = project.migrations if project else named(planned)
        done = [*report.applied, *report.rolled_back, *engine.done_by_run(known, plan.direction)]
    error = report.error.to_dict() if report.error else None
    if plan.direction == "up":
        records.add(applied=done, error=error)
    else:
        records.add(rolled_back=done, error=error)
    if report.error:
        raise report.error
    return {
        "done": not report.remaining,
        "applied": len(report.applied),
        "rolled_back": len(report.rolled_back),
        "remaining": len(report.remaining),
        "running": str(report.running) if report.running else None,
        "wait_seconds": next_wait(waited_s) if report.running else 0,
    }


def next_wait(waited_s: int) -> int:
    """How long to wait before asking again for what runs without us: ever longer, seconds."""
    return min(max(2 * waited_s, FIRST_WAIT_S), LONGEST_WAIT_S)


def verify(
    order: Order, *, artifacts: ObjectStore, records: Records, connect: Connect
) -> dict[str, Any]:
    """Compare the history with the plan, and look for what a failure may have left behind.

    Raises:
        VerificationFailed: the database is not what the plan said.
    """
    versions = records.planned()
    with _opened(order, records.plan(), artifacts, connect) as (engine, project):
        if project is None:
            engine.verify_rolled_back(versions)
        else:
            engine.verify(project, versions)
    return {"verified": len(versions)}


@contextmanager
def _opened(
    order: Order, planned: dict[str, Any], artifacts: ObjectStore, connect: Connect
) -> Iterator[tuple[Engine, Project | None]]:
    """The database, and the release's migrations; none of a run downwards, which needs no files."""
    if planned["direction"] == "down":
        with connect(order, planned.get("release")) as engine:
            yield engine, None
        return
    with (
        fetched(artifacts, order.location) as found,
        connect(order, found.artifact.release) as engine,
    ):
        yield engine, found.artifact.project


def _what_is_left(
    engine: Engine, planned: dict[str, Any], project: Project | None, policy: Policy
) -> Plan:
    if project is not None:
        return engine.plan_up(project, rollback_required=policy.rollback_required)
    return engine.plan_down(Project(Path(), ()), target=planned["floor"])


def _refuse_unplanned(plan: Plan, planned: list[str]) -> None:
    known = set(planned)
    strange = [step.version for step in plan.steps if step.version not in known]
    if strange:
        became = "pending" if plan.direction == "up" else "applied"
        raise VerificationFailed(
            f"{', '.join(strange[:10])} became {became} after the plan was made",
            version=strange[0],
            hint="someone else changed the history meanwhile; release again for a new plan",
        )


@dataclass(frozen=True, slots=True)
class _Named:
    version: str
    name: str


def named(planned: Mapping[str, Any]) -> list[_Named]:
    """The migrations of a run's plan, in its order; none where there is no plan."""
    return [_Named(step["version"], step["name"]) for step in planned.get("migrations", [])]
