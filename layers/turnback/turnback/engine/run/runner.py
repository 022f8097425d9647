"""Runs a plan step by step: batches, retries, leaving in time, and the record of a failure."""

from __future__ import annotations

import itertools
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from turnback.engine.backfill import background
from turnback.engine.backfill import run as backfill
from turnback.engine.look.half_done import find_half_done
from turnback.engine.look.history import History
from turnback.engine.outside import divided, run, undo
from turnback.engine.run import recreate, transaction
from turnback.engine.run.interrupt import settle
from turnback.engine.run.ladder import LOOK_EVERY_S, Ladder, locks_beforehand
from turnback.engine.run.plan import Plan, Step, remaining
from turnback.engine.run.refusals import refuse_code
from turnback.engine.run.report import Done, Interrupted, Report, Running
from turnback.engine.run.session import Session
from turnback.engine.session import lock
from turnback.engine.session.connection import lock_timeout_of
from turnback.engine.session.events import LOCK_TIMEOUT_MS, Event, EventKind, RunControl
from turnback.engine.session.message import Connection, ServerError, send
from turnback.engine.session.query import own_statements
from turnback.engine.session.watch import Detached, Watch, blocked_text, command_progress
from turnback.engine.swap import run as swap
from turnback.errors import (
    DatabaseNotReady,
    DatabaseUnreachable,
    HistoryConflict,
    LockTimeout,
    MigrationFailed,
    RunCancelled,
    RunnerBusy,
    TurnbackError,
)
from turnback.settings.pace import Pace

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 8.0
# How often a statement may end in the server without a record, before it counts as failing.
_LOST_TRIES = 2


def run_plan(session: Session, plan: Plan | Callable[[], Plan], control: RunControl) -> Report:
    """Do what is left of a plan under the lock; as ``Engine.run``.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; with the report.
    """
    report = Report()
    steps, runner = list[Step](), None
    if isinstance(plan, Plan):
        report.remaining = [step.version for step in plan.steps]
    began = time.monotonic()
    try:
        with own_statements():
            state = session.lock()
            plan = plan if isinstance(plan, Plan) else plan()
            half_done = (
                find_half_done(session.connection, session.history.schema, state.entries)
                if any(step.half for step in plan.steps)
                else []
            )
            steps = remaining(plan, state.entries, half_done)
            if any(step.repeat for step in steps):
                from turnback.engine.run import repeatables

                steps = repeatables.remaining(steps, session.history)
            report.remaining = [step.version for step in steps]
            for step in steps:
                refuse_code(step.runnable.script, session.options.code)
            if steps:
                control.before_first_change()
                if plan.direction == "down":
                    background.stop(session, {step.version for step in steps})
            runner = Runner(session, control, steps, state.detached, plan.pace)
            for step, took in runner.run():
                report.add(plan.direction, Done(step.version, step.name, took, step.migration.kind))
            session.release_lock()
    except StillRunning as left:
        report.running = Running(left.step.version, int(time.monotonic() - began))
    except RunnerBusy as error:
        report.running = _own_work(session)
        report.error = None if report.running else error
    except TurnbackError as error:
        report.error = error
    except KeyboardInterrupt:
        report.interruption = settle(session, steps, runner.under_way if runner else (), report)
        raise Interrupted(report) from None
    return report


@own_statements()
def _own_work(session: Session) -> Running | None:
    """What an earlier session of this very run still does in the server, if anything."""
    found = lock.holder(session.connection, lock.lock_key(session.history.schema))
    ours = lock.application_of(session.recorder.run)
    if found is None or found.application != ours or not found.working:
        return None
    progress = command_progress(session.connection, found.pid)
    return Running(None, found.in_state_s, str(progress) if progress else None)


def preview(session: Session, step: Step) -> list[str]:
    """The exact messages that would run this step."""
    if step.runnable.one_by_one:
        return run.preview(step, session.recorder)
    if step.runnable.starts:
        return divided.preview(step, session.recorder)
    return [transaction.preview(step, session.recorder)]


class StillRunning(Exception):
    """The client left, and this step's statement continues in the server."""

    def __init__(self, step: Step) -> None:
        super().__init__(step.version)
        self.step = step


