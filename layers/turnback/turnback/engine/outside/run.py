"""A migration that cannot run in a transaction: one statement at a time, each with its record.

A statement that is refused in a transaction block is sent in a pipeline with its record, under one
Sync: the server runs both without waiting for the client, and skips the record if the statement
fails. A run that was cut off continues at the first statement that has no record.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from turnback.engine.look.half_done import ScriptEffects
from turnback.engine.look.history import Attempt
from turnback.engine.outside.cleanup import (
    clean_up,
    clean_up_before_rollback,
    left_something,
    prepare_attempt,
    was_completed,
)
from turnback.engine.outside.partitioned_index import (
    BY_PARTITION,
    PartitionedIndex,
    plain_drop,
    remove,
)
from turnback.engine.outside.partitions import finish_detach
from turnback.engine.outside.undo import Skipped, Undo
from turnback.engine.run.failure import (
    offset_in,
    point,
    refused_by_us,
    require_plain_reading,
    written_source,
)
from turnback.engine.run.ladder import Ladder, locks_of_each
from turnback.engine.run.plan import Step
from turnback.engine.run.record import Recorder
from turnback.engine.run.session import Session
from turnback.engine.run.transaction import header_settings
from turnback.engine.session.disclosure import public
from turnback.engine.session.events import Event, EventKind
from turnback.engine.session.message import (
    ServerError,
    Watcher,
    send,
    send_under_one_sync,
    server_trouble,
)
from turnback.engine.session.query import OURSELVES, READ_ONLY_STATE
from turnback.engine.session.read_only import refuse_read_only
from turnback.engine.session.watch import send_cleanup
from turnback.errors import MigrationFailed, MigrationIncomplete, TurnbackError
from turnback.sql.locks import TableLock
from turnback.sql.statements import Statement

# They change the session, not the database, and run again when a run continues.
_SESSION_KINDS = {"VariableSetStmt"}
# They may commit in the middle.
_COMMITTING = {"DoStmt", "CallStmt"}
_AT_TOP_LEVEL = _COMMITTING | {"ReindexStmt", "ClusterStmt"}


def run(
    session: Session, step: Step, watch: Watcher | None = None, ladder: Ladder | None = None
) -> int:
    """Run a migration statement by statement, and return the milliseconds it took.

    Raises:
        MigrationIncomplete: a statement failed after others that were kept.
        MigrationFailed, RollbackFailed: the first one failed, so nothing was changed.
        LockTimeout: a statement ran into the lock timeout; the next attempt continues there.
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
    attempts, done = begin(session, step, statements)
    script = _Script(session, step, watch, attempts, ladder, locks_of_each(step))
    undo = script.begin_undo(done) if step.half else None
    script.set_session(done)
    changed = done
    for number, statement in enumerate(statements[done:], done + 1):
        if changes_session(statement):
            script.send_setting(statement, number, changed)
        else:
            script.run(statement, number, changed, undo)
            changed = number
    elapsed = int((time.monotonic() - began) * 1000)
    ran = f"the statements of {step.version} ran outside a transaction and were kept"
    finish(session, step, elapsed, ran)
    return elapsed


def begin(
    session: Session, step: Step, statements: Sequence[Statement]
) -> tuple[Mapping[int, Attempt], int]:
    """Record that a script begins which is not one transaction, or continues.

    Returns:
        The last attempt at each statement, by its number; and how many statements are done.

    Raises:
        MigrationIncomplete: its rollback has begun.
        HistoryConflict: another run has done it.
    """
    attempts = session.history.attempts(step.version)
    if step.direction == "up":
        _refuse_half_undone(step, attempts["down"])
    done = count_done(attempts[step.direction], statements)
    if done:
        text = f"{done} of {len(statements)} are done"
        session.listener(Event(EventKind.RESUMED, step.version, step.name, text=text))
    try:
        send(session.connection, begin_message(step, session.recorder))
    except ServerError as error:
        raise refused_by_us(step, error) or error from error
    return attempts[step.direction], done


