"""Turns the server's error into one with file, line, column, and what to do."""

from __future__ import annotations

import re

from turnback.engine.run.plan import Step
from turnback.engine.session.connection import misread
from turnback.engine.session.disclosure import hidden, public, public_hint
from turnback.engine.session.message import Connection, ServerError, server_trouble
from turnback.engine.session.query import (
    DONE_ALREADY,
    HISTORY_REMOVED,
    LOCK_LOST,
    READ_ONLY,
    READ_ONLY_STATE,
    no_writes,
)
from turnback.errors import (
    HistoryConflict,
    LockTimeout,
    MigrationFailed,
    MigrationIncomplete,
    RollbackFailed,
    RunnerBusy,
    TurnbackError,
)
from turnback.sql.blocks import line_of_block
from turnback.sql.script import syntax_error
from turnback.sql.statements import Statement

_LOCK_NOT_AVAILABLE = "55P03"
_SYNTAX_ERROR = "42601"
_NOT_AN_INTEGER = "22P02"
# Transient: a lock timeout, a deadlock, a serialization failure.
_TRANSIENT = (_LOCK_NOT_AVAILABLE, "40P01", "40001")
# What a script needs of the server and does not make: the SQLSTATE, how the message begins.
_NEEDED = (
    ("role", ("42704", "22023"), re.compile(r'role ".*" does not exist')),
    (
        "extension",
        ("0A000", "58P01"),
        re.compile(r"extension .* is not available|could not open ext"),
    ),
    ("library", ("58P01", "0A000", "55000"), re.compile(r"could not (access|load)|.*preload|ICU ")),
    ("privilege", ("42501",), re.compile("")),
)
_REMEDIES = {
    "role": "create this role first: it belongs to the server, not to the database",
    "extension": "install this extension on the server first; on RDS each version has its own list",
    "library": "the server was started without this library: install it, or load it "
    "(shared_preload_libraries; on RDS in the parameter group)",
    "privilege": "run as a role that may do it, or have the privilege granted to this one",
}
_LONGEST_STATEMENT = 2000
# Characters of a script that is searched for the text of an error.
_BIG = 1_000_000
# What the server says of a line of COPY, in the languages of its messages whose order is this one.
_LINE_OF_COPY = re.compile(r"^COPY .*?, \w+ (\d+)(?:[:,]|$)", re.MULTILINE)
_LINE_OF_BLOCK = re.compile(r"inline_code_block\D*?(\d+)")
_HINTS = {
    "25001": "if the statement cannot run in a transaction, say so in the header: "
    "-- turnback: no-transaction",
    "2D000": "a procedure that commits cannot run in a transaction; say so in the header: "
    "-- turnback: no-transaction",
    "55P04": "another transaction must add the value: move ALTER TYPE … ADD VALUE to a migration "
    "of its own",
    "57014": "it was cancelled; give it more time: -- turnback: statement-timeout 10min",
}


def needed_of_server(error: ServerError | TurnbackError) -> str | None:
    """What the server lacks and no script of the project makes: ``role``, ``extension``, …"""
    for need, codes, begins in _NEEDED:
        if error.sqlstate in codes and begins.match(error.message):
            return need
    return None


def explain(
    step: Step,
    error: ServerError,
    *,
    sent_before: int,
    statements_before: int,
    kept: str | None = None,
) -> TurnbackError:
    """The error for a script that failed in a transaction, of which nothing was kept.

    Args:
        step: what was run.
        error: the server's error.
        sent_before: characters of the message before the script's text.
        statements_before: statements of the message before the script's own.
        kept: what transactions before this one have done of the script.
    """
    statement = _statement_at(step, error.index - statements_before)
    offset = _offset(step, error, sent_before, statement)
    found = point(step, error, offset, statement, incomplete=kept)
    syntax = syntax_error(step.runnable.script) if error.sqlstate == _SYNTAX_ERROR else None
    if syntax and step.runnable.statements is None:
        # A quote or comment that the file leaves open ends, for the server, in what follows it.
        found.message, found.line, found.column = syntax.message, syntax.line, syntax.column
    return found


def require_plain_reading(connection: Connection, step: Step, statement: Statement) -> None:
    """Refuse to send a statement that the server would read in another way than turnback.

    Raises:
        MigrationFailed, RollbackFailed: the script has changed how its text is read.
    """
    setting = misread(connection)
    if setting is None:
        return
    kind = RollbackFailed if step.direction == "down" else MigrationFailed
    line, column = step.runnable.position(statement.offset)
    raise kind(
        f"the script has set {setting}, with which the server reads text in another way",
        file=step.runnable.script.path,
        line=line,
        column=column,
        version=step.version,
        hint="remove that setting: sessions have standard_conforming_strings = on and "
        "client_encoding = UTF8; the statements before it are done",
    )


