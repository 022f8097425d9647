"""Statements that stand alone: each at the top level of a session that the file has set up."""

from __future__ import annotations

from turnback.engine.look.history import Try
from turnback.engine.run.plan import Step
from turnback.engine.run.transaction import OURSELVES, RESET, local_settings
from turnback.engine.session.message import Connection, Quiet, send, send_under_one_sync
from turnback.migrations.checksums import digest
from turnback.sql.statements import Statement

# They make the session, not the database, and are set anew when a run goes on.
SESSION_KINDS = {"VariableSetStmt"}
# They may commit in their middle.
_COMMITTING = {"DoStmt", "CallStmt"}


def settled(tries: dict[int, Try], statements: tuple[Statement, ...]) -> int:
    """How many statements from the first are done as they stand in the file now."""
    count = 0
    for number, statement in enumerate(statements, 1):
        if statement.kind in SESSION_KINDS:
            continue
        last = tries.get(number)
        if not last or not last.done or last.checksum != digest(statement.sql.encode()):
            break
        count = number
    return count


def alone(step: Step, statement: Statement) -> bool:
    """Whether the statement may not share a message, for the server would wrap it in a transaction.

    A block or a procedure that commits runs only at the top level (manual, 43.8).
    """
    forced = step.runnable.script.directives.no_transaction
    return statement.outside_transaction or (forced and statement.kind in _COMMITTING)


def set_session(connection: Connection, step: Step, upto: int) -> None:
    """Give the session the settings that the file has made of it by its statement ``upto``."""
    send(connection, RESET)
    for setting in local_settings(step.runnable.script):
        send(connection, f"SET {setting}")
    for statement in (step.runnable.statements or ())[:upto]:
        if statement.kind in SESSION_KINDS:
            send(connection, statement.sql)


def run_alone(
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


def commits(step: Step, statement: Statement) -> bool:
    return statement.kind in _COMMITTING and alone(step, statement)
