"""Runs a backfill: batch after batch, from where the records say that it is.

Each batch is one message, a transaction of its own: the rows, the position, the counts. Its size
follows the time that the last one took. A batch that fails is tried again, then halved down to the
row, whose key is kept aside; the rest goes on.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from turnback.engine.backfill.brakes import reason_to_wait
from turnback.engine.backfill.keys import Keys
from turnback.engine.backfill.records import MOVED, Progress, Range, Records
from turnback.engine.outside.run import begin_message, finish_message
from turnback.engine.run.failure import point, refused_by_us
from turnback.engine.run.plan import Step
from turnback.engine.run.session import Session
from turnback.engine.run.transaction import RESET, header_settings
from turnback.engine.session import lock
from turnback.engine.session.disclosure import public
from turnback.engine.session.events import Event, EventKind
from turnback.engine.session.message import Connection, ServerError, rows, send
from turnback.engine.session.query import OURSELVES
from turnback.errors import MigrationIncomplete, RunnerBusy, TurnbackError
from turnback.settings.pace import Pace
from turnback.sql.backfill import RangedStatement
from turnback.wording import counted

_TRIES = 3
_FIRST_PAUSE_S = 0.1
_MOST_ROWS = 100_000
_MOST_PARKED = 100
_MOST_PASSES = 10
_LOOK_EVERY_S = 1.0
_SAY_EVERY_S = 0.5
# A lock timeout, a deadlock, a serialization failure: the next attempt may get through.
_TRANSIENT = ("55P03", "40P01", "40001")
_CANCELED = "57014"
# Errors of values in rows: the classes 21, 22 and 23, a RAISE, an assertion, too long a row.
_OF_ROWS = ("21", "22", "23", "P0", "54")


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
    work = _Backfill(session, step, statement, pace, meanwhile)
    work.begin()
    try:
        work.run()
        return work.finish()
    except TurnbackError as error:
        work.record_what_is_left(error)
        raise


class _Paused(Exception):
    """Somebody has paused or cancelled the backfill, or another part of it has failed."""


@dataclass(slots=True)
class _Backfill:
    """One migration's backfill, in the session of the run.

    Attributes:
        keys: of its table.
        ranges: as they were when it began.
    """

    session: Session
    step: Step
    statement: RangedStatement
    pace: Pace
    meanwhile: Callable[[], None]
    keys: Keys = field(init=False)
    records: Records = field(init=False)
    ranges: list[Range] = field(init=False)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _failures: queue.Queue[BaseException] = field(default_factory=queue.Queue)
    _said_at: float = 0.0

    def begin(self) -> None:
        """Register it, or find where it was."""
        session, step = self.session, self.step
        connection, schema = session.connection, session.history.schema
        self.keys = Keys.of(connection, self.statement, step.runnable.script)
        self.records = Records(schema, step.version, step.direction)
        self.records.create(connection)
        self.ranges = self.records.read(connection)
        checksum = step.runnable.script.checksum
        pace = self.pace
        states = {one.state for one in self.ranges}
        if not states - {"cancelled", "done"}:
            known = self._ends()
            begun = self.records.begin(
                checksum, self.keys.table, self.keys.columns, *known, pace.target_ms, pace.pause_ms
            )
        elif "paused" in states:
            raise MigrationIncomplete(
                f"the backfill of {step.version} is paused",
                file=step.runnable.script.path,
                version=step.version,
                hint=f"let it go on: turnback backfill resume {step.version}",
            )
        else:
            self._require_same()
            begun = f"{self.records.edited(checksum)}; {self.records.set_state('running')};"
            done = sum(one.rows for one in self.ranges)
            text = f"{counted(done, 'row')} are done"
            session.listener(Event(EventKind.RESUMED, step.version, step.name, text=text))
        trying = session.recorder.trying(step, 1, self.statement.statement, None)
        message = f"{begin_message(step, session.recorder)}; {trying}; {begun}"
        try:
            send(connection, message)
        except ServerError as error:
            raise refused_by_us(step, error) or error from error
        self.ranges = self.records.read(connection)

    def _ends(self) -> tuple[list[list[str]], int]:
        """The last key of each range, and how many keys there are, by estimate."""
        connection, keys = self.session.connection, self.keys
        in_all, _ = keys.size(connection)
        last = keys.last(connection)
        if last is None:
            return [], 0
        ends, parts = list[list[str]](), self.statement.options.parallel
        after: list[str] | None = None
        for _ in range(parts - 1):
            after = keys.at(connection, after, last, max(in_all // parts, 1))
            if after is None or after == last:
                break
            ends.append(after)
        return [*ends, last], in_all

    def _require_same(self) -> None:
        """The records are of this table and key: a position in another one means nothing."""
        first = self.ranges[0]
        if first.relation == self.keys.table and first.key == list(self.keys.columns):
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
        parts = [one for one in self.ranges if one.upto is not None]
        threads = [
            threading.Thread(target=self._elsewhere, args=(one, lock.held_by(schema, pid)))
            for one in parts[1:]
        ]
        for thread in threads:
            thread.start()
        try:
            for one in parts[:1]:
                self._do(connection, one, self.session.recorder.lock_assertion, self._between)
            while any(thread.is_alive() for thread in threads):
                self._between(connection)
                time.sleep(_SAY_EVERY_S / 5)
        except _Paused:
            pass
        finally:
            self._stopped.set()
            for thread in threads:
                thread.join()
        if not self._failures.empty():
            raise self._failures.get()
        self._refuse_unfinished()

    def _elsewhere(self, part: Range, lock_held: str) -> None:
        """Do one range in a session of its own, which stops when the run's session ends."""
        try:
            with self.session.open_worker() as connection:
                self._do(connection, part, lock_held, lambda _: None)
        except _Paused:
            pass
        except BaseException as error:
            self._failures.put(error)
            self._stopped.set()

    def _do(
        self,
        connection: Connection,
        part: Range,
        lock_held: str,
        between: Callable[[Connection], None],
    ) -> None:
        settings = [RESET, *(f"SET {one};" for one in header_settings(self.step.runnable.script))]
        send(connection, " ".join(settings))
        worker = _Worker(self, connection, part, lock_held, between)
        worker.run()

    def _between(self, connection: Connection) -> None:
        """Between two batches of the run's own session: what was asked for, and what to say."""
        self.meanwhile()
        if self._stopped.is_set():
            raise _Paused
        now = time.monotonic()
        if now < self._said_at + _SAY_EVERY_S:
            return
        self._said_at = now
        found = self.records.read(connection)
        progress = Progress.of(found)
        self.session.listener(
            Event(
                EventKind.PROGRESS,
                self.step.version,
                self.step.name,
                text=str(progress),
                percent=progress.percent,
            )
        )

    def say(self, text: str) -> None:
        """Tell why it waits."""
        step = self.step
        self.session.listener(Event(EventKind.RETRYING, step.version, step.name, text=text))

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

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
                hint=f"go on: turnback backfill resume {version}; or undo what was done: "
                "turnback down",
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
            send(self.session.connection, f"{RESET} {recorder.left(step, 1, error.message)}")

    def finish(self) -> int:
        """Verify and record the whole migration."""
        step, recorder = self.step, self.session.recorder
        took = sum(one.work_ms for one in self.ranges)
        prefix, verify = finish_message(step, recorder, took)
        before = f"{OURSELVES} {recorder.lock_assertion} {self.records.done()};"
        ran = f"the rows of {step.version} were changed, and that was kept"
        try:
            send(self.session.connection, f"{RESET} {before} {prefix}{verify}")
        except ServerError as error:
            if refused := refused_by_us(step, error, ran):
                raise refused from error
            if step.verify is None:
                raise
            raise point(
                Step(step.migration, step.direction, step.verify),
                error,
                None,
                None,
                incomplete=f"{ran}; correct what it found, and run turnback up again",
            ) from error
        recorder.count(step)
        return took