def preview(step: Step, recorder: Recorder) -> list[str]:
    """The messages that run this migration, one a statement with its record."""
    if ranged := step.runnable.ranged:
        after = f"\n-- and what transform in {step.runnable.script.path} returns" * bool(
            ranged.code
        )
        head = f"-- Range after range of {ranged.table}, each with its record:"
        return [f"{head}\n{ranged.text}{after}"]
    if swap := step.runnable.swap:
        table = ".".join(swap.options.table)
        changes = ";\n".join(one.sql for one in step.runnable.statements or ())
        return [f"-- In a copy of {table}, which then takes its place:\n{changes};"]
    return [
        f"{statement.sql};\n{rows_of(statement)}{recorder.statement(step, number, statement)};"
        for number, statement in enumerate(step.runnable.statements or (), 1)
    ]


def rows_of(statement: Statement) -> str:
    """The rows of a COPY … FROM stdin as psql reads them; empty for any other statement."""
    return "".join(f"{b''.join(rows).decode('utf-8')}\\.\n" for rows in statement.rows)


def begin_message(step: Step, recorder: Recorder) -> str:
    """SQL: a migration begins, where this run has the lock and it is still to be done."""
    message = f"{OURSELVES} {recorder.lock_assertion} {recorder.to_do(step)}"
    if step.direction == "up":
        note = ScriptEffects.of(step.runnable.statements or ()).to_json(step.name)
        message += f" {recorder.begun(step.migration, note)}"
    return message


def session_settings(step: Step, upto: int, reset: str) -> list[str]:
    """What gives the session the settings that the file has made by its statement ``upto``."""
    made = (step.runnable.statements or ())[:upto]
    return [
        reset,
        *(f"SET {setting}" for setting in header_settings(step.runnable.script)),
        *(statement.sql for statement in made if changes_session(statement)),
    ]


def done_and_kept(count: int) -> str:
    """What is said of the first statements of a script."""
    first = f"statements 1 to {count} are" if count > 1 else "statement 1 is"
    return f"{first} done and kept"


def changes_session(statement: Statement) -> bool:
    """Whether a statement changes the session and not the database."""
    return statement.kind in _SESSION_KINDS


def runs_alone(step: Step, statement: Statement) -> bool:
    """Whether the statement may not share a message, which the server makes a transaction.

    A block or a procedure that commits runs only at the top level (manual, 43.8), and so do
    REINDEX and CLUSTER of a partitioned table.
    """
    forced = step.runnable.script.directives.no_transaction
    return statement.outside_transaction or (forced and statement.kind in _AT_TOP_LEVEL)


def timeouts_alone(step: Step, statement: Statement, rung: str = "") -> list[str]:
    """The timeouts of a statement that runs alone.

    Args:
        step: its migration.
        statement: the statement.
        rung: the setting of an attempt, where it waits for a lock on a table first.
    """
    settings = []
    if statement.outside_transaction and not statement.strong_outside:
        # It waits for old transactions to end, by design: a lock timeout would leave an invalid
        # index behind, and nobody queues behind its weak lock (manual, CREATE INDEX).
        settings.append("SET lock_timeout = 0")
    elif rung:
        settings.append(rung.rstrip("; "))
    if step.runnable.script.directives.statement_timeout_ms is None:
        settings.append("SET statement_timeout = 0")
    return settings


def finish_message(step: Step, recorder: Recorder, elapsed_ms: int) -> tuple[str, str]:
    """SQL: the whole migration is done, and the verify script behind it, which may be empty."""
    done = recorder.done(step, elapsed_ms=elapsed_ms)
    prefix = (
        f"{recorder.reset} {recorder.lock_assertion} {recorder.history_there} {done}; "
        f"{recorder.history_kept(step.direction)};"
    )
    read_only, verify = verify_message(step)
    return f"{prefix}{read_only}", verify


