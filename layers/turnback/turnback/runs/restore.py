"""Assess and restore: what to do when the rollback failed, and then the restore step by step.

A restore builds a new database from the snapshot, looks at it, and puts it in the old one's place.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from turnback.errors import (
    DatabaseNotReady,
    DatabaseRefused,
    DatabaseUnreachable,
    RestoreFailed,
    RollbackMissing,
    RunnerBusy,
)
from turnback.recovery.model import (
    Place,
    Restorer,
    RestoreRequest,
    RestoreState,
    Snapshot,
    SnapshotState,
)
from turnback.runs.record_types import PlanRecord
from turnback.runs.run import Run, applied, next_poll
from turnback.runs.schema_before import compare_with, kept_schema
from turnback.runs.state import RestoreLoss, RunAssessment, RunRestore, RunSnapshot
from turnback.settings.recovery import RestoreSettings

if TYPE_CHECKING:
    from turnback.engine import Engine
    from turnback.engine.session.lock import Holder

_LOCK_WAIT_S = 2.0
# "automatic" is not meant for a run that was resumed days after its snapshot.
_LONG_S = 24 * 3600


def assess(run: Run, policy: str) -> RunAssessment:
    """Look at the database, and decide by the policy what comes next.

    A restore loses what was written since the snapshot. So it is offered only if this run did
    change something, no run is working on the database, and there is a snapshot. Even the policy
    ``automatic`` asks a person if the loss is unknown, includes another run's work or more than a
    day, or if it was a person who stopped the run.

    Args:
        run: the run.
        policy: ``never``, ``approval`` or ``automatic``.

    Raises:
        TurnLost: the run was redriven, and another one has the turn.
        RunnerBusy: a statement of this very run is still running in the server.
        DatabaseNotReady: the server accepts no writes; a later call may find that it does.
    """
    run.refuse_lost_turn(changed=True)
    plan = run.records.plan()
    reachable = True
    others: tuple[str, ...] = ()
    try:
        with run.database.connect(plan.release) as engine:
            other = _other_worker(engine, run)
            # The step that failed may not have lived to report what it did.
            run.records.add(
                applied=engine.done_by_run(plan.migrations),
                rolled_back=engine.done_by_run(reversed(plan.migrations), "down"),
            )
            if _nothing_left(engine, run, plan):
                return RunAssessment("as_before", "nothing of the run is in the database")
            others = _done_by_others(engine, run, plan)
    except DatabaseNotReady:
        # A failover ends: nobody is asked to restore because of it.
        raise
    except (DatabaseUnreachable, DatabaseRefused):
        reachable, other = False, None
    if other:
        return RunAssessment("no", f"another run works on the database: {other}")
    if policy == "never":
        return RunAssessment("no", "the stack's RestorePolicy is never")
    if run.state.snapshot is None or not run.state.snapshot.available:
        return RunAssessment("no", "the run has no snapshot to restore from")
    if not reachable:
        return RunAssessment(
            "ask", "the database does not answer, so what a restore loses is not known"
        )
    return _by_loss(run, policy, replace(_loss(run), others=others))


def _by_loss(run: Run, policy: str, loss: RestoreLoss) -> RunAssessment:
    reason = "the rollback scripts did not bring the database back"
    if loss.others:
        reason = f"a restore would undo what other runs did: {'; '.join(loss.others)}"
    elif not loss.known:
        reason += ", and how much a restore loses is not known"
    elif (loss.seconds or 0) > _LONG_S:
        reason += f", and the snapshot is {(loss.seconds or 0) // 3600} hours old"
    elif run.state.error is not None and run.state.error.type == "RunCancelled":
        reason = "a person stopped the run half way"
    elif policy == "automatic":
        return RunAssessment("restore", reason, loss)
    return RunAssessment("ask", reason, loss)


def restore(run: Run, restorer: Restorer, settings: RestoreSettings) -> RunRestore:
    """Do the next step of the run's restore, or ask how far it is.

    The database that is to be replaced is checked before the first step and again before the swap:
    hours may have passed since a person was asked.

    Args:
        run: the run, whose state has the snapshot.
        restorer: restores databases.
        settings: from what, and for how long.

    Raises:
        RestoreFailed: it cannot succeed, or not in time; or another run changed the database
            since a person was asked.
        TurnLost: the run was redriven, and another one has the turn.
        RunnerBusy, DatabaseUnreachable, AwsError: not now; the next call continues.
    """
    run.refuse_lost_turn(changed=True)
    plan = run.records.plan()
    if not run.records.has_begun("restore"):
        _refuse_unforeseen(run, plan)
    began = run.records.began("restore", run.now)

    def check(place: Place) -> None:
        with run.database.connect_at(place) as engine:
            if applied(engine) != plan.history:
                raise RestoreFailed(
                    "the history in the restored database is not the one before the run",
                    hint="the old database is untouched; look at the snapshot before you use it",
                )
        _refuse_unforeseen(run, plan)
        _count_again(run)

    progress = restorer.advance(
        RestoreRequest(
            target=run.order.target,
            run=run.id,
            snapshot=_snapshot(run.state.snapshot),
            until=_until(run) if settings.source == "point-in-time" else None,
            check=check,
        )
    )
    restored = progress.state is RestoreState.RESTORED
    # Once the old database has lost its name nothing answers: the worst time to stop.
    limit = timedelta(minutes=settings.timeout_minutes * (2 if progress.kept else 1))
    if not restored and run.now > began + limit:
        raise RestoreFailed(
            f"the restore did not end in {int(limit.total_seconds() // 60)} minutes: "
            f"{progress.detail}",
            hint="turnback does no further step of it: look at the database in AWS and end it by "
            "hand, or raise RestoreTimeoutMinutes for the next time: "
            "docs/trouble.md#a-restore-of-rds-or-aurora-has-stopped",
        )
    before = run.state.restore
    # Each phase begins with short waits again: during the swap nothing answers.
    waited_s = before.wait_seconds if before and before.state == progress.state.value else 0
    return RunRestore(
        progress.state.value,
        progress.detail,
        progress.kept,
        progress.restored_to,
        wait_seconds=next_poll(waited_s, settings.poll_seconds),
    )


def _refuse_unforeseen(run: Run, plan: PlanRecord) -> None:
    """Refuse to undo what nobody was asked about; a database that does not answer shows nothing."""
    assessment = run.state.assessment
    foreseen = assessment.loss.others if assessment and assessment.loss else ()
    try:
        with run.database.connect(plan.release) as engine:
            busy = _other_worker(engine, run)
            new = [one for one in _done_by_others(engine, run, plan) if one not in foreseen]
            nothing_left = _nothing_left(engine, run, plan)
    except (DatabaseUnreachable, DatabaseRefused):
        return
    if busy:
        raise RestoreFailed(
            f"another run works on the database: {busy}",
            hint="nothing was restored; wait for it, and look at what it did",
        )
    if nothing_left:
        raise RestoreFailed(
            "nothing of the run is in the database any more, so nothing is restored",
            hint="turnback status shows what is applied",
        )
    if new:
        raise RestoreFailed(
            f"a restore would undo what other runs did meanwhile: {'; '.join(new)}",
            hint="nothing was restored, and nobody was asked about these; look at what is applied, "
            "then fix it with a new release, or restore by hand",
        )


def _count_again(run: Run) -> None:
    """Count again what is lost: the application went on writing since a person was asked."""
    try:
        loss = _loss(run)
    except (DatabaseUnreachable, DatabaseRefused):
        return
    assessment = run.state.assessment
    others = assessment.loss.others if assessment and assessment.loss else ()
    run.records.add_loss(replace(loss, others=others))


def _snapshot(taken: RunSnapshot | None) -> Snapshot:
    if taken is None or not taken.available:
        raise RestoreFailed(
            "the run has no snapshot to restore from",
            hint="turnback snapshots lists older ones",
        )
    return Snapshot(
        taken.kind,
        taken.id,
        SnapshotState.AVAILABLE,
        taken_at=taken.taken_at,
        encrypted=taken.encrypted,
    )


def _until(run: Run) -> datetime | None:
    """Just before the run's first change; without a record of it, when the snapshot was taken."""
    kept = kept_schema(run.records)
    moment = kept.taken_at if kept else None
    moment = moment or (run.state.snapshot.taken_at if run.state.snapshot else None)
    return datetime.fromisoformat(moment) if moment else None


