"""Taking back a migration that is half done, by a rollback script that runs in a transaction.

Each statement has a savepoint, so that one that has nothing to undo can be skipped. The session's
client is asked between them: one that leaves in the middle has undone nothing.
"""

from __future__ import annotations

from psycopg.pq import TransactionStatus

from turnback.engine.look.half_done import HalfDone
from turnback.engine.outside.healing import clear
from turnback.engine.outside.undoing import Undoing
from turnback.engine.run import transaction
from turnback.engine.run.failure import point
from turnback.engine.run.plan import Step
from turnback.engine.run.record import NOTE_BEGINNING, Recorder
from turnback.engine.session.events import Listener
from turnback.engine.session.message import Connection, Quiet, ServerError, send
from turnback.errors import TurnbackError
from turnback.migrations.checksums import digest
from turnback.sql.statements import Statement

_SAVEPOINT = "turnback_undo"


def run(
    connection: Connection,
    step: Step,
    half: HalfDone,
    recorder: Recorder,
    listener: Listener,
    watch: Quiet | None = None,
) -> int:
    """Run the rollback script of a half done migration, and return the milliseconds it took.

    Raises:
        RollbackFailed: a statement failed, or would harm rows; nothing of the script was kept.
        LockTimeout: a lock could not be had in time; nothing of the script was kept.
        DatabaseUnreachable: the connection broke; only the history knows whether it was done.
    """
    statements = step.runnable.statements
    if statements is None:
        # What the grammar does not understand cannot be told apart: all of it, or nothing.
        return transaction.run(connection, step, recorder, watch)
    undoing = Undoing(connection, step, half, listener)
    try:
        undoing.refuse_beforehand()
        clear(connection, statements, half.noted, watch)
        send(connection, f"BEGIN; {transaction.settings(step)}{NOTE_BEGINNING}")
        for number, statement in enumerate(statements, 1):
            _run_one(connection, step, undoing, statement, number, watch)
        skips = [
            recorder.skipped(
                step.migration,
                skipped.number,
                digest(statements[skipped.number - 1].sql.encode()),
                skipped.sqlstate,
                skipped.reason,
            )
            for skipped in undoing.skipped
        ]
        return transaction.finish(connection, step, recorder, skips)
    except (ServerError, TurnbackError) as error:
        if not (connection.closed or connection.broken):
            _end_transaction(connection)
        if isinstance(error, ServerError):
            raise point(step, error, None, None) from error
        raise


def _run_one(
    connection: Connection,
    step: Step,
    undoing: Undoing,
    statement: Statement,
    number: int,
    watch: Quiet | None,
) -> None:
    sent_before = 0

    def carry(sql: str) -> None:
        nonlocal sent_before
        prefix = f"SAVEPOINT {_SAVEPOINT};"
        sent_before = len(prefix)
        try:
            send(connection, f"{prefix}{sql}\n; RELEASE {_SAVEPOINT}", watch)
        except ServerError:
            if connection.info.transaction_status == TransactionStatus.INERROR:
                send(connection, f"ROLLBACK TO {_SAVEPOINT}; RELEASE {_SAVEPOINT}")
            raise

    try:
        if statement.kind == "TransactionStmt":
            # A savepoint of its own would be closed by the script's.
            send(connection, statement.sql, watch)
        else:
            undoing.run(statement, number, carry)
    except ServerError as error:
        offset = statement.offset
        place = (error.position or 0) - 1 - sent_before
        if 0 <= place <= len(statement.sql):
            offset += place
        raise point(step, error, offset, statement) from error


def _end_transaction(connection: Connection) -> None:
    if connection.info.transaction_status != TransactionStatus.IDLE:
        send(connection, "ROLLBACK")
