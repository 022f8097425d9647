"""A migration in several transactions: it uses a value of an enum that it adds.

Each is one message with the records of its statements, and the last one has the record of the
migration instead. A run that was cut off continues at the first one that is not recorded.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from turnback.engine.outside.run import begin, changes_session, done_and_kept
from turnback.engine.run import transaction
from turnback.engine.run.ladder import Ladder, locks_beforehand
from turnback.engine.run.plan import Step
from turnback.engine.run.record import Recorder
from turnback.engine.run.session import Session
from turnback.engine.run.transaction import Part
from turnback.engine.session.message import Watcher


def run(session: Session, step: Step, watch: Watcher | None, ladder: Ladder) -> int:
    """Run what is left of a migration, and return the milliseconds that it took.

    Raises:
        MigrationIncomplete: a transaction failed after others that were kept.
        TurnbackError: the first one failed, and nothing was kept.
        DatabaseUnreachable: the connection broke.
    """
    began = time.monotonic()
    _, done = begin(session, step, step.runnable.statements or ())
    for number, (one, part) in enumerate(_parts(step, session.recorder, done)):
        if number:
            ladder.wait_for(locks_beforehand(one))
        transaction.run(session, one, watch, ladder, part=part)
    return int((time.monotonic() - began) * 1000)


def preview(step: Step, recorder: Recorder) -> list[str]:
    """The messages that run this migration, one a transaction."""
    return [transaction.preview(one, recorder, part) for one, part in _parts(step, recorder)]


def _parts(step: Step, recorder: Recorder, done: int = 0) -> Iterator[tuple[Step, Part]]:
    """The transactions that are left, each as a step of its own."""
    numbers = {one.offset: n for n, one in enumerate(step.runnable.statements or (), 1)}
    *earlier, last = step.runnable.transactions(done)
    again = f"fix the rest and run turnback {step.direction} again: it continues there"
    for runnable in earlier:
        kept = f"{done_and_kept(done)}; {again}" if done else None
        statements = runnable.statements or ()
        records = [
            recorder.statement(step, numbers[one.offset], one)
            for one in statements
            if not changes_session(one)
        ]
        yield Step(step.migration, step.direction, runnable), Part(records, kept)
        done = numbers[statements[-1].offset]
    yield replace(step, runnable=last), Part(kept=f"{done_and_kept(done)}; {again}")
