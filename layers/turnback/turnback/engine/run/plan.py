"""What a run will do, in order."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from turnback.engine.look.half_done import HalfDone
from turnback.engine.look.history import Entry
from turnback.engine.look.status import statuses
from turnback.errors import (
    ChecksumMismatch,
    InvalidMigration,
    MigrationMissing,
    OutOfOrder,
    RollbackMissing,
    TurnbackError,
    UnknownVersion,
)
from turnback.migrations.model import Migration, Project
from turnback.sql.script import Runnable, prepare

MORE = "turnback status shows every migration"


@dataclass(frozen=True, slots=True)
class Step:
    """One migration in one direction, with its script made ready to run.

    Attributes:
        half: what was done of it, where it is taken back half done.
    """

    migration: Migration
    direction: str
    runnable: Runnable
    verify: Runnable | None = None
    half: HalfDone | None = None

    @property
    def version(self) -> str:
        return self.migration.version

    @property
    def name(self) -> str:
        return self.migration.name


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of a run, and what is worth saying about them beforehand."""

    direction: str
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.steps

    def to_dict(self) -> dict[str, Any]:
        return {
            "direction": self.direction,
            "migrations": [
                {
                    "version": step.version,
                    "name": step.name,
                    "file": step.runnable.script.path,
                    "checksum": step.runnable.script.checksum,
                    "in_transaction": not step.runnable.one_by_one,
                    **({"half_done": True} if step.half else {}),
                }
                for step in self.steps
            ],
            "notes": list(self.notes),
        }


def plan_up(
    project: Project,
    entries: Iterable[Entry],
    *,
    target: str | None = None,
    out_of_order: bool = False,
    rollback_required: bool = True,
) -> Plan:
    """The pending migrations up to ``target``.

    Raises:
        UnknownVersion: there is no migration ``target``.
        ChecksumMismatch: an applied file was edited.
        MigrationMissing: an applied file is gone.
        OutOfOrder: a pending migration is older than an applied one.
        RollbackMissing: a pending migration has no way back.
        InvalidMigration: a pending file cannot be run.
    """
    found = statuses(project, entries)
    _refuse_drift(project, [(item.version, item.name, item.status) for item in found])
    limit = number_of(project, target)
    applied = {int(item.version): item.version for item in found if item.status == "applied"}
    newest = max(applied, default=-1)
    pending = {int(item.version) for item in found if item.pending}
    steps = []
    for migration in project.migrations:
        if migration.number not in pending or (limit is not None and migration.number > limit):
            continue
        if migration.number < newest and not out_of_order:
            raise OutOfOrder(
                f"{migration.version} is pending, but {applied[newest]} is applied already",
                file=migration.forward.path,
                version=migration.version,
                hint="give it a higher number, or run it all the same: --out-of-order",
            )
        if migration.rollback is not None:
            # A way back that cannot be read is none.
            prepare(migration.rollback)
        elif rollback_required:
            _need_reason(migration)
        steps.append(step_up(migration))
    return Plan("up", tuple(steps), tuple(_notes(project, steps)))


def step_up(migration: Migration) -> Step:
    """A migration, ready to be applied.

    Raises:
        InvalidMigration: its script or its verify script cannot be run.
    """
    verify = prepare(migration.verify) if migration.verify else None
    if verify and (verify.one_by_one or verify.needs_begin):
        raise InvalidMigration(
            "a verify script runs read-only, in its migration's transaction",
            file=verify.script.path,
            version=migration.version,
            hint="use queries that fail, such as DO $$ BEGIN ASSERT …; END $$",
        )
    return Step(migration, "up", prepare(migration.forward), verify)


def step_down(migration: Migration) -> Step | None:
    """A migration, ready to be rolled back by its own script; None if it has none.

    Raises:
        InvalidMigration: the rollback script cannot be run.
    """
    if migration.rollback is None:
        return None
    return Step(migration, "down", prepare(migration.rollback))


def _refuse_drift(project: Project, found: list[tuple[str, str, str]]) -> None:
    problems: list[TurnbackError] = []
    for version, name, status in found:
        if status == "changed":
            migration = project.find(version)
            problems.append(
                ChecksumMismatch(
                    f"{version} was edited after it was applied",
                    version=version,
                    file=migration.forward.path if migration else None,
                    hint="undo the edit and write a new migration; or, when the file is right: "
                    f"turnback repair {version} --accept-checksum --because REASON",
                )
            )
        elif status == "missing":
            problems.append(
                MigrationMissing(
                    f"{version} ({name}) is applied, but its file is gone",
                    version=version,
                    hint="bring the file back from version control; or roll it back by its stored "
                    "script: turnback down to the version before it",
                )
            )
    if problems:
        first = problems[0]
        if len(problems) > 1:
            first.message += f" (and {len(problems) - 1} more; {MORE})"
        raise first


def number_of(project: Project, target: str | None, also: set[int] | None = None) -> int | None:
    """The version as a number; None where there is none.

    Raises:
        UnknownVersion: neither the project has it, nor ``also``.
    """
    if target is None:
        return None
    known = {migration.number for migration in project.migrations} | (also or set())
    if int(target) not in known:
        raise UnknownVersion(f"there is no migration {target}", hint=MORE, version=target)
    return int(target)


def _need_reason(migration: Migration) -> None:
    if migration.forward.directives.irreversible is None:
        raise RollbackMissing(
            f"{migration.version} has no rollback script",
            file=migration.forward.path,
            version=migration.version,
            hint=f"write rollback/{migration.version}_rollback.sql, or say why there is none: "
            "-- turnback: irreversible because REASON",
        )


def _notes(project: Project, steps: list[Step]) -> list[str]:
    numbers = [migration.number for migration in project.migrations]
    planned = {step.migration.number for step in steps}
    return [
        f"the numbers jump from {before} to {after}"
        for before, after in itertools.pairwise(numbers)
        # Timestamps jump by nature.
        if after - before > 1 and after in planned and after < 10**7
    ]
