"""From the server's error to one that points: file, line, column, and what to do."""

from __future__ import annotations

from turnback.engine.run.plan import Step
from turnback.engine.session.message import ServerError
from turnback.errors import (
    LockTimeout,
    MigrationFailed,
    MigrationIncomplete,
    RollbackFailed,
    TurnbackError,
)
from turnback.migrations.text import position
from turnback.sql.script import syntax_error
from turnback.sql.statements import Statement

LOCK_NOT_AVAILABLE = "55P03"
SYNTAX_ERROR = "42601"
READ_ONLY = "25006"
# Worth trying again as it is: a lock not had in time, a deadlock, a serialization failure.
PASSING = (LOCK_NOT_AVAILABLE, "40P01", "40001")
_LONGEST_STATEMENT = 2000
_HINTS = {
    "25001": "if the statement cannot run in a transaction, say so in the header: "
    "-- turnback: no-transaction",
    "2D000": "a procedure that commits cannot run in a transaction; say so in the header: "
    "-- turnback: no-transaction",
    READ_ONLY: "this server is read-only: name the endpoint of the writer",
    "57014": "it was cancelled; give it more time: -- turnback: statement-timeout 10min",
}


def explain(
    step: Step, error: ServerError, *, sent_before: int, statements_before: int
) -> TurnbackError:
    """The error for a script that failed whole, in a transaction.

    Args:
        step: what was run.
        error: the server's words.
        sent_before: characters of the message before the script's text.
        statements_before: statements of the message before the script's own.
    """
    statement = _statement_at(step, error.index - statements_before)
    found = point(step, error, _offset(step, error, sent_before, statement), statement)
    ours = syntax_error(step.runnable.script) if error.sqlstate == SYNTAX_ERROR else None
    if ours and step.runnable.statements is None:
        # What the file leaves open ends, for the server, in what we put after it.
        found.message, found.line, found.column = ours.message, ours.line, ours.column
    return found


def point(
    step: Step,
    error: ServerError,
    offset: int | None,
    statement: Statement | None,
    *,
    incomplete: str | None = None,
) -> TurnbackError:
    """The error at an offset of the script; ``incomplete`` tells what stays, if anything does."""
    line, column = position(step.runnable.text, offset) if offset is not None else (None, None)
    message = error.message if not error.detail else f"{error.message} ({error.detail})"
    if error.context:
        message += f" [{error.context.splitlines()[0]}]"
    kind: type[TurnbackError] = RollbackFailed if step.direction == "down" else MigrationFailed
    if error.sqlstate in PASSING:
        kind = LockTimeout
    elif incomplete is not None:
        kind = MigrationIncomplete
    return kind(
        message,
        file=step.runnable.script.path,
        line=line,
        column=column,
        statement=statement.sql[:_LONGEST_STATEMENT] if statement else None,
        sqlstate=error.sqlstate,
        hint="; ".join(part.rstrip(".") for part in _advice(step, error, incomplete) if part),
        version=step.version,
    )


def _advice(step: Step, error: ServerError, incomplete: str | None) -> list[str | None]:
    again = (
        "mend the file and run turnback up again"
        if step.direction == "up"
        else "mend the rollback script and run turnback down again"
    )
    kept = f"nothing of {step.version} was kept"
    if step.direction == "down":
        kept = f"{step.version} is still {'half done' if step.half else 'applied'}"
    if error.sqlstate in PASSING:
        again = "try again when the table is less busy, or for longer: --lock-retry-for 10min"
        return [error.hint, incomplete or kept, again]
    hint = _HINTS.get(error.sqlstate)
    if error.sqlstate == READ_ONLY and step.runnable.script is step.migration.verify:
        hint = "a verify script may look, not write"
    return [error.hint, hint, incomplete or f"{kept}; {again}"]


def _statement_at(step: Step, index: int) -> Statement | None:
    statements = step.runnable.statements
    if statements is None or not 0 <= index < len(statements):
        return None
    return statements[index]


def _offset(
    step: Step, error: ServerError, sent_before: int, statement: Statement | None
) -> int | None:
    if error.position is not None:
        offset = error.position - 1 - sent_before
        if 0 <= offset <= len(step.runnable.text):
            return offset
    return statement.offset if statement else None
