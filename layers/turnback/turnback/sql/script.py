"""A script made ready to run: what the server gets, and in which way."""

from __future__ import annotations

from dataclasses import dataclass

from turnback.errors import InvalidMigration
from turnback.migrations.model import Script
from turnback.migrations.text import position
from turnback.sql.parser import SqlSyntaxError
from turnback.sql.statements import Statement, split
from turnback.sql.tree import strings, walk

_SAVEPOINTS = {"TRANS_STMT_SAVEPOINT", "TRANS_STMT_RELEASE", "TRANS_STMT_ROLLBACK_TO"}
_UNLOCK_ALL = "pg_advisory_unlock_all"
_BEGINS = {"TRANS_STMT_BEGIN", "TRANS_STMT_START"}


@dataclass(frozen=True, slots=True)
class Runnable:
    """A script and the way to run it.

    Attributes:
        script: the file.
        text: its SQL; an outer BEGIN and COMMIT are overwritten with blanks, so that every
            offset the server reports is an offset in the file.
        statements: its statements, or None where only the server's own parser can judge it.
        one_by_one: whether it runs statement by statement, outside a transaction.
        needs_begin: whether it runs after a BEGIN: it uses savepoints, which an implicit
            transaction does not have, or nothing is known about its statements.
    """

    script: Script
    text: str
    statements: tuple[Statement, ...] | None
    one_by_one: bool = False
    needs_begin: bool = False

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both from 1."""
        return position(self.text, offset)


def prepare(script: Script) -> Runnable:
    """Find out how a script must be run.

    Text that the bundled grammar does not know (of a PostgreSQL newer than it) is left to the
    server, after a BEGIN.

    Raises:
        InvalidMigration: psql commands, COPY FROM stdin, or a transaction of its own.
    """
    forced = script.directives.no_transaction
    try:
        statements = split(script.sql)
    except SqlSyntaxError as error:
        _explain(script, error)
        return Runnable(script, script.sql, None, needs_begin=True)
    for statement in statements:
        if statement.kind == "CopyStmt" and not statement.tree.get("filename"):
            where = "from stdin" if statement.tree.get("is_from") else "to stdout"
            raise _refused(
                script,
                statement.offset,
                f"COPY {where} needs a client that feeds it",
                "write the rows as INSERT … VALUES",
            )
    _refuse_unlocking(script, statements)
    text, statements = _peel(script, statements)
    outside = forced or any(statement.outside_transaction for statement in statements)
    savepoints = any(statement.kind == "TransactionStmt" for statement in statements)
    if outside and savepoints:
        raise _refused(
            script,
            0,
            "savepoints in a file that runs outside a transaction",
            "put them in a file of their own",
        )
    if outside and text is not script.sql:
        raise _refused(
            script,
            0,
            "BEGIN … COMMIT around a statement that cannot run in a transaction",
            "remove BEGIN and COMMIT",
        )
    return Runnable(script, text, tuple(statements), outside, savepoints)


def _refuse_unlocking(script: Script, statements: list[Statement]) -> None:
    """Refuse what releases every lock of the session, the run's own among them."""
    for statement in statements:
        what = None
        if statement.kind == "DiscardStmt" and statement.tree.get("target") == "DISCARD_ALL":
            what = "DISCARD ALL"
        elif _UNLOCK_ALL in statement.sql.lower() and _calls_unlock_all(statement):
            what = f"{_UNLOCK_ALL}()"
        if what:
            raise _refused(
                script,
                statement.offset,
                f"{what} releases the lock of the run, and another run could begin",
                "remove it: turnback resets the session before each file; release a lock of your "
                "own with pg_advisory_unlock(NUMBER)",
            )


def _calls_unlock_all(statement: Statement) -> bool:
    if statement.kind == "DoStmt":
        return True
    return any(
        kind == "FuncCall" and strings(node["funcname"])[-1] == _UNLOCK_ALL
        for kind, node in walk(statement.tree)
    )


def syntax_error(script: Script) -> InvalidMigration | None:
    """What the grammar has against this script, or None."""
    try:
        split(script.sql)
    except SqlSyntaxError as error:
        line, column = position(script.sql, error.offset)
        return InvalidMigration(error.message, file=script.path, line=line, column=column)
    return None


def _peel(script: Script, statements: list[Statement]) -> tuple[str, list[Statement]]:
    control = [
        (index, statement)
        for index, statement in enumerate(statements)
        if statement.kind == "TransactionStmt" and statement.tree.get("kind") not in _SAVEPOINTS
    ]
    if not control:
        return script.sql, statements
    last = len(statements) - 1
    if [index for index, _ in control] == [0, last] and last > 0:
        (_, begin), (_, commit) = control
        pair = begin.tree.get("kind") in _BEGINS and commit.tree.get("kind") == "TRANS_STMT_COMMIT"
        if pair and not begin.tree.get("options") and not commit.tree.get("chain"):
            text = script.sql
            for statement in (begin, commit):
                blank = " " * len(statement.sql)
                text = text[: statement.offset] + blank + text[statement.end :]
            return text, statements[1:-1]
    _, culprit = next((c for c in control if 0 < c[0] < last), control[0])
    word = culprit.sql.split(None, 1)[0].upper()
    raise _refused(
        script,
        culprit.offset,
        f"{word} in the file would end the transaction that makes it safe",
        "remove it: every file runs in a transaction of its own; split the file where the "
        "transaction must end",
    )


def _explain(script: Script, error: SqlSyntaxError) -> None:
    """Say kindly what only psql understands; anything else is the server's to refuse."""
    if (copy := _copy_before(script, error.offset)) is not None:
        raise _refused(
            script,
            copy.offset,
            "COPY from stdin needs a client that feeds it",
            "write the rows as INSERT … VALUES",
        )
    if script.sql[error.offset : error.offset + 1] == "\\":
        command = script.sql[error.offset :].split(None, 1)[0]
        raise _refused(
            script,
            error.offset,
            f"'{command}' is a command of psql, not SQL",
            "remove it: the server does not know psql's commands",
        )


def _copy_before(script: Script, offset: int) -> Statement | None:
    """The COPY FROM stdin whose data begins at the offset, where the SQL ends."""
    try:
        statements = split(script.sql[:offset])
    except SqlSyntaxError:
        return None
    last = statements[-1] if statements else None
    if last is None or last.kind != "CopyStmt" or not last.tree.get("is_from"):
        return None
    return None if last.tree.get("filename") else last


def _refused(script: Script, offset: int, message: str, hint: str) -> InvalidMigration:
    line, column = position(script.sql, offset)
    return InvalidMigration(message, file=script.path, line=line, column=column, hint=hint)
