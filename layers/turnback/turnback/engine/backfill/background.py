"""Backfills in the background: a release applies their migration at once, and does not wait.

The history says from then on that the migration is applied, and ``migration_backfills`` that its
rows are not all changed. Who goes on has a lock of the backfill's own, so that other runs may work
meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from turnback.engine.backfill.records import Progress, Range, Records, state_of
from turnback.engine.backfill.run import Work, is_background, lock_name
from turnback.engine.outside.run import finish, send_verified, verify_message
from turnback.engine.run.failure import point
from turnback.engine.run.plan import Step
from turnback.engine.run.session import Session
from turnback.engine.session import lock
from turnback.engine.session.events import Event, EventKind
from turnback.engine.session.message import ServerError, send
from turnback.engine.session.query import CATALOG_ONLY, OURSELVES
from turnback.errors import (
    ChecksumMismatch,
    DatabaseNotReady,
    DatabaseUnreachable,
    LockTimeout,
    RunnerBusy,
    TurnbackError,
)
from turnback.settings.pace import Pace
from turnback.sql.backfill import RangedStatement
from turnback.sql.quoting import literal

# A batch takes less than a second, but a VACUUM may take hours.
_PATIENCE_S = 5.0
_WAIT_S = 60.0
_QUARTER = 25
# What passes, or is for another call: it says nothing of the backfill.
_PASSING = (DatabaseUnreachable, DatabaseNotReady, RunnerBusy, LockTimeout)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call made of a backfill.

    Attributes:
        state: as of a range; ``running`` where the next call goes on, ``gone`` where the migration
            is not applied any more.
        progress: how far it is; None where it is gone.
        percent: of how many percent it is to be announced that they are done; None of nothing new.
        error: what stopped it in this call, or None.
        held_up: why it has waited through the whole call, if it had not done so before.
    """

    state: str
    progress: Progress | None = None
    percent: int | None = None
    error: TurnbackError | None = None
    held_up: str | None = None


class _Left(Exception):
    """The call ends; another one goes on."""


def register(session: Session, step: Step, pace: Pace) -> int:
    """Record that a migration is applied, and that its backfill is to go on in the background.

    Raises:
        MigrationFailed: it cannot begin, and nothing was changed.
        MigrationIncomplete: it was begun without a release, and is paused or over another key.
    """
    statement = _statement(step)
    work = Work(session, step, statement, pace, _nothing, later=session.recorder.run)
    begun = work.find()
    recorder = session.recorder
    before = f"{recorder.reset} {OURSELVES} {recorder.lock_assertion} {begun} "
    try:
        finish(session, replace(step, verify=None), 0, "nothing was changed", before)
    except ServerError as error:
        raise point(step, error, statement.statement.offset, statement.statement) from error
    return 0


def go_on(
    session: Session, step: Step, run: str, pace: Pace, keep_going: Callable[[], bool]
) -> Outcome:
    """Do more of a backfill, under its own lock; another call goes on from there.

    Args:
        session: without the lock of a run.
        step: the migration, from the file it was applied from.
        run: the run that applied it.
        pace: how fast it goes.
        keep_going: whether there is time for another batch.

    Raises:
        RunnerBusy: another session works on it.
        DatabaseUnreachable, DatabaseNotReady: the next call goes on from the last batch.
        LockTimeout: a batch did not get its locks for too long.
    """
    return _Call(session, step, run, pace, keep_going).go_on()


def stop(session: Session, versions: Collection[str]) -> None:
    """Stop the backfills of migrations that are to be rolled back, and wait for their workers.

    Whoever worked on one and still does it is cut off between two batches, or in one, which the
    server then undoes. None begins again before this session ends.

    Raises:
        RunnerBusy: a session could not be ended.
    """
    connection, schema = session.connection, session.history.schema
    found = [
        one
        for one in Records(schema).read(connection)
        if one.direction == "up" and one.state != "done" and one.version in versions
    ]
    for one in {one.version: one for one in found}.values():
        if is_background(session.history, one):
            records = Records(schema, one.version)
            send(connection, f"{CATALOG_ONLY} {records.set_state('cancelled')}")
        name = lock_name(schema, one.version)
        lock.take_over(connection, name, patience_s=_PATIENCE_S, wait_s=_WAIT_S)


