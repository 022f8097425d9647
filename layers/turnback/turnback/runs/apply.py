"""Apply and verify: the next migrations, as many as time allows; then a look at the result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from turnback.errors import VerificationFailed
from turnback.migrations.model import Project
from turnback.runs.run import Run, next_wait
from turnback.runs.schema_before import keep
from turnback.runs.state import PlanRecord, RunProgress

if TYPE_CHECKING:
    from turnback.engine import Engine, Plan


def apply(run: Run) -> RunProgress:
    """Do what is left of the run's plan, up or down; another call continues it.

    The schema's fingerprint is kept before the first change, for RollBack to compare with. When
    the time of this call is over, a running statement is left to the server, and the next call
    waits for it. A person may cancel the run between two migrations.

    Raises:
        RunCancelled: the run was cancelled; the message says how far it came.
        VerificationFailed: somebody else changed what is pending, or a script, since the plan
            was made.
        TurnbackError: a migration failed.
    """
    from turnback.engine import RunControl

    versions = run.records.planned()
    planned = run.records.plan()
    waited_s = run.state.apply.wait_seconds if run.state.apply else 0
    with _opened(run, planned) as (engine, project):
        plan = _what_is_left(run, engine, planned, project)
        _refuse_unplanned(plan, planned)
        control = RunControl(
            keep_going=run.keep_going,
            cancelled=run.records.cancelled,
            before_first_change=lambda: keep(engine, run.records),
            done_before=len(versions) - len(plan.steps),
        )
        report = engine.run(plan, control)
        # An earlier call may have left a migration to the server, and nobody has reported it yet.
        known = project.migrations if project else planned.migrations
        done = [*report.applied, *report.rolled_back, *engine.done_by_run(known, plan.direction)]
    if plan.direction == "up":
        run.records.add(applied=done, error=report.error)
    else:
        run.records.add(rolled_back=done, error=report.error)
    if report.error:
        raise report.error
    return RunProgress(
        done=not report.remaining,
        applied=len(report.applied),
        rolled_back=len(report.rolled_back),
        remaining=len(report.remaining),
        running=str(report.running) if report.running else None,
        wait_seconds=next_wait(waited_s) if report.running else 0,
    )


def verify(run: Run) -> int:
    """Compare the history with the plan, and look for what a failure may have left behind.

    Returns:
        How many migrations the plan has.

    Raises:
        VerificationFailed: the database is not as the plan says.
    """
    versions = run.records.planned()
    with _opened(run, run.records.plan()) as (engine, project):
        if project is None:
            engine.verify_rolled_back(versions)
        else:
            engine.verify(project, versions)
    return len(versions)


@contextmanager
def _opened(run: Run, planned: PlanRecord) -> Iterator[tuple[Engine, Project | None]]:
    """The database and the release's migrations; None for a run downwards, which needs no files."""
    if planned.down:
        with run.database.connect(planned.release) as engine:
            yield engine, None
        return
    with run.artifact() as found, run.database.connect(found.artifact.release) as engine:
        yield engine, found.artifact.project


def _what_is_left(run: Run, engine: Engine, planned: PlanRecord, project: Project | None) -> Plan:
    if project is not None:
        return engine.plan_up(project, rollback_required=run.policy.rollback_required)
    return engine.plan_down(Project(Path(), ()), target=str(planned.floor))


def _refuse_unplanned(plan: Plan, planned: PlanRecord) -> None:
    """Refuse what is not in the plan, by its checksum: people approved that and nothing else."""
    known = {migration.version: migration for migration in planned.migrations}
    unplanned = [step.version for step in plan.steps if step.version not in known]
    if unplanned:
        became = "pending" if plan.direction == "up" else "applied"
        raise VerificationFailed(
            f"{', '.join(unplanned[:10])} became {became} after the plan was made",
            version=unplanned[0],
            hint="someone else changed the history meanwhile; release again for a new plan",
        )
    applied = {version: checksum for version, checksum, *_ in planned.history}
    for step in plan.steps:
        script, expected = step.runnable.script, known[step.version].checksum
        _refuse_changed(step.version, script.path, script.checksum, expected)
        forward = step.migration.forward
        if plan.direction == "down" and step.version in applied:
            _refuse_changed(step.version, forward.path, forward.checksum, applied[step.version])


def _refuse_changed(version: str, file: str, found: str, planned: str) -> None:
    if found != planned:
        raise VerificationFailed(
            f"{version} is not as planned: the SHA-256 of {file} is {found or 'not known'}, and "
            f"was {planned or 'not noted'} when the plan was made",
            file=file,
            version=version,
            hint="find out who changed it: turnback health shows who may write to the history; "
            "then release again for a new plan",
        )
