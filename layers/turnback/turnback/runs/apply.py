"""Apply and verify: the next migrations, as many as time allows; then a look at the result."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from turnback.errors import AwsError, BaseChanged, TurnbackError, VerificationFailed
from turnback.migrations.model import Project
from turnback.runs.backfills import record_pending
from turnback.runs.record_types import PlanRecord
from turnback.runs.records import Finished, Records
from turnback.runs.run import Run, applied, last_row, next_wait
from turnback.runs.schema_before import compare_with_kept, keep, kept_schema
from turnback.runs.state import RunProgress
from turnback.settings.windows import Window, open_window, waits_for
from turnback.wording import capped

if TYPE_CHECKING:
    from turnback.engine import Engine, Plan

_LISTED = 10
# Between two looks whether a window of time is over, in which no migration begins.
_LOOK_S = 300


def apply(run: Run) -> RunProgress:
    """Do what is left of the run's plan, up or down; another call continues it.

    What is left is planned under the lock, where nobody else can change the database any more.
    The schema's fingerprint is kept before the first change, for RollBack to compare with. When
    the time of this call is over, a running statement is left to the server, and the next call
    waits for it. A person may cancel the run between two migrations.

    Raises:
        BaseChanged: others changed the database after the run was planned, and before it changed
            anything; it is to be planned again.
        TurnLost: the run was redriven after its turn had passed.
        RunCancelled: the run was cancelled; the message says how far it came.
        VerificationFailed: somebody else changed what is pending, or a script, since the plan
            was made.
        TurnbackError: a migration failed.
    """
    from turnback.engine import RunControl

    run.refuse_lost_turn()
    versions = run.records.planned()
    planned = run.records.plan()
    waited_s = run.state.apply.wait_seconds if run.state.apply else 0
    with _opened(run, planned) as (engine, project):
        windows = avoided(run, planned, project)

        def open_now() -> tuple[Window, timedelta] | None:
            return open_window(windows, datetime.now(UTC))

        control = RunControl(
            keep_going=run.keep_going,
            begins=lambda: open_now() is None,
            cancelled=run.records.cancelled,
            before_first_change=lambda: keep(engine, run.records, project),
            total=len(versions),
        )
        report = engine.run(lambda: _what_is_left(run, engine, planned, project), control)
        if isinstance(report.error, BaseChanged):
            raise report.error
        # An earlier call may have left a migration to the server, and nobody has reported it yet.
        known = engine.done_by_run(planned.migrations, planned.direction)
        done = [*report.applied, *report.rolled_back, *known]
        left = len(report.remaining)
        backfills = _going_on(run, engine, planned) if not left and not report.running else 0
    if backfills:
        record_pending(run)
    # What was done is in the history: that it cannot be reported now stops no good release, and
    # hides no error. Verify reports it then.
    with suppress(AwsError):
        _add(run, planned, done, report.error)
    if report.error:
        raise report.error
    if report.running and not left:
        # An earlier call's statement still has the lock, so nothing could be planned.
        left = max(len(versions) - len({one.version for one in done}), 1)
    waits = open_now() if left and not report.running else None
    if waits:
        window, until_end = waits
        return RunProgress(
            applied=len(report.applied),
            remaining=left,
            running=waits_for(window),
            wait_seconds=min(math.ceil(until_end.total_seconds()), _LOOK_S),
        )
    return RunProgress(
        done=not left,
        applied=len(report.applied),
        rolled_back=len(report.rolled_back),
        remaining=left,
        backfills=backfills,
        running=str(report.running) if report.running else None,
        wait_seconds=next_wait(waited_s) if report.running else 0,
    )


def _going_on(run: Run, engine: Engine, planned: PlanRecord) -> int:
    """How many backfills of the run continue in the background."""
    if planned.down or not any(one.backfill for one in planned.migrations):
        return 0
    return len(engine.pending_backfills(run.id))


def avoided(run: Run, planned: PlanRecord, project: Project | None) -> tuple[Window, ...]:
    """When no migration of this run begins; a run downwards does not wait."""
    if planned.down or project is None:
        return ()
    return run.policy.avoid + project.settings.avoid


def verify(run: Run) -> int:
    """Compare the history with the plan, and look for what a failure may have left behind.

    Returns:
        How many migrations the plan has.

    Raises:
        VerificationFailed: the database is not as the plan says.
    """
    versions, planned = run.records.planned(), run.records.plan()
    with _opened(run, planned) as (engine, project):
        notes = list[str]()
        if project is None:
            engine.verify_rolled_back(versions)
            notes = _compare_with_then(engine, run, planned)
        else:
            engine.verify(project, versions)
        done = engine.done_by_run(planned.migrations, planned.direction)
    report = run.records.report()
    if len(done) > len(report.applied if planned.direction == "up" else report.rolled_back):
        _add(run, planned, done)
    for note in notes:
        run.records.add_note(note)
    return len(versions)


def _compare_with_then(engine: Engine, run: Run, planned: PlanRecord) -> list[str]:
    """What the schema is after a run downwards, as sentences.

    It is compared with what was kept before the run that had applied the oldest of its migrations.
    """
    from turnback.engine.look import other_runs

    if not planned.migrations:
        return []
    oldest = planned.migrations[-1].version
    by = other_runs.applying_run(engine.connection, engine.history.schema, oldest)
    kept = kept_schema(Records(run.records.store, by)) if by else None
    if kept is None:
        return [f"the schema was not compared: nothing was kept of it before {oldest}"]
    compared = compare_with_kept(engine, kept, f"it was before run {by}")
    if compared.error:
        return [compared.error.message, *compared.notes]
    if compared.word == "exact":
        return [f"the schema is as it was before run {by}", *compared.notes]
    return list(compared.notes)


def _add(
    run: Run, planned: PlanRecord, done: Iterable[Finished], error: TurnbackError | None = None
) -> None:
    if planned.direction == "up":
        run.records.add(applied=done, error=error)
    else:
        run.records.add(rolled_back=done, error=error)


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
    fresh = not engine.has_changed()
    if project is None:
        row = last_row(engine, str(planned.rollback_to))
        plan = engine.plan_down(Project(Path(), ()), target=str(planned.floor), row=row)
        # First: what somebody has written into the history is never made a plan of by itself.
        _refuse_changed_scripts(plan, planned)
        if fresh:
            _refuse_other_base(engine, planned)
    else:
        if fresh:
            _refuse_other_base(engine, planned)
        plan = engine.plan_up(project, rollback_required=run.policy.rollback_required)
    _refuse_unplanned(plan, planned)
    return plan


def _refuse_other_base(engine: Engine, planned: PlanRecord) -> None:
    """Refuse to go on from another database than the one that was planned, rehearsed, approved."""
    now = applied(engine)
    if now == planned.history:
        return
    different = set(now) ^ set(planned.history)
    changed = list(dict.fromkeys(row[0] for row in (*planned.history, *now) if row in different))
    raise BaseChanged(
        f"others have applied or rolled back {', '.join(capped(changed, _LISTED))} since the run "
        "was planned; it has changed nothing",
        version=changed[0],
        hint="the run is planned again by itself; turnback status shows what is applied",
    )


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
    _refuse_changed_scripts(plan, planned)


def _refuse_changed_scripts(plan: Plan, planned: PlanRecord) -> None:
    known: dict[str, list[str]] = {}
    for migration in planned.migrations:
        # A run downwards can go back through several texts of a repeatable.
        known.setdefault(migration.version, []).append(migration.checksum)
    before = {version: checksum for version, checksum, *_ in planned.history}
    for step in plan.steps:
        if step.version not in known:
            continue
        script, expected = step.runnable.script, known[step.version]
        if script.checksum not in expected:
            _refuse_changed(step.version, script.path, script.checksum, expected[0])
        forward = step.migration.forward
        if plan.direction == "down" and step.version in before and step.repeat is None:
            _refuse_changed(step.version, forward.path, forward.checksum, before[step.version])


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