@dataclass(slots=True)
class _Call:
    """One call that goes on with a backfill."""

    session: Session
    step: Step
    run: str
    pace: Pace
    keep_going: Callable[[], bool]
    _announced: int = 0
    _waits_for: str | None = None

    def go_on(self) -> Outcome:
        session, version = self.session, self.step.version
        session.lock_only(lock_name(session.history.schema, version))
        found = self._read()
        if not found or found[0].run != self.run or not is_background(session.history, found[0]):
            return Outcome("gone")
        if (state := state_of(found)) != "running":
            return Outcome(state, Progress.of(found))
        self._announced = max(one.announced for one in found)
        before = sum(one.batches for one in found)
        try:
            self._require_script(found[0])
            self._work()
        except _Left:
            pass  # The next call goes on from here.
        except _PASSING:
            raise
        except TurnbackError as error:
            return self._stopped(error)
        else:
            return Outcome("done", Progress.of(self._read()), percent=100)
        return self._left(before)

    def _work(self) -> None:
        session, step = self.session, self.step
        work = Work(
            replace(session, listener=self._heard),
            step,
            _statement(step),
            self.pace,
            self._leave,
            later=self.run,
            reached=self._reached,
        )
        work.resume()
        work.run()
        took = sum(one.work_ms for one in work.ranges)
        recorder = session.recorder
        name = lock_name(session.history.schema, step.version)
        read_only, verify = verify_message(step)
        done = (
            f"{recorder.reset} {OURSELVES} {lock.assertion(name)} {work.records.done()}; "
            f"UPDATE {recorder.migrations} SET execution_time = {took} WHERE version::text "
            f"OPERATOR(pg_catalog.=) {literal(step.version)}::text;{read_only}"
        )
        ran = f"the rows of {step.version} were changed, and that was kept"
        send_verified(session, step, done, verify, ran)

    def _require_script(self, one: Range) -> None:
        script = self.step.runnable.script
        if script.checksum != one.checksum:
            raise ChecksumMismatch(
                f"{script.path} is not the file that {self.step.version} was applied from",
                file=script.path,
                version=self.step.version,
                hint="the artifact of the run was replaced; roll it back, and release it anew",
            )

    def _stopped(self, error: TurnbackError) -> Outcome:
        """What became of it when the work ended: somebody has stopped it, or it failed."""
        found = self._read()
        state = state_of(found)
        if state not in ("running", "done"):
            return Outcome(state, Progress.of(found))
        failed = self._records.set_state("failed", error.message)
        send(self.session.connection, f"{CATALOG_ONLY} {failed}")
        version = self.step.version
        error.hint = (
            f"correct that, and let it go on: turnback backfill resume {version}; "
            "what is done remains done"
        )
        return Outcome("failed", Progress.of(found), error=error)

    def _left(self, batches: int) -> Outcome:
        """What became of it when it was time to leave."""
        found = self._read()
        progress, known = Progress.of(found), found[0].error
        if (state := state_of(found)) != "running":
            return Outcome(state, progress)
        held_up = None
        if sum(one.batches for one in found) == batches:
            held_up = self._waits_for or known
        if held_up != known:
            send(self.session.connection, f"{CATALOG_ONLY} {self._records.set_error(held_up)}")
        new = held_up if known is None else None
        return Outcome(state, progress, percent=self._quarter(progress), held_up=new)

    def _quarter(self, progress: Progress) -> int | None:
        quarter = progress.percent // _QUARTER * _QUARTER
        return quarter if quarter > self._announced else None

    def _reached(self, progress: Progress) -> None:
        """Leave where there is something to announce."""
        if self._quarter(progress) not in (None, 100):
            raise _Left

    def _leave(self) -> None:
        if not self.keep_going():
            raise _Left

    def _heard(self, event: Event) -> None:
        if event.kind is EventKind.RETRYING:
            self._waits_for = event.text
        self.session.listener(event)

    def _read(self) -> list[Range]:
        return self._records.read(self.session.connection)

    @property
    def _records(self) -> Records:
        return Records(self.session.history.schema, self.step.version)


def _statement(step: Step) -> RangedStatement:
    assert step.runnable.ranged is not None
    return step.runnable.ranged


def _nothing() -> None:
    """Nothing to do between two batches."""
