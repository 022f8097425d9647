"""Roll back: what this run did, newest first, with the rollback scripts of its artifact."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from turnback.errors import RollbackFailed
from turnback.runs.record_types import PlanRecord
from turnback.runs.run import Run, next_wait
from turnback.runs.schema_before import compare_with
from turnback.runs.state import RunProgress

if TYPE_CHECKING:
    from turnback.engine import Engine, Plan
    from turnback.migrations.model import Project


def roll_back(run: Run) -> RunProgress:
    """Roll back the migrations that this run applied; another call continues it.

    The scripts are those of the artifact, whose SHA-256 was noted before anything was approved;
    the report names each stored script that differs from it. A migration that failed half way
    outside a transaction is undone first. In the end the schema is compared with the fingerprint
    that was taken before the run.

    Raises:
        TurnLost: the run was redriven, and another one has the turn.
        VerificationFailed: all was rolled back, and the schema is not as before the run.
        RollbackFailed: another run applied a migration on top of them; nothing was rolled back.
        TurnbackError: a rollback script failed; its migration is still applied.
    """
    from turnback.engine import RunControl

    run.refuse_lost_turn(changed=True)
    waited_s = run.state.roll_back.wait_seconds if run.state.roll_back else 0
    checked = None
    with ExitStack() as opened, run.database.connect(run.release) as engine:
        if _is_running(engine, run):
            return RunProgress(wait_seconds=next_wait(waited_s))
        plan = engine.plan_down_run(run.id, _migrations(run, opened))
        _refuse_other_texts(plan, run.records.plan())
        versions = [step.version for step in plan.steps]
        control = RunControl(
            keep_going=run.keep_going,
            before_first_change=lambda: _refuse_built_on(engine, run, versions),
        )
        report = engine.run(plan, control)
        failure = report.error
        if not report.remaining and failure is None:
            checked = compare_with(engine, run.records)
            failure = checked.error
        # An earlier call may have rolled back what it did not live to report.
        known = engine.done_by_run(reversed(run.records.plan().migrations), "down")
    run.records.add(
        rolled_back=[*known, *report.rolled_back],
        error=failure,
        verified=checked.word if checked else None,
        notes=[*plan.notes, *(checked.notes if checked else ())],
    )
    if failure:
        raise failure
    return RunProgress(
        done=not report.remaining,
        rolled_back=len(report.rolled_back),
        remaining=len(report.remaining),
        wait_seconds=next_wait(waited_s) if report.running else 0,
        verified=checked.word if checked else None,
    )


def has_changed(run: Run) -> bool:
    """Whether this run may have changed the database: only then there is something to undo.

    A statement of it that is still running in the server may yet change something.
    """
    with run.database.connect(run.release) as engine:
        return _is_running(engine, run) or engine.has_changed()


def _migrations(run: Run, opened: ExitStack) -> Callable[[], Project] | None:
    """Reads the release's migrations; None for a run downwards, which may have no artifact."""
    if run.order.artifact is None or run.state.down:
        return None
    return lambda: opened.enter_context(run.artifact()).artifact.project


def _refuse_other_texts(plan: Plan, planned: PlanRecord) -> None:
    """Refuse to go back to a text of a repeatable that is not the one before the run.

    It is in the database alone; its checksum was noted when the run was planned.
    """
    before = {version: checksum for version, checksum, *_ in planned.history}
    for step in plan.steps if planned.exists and not planned.down else ():
        if step.repeat and step.repeat.after not in (None, before.get(step.version)):
            raise RollbackFailed(
                f"the text of {step.version} that is stored in the database is not the one that "
                "was applied before the run",
                version=step.version,
                hint="nothing was rolled back; find out who changed migration_log: turnback "
                "health shows who may write to it",
            )


def _refuse_built_on(engine: Engine, run: Run, versions: list[str]) -> None:
    """Refuse to undo what another run's migrations may depend on."""
    from turnback.engine.look import other_runs

    found = other_runs.applied_on_top(engine.connection, engine.history.schema, run.id, versions)
    if found:
        raise RollbackFailed(
            f"{', '.join(versions[:10])} cannot be rolled back: another run has migrated since "
            f"and may depend on it: {'; '.join(map(str, found))}",
            version=versions[0],
            hint="this call rolled back nothing; keep it, release a migration that fixes it, or "
            "roll back the other run's migrations first",
        )


def _is_running(engine: Engine, run: Run) -> bool:
    """Whether an apply of this run that was cut off is still running in the server.

    What it commits later would remain, and nobody would know.
    """
    from turnback.engine.session import lock

    found = lock.wait_until_free(
        engine.connection, engine.history.schema, wait_s=run.database.runner_wait_s
    )
    return found is not None and found.application == lock.application_of(run.id)