def verify_message(step: Step) -> tuple[str, str]:
    """SQL: what lets the verify script only read, and that script; empty where there is none."""
    if step.verify is None:
        return "", ""
    return " SET LOCAL transaction_read_only = on;\n", f"{step.verify.text}\n"


def count_done(attempts: Mapping[int, Attempt], statements: Sequence[Statement]) -> int:
    """How many statements, from the first, are done as they are in the file now."""
    count = 0
    for number, statement in enumerate(statements, 1):
        if statement.kind in _SESSION_KINDS:
            continue
        last = attempts.get(number)
        if not last or not last.done or last.checksum != statement.checksum:
            break
        count = number
    return count


@dataclass(frozen=True, slots=True)
class _Script:
    """One script, run statement by statement.

    Attributes:
        attempts: number → last attempt at each statement, by earlier runs.
        ladder: how long a statement may wait for its first lock.
        locks: those of each statement, where they are known.
    """

    session: Session
    step: Step
    watch: Watcher | None
    attempts: Mapping[int, Attempt]
    ladder: Ladder | None
    locks: Sequence[list[TableLock]]

    def begin_undo(self, done: int) -> Undo | None:
        """The rollback of a half done migration, after the ``done`` statements of an attempt."""
        half = self.step.half
        if half is None:
            return None
        undo = Undo(self.session, self.step, half)
        statements = self.step.runnable.statements or ()
        for number, statement in enumerate(statements[:done], 1):
            last = self.attempts.get(number)
            if last and last.skipped:
                undo.skipped_before(Skipped(number, statement, last.skipped, last.note or ""))
        if not done:
            undo.check_beforehand()
            clean_up_before_rollback(self.session.connection, statements, half.notes, self.watch)
        return undo

    def set_session(self, upto: int) -> None:
        """Give the session the settings that the file has made by its statement ``upto``."""
        for setting in session_settings(self.step, upto, self.session.recorder.reset):
            send(self.session.connection, setting)

    def send_setting(self, statement: Statement, number: int, changed: int) -> None:
        """Run a statement that only changes the session."""
        try:
            send(self.session.connection, statement.sql)
        except ServerError as error:
            raise self._failure(error, statement, number, changed) from error

    def run(self, statement: Statement, number: int, changed: int, undo: Undo | None) -> None:
        """Run a statement with its record; what it leaves when it fails is removed or recorded."""
        connection, step, recorder = self.session.connection, self.step, self.session.recorder
        require_plain_reading(connection, step, statement)
        if self.ladder:
            self.ladder.wait_for(self._locks(number))
        try:
            if undo:
                self._undo(statement, number, undo)
            else:
                self._apply(statement, number)
        except ServerError as error:
            if error.sqlstate == READ_ONLY_STATE:
                # Between two messages: what this statement has left, the next run recognises.
                refuse_read_only(connection)
            left = self._commits(statement) or left_something(connection, statement)
            if left and step.direction == "up":
                said = public(error, written_source(step, statement))
                send(connection, f"{recorder.reset} {recorder.left(step, number, said)}")
            raise self._failure(error, statement, number, changed, left=left) from error

    def _apply(self, statement: Statement, number: int) -> None:
        connection = self.session.connection
        lock = self.session.recorder.lock_assertion
        record = self.session.recorder.statement(self.step, number, statement)
        last = self.attempts.get(number)
        interrupted = last if last and last.interrupted else None
        note = interrupted.note if interrupted else None
        if index := PartitionedIndex.of(connection, statement):
            self._build_by_partition(index, statement, number, record)
            return
        plain = plain_drop(connection, statement)
        try:
            if plain or not runs_alone(self.step, statement):
                end = f"{OURSELVES} {lock} {self.session.recorder.kept(record)}"
                self._send_together(plain or statement.sql, end, statement, number)
            elif self._is_completed(statement, interrupted):
                event = Event(
                    EventKind.RECOGNISED, self.step.version, self.step.name, text=statement.sql
                )
                self.session.listener(event)
                send(connection, f"{OURSELVES} {record}")
            else:
                note = prepare_attempt(connection, statement, self.watch)
                self._send_alone(statement, number, note, record)
        except ServerError:
            clean_up(connection, statement, note, self.watch)
            raise

    def _undo(self, statement: Statement, number: int, undo: Undo) -> None:
        """Run a statement of a half done migration's rollback, or skip it.

        Raises:
            ServerError: it failed, and not because there was nothing to undo.
            RollbackFailed: it could destroy rows.
        """
        connection = self.session.connection
        record = self.session.recorder.statement(self.step, number, statement)
        lock = self.session.recorder.lock_assertion
        plain = plain_drop(connection, statement)
        index = PartitionedIndex.of(connection, statement)
        alone = runs_alone(self.step, statement) and not plain
        recorded = False

        def send_one(sql: str) -> None:
            nonlocal recorded
            # The parts of a statement have no records: a part that is undone is skipped when it is
            # tried again.
            whole = sql == statement.sql
            if index:
                self._build_by_partition(index, statement, number, record)
            elif alone:
                self._send_alone(statement, number, note, record)
            else:
                end = lock
                if whole:
                    sql = plain or sql
                    end = f"{OURSELVES} {lock} {self.session.recorder.kept(record)}"
                self._send_together(sql, end, statement, number)
            recorded = whole

        note = prepare_attempt(connection, statement, self.watch) if alone else None
        skipped_before = len(undo.skipped)
        try:
            if not (alone and finish_detach(connection, statement, self.watch)):
                undo.run(statement, number, send_one)
        except ServerError:
            clean_up(connection, statement, note, self.watch)
            raise
        for skipped in undo.records_of_skipped(skipped_before):
            record = skipped
        if not recorded:
            send(connection, f"{OURSELVES} {record}")

    def _send_together(self, sql: str, end: str, statement: Statement, number: int) -> None:
        """Send a statement, or a part of it, and what belongs into its transaction."""
        rung = self._rung(number, "SET LOCAL")
        try:
            sql = f"{rung}{sql}\n;{end}"
            send(self.session.connection, sql, self.watch, statement.rows)
        except ServerError as error:
            if error.position is not None:
                error.position -= len(rung)
            raise

    def _locks(self, number: int) -> list[TableLock]:
        """The locks that a statement asks for, where they are known."""
        return self.locks[number - 1] if self.locks else []

    def _rung(self, number: int, command: str) -> str:
        """The setting of an attempt before a statement that waits for a lock on a table first."""
        if self.ladder is None or not self._locks(number):
            return ""
        return f"{command} lock_timeout = {self.ladder.rung_ms}; "

    def _commits(self, statement: Statement) -> bool:
        return statement.kind in _COMMITTING and runs_alone(self.step, statement)

    def _is_completed(self, statement: Statement, interrupted: Attempt | None) -> bool:
        """Whether the catalog shows that an earlier attempt did its work; else, clean up."""
        connection, watch = self.session.connection, self.watch
        note = interrupted.note if interrupted else None
        # What the catalog shows was done by the text of that time.
        same = interrupted is not None and interrupted.checksum == statement.checksum
        if same and was_completed(connection, statement, note, watch):
            return True
        if finish_detach(connection, statement, watch):
            return True
        if interrupted and not same:
            clean_up(connection, statement, note, watch)
        return False

    def _build_by_partition(
        self, index: PartitionedIndex, statement: Statement, number: int, record: str
    ) -> None:
        """Build an index on a partitioned table; the record follows its last step."""
        connection, recorder = self.session.connection, self.session.recorder
        last = self.attempts.get(number)
        begun = last if last and not last.done and not last.skipped else None
        resumed = begun is not None and begun.checksum == statement.checksum
        noted = begun.note if begun and begun.note and begun.note.startswith(BY_PARTITION) else None
        if noted and not resumed:
            remove(connection, noted, self.watch)
        note = (resumed and noted) or index.note()
        trying = recorder.trying(self.step, number, statement, note)
        send(connection, f"{recorder.lock_assertion} {OURSELVES} {trying}")

        def alone(sql: str) -> None:
            send(connection, "; ".join(timeouts_alone(self.step, statement)))
            try:
                send_cleanup(connection, sql, self.watch)
            except ServerError:
                self.set_session(number)
                raise
            self.set_session(number)

        index.build(note, alone, self.watch, resumed=resumed)
        send(connection, f"{OURSELVES} {recorder.lock_assertion} {recorder.kept(record)}")

    def _send_alone(self, statement: Statement, number: int, note: str | None, record: str) -> None:
        """Send a statement at the top level of the session that the file has set up."""
        connection = self.session.connection
        settings = timeouts_alone(self.step, statement, self._rung(number, "SET"))
        trying = self.session.recorder.trying(self.step, number, statement, note)
        lock = self.session.recorder.lock_assertion
        send(connection, "; ".join([f"{lock} {OURSELVES} {trying}", *settings]))
        # The file may have switched role, and the record is written as the user who connected.
        pipeline = [statement.sql, "RESET SESSION AUTHORIZATION", "RESET ROLE", record]
        send_under_one_sync(connection, pipeline, self.watch)
        self.set_session(number)

    def _failure(
        self,
        error: ServerError,
        statement: Statement,
        number: int,
        changed: int,
        *,
        left: bool = False,
    ) -> TurnbackError:
        offset = offset_in(statement, error)
        again = f"run turnback {self.step.direction}"
        incomplete = None
        if self._commits(statement):
            incomplete = (
                f"what statement {number} had committed was kept; change it so that it can run "
                f"again, and {again}: it continues there"
            )
        elif changed:
            done = done_and_kept(changed)
            fix = "" if server_trouble(error.sqlstate) else f"fix statement {number} and "
            incomplete = f"{done}; {fix}{again} again: it continues there"
        elif left:
            incomplete = (
                f"statement {number} has begun its work, and that was kept; {again} again: it "
                "continues there"
            )
        return point(self.step, error, offset, statement, incomplete=incomplete)


