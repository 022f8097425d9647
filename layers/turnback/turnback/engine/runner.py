"""Step after step: batches, tries, and what is recorded when one fails."""

from __future__ import annotations

import itertools
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from turnback.engine import outside, transaction
from turnback.engine.events import Event, Listener, Options
from turnback.engine.history import History
from turnback.engine.message import Connection, ServerError, send
from turnback.engine.plan import Step
from turnback.engine.record import Recorder
from turnback.errors import LockTimeout, TurnbackError

_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 8.0


class Runner:
    """Runs the steps of a plan in a session that holds the lock."""

    def __init__(
        self,
        connection: Connection,
        history: History,
        recorder: Recorder,
        options: Options,
        listener: Listener,
    ) -> None:
        self._connection = connection
        self._history = history
        self._recorder = recorder
        self._options = options
        self._listener = listener

    def run(
        self, steps: Sequence[Step], keep_going: Callable[[], bool]
    ) -> Iterator[tuple[Step, int]]:
        """Each step with its milliseconds, as it is done.

        Raises:
            TurnbackError: a step failed; it is recorded as failed.
        """
        queue = deque(steps)
        alone = 0
        while queue and keep_going():
            batch = [queue[0]] if alone else self._batch(queue)
            if len(batch) > 1:
                done = self._run_batch(batch)
                # What a failed batch leaves runs one by one, so that the error points.
                alone = len(batch) - len(done)
            else:
                done = [(batch[0], self._run_one(batch[0]))]
                alone = max(alone - 1, 0)
            for step, took in done:
                queue.popleft()
                yield step, took

    def _batch(self, queue: Iterable[Step]) -> list[Step]:
        batch: list[Step] = []
        characters = 0
        for step in itertools.islice(queue, transaction.BATCH_STEPS):
            characters += len(step.runnable.text)
            together = self._options.batch and transaction.fits_batch(step)
            if batch and (not together or characters > transaction.BATCH_CHARACTERS):
                break
            batch.append(step)
            if not together:
                break
        return batch

    def _run_batch(self, batch: list[Step]) -> list[tuple[Step, int]]:
        try:
            taken = transaction.run_batch(self._connection, batch, self._recorder)
        except ServerError:
            times = self._history.done_by(self._recorder.run, batch[0].direction)
            done = [(step, times[step.version]) for step in batch if step.version in times]
        else:
            done = list(zip(batch, taken, strict=True))
        for step, took in done:
            self._tell(step, took)
        return done

    def _run_one(self, step: Step) -> int:
        self._listener(Event("started", step.version, step.name))
        deadline = time.monotonic() + self._options.lock_retry_s
        pause = _FIRST_PAUSE_S
        while True:
            try:
                took = self._try(step)
            except LockTimeout as error:
                wait = pause * random.uniform(0.5, 1.5)
                if time.monotonic() + wait > deadline:
                    self._record_failure(step, error)
                    raise
                self._listener(
                    Event(
                        "retrying",
                        step.version,
                        step.name,
                        text=f"{error.message}; next try in {wait:.1f} s",
                    )
                )
                time.sleep(wait)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
            except TurnbackError as error:
                self._record_failure(step, error)
                raise
            else:
                self._tell(step, took)
                return took

    def _try(self, step: Step) -> int:
        if step.runnable.one_by_one:
            return outside.run(
                self._connection, step, self._recorder, self._history, self._listener
            )
        return transaction.run(self._connection, step, self._recorder)

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

    def _tell(self, step: Step, took: int) -> None:
        kind = "applied" if step.direction == "up" else "rolled_back"
        self._listener(Event(kind, step.version, step.name, execution_ms=took))
