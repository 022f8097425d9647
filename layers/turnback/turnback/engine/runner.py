"""Step after step: batches, tries, leaving in time, and what is recorded when one fails."""

from __future__ import annotations

import itertools
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from turnback.engine.look.history import History
from turnback.engine.outside import run, undo
from turnback.engine.run import transaction
from turnback.engine.run.plan import Step
from turnback.engine.run.record import Recorder
from turnback.engine.session.events import Cancelled, Event, Listener, Options, never
from turnback.engine.session.message import Connection, ServerError, send
from turnback.engine.session.watch import Detached, Watch, blocked_text
from turnback.errors import LockTimeout, MigrationFailed, RunCancelled, TurnbackError

_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 8.0
# How often a statement may end in the server without a record, before it counts as failing.
_LOST_TRIES = 2


class StillRunning(Exception):
    """We left, and this step's statement goes on in the server."""

    def __init__(self, step: Step) -> None:
        super().__init__(step.version)
        self.step = step


class Runner:
    """Runs the steps of a plan in a session that holds the lock.

    Args:
        connection: the session.
        history: reads what is recorded.
        recorder: writes it.
        options: how patient to be.
        listener: told what happens.
        monitor: opens a second session, to look at the first.
        detached: version → how often its statement was left running and ended without a record.
        done_before: how many migrations the run has done in calls before this one.
    """

    def __init__(
        self,
        connection: Connection,
        history: History,
        recorder: Recorder,
        options: Options,
        listener: Listener,
        *,
        monitor: Callable[[], Connection],
        detached: Mapping[str, int],
        done_before: int = 0,
    ) -> None:
        self._connection = connection
        self._history = history
        self._recorder = recorder
        self._options = options
        self._listener = listener
        self._monitor = monitor
        self._detached = detached
        self._done_before = done_before
        self._places: dict[str, int] = {}
        self._under_way: list[Step] = []

    def run(
        self,
        steps: Sequence[Step],
        keep_going: Callable[[], bool],
        cancelled: Cancelled = never,
    ) -> Iterator[tuple[Step, int]]:
        """Each step with its milliseconds, as it is done.

        Args:
            steps: in this order.
            keep_going: asked before each message and while one has no answer; when it says no, a
                message that is under way is left to the server.
            cancelled: asked before each message; a reason ends the run there.

        Raises:
            RunCancelled: there was a reason.
            TurnbackError: a step failed; it is recorded as failed.
            StillRunning: we left a step that goes on.
        """
        self._places = {
            step.version: number for number, step in enumerate(steps, self._done_before + 1)
        }
        watch = Watch(
            self._monitor,
            self._connection.info.backend_pid,
            first_look_s=min(0.3, self._options.lock_timeout_ms / 3000),
            tell=self._progress,
            leave=lambda: not keep_going(),
        )
        try:
            yield from self._run(steps, keep_going, cancelled, watch)
        except Detached as left:
            step = self._leave(watch, mending=left.mending)
            raise StillRunning(step) from None
        finally:
            watch.close()

    def _run(
        self,
        steps: Sequence[Step],
        keep_going: Callable[[], bool],
        cancelled: Cancelled,
        watch: Watch,
    ) -> Iterator[tuple[Step, int]]:
        queue = deque(steps)
        alone = 0
        while queue and keep_going():
            if reason := cancelled():
                raise self._cancelled(reason, queue[0])
            batch = [queue[0]] if alone else self._batch(queue)
            self._under_way = batch
            if len(batch) > 1:
                done = self._run_batch(batch, watch)
                # What a failed batch leaves runs one by one, so that the error points.
                alone = len(batch) - len(done)
            else:
                done = [(batch[0], self._run_one(batch[0], watch))]
                alone = max(alone - 1, 0)
            for step, took in done:
                queue.popleft()
                yield step, took

    def _cancelled(self, reason: str, following: Step) -> RunCancelled:
        done = self._places[following.version] - 1
        verb = "applied" if following.direction == "up" else "rolled back"
        return RunCancelled(
            f"{reason}: {done} of {self._done_before + len(self._places)} migrations were {verb}, "
            f"the next is {following.version}",
            version=following.version,
            hint=f"run it again: it goes on at {following.version}",
        )

    def _batch(self, queue: Iterable[Step]) -> list[Step]:
        batch: list[Step] = []
        characters = 0
        for step in itertools.islice(queue, transaction.BATCH_STEPS):
            characters += len(step.runnable.text)
            together = (
                self._options.batch
                and transaction.fits_batch(step)
                and step.version not in self._detached
            )
            if batch and (not together or characters > transaction.BATCH_CHARACTERS):
                break
            batch.append(step)
            if not together:
                break
        return batch

    def _run_batch(self, batch: list[Step], watch: Watch) -> list[tuple[Step, int]]:
        try:
            taken = transaction.run_batch(self._connection, batch, self._recorder, watch)
        except ServerError:
            times = self._history.done_by(self._recorder.run, batch[0].direction)
            done = [(step, times[step.version]) for step in batch if step.version in times]
        else:
            done = list(zip(batch, taken, strict=True))
        for step, took in done:
            self._tell(step, took)
        return done

    def _run_one(self, step: Step, watch: Watch) -> int:
        self._say("started", step)
        self._judge_detached(step)
        deadline = time.monotonic() + self._options.lock_retry_s
        pause = _FIRST_PAUSE_S
        while True:
            try:
                took = self._try(step, watch)
            except LockTimeout as error:
                error.message += blocked_text(watch.blocked_by)
                wait = pause * random.uniform(0.5, 1.5)
                if time.monotonic() + wait > deadline:
                    self._record_failure(step, error)
                    raise
                self._say("retrying", step, f"{error.message}; next try in {wait:.1f} s")
                time.sleep(wait)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
            except TurnbackError as error:
                self._record_failure(step, error)
                raise
            else:
                self._tell(step, took)
                return took

    def _try(self, step: Step, watch: Watch) -> int:
        if step.runnable.one_by_one:
            return run.run(
                self._connection, step, self._recorder, self._history, self._listener, watch
            )
        if step.half:
            return undo.run(
                self._connection, step, step.half, self._recorder, self._listener, watch
            )
        return transaction.run(self._connection, step, self._recorder, watch)

    def _judge_detached(self, step: Step) -> None:
        """Say that an earlier try was left running and has no record; refuse after some."""
        tries = self._detached.get(step.version, 0)
        if not tries:
            return
        text = "it was left running in the server, and ended there without a record"
        if tries >= _LOST_TRIES:
            error = MigrationFailed(
                f"{step.version}: {text}, {tries} times",
                file=step.runnable.script.path,
                version=step.version,
                hint="why it ended is in the server's log; mend it and run turnback up again",
            )
            self._record_failure(step, error)
            raise error
        self._say("lost", step, f"{text}; it is run again")

    def _leave(self, watch: Watch, *, mending: bool) -> Step:
        step = self._under_way[0]
        monitor = watch.connection()
        if monitor is not None:
            try:
                step = self._first_not_done(monitor)
                if not mending:
                    send(monitor, self._recorder.detached(step.migration, step.direction))
            except (ServerError, TurnbackError) as error:
                self._progress(f"that we leave it to the server could not be recorded: {error}")
        # Only our side is closed. The server carries the message to its end: it looks at its
        # client when it has something to send (client_connection_check_interval is 0).
        self._connection.close()
        return step

    def _first_not_done(self, monitor: Connection) -> Step:
        """The step of our message that the server is at."""
        *others, last = self._under_way
        if not others:
            return last
        done = History(monitor, self._history.schema).done_by(self._recorder.run, last.direction)
        return next((step for step in others if step.version not in done), last)

    def _record_failure(self, step: Step, error: TurnbackError) -> None:
        if self._connection.closed or self._connection.broken:
            return
        record = self._recorder.failed(
            step.migration, step.direction, str(error), sqlstate=error.sqlstate
        )
        try:
            send(self._connection, f"{transaction.RESET} {record}")
        except (ServerError, TurnbackError) as exc:
            error.hint = f"{error.hint}; the failure could not be recorded: {exc}"

    def _progress(self, text: str, percent: int | None = None) -> None:
        self._say("progress", self._under_way[0], text, percent=percent)

    def _tell(self, step: Step, took: int) -> None:
        self._say("applied" if step.direction == "up" else "rolled_back", step, took=took)

    def _say(
        self,
        kind: str,
        step: Step,
        text: str = "",
        *,
        took: int | None = None,
        percent: int | None = None,
    ) -> None:
        self._listener(
            Event(
                kind,
                step.version,
                step.name,
                execution_ms=took,
                text=text,
                position=self._places.get(step.version),
                total=self._done_before + len(self._places),
                percent=percent,
            )
        )
