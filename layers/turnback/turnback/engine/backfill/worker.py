"""One range of a backfill, batch after batch."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from turnback.engine.backfill.brakes import reason_to_wait
from turnback.engine.backfill.changes import Transformed
from turnback.engine.backfill.keys import Keys
from turnback.engine.backfill.records import MOVED, Changes, Range, Records
from turnback.engine.backfill.seccomp import filters
from turnback.engine.backfill.transform import Transform, TransformFailed
from turnback.engine.run.failure import point, refused_by_us
from turnback.engine.run.plan import Step
from turnback.engine.session.disclosure import public
from turnback.engine.session.message import Connection, ServerError, rows, send
from turnback.engine.session.query import OURSELVES
from turnback.errors import MigrationIncomplete, RunnerBusy, TurnbackError
from turnback.settings.environment import CodeRule
from turnback.settings.pace import Pace
from turnback.sql.backfill import RangedStatement

_TRIES = 3
_FIRST_PAUSE_S = 0.1
_MOST_ROWS = 100_000
_MOST_PARKED = 100
_MOST_PASSES = 10
_LOOK_EVERY_S = 1.0
# So many VACUUMs, and one of them goes through the indexes.
_WITH_INDEXES = 8
# A lock timeout, a deadlock, a serialization failure: the next attempt may get through.
_TRANSIENT = ("55P03", "40P01", "40001")
_CONFLICT = "40001"
_CANCELED = "57014"
# Errors of values in rows: the classes 21, 22 and 23, a RAISE, an assertion, too long a row.
_OF_ROWS = ("21", "22", "23", "P0", "54")


class Paused(Exception):
    """Somebody has paused or cancelled the backfill, or another range of it has failed."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the ranges of one backfill have in common.

    Attributes:
        step: the migration.
        statement: what is run over each range.
        keys: of its table.
        records: its records.
        pace: how fast it goes.
        parts: how many ranges it has.
        lock_retry_s: for how long a batch that does not get its locks is tried again, seconds.
        say: tells why it waits.
        printed: gets what a user's code prints.
        history_schema: where turnback's own tables are.
        code: whether a user's code may run.
        stopped: set where the others stop.
    """

    step: Step
    statement: RangedStatement
    keys: Keys
    records: Records
    pace: Pace
    parts: int
    lock_retry_s: float
    say: Callable[[str], None]
    printed: Callable[[str], None]
    history_schema: str
    code: CodeRule
    stopped: threading.Event = field(default_factory=threading.Event)


class Worker:
    """Does one range, in one session.

    Args:
        job: the backfill.
        connection: the session.
        part: the range, as its records were when the session began.
        lock_held: a statement that fails where the run does not hold its lock any more.
        between: called between two batches; raises to stop there.
    """

    def __init__(
        self,
        job: Job,
        connection: Connection,
        part: Range,
        lock_held: str,
        between: Callable[[Connection], None],
    ) -> None:
        self._job = job
        self._connection = connection
        self._part = part
        self._lock_held = lock_held
        self._between = between
        self._records, self._keys = job.records, job.keys
        self._statement = job.statement
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
        self._vacuums = 0
        self._transformed: Transformed | None = None

    def run(self) -> None:
        """Do the range, from its position to its end; then the rows that were kept aside before.

        Raises:
            LockTimeout, MigrationIncomplete, RollbackFailed: the server refused something.
            RunnerBusy: another run goes on with it.
            Paused: somebody has paused it, or another range has failed.
        """
        try:
            self._transformed = self._start()
            self._run()
        except (ServerError, TransformFailed) as error:
            raise self._failure(error) from error
        finally:
            if self._transformed:
                self._transformed.close()

    def _start(self) -> Transformed | None:
        """What runs the user's code, of a migration in Python."""
        statement, job = self._statement, self._job
        if statement.code is None:
            return None
        script, options = job.step.runnable.script, statement.options
        limits = options.memory, options.time_ms / 1000
        transform = Transform(script, statement.code, *limits, job.code, job.printed)
        if filters() is None:
            job.say("on this system the code of the migration has network and files")
        return Transformed(statement, transform, job.history_schema, self._connection)

    def _run(self) -> None:
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
        return self._part.part == self._job.parts

    def _go_through(self) -> int:
        """Do what is left of the range; how many rows it changed."""
        changed = tries = 0
        while self._position is None or list(self._position) != list(self._upto):
            self._wait()
            self._failed_at = self._statement.statement.offset
            try:
                upto = self._keys.at(self._connection, self._position, self._upto, self._size)
            except ServerError as error:
                self._wait_for_lock(error)
                continue
            is_whole = upto is not None
            upto = upto or list(self._upto)
            try:
                began = time.monotonic()
                rows_changed = self._batch(upto, self._size)
            except (ServerError, TransformFailed) as error:
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
        if self._transformed:
            return self._transform(
                condition,
                lambda changes: self._records.batch(changes, self._part.part, upto, keys, size),
            )
        statement = self._statement.over(condition)
        sql = self._records.batch(Changes([statement]), self._part.part, upto, keys, size)
        try:
            return self._send(sql)
        except ServerError as error:
            before = self._prefix + sql[: sql.index(statement)]
            if error.position is not None and error.position > len(before):
                self._failed_at = self._statement.place(error.position - 1 - len(before), condition)
            raise

    def _transform(self, condition: str, sql: Callable[[Changes], str]) -> int:
        """Give a range to the user's code, and send what it makes of it; how many rows."""
        assert self._transformed is not None
        try:
            changed = self._send(sql(self._transformed.begin(condition)), commit=True)
        except BaseException:
            self._transformed.give_up()
            raise
        return changed

    @property
    def _prefix(self) -> str:
        """What precedes every message of a batch."""
        at = self._records.still_at(self._part.part, self._position)
        # The last message of the migration waits for the disk, and with it for all before it.
        return f"{OURSELVES} {self._lock_held} {at} SET LOCAL synchronous_commit = off; "

    def _send(self, sql: str, *, commit: bool = False) -> int:
        """Send SQL that returns the record of the range; with ``commit`` in a transaction."""
        results = send(self._connection, f"{self._prefix}{sql}{'; COMMIT' if commit else ''}")
        found = rows(results[-2 if commit else -1])
        if not found:
            return 0
        state, target, pause, changed = found[0]
        self._target_ms, self._pause_ms = int(target or 0), int(pause or 0)
        if state in ("paused", "cancelled"):
            raise Paused
        return int(changed or 0)

    def _took(self, elapsed_ms: float, *, is_whole: bool) -> None:
        """Choose the size of the next batch."""
        if self._size_before is not None:
            return
        self._refused = False
        factor = min(max(self._target_ms / max(elapsed_ms, 0.1), 0.5), 1.2)
        if factor <= 1 or is_whole:
            self._size = max(1, min(round(self._size * factor + 0.5), _MOST_ROWS))

    def _failed(self, error: ServerError | TransformFailed, upto: Sequence[str], tries: int) -> int:
        """Decide what follows an error of a batch; how often it was tried."""
        if isinstance(error, TransformFailed):
            if not error.of_rows:
                raise error
            # The code would fail again.
            tries = _TRIES
        elif error.sqlstate in _TRANSIENT:
            self._wait_for_lock(error)
            if error.sqlstate == _CONFLICT:
                # Fewer rows are changed by somebody else meanwhile.
                self._size = max(self._size // 2, 1)
            return 0
        elif not (error.sqlstate.startswith(_OF_ROWS) or error.sqlstate == _CANCELED):
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
        said = (
            self._said(error)
            if isinstance(error, TransformFailed)
            else public(error, self._statement.text)
        )
        self._send(self._records.park(self._part.part, upto, said))
        self._position = list(upto)
        self._size, self._size_before = self._size_before or 1, None
        return 0

    def _wait_for_lock(self, error: ServerError) -> None:
        """Wait for the next attempt; raise where none is left, or where it would fail as well."""
        now = time.monotonic()
        self._locked_since = self._locked_since or now
        waited = now - self._locked_since
        if error.sqlstate not in _TRANSIENT or waited > self._job.lock_retry_s:
            raise self._failure(error) from error
        what = f"a batch did not get its lock: {error}"
        if error.sqlstate == _CONFLICT:
            what = "another session has changed a row of the batch"
        self._job.say(f"{what}; it is tried again")
        time.sleep(_FIRST_PAUSE_S)

    def _said(self, error: TransformFailed) -> str:
        path = self._job.step.runnable.script.path
        return f"{error} ({path}:{error.line})" if error.line else str(error)

    def _failure(self, error: ServerError | TransformFailed, said: str = "") -> TurnbackError:
        step = self._job.step
        again = f"run turnback {step.direction} again: it goes on there"
        kept = f"{said}what was done before is kept; fix it and {again}"
        if isinstance(error, TransformFailed):
            line, column = step.runnable.position(self._statement.statement.offset)
            return MigrationIncomplete(
                error.message,
                file=step.runnable.script.path,
                line=error.line or line,
                column=error.column if error.line else column,
                version=step.version,
                hint=kept,
                detail=error.detail,
            )
        if MOVED in error.message:
            return RunnerBusy(
                "another run goes on with this backfill",
                version=step.version,
                hint="wait for it: turnback backfill status",
            )
        if refused := refused_by_us(step, error):
            return refused
        statement = self._statement.statement
        return point(step, error, self._failed_at, statement, incomplete=kept)

    def _again(self, key: Sequence[str], number: int) -> None:
        """Try a row again that was kept aside before."""
        condition = self._keys.equal(self._statement.columns, key)
        part = self._part.part
        try:
            if self._transformed:
                self._transform(condition, lambda found: self._records.freed(found, part, number))
            else:
                changes = Changes([self._statement.over(condition)])
                self._send(self._records.freed(changes, part, number))
        except TransformFailed as error:
            if not error.of_rows:
                raise
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
        while reason := reason_to_wait(self._connection, self._job.pace):
            if reason != said:
                self._job.say(f"waits: {reason}")
                said = reason
            self._between(self._connection)
            self._sleep(_LOOK_EVERY_S)
        self._looked_at = time.monotonic()

    def _sleep(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, _FIRST_PAUSE_S))
            self._between(self._connection)

    def _vacuum(self) -> None:
        limit = self._statement.options.vacuum
        if limit is None or self._written < limit:
            return
        self._written = 0.0
        self._vacuums += 1
        # The room of old rows is free without a pass over the indexes, which takes as long as they
        # are large; without any, each VACUUM would read again what the ones before have read.
        # Without TRUNCATE it takes no lock that a reader waits for; another one at work is enough.
        indexes = "auto" if self._vacuums % _WITH_INDEXES == 0 else "off"
        options = f"SKIP_LOCKED, TRUNCATE false, INDEX_CLEANUP {indexes}"
        send(self._connection, f"VACUUM ({options}) {self._keys.table}")
