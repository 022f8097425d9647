"""What a plan destroys, and what its rollback would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from turnback.engine.run.plan import Step
from turnback.migrations.model import Project, Script
from turnback.sql.destroys import Certainty, Judge, Kind, Loss
from turnback.sql.repeatable.content import read


@dataclass(frozen=True, slots=True)
class PlanLosses:
    """The losses of a plan, by version.

    Attributes:
        by_run: what the plan's own scripts destroy.
        by_rollback: what their rollback scripts destroy when the run fails and is rolled back;
            what the run made is no loss.
    """

    by_run: dict[str, list[Loss]] = field(default_factory=dict)
    by_rollback: dict[str, list[Loss]] = field(default_factory=dict)

    def of_failed_run(self) -> dict[str, list[Loss]]:
        """Version → what is gone, if the run applied it and then rolled it back."""
        versions = [*self.by_run, *(set(self.by_rollback) - set(self.by_run))]
        return {
            version: self.by_run.get(version, []) + self.by_rollback.get(version, [])
            for version in versions
        }


def plan_losses(
    project: Project | None, steps: Sequence[Step], *, history_schema: str = "public"
) -> PlanLosses:
    """What the steps of a plan destroy.

    Args:
        project: all migrations, which tell the tables and types that there are; None if they are
            not here.
        steps: the plan's, all of one direction.
        history_schema: the schema of turnback's own tables.
    """
    judge = Judge(history=history_schema)
    planned = {step.version for step in steps}
    down = bool(steps) and steps[0].direction == "down"
    found = PlanLosses()
    migrations = project.migrations if project else ()
    last = max((n for n, m in enumerate(migrations) if m.version in planned), default=0)
    # What ran before comes first, also where the run is out of order; what comes later does not.
    for place, migration in enumerate(migrations):
        if down or (migration.version not in planned and place < last):
            judge.learn(migration.forward)
    for migration in () if down else migrations:
        if migration.version in planned and (lost := judge.losses(migration.forward)):
            found.by_run[migration.version] = lost
    for step in () if down else steps:
        if step.repeat and (lost := _kept(step.migration.forward, judge)):
            found.by_run[step.version] = lost
    for step in steps if down else reversed(steps):
        script = step.runnable.script if down else step.migration.rollback
        if script is None:
            continue
        if lost := _kept(script, judge) if step.repeat else judge.losses(script):
            (found.by_run if down else found.by_rollback)[step.version] = lost
    return found


def _kept(script: Script, judge: Judge) -> list[Loss]:
    """What the text of a repeatable destroys: not what it drops to make it again."""
    again = read(script).names
    return [
        loss
        for loss in judge.losses(script)
        if loss.kind is not Kind.PROTECTIONS or loss.object not in again
    ]


def losses_of_others(
    project: Project, steps: Sequence[Step], *, history_schema: str = "public"
) -> dict[str, list[Loss]]:
    """Version → tables, columns and schemas that its rollback drops and that it has not made.

    Args:
        project: all migrations.
        steps: those to be rolled back.
        history_schema: the schema of turnback's own tables.
    """
    found: dict[str, list[Loss]] = {}
    judge = Judge(history=history_schema)
    planned = {step.version: step for step in steps}
    for migration in project.migrations:
        if step := planned.get(migration.version):
            own = judge.fork()
            own.losses(migration.forward)
            lost = [
                loss
                for loss in own.losses(step.runnable.script)
                if loss.kind in (Kind.TABLES, Kind.COLUMNS, Kind.SCHEMAS)
                and loss.certainty is Certainty.CERTAIN
            ]
            if lost:
                found[migration.version] = lost
        judge.learn(migration.forward)
    return found