def _nothing_left(engine: Engine, run: Run, plan: PlanRecord) -> bool:
    """Whether the database is as before the run, apart from what other runs did."""
    from turnback.engine.look import other_runs

    if not engine.history.exists():
        return not plan.history
    try:
        if not engine.plan_down_run(run.id).empty:
            return False
    except RollbackMissing:
        return False
    schema = engine.history.schema
    if plan.down and other_runs.rolled_back_by(engine.connection, schema, run.id):
        return False
    changed = _changed(engine, plan)
    theirs = other_runs.changes_since(engine.connection, schema, run.id, None, changed)
    if changed - {version for other in theirs for version in other.versions}:
        return False
    # A rollback that was cut off before it compared, and a run downwards, have compared nothing.
    word = run.records.report().verified or compare_with(engine, run.records).word
    return word != "differs"


def _done_by_others(engine: Engine, run: Run, plan: PlanRecord) -> tuple[str, ...]:
    """What other runs did since the snapshot was begun, or since the plan was made."""
    from turnback.engine.look import other_runs

    if not engine.history.exists():
        return ()
    # The counters were read before the snapshot was begun, and have the server's own time.
    since = run.saved.counters().get("at")
    since = since or (run.state.snapshot.taken_at if run.state.snapshot else None)
    changed = _changed(engine, plan)
    schema = engine.history.schema
    found = other_runs.changes_since(engine.connection, schema, run.id, since, changed)
    return tuple(str(other) for other in found)


def _other_worker(engine: Engine, run: Run) -> Holder | None:
    """Another run that works on the database now.

    Raises:
        RunnerBusy: this very run does; nobody would know what it commits later.
    """
    from turnback.engine.session import lock

    found = lock.wait_until_free(engine.connection, engine.history.schema, wait_s=_LOCK_WAIT_S)
    if found is None or found.application != lock.application_of(run.id):
        return found
    raise RunnerBusy(
        f"a statement of this very run is still running in the server: {found}",
        hint="wait until it has ended, or end it: SELECT pg_terminate_backend"
        f"({found.pid}); then look at what is applied, with turnback status",
    )


def _changed(engine: Engine, plan: PlanRecord) -> set[str]:
    """The versions that are not in the history as they were when the run was planned."""
    return {version for version, _ in set(plan.history) ^ set(applied(engine))}


def _loss(run: Run) -> RestoreLoss:
    """What was written since the snapshot, as far as that is known."""
    from turnback.recovery.contents import written_since

    since = (run.state.snapshot.taken_at if run.state.snapshot else None) or None
    began = datetime.fromisoformat(since) if since else None
    before = run.saved.counters()
    counted = written_since(before, run.database.counters()) if before else {}
    seconds = int((run.now - began).total_seconds()) if began else None
    return RestoreLoss.from_state({"since": since, "seconds": seconds, **counted})