def _refuse_half_undone(step: Step, undone: Mapping[int, Attempt]) -> None:
    """Refuse to apply a migration whose rollback has begun."""
    if any(one.done or one.interrupted for one in undone.values()):
        raise half_undone(step)


def half_undone(step: Step) -> MigrationIncomplete:
    """The error for a migration that is to be applied, and whose rollback has begun."""
    return MigrationIncomplete(
        f"the rollback of {step.version}, which was half done, stopped in its middle",
        file=step.runnable.script.path,
        version=step.version,
        hint="finish it first: turnback down to the version before it",
    )


def finish(session: Session, step: Step, elapsed: int, ran: str, before: str = "") -> None:
    """Verify and record the whole migration, both or neither; the next run tries it again.

    Args:
        session: of the run.
        step: the migration.
        elapsed: how long it took, milliseconds.
        ran: what was kept whatever comes of it, as a sentence.
        before: SQL for the same message.
    """
    record, verify = finish_message(step, session.recorder, elapsed)
    send_verified(session, step, f"{before}{record}", verify, ran)
    session.recorder.count(step)


def send_verified(session: Session, step: Step, prefix: str, verify: str, ran: str) -> None:
    """Send what records the whole migration, and its verify script behind that.

    Args:
        session: of the run.
        step: the migration.
        prefix: SQL.
        verify: the verify script, as ``finish_message`` has it; "" for none.
        ran: what was kept whatever comes of it, as a sentence.
    """
    try:
        send(session.connection, prefix + verify)
    except ServerError as error:
        if refused := refused_by_us(step, error, ran):
            raise refused from error
        if step.verify is None or not verify:
            raise
        offset = error.position - 1 - len(prefix) if error.position else 0
        raise point(
            Step(step.migration, step.direction, step.verify),
            error,
            max(offset, 0),
            None,
            incomplete=f"{ran}; "
            "correct what it found, and run turnback up again: it verifies again",
        ) from error
