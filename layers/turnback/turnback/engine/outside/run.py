"""A migration that cannot run in a transaction: one statement at a time, each with its record.

A statement that is refused in a transaction block travels in a pipeline with the record of it,
under one Sync: the server carries out both without waiting for us, and skips the record if the
statement fails. A run that was cut off goes on at the first statement that has no record.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from turnback.engine.look.half_done import Work
from turnback.engine.look.history import History, Try
from turnback.engine.outside import undo_outside
from turnback.engine.outside.alone import (
    SESSION_KINDS,
    alone,
    commits,
    run_alone,
    set_session,
    settled,
)
from turnback.engine.outside.healing import before, clean, heal, stays
from turnback.engine.outside.partitions import finish
from turnback.engine.outside.undoing import Undoing
from turnback.engine.run.failure import point
from turnback.engine.run.plan import Step
from turnback.engine.run.record import Recorder
from turnback.engine.run.transaction import OURSELVES, RESET
from turnback.engine.session.events import Event, Listener
from turnback.engine.session.message import Connection, Quiet, ServerError, send
from turnback.errors import MigrationFailed, MigrationIncomplete, TurnbackError
from turnback.migrations.checksums import digest
from turnback.sql.statements import Statement


def run(
    connection: Connection,
    step: Step,
    recorder: Recorder,
    history: History,
    listener: Listener,
    watch: Quiet | None = None,
) -> int:
    """Run a migration statement by statement, and return the milliseconds it took.

    Raises:
        MigrationIncomplete: a statement failed after others that stay.
        MigrationFailed, RollbackFailed: the first one failed, so nothing was changed.
        LockTimeout: a statement did not get its lock; trying again goes on there.
        DatabaseUnreachable: the connection broke.
    """
    began = time.monotonic()
    statements = step.runnable.statements
    if statements is None:
        raise MigrationFailed(
            "the file runs outside a transaction, and cannot be split into statements",
            file=step.runnable.script.path,
            version=step.version,
            hint="turnback check says where its syntax is not understood",
        )
    all_tries = history.tries(step.migration)
    tries = all_tries[step.direction]
    if step.direction == "up":
        _refuse_half_undone(step, all_tries["down"])
    done = settled(tries, statements)
    if done:
        listener(
            Event("resumed", step.version, step.name, text=f"{done} of {len(statements)} are done")
        )
    undoing = None
    if step.half:
        undoing = undo_outside.begin(connection, step, step.half, listener, tries, done, watch)
    elif step.direction == "up":
        send(connection, recorder.begun(step.migration, Work.of(statements).to_json(step.name)))
    set_session(connection, step, done)
    course = _Course(connection, step, recorder, listener, watch, undoing)
    changed = done
    for number, statement in enumerate(statements[done:], done + 1):
        if statement.kind in SESSION_KINDS:
            course.send_setting(statement, number, changed)
        else:
            course.carry(statement, number, tries.get(number), changed)
            changed = number
    elapsed = int((time.monotonic() - began) * 1000)
    _finish(connection, step, recorder, elapsed)
    return elapsed


@dataclass(frozen=True, slots=True)
class _Course:
    """One migration on its way, statement by statement."""

    connection: Connection
    step: Step
    recorder: Recorder
    listener: Listener
    watch: Quiet | None
    undoing: Undoing | None

    def send_setting(self, statement: Statement, number: int, changed: int) -> None:
        """Run a statement that only makes the session."""
        try:
            send(self.connection, statement.sql)
        except ServerError as error:
            raise _failure(self.step, error, statement, number, changed) from error

    def carry(self, statement: Statement, number: int, last: Try | None, changed: int) -> None:
        """Run a statement with its record; what it leaves when it fails is cleared, or recorded."""
        connection, step = self.connection, self.step
        cut_off = last if last and last.cut_off else None
        noted = cut_off.noted if cut_off else None
        try:
            if self.undoing:
                undo_outside.undo(
                    connection, self.undoing, statement, number, self.recorder, self.watch
                )
                return
            if not alone(step, statement):
                send(
                    connection,
                    f"{statement.sql}\n;{OURSELVES} {self._record(number, statement)}",
                    self.watch,
                )
                return
            if self._is_done(statement, number, cut_off):
                return
            noted = before(connection, statement, self.watch)
            checksum = digest(statement.sql.encode())
            trying = self.recorder.trying(step.migration, step.direction, number, checksum, noted)
            record = self._record(number, statement)
            run_alone(connection, step, statement, trying, record, self.watch)
            set_session(connection, step, number)
        except ServerError as error:
            if not self.undoing:
                clean(connection, statement, noted, self.watch)
            left = commits(step, statement) or stays(connection, statement)
            if left and step.direction == "up":
                row = self.recorder.left(step.migration, "up", number, str(error))
                send(connection, f"{RESET} {row}")
            raise _failure(step, error, statement, number, changed, left=left) from error

    def _is_done(self, statement: Statement, number: int, cut_off: Try | None) -> bool:
        """Whether the catalog shows that an earlier try did its work; else, that is cleared."""
        connection, step, watch = self.connection, self.step, self.watch
        noted = cut_off.noted if cut_off else None
        # What the catalog shows was done by the text as it was then.
        same = cut_off is not None and cut_off.checksum == digest(statement.sql.encode())
        healed = same and heal(connection, statement, noted, watch)
        if healed or finish(connection, statement, watch):
            self.listener(Event("recognised", step.version, step.name, text=statement.sql))
            send(connection, self._record(number, statement))
            return True
        if cut_off and not same:
            clean(connection, statement, noted, watch)
        return False

    def _record(self, number: int, statement: Statement) -> str:
        checksum = digest(statement.sql.encode())
        return self.recorder.statement(self.step.migration, self.step.direction, number, checksum)


def preview(step: Step, recorder: Recorder) -> list[str]:
    """The messages that carry this migration, one a statement with its record."""
    messages = []
    for number, statement in enumerate(step.runnable.statements or (), 1):
        checksum = digest(statement.sql.encode())
        record = recorder.statement(step.migration, step.direction, number, checksum)
        messages.append(f"{statement.sql};\n{record};")
    return messages


def _refuse_half_undone(step: Step, undone: dict[int, Try]) -> None:
    """Refuse to go on with what a rollback has begun to take back."""
    if any(one.done or one.cut_off for one in undone.values()):
        raise MigrationIncomplete(
            f"the rollback of {step.version}, which was half done, stopped in its middle",
            file=step.runnable.script.path,
            version=step.version,
            hint="take it to its end first: turnback down to the version before it",
        )


def _failure(
    step: Step,
    error: ServerError,
    statement: Statement,
    number: int,
    changed: int,
    *,
    left: bool = False,
) -> TurnbackError:
    offset = statement.offset
    if error.position is not None and error.position <= len(statement.sql):
        offset += error.position - 1
    incomplete = None
    verb = "up" if step.direction == "up" else "down"
    if commits(step, statement):
        incomplete = (
            f"what statement {number} had committed stays; make it fit to run again, and run "
            f"turnback {verb}: it goes on there"
        )
    elif changed:
        done = "statement 1 is done and stays"
        if changed > 1:
            done = f"statements 1 to {changed} are done and stay"
        incomplete = (
            f"{done}; mend statement {number} and run turnback {verb} again: it goes on there"
        )
    elif left:
        incomplete = (
            f"statement {number} has begun its work, and that stays; run turnback {verb} again: "
            "it goes on there"
        )
    return point(step, error, offset, statement, incomplete=incomplete)


def _finish(connection: Connection, step: Step, recorder: Recorder, elapsed: int) -> None:
    """Verify and record the whole migration, both or neither; tried again by the next run."""
    record = recorder.applied if step.direction == "up" else recorder.rolled_back
    prefix = f"{RESET} {record(step.migration, elapsed_ms=elapsed)};"
    if step.verify is None:
        send(connection, prefix)
        return
    prefix += " SET LOCAL transaction_read_only = on;\n"
    try:
        send(connection, f"{prefix}{step.verify.text}\n")
    except ServerError as error:
        offset = error.position - 1 - len(prefix) if error.position else 0
        raise point(
            Step(step.migration, step.direction, step.verify),
            error,
            max(offset, 0),
            None,
            incomplete=f"the statements of {step.version} ran outside a transaction and stay; "
            "set right what it found, and run turnback up again: it verifies again",
        ) from error
