"""Validate: may this artifact be applied to this database, and what would that do?"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from turnback.errors import ConfigurationError, ReleaseTooOld
from turnback.migrations.release import parse_release
from turnback.runs.artifacts import ArtifactStore, fetched
from turnback.runs.checklist import undocumented
from turnback.runs.order import Order
from turnback.runs.records import Records
from turnback.settings import Policy

if TYPE_CHECKING:
    from turnback.engine import Engine
    from turnback.migrations.artifact import Artifact

Connect = Callable[[Order, str | None], AbstractContextManager["Engine"]]


def validate(
    order: Order,
    *,
    target: str,
    artifacts: ArtifactStore,
    records: Records,
    connect: Connect,
    policy: Policy,
    snapshot_kind: str,
) -> dict[str, Any]:
    """Check everything that can be checked without changing anything, and keep the plan.

    Returns:
        ``release``, ``sha256``, ``plan_key``, ``migrations`` (how many), ``decision``: ``go``,
        ``nothing_to_do`` or ``dry_run``, and whether to ``rehearse``.

    Raises:
        TurnbackError: the release is refused; the class says why.
    """
    if order.target != target:
        raise ConfigurationError(
            f"this stack releases to {target!r}, not to {order.target!r}",
            hint=f"upload to artifacts/{target}/",
        )
    policy.check_snapshot_kind(snapshot_kind)
    with (
        fetched(artifacts, order.artifact) as found,
        connect(order, found.artifact.release) as engine,
    ):
        _refuse_older(found.artifact, engine.last_release())
        plan = engine.plan_up(found.artifact.project, rollback_required=policy.rollback_required)
        records.write_plan(
            {
                "version": 1,
                "run": order.run,
                "target": order.target,
                "release": found.artifact.release,
                "source": dict(found.artifact.source),
                "artifact": {**order.to_dict()["artifact"], "sha256": found.sha256},
                "undocumented": undocumented([step.migration for step in plan.steps]),
                **plan.to_dict(),
            }
        )
    return {
        "release": found.artifact.release,
        "sha256": found.sha256,
        "plan_key": records.plan_key,
        "migrations": len(plan.steps),
        "decision": _decision(order, empty=plan.empty),
        "rehearse": policy.proof_required and not plan.empty,
    }


def _decision(order: Order, *, empty: bool) -> str:
    if empty:
        return "nothing_to_do"
    return "dry_run" if order.dry_run else "go"


def _refuse_older(artifact: Artifact, last: str | None) -> None:
    if last is None or artifact.rollback_to is not None:
        return
    if parse_release(artifact.release) < parse_release(last):
        raise ReleaseTooOld(
            f"release {artifact.release} is lower than {last}, which was applied last",
            hint="release a higher number; an old artifact does not undo a newer one",
        )