def refused_by_us(step: Step, error: ServerError, kept: str | None = None) -> TurnbackError | None:
    """The error where the message itself refused to go on; None where something else failed.

    Args:
        step: what was run.
        error: the server's error.
        kept: what was kept, of a script that runs outside a transaction.
    """
    if error.sqlstate != _NOT_AN_INTEGER:
        return None
    word = "applied" if step.direction == "up" else "rolled back"
    if LOCK_LOST in error.message:
        return RunnerBusy(
            f"another run took the lock before {step.version}; nothing of {step.version} was kept",
            version=step.version,
            hint="a migration before it has released this run's lock (pg_advisory_unlock_all); "
            "wait for the other run, look at turnback status, and run it again",
        )
    if READ_ONLY in error.message:
        return no_writes(f", before {step.version}; nothing of {step.version} was kept")
    if DONE_ALREADY in error.message:
        return HistoryConflict(
            f"{step.version} was {word} by another run meanwhile; nothing was {word} twice",
            version=step.version,
            hint="turnback status shows what is applied now; run it again for what is left",
        )
    if HISTORY_REMOVED in error.message:
        return history_removed(step, kept)
    return None


def history_removed(step: Step, kept: str | None = None) -> TurnbackError:
    """The error for a script that has removed tables or rows of turnback's history."""
    kind = RollbackFailed if step.direction == "down" else MigrationFailed
    return kind(
        "the script removes what turnback has recorded: rows of its tables migrations and "
        "migration_log, or the tables themselves",
        file=step.runnable.script.path,
        version=step.version,
        hint="name the tables that the script is about, or keep the history in a schema of its "
        f"own (--history-schema turnback); {kept or f'nothing of {step.version} was kept'}",
    )


def point(
    step: Step,
    error: ServerError,
    offset: int | None,
    statement: Statement | None,
    *,
    incomplete: str | None = None,
) -> TurnbackError:
    """The error at an offset of the script; ``incomplete`` says what was kept, if anything was."""
    if refused := refused_by_us(step, error, incomplete):
        return refused
    line, column = step.runnable.position(offset) if offset is not None else (None, None)
    source = written_source(step, statement)
    kind: type[TurnbackError] = RollbackFailed if step.direction == "down" else MigrationFailed
    if error.sqlstate in _TRANSIENT:
        kind = LockTimeout
    elif incomplete is not None:
        kind = MigrationIncomplete
    return kind(
        public(error, source),
        file=step.runnable.script.path,
        line=line,
        column=column,
        statement=statement.sql[:_LONGEST_STATEMENT] if statement else None,
        sqlstate=error.sqlstate,
        hint="; ".join(part.rstrip(".") for part in _advice(step, error, incomplete) if part),
        version=step.version,
        detail=hidden(error, source),
    )


def written_source(step: Step, statement: Statement | None = None) -> str:
    """What the author wrote: the script, or of a big one the statement that failed."""
    if step.runnable.script.size <= _BIG:
        return step.runnable.text
    return statement.sql if statement else ""


def _advice(step: Step, error: ServerError, incomplete: str | None) -> list[str | None]:
    again = (
        "fix the file and run turnback up again"
        if step.direction == "up"
        else "fix the rollback script and run turnback down again"
    )
    kept = f"nothing of {step.version} was kept"
    if step.direction == "down":
        kept = f"{step.version} is still {'half done' if step.half else 'applied'}"
    if error.sqlstate in _TRANSIENT:
        again = "try again when the table is less busy, or for longer: --lock-retry-for 10min"
        return [public_hint(error), incomplete or kept, again]
    hint = _HINTS.get(error.sqlstate)
    if error.sqlstate == READ_ONLY_STATE and step.runnable.script is step.migration.verify:
        hint = "a verify script may read, but not write"
    elif trouble := server_trouble(error.sqlstate) or _REMEDIES.get(needed_of_server(error) or ""):
        hint, again = trouble, f"then run turnback {step.direction} again"
    return [public_hint(error), hint, incomplete or f"{kept}; {again}"]


def _statement_at(step: Step, index: int) -> Statement | None:
    statements = step.runnable.statements
    if statements is None or not 0 <= index < len(statements):
        return None
    return statements[index]


def offset_in(statement: Statement, error: ServerError, before: int = 0) -> int:
    """Where in the script an error of a statement is, in characters.

    Args:
        statement: the one that failed.
        error: the server's, with a position in what was sent.
        before: characters that were sent before the statement.
    """
    if error.position is not None and before < error.position <= before + len(statement.sql) + 1:
        return statement.offset + error.position - 1 - before
    return _inside(statement, error)


def _inside(statement: Statement, error: ServerError) -> int:
    """Where the line is that the server names, of a COPY's rows or of a block; else the start."""
    context = error.context or ""
    if statement.kind == "DoStmt" and (lines := _LINE_OF_BLOCK.findall(context)):
        # The block is the outermost of what calls what.
        return line_of_block(statement, int(lines[-1]))
    line = _LINE_OF_COPY.search(context) if statement.rows else None
    return statement.rows[0].line_start(int(line[1])) if line else statement.offset


def _offset(
    step: Step, error: ServerError, sent_before: int, statement: Statement | None
) -> int | None:
    if error.position is not None:
        offset = step.runnable.in_file(error.position - 1 - sent_before)
        if 0 <= offset <= step.runnable.script.size:
            return offset
    return _inside(statement, error) if statement else None
