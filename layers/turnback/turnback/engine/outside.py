"""A migration that cannot run in a transaction: one statement at a time, each with its record.

A statement that is refused in a transaction block travels in a pipeline with the record of it,
under one Sync: the server carries out both without waiting for us, and skips the record if the
statement fails. A run that was cut off goes on at the first statement that has no record.
"""

from __future__ import annotations

import time

from turnback.engine.events import Event, Listener
from turnback.engine.failure import point
from turnback.engine.healing import before, clean, finish, heal
from turnback.engine.history import History, Try
from turnback.engine.message import Connection, Quiet, ServerError, send, send_under_one_sync
from turnback.engine.plan import Step
from turnback.engine.record import Recorder
from turnback.engine.transaction import OURSELVES, RESET, local_settings
from turnback.errors import MigrationFailed, TurnbackError
from turnback.migrations.checksums import digest
from turnback.sql.statements import Statement

# They make the session, not the database, and are set anew when a run goes on.
_SESSION_KINDS = {"VariableSetStmt"}
# They may commit in their middle.
_COMMITTING = {"DoStmt", "CallStmt"}


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
    tries = history.tries(step.migration, step.direction)
    done = _settled(tries, statements)
    if done:
        listener(
            Event("resumed", step.version, step.name, text=f"{done} of {len(statements)} are done")
        )
    _set_session(connection, step, done)
    changed = done
    for number, statement in enumerate(statements[done:], done + 1):
        checksum = digest(statement.sql.encode())
        record = recorder.statement(step.migration, step.direction, number, checksum)
        last = tries.get(number)
        cut_off = last if last and last.cut_off else None
        noted = cut_off.noted if cut_off else None
        # What the catalog shows was done by the text as it was then.
        same = cut_off is not None and cut_off.checksum == checksum
        try:
            if statement.kind in _SESSION_KINDS:
                send(connection, statement.sql)
            elif not _alone(step, statement):
                send(connection, f"{statement.sql}\n;{OURSELVES} {record}", watch)
            elif (same and heal(connection, statement, noted, watch)) or finish(
                connection, statement, watch
            ):
                listener(Event("recognised", step.version, step.name, text=statement.sql))
                send(connection, record)
            else:
                if cut_off and not same:
                    clean(connection, statement, noted, watch)
                noted = before(connection, statement, watch)
                trying = recorder.trying(step.migration, step.direction, number, checksum, noted)
                _outside(connection, step, statement, trying, record, watch)
                _set_session(connection, step, number)
        except ServerError as error:
            clean(connection, statement, noted, watch)
            raise _failure(step, error, statement, number, changed) from error
        if statement.kind not in _SESSION_KINDS:
            changed = number
    elapsed = int((time.monotonic() - began) * 1000)
    _finish(connection, step, recorder, elapsed)
    return elapsed


def preview(step: Step, recorder: Recorder) -> list[str]:
    """The messages that carry this migration, one a statement with its record."""
    messages = []
    for number, statement in enumerate(step.runnable.statements or (), 1):
        checksum = digest(statement.sql.encode())
        record = recorder.statement(step.migration, step.direction, number, checksum)
        messages.append(f"{statement.sql};\n{record};")
    return messages


def _settled(tries: dict[int, Try], statements: tuple[Statement, ...]) -> int:
    """How many statements from the first are done as they stand in the file now."""
    count = 0
    for number, statement in enumerate(statements, 1):
        if statement.kind in _SESSION_KINDS:
            continue
        last = tries.get(number)
        if not last or not last.done or last.checksum != digest(statement.sql.encode()):
            break
        count = number
    return count


def _alone(step: Step, statement: Statement) -> bool:
    """Whether the statement may not share a message, for the server would wrap it in a transaction.

    A block or a procedure that commits runs only at the top level (manual, 43.8).
    """
    forced = step.runnable.script.directives.no_transaction
    return statement.outside_transaction or (forced and statement.kind in _COMMITTING)


def _set_session(connection: Connection, step: Step, upto: int) -> None:
    """Give the session the settings that the file has made of it by its statement ``upto``."""
    send(connection, RESET)
    for setting in local_settings(step.runnable.script):
        send(connection, f"SET {setting}")
    for statement in (step.runnable.statements or ())[:upto]:
        if statement.kind in _SESSION_KINDS:
            send(connection, statement.sql)


def _outside(
    connection: Connection,
    step: Step,
    statement: Statement,
    trying: str,
    record: str,
    watch: Quiet | None,
) -> None:
    settings = []
    if statement.outside_transaction and not statement.strong_outside:
        # It waits for old transactions to end, by design: a lock timeout would leave an invalid
        # index behind, and nobody queues behind its weak lock (manual, CREATE INDEX).
        settings.append("SET lock_timeout = 0")
    if step.runnable.script.directives.statement_timeout_ms is None:
        settings.append("SET statement_timeout = 0")
    send(connection, "; ".join([f"{OURSELVES} {trying}", *settings]))
    # The file may have switched role, and the record is written as who connected.
    pipeline = [statement.sql, "RESET SESSION AUTHORIZATION", "RESET ROLE", record]
    send_under_one_sync(connection, pipeline, watch)


def _failure(
    step: Step, error: ServerError, statement: Statement, number: int, changed: int
) -> TurnbackError:
    offset = statement.offset
    if error.position is not None and error.position <= len(statement.sql):
        offset += error.position - 1
    incomplete = None
    verb = "up" if step.direction == "up" else "down"
    if statement.kind in _COMMITTING and _alone(step, statement):
        incomplete = (
            f"what statement {number} had committed stays; make it fit to run again, and run "
            f"turnback {verb}: it goes on there"
        )
    elif changed:
        incomplete = (
            f"statements 1 to {changed} are done and stay; mend statement {number} and run "
            f"turnback {verb} again: it goes on there"
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
