"""Validate: may this run be done to this database, and what would that do?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnback.errors import ConfigurationError, ReleaseTooOld, UnknownVersion
from turnback.migrations.model import Project
from turnback.migrations.release import parse_release
from turnback.runs.artifacts import Fetched, fetched
from turnback.runs.checklist import undocumented
from turnback.runs.order import Order
from turnback.runs.records import Records
from turnback.settings import Policy
from turnback.store import ObjectStore

if TYPE_CHECKING:
    from turnback.engine import Engine, Plan
    from turnback.migrations.artifact import Artifact

Connect = Callable[[Order, str | None], AbstractContextManager["Engine"]]
# How many persons must agree to this plan, and for which reasons; a run downwards has no project.
Gate = Callable[[Project | None, "Plan"], tuple[int, list[str]]]
_LISTED = 10


def validate(
    order: Order,
    *,
    target: str,
    artifacts: ObjectStore,
    records: Records,
    connect: Connect,
    policy: Policy,
    snapshot_kind: str,
    gate: Gate = lambda project, plan: (0, []),  # noqa: ARG005
    restore: str = "never",
    stop_application: bool = False,
) -> dict[str, Any]:
    """Check everything that can be checked without changing anything, and keep the plan.

    Args:
        order: the run.
        target: the only target of this stack.
        artifacts: where the artifact is.
        records: where the plan goes.
        connect: opens the database.
        policy: what the environment demands.
        snapshot_kind: how snapshots are taken.
        gate: how many persons must agree to a plan, and why.
        restore: whether a failed rollback is followed by a restore: ``never``, ``approval`` or
            ``automatic``.
        stop_application: whether the application is stopped around a rollback.

    Returns:
        ``release``, ``sha256``, ``plan_key``, ``migrations`` (how many), ``decision``: ``go``,
        ``nothing_to_do`` or ``dry_run``, the ``direction``, whether to ``rehearse``, how many
        persons' ``approvals`` it needs, ``restore`` and ``stop_application``.

    Raises:
        UnknownVersion: the release to come back to was never applied here.
        TurnbackError: the release is refused; the class says why.
    """
    if order.target != target:
        raise ConfigurationError(
            f"this stack releases to {target!r}, not to {order.target!r}",
            hint=f"upload to artifacts/{target}/",
        )
    policy.check_snapshot_kind(snapshot_kind)
    with _artifact(artifacts, order) as found:
        artifact = found.artifact if found else None
        back_to = order.rollback_to or (artifact.rollback_to if artifact else None)
        release = artifact.release if artifact else str(back_to)
        with connect(order, release) as engine:
            if back_to is not None:
                floor = _floor(back_to, engine.released())
                plan = engine.plan_down(Project(Path(), ()), target=str(floor))
                project = None
                more: dict[str, Any] = {
                    "rollback_to": back_to,
                    "floor": str(floor),
                    "undocumented": [],
                }
            else:
                assert artifact is not None
                _refuse_older(artifact, engine.last_release())
                project = artifact.project
                plan = engine.plan_up(project, rollback_required=policy.rollback_required)
                migrations = [step.migration for step in plan.steps]
                more = {"rollback_to": None, "undocumented": undocumented(migrations)}
            history = [[e.version, e.checksum] for e in engine.entries() if e.applied]
            previous = engine.last_release()
        persons, reasons = gate(project, plan)
        located = {**order.to_dict()["artifact"], "sha256": found.sha256} if found else None
        records.write_plan(
            {
                "version": 1,
                "run": order.run,
                "target": order.target,
                "release": release,
                "source": dict(artifact.source) if artifact else {},
                "artifact": located,
                "history": history,
                "previous_release": previous,
                "approval_reasons": reasons,
                "destroys": _destroyed(plan),
                **more,
                **plan.to_dict(),
            }
        )
    up = plan.direction == "up"
    return {
        "release": release,
        "sha256": found.sha256 if found else None,
        "plan_key": records.plan_key,
        "migrations": len(plan.steps),
        "decision": _decision(order, empty=plan.empty),
        "direction": plan.direction,
        "rehearse": _must_rehearse(order, policy) and up and not plan.empty,
        "approvals": persons,
        "restore": restore,
        "stop_application": stop_application,
    }


@contextmanager
def _artifact(artifacts: ObjectStore, order: Order) -> Iterator[Fetched | None]:
    if order.artifact is None and order.rollback_to:
        yield None
        return
    with fetched(artifacts, order.location) as found:
        yield found


def _must_rehearse(order: Order, policy: Policy) -> bool:
    """A dry run is there to find out, so it is rehearsed where the policy does not demand it."""
    return policy.proof_required or (order.dry_run and policy.dry_runs_rehearsed)


def _destroyed(plan: Plan) -> dict[str, list[str]]:
    """Version → the data that it throws away, which no rollback script brings back."""
    from turnback.rehearsal.losses import losses

    found = {
        step.version: losses(step.runnable.statements or ())[:_LISTED]
        for step in plan.steps
        if step.direction == "up"
    }
    return {version: lost for version, lost in found.items() if lost}


def _decision(order: Order, *, empty: bool) -> str:
    if empty:
        return "nothing_to_do"
    return "dry_run" if order.dry_run else "go"


def _floor(back_to: str, released: Mapping[str, int]) -> int:
    """The highest migration that a release up to this one applied: what is above it goes.

    Raises:
        UnknownVersion: this release applied nothing here.
    """
    wanted = parse_release(back_to)
    known = {name: parse_release(name) for name in released}
    if wanted not in known.values():
        names = sorted(known, key=lambda name: known[name], reverse=True)
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        told = ", ".join(names[:_LISTED]) or "none"
        raise UnknownVersion(
            f"release {back_to} applied nothing to this database; known are {told}{more}",
            hint="name the release whose schema you want back, as turnback runs shows them",
        )
    return max(number for name, number in released.items() if known[name] <= wanted)


def _refuse_older(artifact: Artifact, last: str | None) -> None:
    if last is not None and parse_release(artifact.release) < parse_release(last):
        raise ReleaseTooOld(
            f"release {artifact.release} is lower than {last}, which was applied last",
            hint="release a higher number; an old artifact does not undo a newer one, "
            'a run with "rollback_to" does',
        )
