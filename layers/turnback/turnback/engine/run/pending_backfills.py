"""Which migrations of a plan have to wait for the backfill of an earlier one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from turnback.engine.backfill.records import BackfillStatus
from turnback.engine.run.plan import Step
from turnback.errors import BackfillNotDone
from turnback.migrations.model import Project
from turnback.sql.pending_backfills import required_backfills, tables_of, waits_for_rows


def refuse_before_backfills(
    project: Project, steps: Iterable[Step], pending: Mapping[str, BackfillStatus], *, later: bool
) -> None:
    """Refuse a migration that has to be applied after a backfill which is not done.

    It says so by the directive ``after``, or it does what needs all rows, or takes away or renames
    what the backfill works on. Within one plan, it waits also if it reads or writes rows of there.

    Args:
        project: the files.
        steps: of the plan.
        pending: the versions whose backfills are in the background, each with how far it is.
        later: whether a backfill of the plan itself is left to the background as well.

    Raises:
        BackfillNotDone: it has to wait.
        InvalidMigration: there is no such migration before it.
    """
    under_way = {
        version: tables_of(migration.forward)
        for version in pending
        if (migration := project.find(version)) and migration.forward.directives.backfill
    }
    begun = dict[str, set[str]]()
    for step in steps:
        script = step.migration.forward
        named = {one.version for one in required_backfills(project, step.migration)}
        structure = waits_for_rows(step.runnable, with_rows=False) if under_way else set()
        for version in pending:
            if version in named or structure & under_way.get(version, set()):
                raise BackfillNotDone(
                    f"{step.version} has to be applied after the backfill of {version}, which is "
                    f"not done: {pending[version]}",
                    file=script.path,
                    version=step.version,
                    hint="release it again when that is done: turnback backfill status",
                )
        used = waits_for_rows(step.runnable, with_rows=True) if begun else set()
        for version, tables in begun.items():
            if version in named or used & tables:
                raise BackfillNotDone(
                    f"{step.version} has to be applied after the backfill of {version}, which "
                    "begins with this release and continues in the background",
                    file=script.path,
                    version=step.version,
                    hint=f"leave {step.version} and what follows to the next release; or give it a "
                    "version before the backfill, if it does not need its rows",
                )
        if later and step.runnable.ranged:
            begun[step.version] = tables_of(script)