class _Worker:
    """Does one range, in one session."""

    def __init__(
        self,
        backfill: _Backfill,
        connection: Connection,
        part: Range,
        lock_held: str,
        between: Callable[[Connection], None],
    ) -> None:
        self._backfill = backfill
        self._connection = connection
        self._part = part
        self._lock_held = lock_held
        self._between = between
        self._records, self._keys = backfill.records, backfill.keys
        self._statement = backfill.statement
        self._position = part.position
        assert part.upto is not None
        self._upto: Sequence[str] = part.upto
        self._size = max(part.batch_rows, 1)
        self._target_ms, self._pause_ms = part.target_ms, part.pause_ms
        # The size that a batch had which failed, while it is halved.
        self._size_before: int | None = None
        self._parked = len(part.parked)
        # Where in the file the last error was.
        self._failed_at = self._statement.statement.offset
        # Whether the last batch was refused often enough: until one of that size is done, the
        # others are halved at once.
        self._refused = False
        self._looked_at = 0.0
        self._locked_since: float | None = None
        rows, size = self._keys.size(connection)
        self._row_bytes = size / rows if rows else 0
        self._written = 0.0

    def run(self) -> None:
        """Do the range, from its position to its end; then the rows that were kept aside before."""
        parked = list(self._part.parked)
        passes = self._part.passes
        while True:
            changed = self._go_through()
            if not self._statement.options.sweep or not changed or passes >= _MOST_PASSES:
                break
            passes += 1
            last = self._keys.last(self._connection) if self._is_last else self._upto
            self._upto = last or self._upto
            self._send(self._records.again(self._part.part, self._upto, passes))
            self._position = self._part.low
        for one in reversed(range(len(parked))):
            self._again(parked[one].key, one)

    @property
    def _is_last(self) -> bool:
        return self._part.part == len(self._backfill.ranges)

    def _go_through(self) -> int:
        """Do what is left of the range; how many rows it changed."""
        changed = tries = 0
        while self._position is None or list(self._position) != list(self._upto):
            self._wait()
            upto = self._keys.at(self._connection, self._position, self._upto, self._size)
            is_whole = upto is not None
            upto = upto or list(self._upto)
            try:
                began = time.monotonic()
                rows_changed = self._batch(upto, self._size)
            except ServerError as error:
                tries = self._failed(error, upto, tries + 1)
                continue
            self._took((time.monotonic() - began) * 1000, is_whole=is_whole)
            changed, tries, self._position = changed + rows_changed, 0, upto
            self._locked_since = None
            self._written += rows_changed * self._row_bytes
            self._vacuum()
        return changed

    def _batch(self, upto: Sequence[str], keys: int) -> int:
        """Send one batch; how many rows it changed."""
        condition = self._keys.between(self._statement.columns, self._position, upto)
        size = self._size_before or self._size
        statement = self._statement.over(condition)
        sql = self._records.batch(statement, self._part.part, upto, keys, size)
        try:
            return self._send(sql)
        except ServerError as error:
            before = self._prefix + sql[: sql.index(statement)]
            self._failed_at = self._statement.statement.offset
            if error.position is not None and error.position > len(before):
                self._failed_at = self._statement.place(error.position - 1 - len(before), condition)
            raise

    @property
    def _prefix(self) -> str:
        """What precedes every message of a batch."""
        at = self._records.still_at(self._part.part, self._position)
        # The last message of the migration waits for the disk, and with it for all before it.
        return f"{OURSELVES} {self._lock_held} {at} SET LOCAL synchronous_commit = off; "

    def _send(self, sql: str) -> int:
        results = send(self._connection, f"{self._prefix}{sql}")
        found = rows(results[-1])
        if not found:
            return 0
        state, target, pause, changed = found[0]
        self._target_ms, self._pause_ms = int(target or 0), int(pause or 0)
        if state in ("paused", "cancelled"):
            raise _Paused
        return int(changed or 0)

    def _took(self, elapsed_ms: float, *, is_whole: bool) -> None:
        """Choose the size of the next batch."""
        if self._size_before is not None:
            return
        self._refused = False
        factor = min(max(self._target_ms / max(elapsed_ms, 0.1), 0.5), 1.2)
        if factor <= 1 or is_whole:
            self._size = max(1, min(round(self._size * factor + 0.5), _MOST_ROWS))

    def _failed(self, error: ServerError, upto: Sequence[str], tries: int) -> int:
        """Decide what follows an error of a batch; how often it was tried."""
        if MOVED in error.message:
            raise RunnerBusy(
                "another run goes on with this backfill",
                version=self._backfill.step.version,
                hint="wait for it: turnback backfill status",
            ) from error
        if error.sqlstate in _TRANSIENT:
            self._wait_for_lock(error)
            return 0
        if not (error.sqlstate.startswith(_OF_ROWS) or error.sqlstate == _CANCELED):
            raise self._failure(error) from error
        if tries < _TRIES and not self._refused:
            time.sleep(_FIRST_PAUSE_S * 2**tries)
            return tries
        self._refused = True
        if self._size > 1:
            self._size_before = self._size_before or self._size
            self._size //= 2
            return 0
        if self._parked >= _MOST_PARKED:
            raise self._failure(error, f"{_MOST_PARKED} rows failed before it; ") from error
        self._parked += 1
        said = public(error, self._statement.text)
        self._send(self._records.park(self._part.part, upto, said))
        self._position = list(upto)
        self._size, self._size_before = self._size_before or 1, None
        return 0

    def _wait_for_lock(self, error: ServerError) -> None:
        now = time.monotonic()
        self._locked_since = self._locked_since or now
        if now - self._locked_since > self._backfill.session.options.lock_retry_s:
            raise self._failure(error) from error
        self._backfill.say(f"a batch did not get its lock: {error}; it is tried again")
        time.sleep(_FIRST_PAUSE_S)

    def _failure(self, error: ServerError, said: str = "") -> TurnbackError:
        step = self._backfill.step
        if refused := refused_by_us(step, error):
            return refused
        again = f"run turnback {step.direction} again: it goes on there"
        kept = f"{said}the batches before it are done and kept; fix it and {again}"
        statement = self._statement.statement
        return point(step, error, self._failed_at, statement, incomplete=kept)

    def _again(self, key: Sequence[str], number: int) -> None:
        """Try a row again that was kept aside before."""
        condition = self._keys.equal(self._statement.columns, key)
        statement = self._statement.over(condition)
        try:
            self._send(self._records.freed(statement, self._part.part, number))
        except ServerError as error:
            if not error.sqlstate.startswith(_OF_ROWS):
                raise self._failure(error) from error

    def _wait(self) -> None:
        """Between two batches: until nothing is in the way of the next one."""
        self._between(self._connection)
        if self._pause_ms:
            self._sleep(self._pause_ms / 1000)
        if time.monotonic() < self._looked_at + _LOOK_EVERY_S:
            return
        said = None
        while reason := reason_to_wait(self._connection, self._backfill.pace):
            if reason != said:
                self._backfill.say(f"waits: {reason}")
                said = reason
            self._between(self._connection)
            self._sleep(_LOOK_EVERY_S)
        self._looked_at = time.monotonic()

    def _sleep(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if self._backfill.stopped:
                raise _Paused
            time.sleep(min(left, _FIRST_PAUSE_S))
            self._between(self._connection)

    def _vacuum(self) -> None:
        limit = self._statement.options.vacuum
        if limit is None or self._written < limit:
            return
        self._written = 0.0
        # Without TRUNCATE it takes no lock that a reader waits for; another one at work is enough.
        send(self._connection, f"VACUUM (SKIP_LOCKED, TRUNCATE false) {self._keys.table}")
