"""Why a release needs approval: what it destroys, and what cannot be rolled back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from turnback.engine.run.losses import plan_losses
from turnback.migrations.model import Project, Script
from turnback.migrations.versions import BEFORE_FIRST
from turnback.settings.approvals import ApprovalSettings
from turnback.settings.project import FILE
from turnback.sql.lint.model import known, named
from turnback.wording import capped

if TYPE_CHECKING:
    from turnback.engine.run.plan import Plan, Step

# What goes into the plan; a release of thousands of drops needs no longer list to be refused.
LISTED = 100
# Rules of lint whose findings are about lost data, or a rollback that does not exist.
_DESTRUCTIVE = {"TB106", "TB110", "TB401", "TB501"}
# Of these the judge of loss finds what they do: where the release made what it drops, nothing.
_DROPS = {"TB110", "TB401"}


def gate(
    settings: ApprovalSettings,
) -> Callable[[Project | None, Plan], tuple[int, list[str]]]:
    """The gate of a release: how many people it needs, and why.

    Args:
        settings: the policy.

    Returns:
        A function of the project (None where there is only a rollback) and the plan. Of a plan
        that needs nobody it returns 0; it raises ConfigurationError where more people must
        approve than there are.
    """

    def judge(project: Project | None, plan: Plan) -> tuple[int, list[str]]:
        if plan.empty or not settings.people:
            return 0, []
        found = reasons(project, plan.steps)
        return settings.needed(found), found

    return judge


def reasons(project: Project | None, steps: Sequence[Step]) -> list[str]:
    """Why these steps need approval, each as one sentence with file and line; empty if nothing.

    A table, a column or rows that the same release makes are no loss.

    Args:
        project: all migrations, which tell what tables and types there are; None if they are not
            here.
        steps: the plan's steps, all of one direction.
    """
    every = reasons_by_version(project, steps).values()
    return capped([reason for own in every for reason in own], LISTED)


def reasons_by_version(project: Project | None, steps: Sequence[Step]) -> dict[str, list[str]]:
    """The same for each step."""
    losses = plan_losses(project, steps).by_run
    off = list(_turned_off(project, steps)) if project else []
    found = {}
    for step in steps:
        lost = losses.get(step.version, ())
        own = [text for file, text in off if file == step.runnable.script.path]
        own += [loss.with_place for loss in lost]
        own += _waived(step.runnable.script, _DESTRUCTIVE if lost else _DESTRUCTIVE - _DROPS)
        if step.direction == "up":
            own += _one_way(step)
        found[step.version] = own
    return found


def _waived(script: Script, rules: set[str]) -> Iterator[str]:
    for waiver in script.directives.waivers:
        rule = known(waiver.rule)
        if rule and rule.id in rules:
            yield f"{script.path}:{waiver.line} waives {rule.id} ({rule.title}): {waiver.reason}"


def _turned_off(project: Project, steps: Sequence[Step]) -> Iterator[tuple[str, str]]:
    off = {
        rule.id: why
        for given, why in project.settings.lint_off.items()
        for rule in named(given)
        if rule.id in _DESTRUCTIVE
    }
    versions = [step.version for step in steps if step.direction == "up" and not step.repeat]
    if not off or not versions:
        return
    from turnback.sql.lint.linter import lint

    earlier = project.before(versions[0])
    since = earlier[-1].version if earlier else BEFORE_FIRST
    for one in lint(project, versions, since=since).findings:
        if one.rule.id in off:
            yield (
                one.file,
                f"{one.file}:{one.line} {one.rule.id} ({one.rule.title}) is turned off in {FILE}: "
                f"{off[one.rule.id]}",
            )


def _one_way(step: Step) -> Iterator[str]:
    migration = step.migration
    because = migration.forward.directives.irreversible
    if because is not None:
        yield f"{migration.forward.path} is irreversible: {because}"
    elif migration.rollback is None:
        yield f"{migration.forward.path} has no rollback script"