class NotBegun(Exception):
    """It was time to leave while somebody was in the way of a lock; nothing had been sent."""


class Runner:
    """Runs the steps of a plan in a session that holds the lock.

    Args:
        session: the session.
        control: what steers the run.
        steps: the steps, in order.
        detached: version → how often its statement was left running and ended without a record.
        pace: how fast a backfill goes.

    Attributes:
        under_way: the steps of the message that was sent last.
    """

    def __init__(
        self,
        session: Session,
        control: RunControl,
        steps: Sequence[Step],
        detached: Mapping[str, int],
        pace: Pace,
    ) -> None:
        self._session = session
        self._pace = pace
        self._control = control
        self._steps = steps
        self._detached = detached
        self._total = control.total or len(steps)
        first = self._total - len(steps) + 1
        # A plan can go back through several texts of a repeatable.
        self._places = {id(step): number for number, step in enumerate(steps, first)}
        self.under_way: list[Step] = []
        self._lock_timeout_ms = lock_timeout_of(session.connection)
        # Versions of a message of several migrations that were reported while it ran.
        self._reported = set[str]()
        self._watch = Watch(
            session.open_monitor,
            session.history.backend_pid or session.connection.info.backend_pid,
            first_look_s=min(0.3, (self._lock_timeout_ms or LOCK_TIMEOUT_MS) / 3000),
            tell=self._progress,
            leave=lambda: not control.keep_going(),
            reached=self._report_reached,
            cancelled=lambda: len(self.under_way) > 1 and control.cancelled() is not None,
            stop=lambda monitor: lock.stop(monitor, session.history.schema),
        )

    def run(self) -> Iterator[tuple[Step, int]]:
        """Each step with its milliseconds, when it is done.

        Raises:
            RunCancelled: the run was cancelled.
            TurnbackError: a step failed; it is recorded as failed.
            StillRunning: the client left a step that continues in the server.
        """
        try:
            yield from self._run()
        except Detached as left:
            raise StillRunning(self._leave(cleanup=left.cleanup)) from None
        finally:
            self._watch.close()

    def _run(self) -> Iterator[tuple[Step, int]]:
        queue = deque(self._steps)
        one_by_one = 0
        while queue and self._control.keep_going() and self._control.begins():
            if reason := self._control.cancelled():
                raise self._cancelled(reason, queue[0])
            batch = [queue[0]] if one_by_one else self._batch(queue)
            self.under_way = batch
            lost = None
            if len(batch) > 1:
                done, lost = self._run_batch(batch)
                # What a failed batch leaves runs one by one, so that the error has a position.
                one_by_one = len(batch) - len(done)
            else:
                try:
                    done = [(batch[0], self._run_one(batch[0]))]
                except NotBegun:
                    return
                except transaction.Unsent:
                    if len(queue) < len(self._steps):
                        return
                    raise self._too_long(batch[0]) from None
                one_by_one = max(one_by_one - 1, 0)
            for step, took in done:
                queue.popleft()
                yield step, took
            if lost:
                raise lost

    def _cancelled(self, reason: str, following: Step) -> RunCancelled:
        done = self._places[id(following)] - 1
        verb = "applied" if following.direction == "up" else "rolled back"
        return RunCancelled(
            f"{reason}: {done} of {self._total} migrations were {verb}, "
            f"the next is {following.version}",
            version=following.version,
            hint=f"run it again: it continues at {following.version}",
        )

    def _too_long(self, step: Step) -> MigrationFailed:
        error = MigrationFailed(
            f"{step.version} could not be sent in the time that there was: nothing of it was kept",
            file=step.runnable.script.path,
            version=step.version,
            hint="split the file, so that each part is applied within the time of one call",
        )
        self._record_failure(step, error)
        return error

    def _batch(self, queue: Iterable[Step]) -> list[Step]:
        batch: list[Step] = []
        characters = 0
        for step in itertools.islice(queue, transaction.BATCH_STEPS):
            characters += step.runnable.script.size
            together = (
                self._session.options.batch
                and not self._control.apart
                and transaction.fits_batch(step)
                and step.version not in self._detached
            )
            if batch and (not together or characters > transaction.BATCH_CHARACTERS):
                break
            if batch and bool(step.repeat) != bool(batch[0].repeat):
                # What is recorded of the two is counted in another way.
                break
            batch.append(step)
            if not together:
                break
        return batch

    def _run_batch(
        self, batch: list[Step]
    ) -> tuple[list[tuple[Step, int]], DatabaseUnreachable | None]:
        """What of a batch was done, and the error if the connection was lost meanwhile."""
        lost = None
        self._reported.clear()
        self._say_started(batch[0])
        try:
            ladders = [self._ladder(step) for step in batch]
            taken = transaction.run_batch(self._session, batch, ladders, self._watch)
        except ServerError:
            done = self._recorded(self._session.history, batch)
            for step, _ in done:
                self._session.recorder.count(step)
        except DatabaseUnreachable as error:
            # Each step of the batch has a COMMIT of its own.
            lost, done = error, self._recorded_elsewhere(batch)
        else:
            done = list(zip(batch, taken, strict=True))
        for step, took in done:
            if step.version not in self._reported:
                self._tell(step, took)
        return done, lost

    def _report_reached(self, monitor: Connection) -> None:
        """Report what the server has done of a message of several migrations that still runs."""
        if len(self.under_way) < 2:
            return
        done = self._recorded_by(monitor, self.under_way)
        new = [(step, took) for step, took in done if step.version not in self._reported]
        for step, took in new:
            self._tell(step, took)
            self._reported.add(step.version)
        if new and len(done) < len(self.under_way):
            self._say_started(self.under_way[len(done)])

    def _recorded(self, history: History, batch: list[Step]) -> list[tuple[Step, int]]:
        times = history.done_by(self._session.recorder.run, batch[0].direction)
        return [(step, times[step.version]) for step in batch if step.version in times]

    def _recorded_by(self, monitor: Connection, batch: list[Step]) -> list[tuple[Step, int]]:
        return self._recorded(History(monitor, self._session.history.schema), batch)

    def _recorded_elsewhere(self, batch: list[Step]) -> list[tuple[Step, int]]:
        """What a second session finds; nothing where the server does not answer that one either."""
        try:
            monitor = self._watch.connection()
            if monitor is None:
                return []
            return self._recorded_by(monitor, batch)
        except (ServerError, TurnbackError):
            return []

    def _run_one(self, step: Step) -> int:
        self._say_started(step)
        self._check_detached(step)
        ladder = self._ladder(step)
        locks = locks_beforehand(step)
        for pause in pauses():
            try:
                ladder.wait_for(locks)
                took = self._try(step, ladder)
            except LockTimeout as error:
                found = self._watch.blocked_by or ladder.look()
                error.message += f"{blocked_text(found)}{ladder.allow_for(found)}"
                wait = pause * random.uniform(0.5, 1.5)
                if found:
                    # The next attempt begins by looking whether they have gone.
                    wait = min(wait, LOOK_EVERY_S)
                if time.monotonic() + wait > ladder.deadline:
                    self._record_failure(step, error)
                    raise
                ladder.climb()
                ladder.blocked_by = found
                text = f"did not get its lock: {error.message}; next try in {wait:.1f} s"
                self._say(EventKind.RETRYING, step, text)
                time.sleep(wait)
            except (RunnerBusy, HistoryConflict, DatabaseNotReady, RunCancelled):
                # Another run works on it, or has done it: its records are the true ones. Or
                # nothing can be recorded now.
                raise
            except TurnbackError as error:
                self._record_failure(step, error)
                raise
            else:
                self._tell(step, took)
                return took
        raise AssertionError("pauses never end")

    def _ladder(self, step: Step) -> Ladder:
        def meanwhile() -> None:
            if not self._control.keep_going():
                raise NotBegun
            if reason := self._control.cancelled():
                raise self._cancelled(reason, step)

        directive = step.runnable.script.directives.lock_timeout_ms
        return Ladder(
            self._session.connection,
            self._lock_timeout_ms if directive is None else directive,
            self._session.options.lock_retry_s,
            say=lambda text: self._say(EventKind.RETRYING, step, text),
            meanwhile=meanwhile,
        )

    def _try(self, step: Step, ladder: Ladder) -> int:
        if (
            step.runnable.ranged
            and step.direction == "up"
            and self._session.options.backfills_later
        ):
            return background.register(self._session, step, self._pace)
        if step.runnable.ranged:
            return backfill.run(self._session, step, self._pace, ladder.meanwhile)
        if step.runnable.swap:
            return swap.run(self._session, step, self._pace, ladder)
        divides = bool(step.runnable.starts)
        if step.runnable.one_by_one or (step.half and divides):
            return run.run(self._session, step, self._watch, ladder)
        if divides:
            return divided.run(self._session, step, self._watch, ladder)
        if step.half:
            return undo.run(self._session, step, step.half, self._watch, ladder)
        if step.repeat:
            return recreate.run(self._session, step, self._watch, ladder)
        return transaction.run(self._session, step, self._watch, ladder)

    def _check_detached(self, step: Step) -> None:
        """Report an earlier attempt that was left running and has no record; refuse after some."""
        tries = self._detached.get(step.version, 0)
        if not tries:
            return
        text = "it was left running in the server, and ended there without a record"
        if tries >= _LOST_TRIES:
            error = MigrationFailed(
                f"{step.version}: {text}, {tries} times",
                file=step.runnable.script.path,
                version=step.version,
                hint="the server's log says why it ended; fix that and run turnback up again",
            )
            self._record_failure(step, error)
            raise error
        self._say(EventKind.LOST, step, f"{text}; it is run again")

    def _leave(self, *, cleanup: bool) -> Step:
        step = self.under_way[0]
        monitor = self._watch.connection()
        if monitor is not None:
            try:
                step = self._first_not_done(monitor)
                if not cleanup:
                    record = self._session.recorder.detached(step.migration, step.direction)
                    send(monitor, record)
            except (ServerError, TurnbackError) as error:
                self._progress(f"leaving it to the server could not be recorded: {error}")
        # Only this side is closed. The server runs the message to its end: it notices its client
        # when it has something to send (client_connection_check_interval is 0).
        self._session.connection.close()
        return step

    def _first_not_done(self, monitor: Connection) -> Step:
        """The step of the message that the server has reached."""
        *earlier, last = self.under_way
        if not earlier:
            return last
        done = {step.version for step, _ in self._recorded_by(monitor, earlier)}
        return next((step for step in earlier if step.version not in done), last)

    def _record_failure(self, step: Step, error: TurnbackError) -> None:
        if not self._session.usable:
            return
        recorder = self._session.recorder
        record = recorder.failed(step.migration, step.direction, str(error), error.sqlstate)
        try:
            send(self._session.connection, f"{recorder.reset} {record}")
        except (ServerError, TurnbackError) as exc:
            error.hint = f"{error.hint}; the failure could not be recorded: {exc}"

    def _progress(self, text: str, percent: int | None = None) -> None:
        self._say(EventKind.PROGRESS, self.under_way[0], text, percent=percent)

    def _say_started(self, step: Step) -> None:
        text = "applying" if step.direction == "up" else "rolling back"
        self._say(EventKind.STARTED, step, text)

    def _tell(self, step: Step, took: int) -> None:
        kind = EventKind.APPLIED if step.direction == "up" else EventKind.ROLLED_BACK
        self._say(kind, step, took=took)

    def _say(
        self,
        kind: EventKind,
        step: Step,
        text: str = "",
        *,
        took: int | None = None,
        percent: int | None = None,
    ) -> None:
        self._session.listener(
            Event(
                kind,
                step.version,
                step.name,
                execution_ms=took,
                text=text,
                position=self._places.get(id(step)),
                total=self._total,
                percent=percent,
            )
        )


def pauses() -> Iterator[float]:
    """The pauses between attempts at a lock, seconds: each twice as long, up to a limit."""
    pause = _FIRST_PAUSE_S
    while True:
        yield pause
        pause = min(pause * 2, _LONGEST_PAUSE_S)
