"""Runs a backfill: batch after batch, from where the records say that it is.

Each batch is one message, a transaction of its own: the rows, the position, the counts. Its size
follows the time that the last one took. A batch that fails is tried again, then halved down to the
row, whose key is kept aside; the rest goes on.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from turnback.engine.backfill.keys import Keys
from turnback.engine.backfill.records import Bounds, Progress, Range, Records
from turnback.engine.backfill.worker import Job, Paused, Worker
from turnback.engine.look.history import History
from turnback.engine.outside.run import begin_message, finish, half_undone
from turnback.engine.run.failure import point, refused_by_us
from turnback.engine.run.plan import Step
from turnback.engine.run.session import Session
from turnback.engine.run.transaction import header_settings
from turnback.engine.session import lock
from turnback.engine.session.events import Event, EventKind
from turnback.engine.session.message import Connection, ServerError, send
from turnback.engine.session.query import OURSELVES
from turnback.errors import MigrationIncomplete, TurnbackError
from turnback.settings.pace import Pace
from turnback.sql.backfill import RangedStatement
from turnback.wording import counted

_SAY_EVERY_S = 0.5


def run(session: Session, step: Step, pace: Pace, meanwhile: Callable[[], None]) -> int:
    """Run a backfill from where it is to its end, and return the milliseconds of its batches.

    Args:
        session: holds the lock of the run.
        step: the migration.
        pace: how fast it goes.
        meanwhile: called between batches; raises to stop there.

    Raises:
        MigrationFailed: it cannot begin, and nothing was changed.
        MigrationIncomplete: it stopped in the middle, was paused, or rows could not be changed.
        LockTimeout: a batch did not get its locks for too long.
        DatabaseUnreachable: the connection broke. The next run goes on from the last batch.
    """
    statement = step.runnable.ranged
    assert statement is not None
    with _begun(session, step, statement, pace, meanwhile) as work:
        work.run()
        return work.finish()


def run_over(
    session: Session,
    step: Step,
    statement: RangedStatement,
    pace: Pace,
    meanwhile: Callable[[], None],
) -> int:
    """Run a statement over every range, as ``run`` does; the record of the migration is left."""
    with _begun(session, step, statement, pace, meanwhile) as work:
        work.run()
    return sum(one.work_ms for one in work.ranges)


@contextlib.contextmanager
def _begun(
    session: Session,
    step: Step,
    statement: RangedStatement,
    pace: Pace,
    meanwhile: Callable[[], None],
) -> Iterator[Work]:
    work = Work(session, step, statement, pace, meanwhile)
    work.begin()
    try:
        yield work
    except TurnbackError as error:
        work.record_what_is_left(error)
        raise


def lock_name(schema: str, version: str, direction: str = "up") -> str:
    """The name of the lock that a backfill has of its own."""
    return f"{schema}: backfill {version} {direction}"


def is_background(history: History, one: Range) -> bool:
    """Whether a range is of a background backfill: its migration is applied already."""
    under_way = one.direction == "up" and one.state != "done"
    return under_way and one.run is not None and one.version in history.applied_by(one.run)


@dataclass(slots=True)
class Work:
    """One migration's backfill, in the session of the run.

    Attributes:
        later: the run that has applied the migration, where its backfill is in the background,
            under a lock of its own; None where it is part of the migration, under the run's lock.
        reached: called with the progress, twice a second.
        keys: of its table.
        ranges: as they were when it began.
    """

    session: Session
    step: Step
    statement: RangedStatement
    pace: Pace
    meanwhile: Callable[[], None]
    later: str | None = None
    reached: Callable[[Progress], None] = lambda _: None
    keys: Keys = field(init=False)
    records: Records = field(init=False)
    ranges: list[Range] = field(init=False)
    _job: Job = field(init=False)
    _failures: queue.Queue[BaseException] = field(default_factory=queue.Queue)
    _said_at: float = 0.0

    def begin(self) -> None:
        """Register it, or find where it was."""
        session, step = self.session, self.step
        begun = self.find()
        trying = session.recorder.trying(step, 1, self.statement.statement, None)
        message = f"{begin_message(step, session.recorder)}; {trying}; {begun}"
        try:
            send(session.connection, message)
        except ServerError as error:
            raise refused_by_us(step, error) or error from error
        self.take_up()

    def find(self) -> str:
        """Find where it was; return SQL that registers it, or that it goes on."""
        session, step = self.session, self.step
        connection, schema = session.connection, session.history.schema
        self._look_up()
        self.records.create(connection)
        attempts = session.history.attempts(step.version)
        other = Records(schema, step.version, "down" if step.direction == "up" else "up")
        begun_there = other.read(connection)
        if not attempts[other.direction]:
            begun_there = [one for one in begun_there if is_background(session.history, one)]
        if step.direction == "up" and any(one.batches for one in begun_there):
            raise half_undone(step)
        # What was recorded before the whole was last rolled back says nothing of the rows now.
        self.ranges = self.records.read(connection) if attempts[step.direction] else []
        checksum = step.runnable.script.checksum
        pace = self.pace
        states = {one.state for one in self.ranges}
        if not states - {"cancelled", "done"}:
            try:
                known = self._done_of(begun_there) or self._all()
            except ServerError as error:
                where = self.statement.statement
                raise point(step, error, where.offset, where) from error
            return self.records.begin(
                checksum,
                self.keys.table,
                self.keys.columns,
                *known,
                pace.target_ms,
                pace.pause_ms,
                # Of one that was cancelled, rows in every range may be done.
                passes=2 if self.ranges else 1,
                run=self.later,
            )
        if "paused" in states:
            raise MigrationIncomplete(
                f"the backfill of {step.version} is paused",
                file=step.runnable.script.path,
                version=step.version,
                hint=f"let it go on: turnback backfill resume {step.version}",
            )
        self._require_same()
        done = sum(one.rows for one in self.ranges)
        text = f"{counted(done, 'row')} are done"
        session.listener(Event(EventKind.RESUMED, step.version, step.name, text=text))
        edited = self.records.edited(checksum, self.later)
        return f"{edited}; {self.records.set_state('running')};"

    def resume(self) -> None:
        """Take it up again where it is in the background."""
        self._look_up()
        self.take_up()
        self._require_same()

    def _look_up(self) -> None:
        session, script = self.session, self.step.runnable.script
        self.keys = Keys.of(session.connection, self.statement, script)
        self.records = Records(session.history.schema, self.step.version, self.step.direction)

    def take_up(self) -> None:
        """Read its records, once it is registered."""
        session, step = self.session, self.step
        self.ranges = self.records.read(session.connection)
        self._job = Job(
            step,
            self.statement,
            self.keys,
            self.records,
            self.pace,
            len(self.ranges),
            session.options.lock_retry_s,
            self._say,
            self._say_printed,
            session.history.schema,
            session.options.code,
        )

    def _done_of(self, ranges: Sequence[Range]) -> tuple[list[Bounds], int] | None:
        """What a backfill that is half done has gone through, for its rollback over the same keys.

        The rest of the rows may be right as they are. None where nothing limits it.
        """
        if not ranges or not self._is_of(ranges[0]):
            return None
        done: list[Bounds] = [
            (one.low, one.upto if one.passes > 1 else one.position)
            for one in ranges
            if one.passes > 1 or one.position != one.low
        ]
        return done, sum(one.keys for one in ranges)

    def _all(self) -> tuple[list[Bounds], int]:
        """The ranges of the whole table, and how many keys there are, by estimate."""
        connection, keys = self.session.connection, self.keys
        in_all, _ = keys.size(connection)
        last = keys.last(connection)
        if last is None:
            return [], 0
        found, parts = list[Bounds](), self.statement.options.parallel
        after: list[str] | None = None
        for _ in range(parts - 1):
            end = keys.at(connection, after, last, max(in_all // parts, 1))
            if end is None or end == last:
                break
            found.append((after, end))
            after = end
        return [*found, (after, last)], in_all

    def _is_of(self, part: Range) -> bool:
        """Whether a range is of this table and key."""
        return part.relation == self.keys.table and part.key == list(self.keys.columns)

    def _require_same(self) -> None:
        """The records are of this table and key: a position in another one means nothing."""
        first = self.ranges[0]
        if self._is_of(first):
            return
        raise MigrationIncomplete(
            f"the backfill was begun over {first.relation} ({', '.join(first.key)}), and the file "
            f"now says {self.keys.table} ({', '.join(self.keys.columns)})",
            file=self.step.runnable.script.path,
            line=self.statement.options.line,
            version=self.step.version,
            hint="restore the directive; or begin anew: turnback backfill cancel "
            f"{self.step.version}, and turnback up",
        )

    def run(self) -> None:
        """Do every range, each further one in a session of its own."""
        connection = self.session.connection
        pid, schema = connection.info.backend_pid, self.session.history.schema
        own = lock_name(schema, self.step.version, self.step.direction)
        locked = schema if self.later is None else own
        held = f"{lock.share(own)} {lock.held_by(locked, pid)}"
        parts = [one for one in self.ranges if one.upto is not None]
        threads = [threading.Thread(target=self._elsewhere, args=(one, held)) for one in parts[1:]]
        for thread in threads:
            thread.start()
        try:
            for one in parts[:1]:
                self._do(connection, one, lock.assertion(locked), self._between)
            while any(thread.is_alive() for thread in threads):
                self._between(connection)
                time.sleep(_SAY_EVERY_S / 5)
        except Paused:
            pass
        finally:
            self._job.stopped.set()
            for thread in threads:
                thread.join()
        if not self._failures.empty():
            raise self._failures.get()
        self._refuse_unfinished()

    def _elsewhere(self, part: Range, lock_held: str) -> None:
        """Do one range in a session of its own, which stops when the run's session ends."""
        try:
            with self.session.open_worker() as connection:
                self._do(connection, part, lock_held, self._require_going_on)
        except Paused:
            pass
        except BaseException as error:
            self._failures.put(error)
            self._job.stopped.set()

    def _do(
        self,
        connection: Connection,
        part: Range,
        lock_held: str,
        between: Callable[[Connection], None],
    ) -> None:
        settings = [
            self.session.recorder.reset,
            *(f"SET {one};" for one in header_settings(self.step.runnable.script)),
        ]
        send(connection, " ".join(settings))
        Worker(self._job, connection, part, lock_held, between).run()

    def _require_going_on(self, _connection: Connection) -> None:
        """Between two batches of any session: stop where another one has stopped."""
        if self._job.stopped.is_set():
            raise Paused

    def _between(self, connection: Connection) -> None:
        """Between two batches of the run's own session: what was asked for, and what to say."""
        self.meanwhile()
        self._require_going_on(connection)
        now = time.monotonic()
        if now < self._said_at + _SAY_EVERY_S:
            return
        self._said_at = now
        found = self.records.read(connection)
        progress = Progress.of(found)
        self.reached(progress)
        self.session.listener(
            Event(
                EventKind.PROGRESS,
                self.step.version,
                self.step.name,
                text=str(progress),
                percent=progress.percent,
            )
        )

    def _say(self, text: str) -> None:
        """Tell why it waits."""
        step = self.step
        self.session.listener(Event(EventKind.RETRYING, step.version, step.name, text=text))

    def _say_printed(self, text: str) -> None:
        """Show what the user's code has printed, which may have values of rows."""
        event = Event(EventKind.NOTICE, self.step.version, self.step.name, text="transform prints")
        self.session.listener(replace(event, whole=f"transform prints: {text.rstrip()}"))

    def _refuse_unfinished(self) -> None:
        """The records, once nobody works any more: all is done, or it says what is not."""
        self.ranges = self.records.read(self.session.connection)
        version, direction = self.step.version, self.step.direction
        done = counted(sum(one.rows for one in self.ranges), "row")
        paused = {one.state for one in self.ranges} & {"paused", "cancelled"}
        if paused:
            raise MigrationIncomplete(
                f"the backfill of {version} was {paused.pop()} when {done} were done",
                file=self.step.runnable.script.path,
                version=version,
                hint=f"go on: turnback backfill resume {version}, and turnback {direction}",
            )
        parked = [one for part in self.ranges for one in part.parked]
        if parked:
            shown = "; ".join(
                f"{', '.join(self.keys.columns)} = {', '.join(one.key)}: {one.error}"
                for one in parked[:5]
            )
            raise MigrationIncomplete(
                f"{counted(len(parked), 'row')} of {self.keys.table} could not be changed, "
                f"{done} were: {shown}",
                file=self.step.runnable.script.path,
                version=version,
                hint=f"correct these rows or the statement, and run turnback {direction} again: "
                "it tries only them",
            )

    def record_what_is_left(self, error: TurnbackError) -> None:
        """Record that rows were changed, so that the rollback script undoes it."""
        step, recorder = self.step, self.session.recorder
        if step.direction == "up" and self.session.usable:
            send(
                self.session.connection, f"{recorder.reset} {recorder.left(step, 1, error.message)}"
            )

    def finish(self) -> int:
        """Verify and record the whole migration."""
        took = sum(one.work_ms for one in self.ranges)
        recorder = self.session.recorder
        before = f"{recorder.reset} {OURSELVES} {recorder.lock_assertion} {self.records.done()}; "
        ran = f"the rows of {self.step.version} were changed, and that was kept"
        finish(self.session, self.step, took, ran, before)
        return took
