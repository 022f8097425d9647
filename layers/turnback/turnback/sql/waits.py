"""What a script waits for: the locks of each statement, and the first of them."""

from __future__ import annotations

from dataclasses import dataclass

from turnback.sql.blocks import embedded
from turnback.sql.locks import TableLock, cascades_of, locks_of
from turnback.sql.parser import SqlSyntaxError
from turnback.sql.scope import Scope
from turnback.sql.script import Runnable
from turnback.sql.statements import Statement, split
from turnback.sql.tokens import tokens
from turnback.sql.tree import dotted, relations, text_options, walk
from turnback.sql.volatility import is_known

_AGGREGATES = {"array_agg", "bool_and", "bool_or", "count", "max", "min", "string_agg", "sum"}
# A handler for these would take the end of a short lock timeout for an error of the block.
_CATCHES = ("OTHERS", "LOCK_NOT_AVAILABLE", "SQLSTATE")
# They make new things or change the session: they wait for nobody, and take no time.
_HARMLESS = {
    "VariableSetStmt",
    "TransactionStmt",
    "CreateStmt",
    "CreateSchemaStmt",
    "CreateExtensionStmt",
    "CreateEnumStmt",
    "CreateDomainStmt",
    "CompositeTypeStmt",
    "CreateRangeStmt",
    "CreateFunctionStmt",
    "CreateSeqStmt",
    "ViewStmt",
    "CommentStmt",
}


@dataclass(frozen=True, slots=True)
class FirstLock:
    """The statement of a script that waits for a lock first, with nothing to repeat before it.

    Attributes:
        number: its place in the script, from 0.
        statement: the statement.
        timeout: the statement by which the script itself has set the lock timeout before it, or
            None.
    """

    number: int
    statement: Statement
    timeout: str | None


def locks_by_statement(runnable: Runnable) -> list[list[TableLock]]:
    """The locks that each statement asks for, by names as they are before the script.

    What waits for old transactions by design has none: a lock timeout would leave an invalid index
    behind, and nobody queues behind its weak lock (manual, CREATE INDEX).
    """
    found: list[list[TableLock]] = []
    scope = Scope()
    for statement in runnable.statements or ():
        weak = statement.outside_transaction and not statement.strong_outside
        found.append([] if weak else _asked(scope.qualified(statement)))
        if statement.kind == "VariableSetStmt":
            scope.after(statement, runnable.script.path)
    return found


def first_lock(runnable: Runnable) -> FirstLock | None:
    """Where a script waits first; None where work comes before that, or nothing is known."""
    timeout = None
    for number, statement in enumerate(runnable.statements or ()):
        if _waits_first(statement):
            return FirstLock(number, statement, timeout)
        if statement.kind not in _HARMLESS:
            return None
        setting, form = statement.tree.get("name", ""), statement.tree.get("kind")
        if form == "VAR_RESET_ALL":
            timeout = "RESET lock_timeout"
        elif str(setting).lower() == "lock_timeout" and form != "VAR_SET_CURRENT":
            timeout = statement.sql
    return None


def _asked(statement: Statement) -> list[TableLock]:
    """What a statement is sure to ask for, with what a block does, and what goes by CASCADE."""
    if statement.kind != "DoStmt":
        return [*locks_of(statement), *cascades_of(statement)]
    return [
        lock
        for part in embedded(_body(statement))
        if part.kind == "sql" and not part.branch
        for inner in _parsed(part.text)
        for lock in _asked(inner)
    ]


def _waits_first(statement: Statement) -> bool:
    """Whether a statement waits for a lock before it does anything that takes time.

    A block must do nothing else: all of it is repeated, and its other locks would have no more
    time than the first.
    """
    if statement.kind != "DoStmt":
        return bool(_asked(statement))
    body = _body(statement)
    if any(token.is_word(*_CATCHES) for token in tokens(body)):
        return False
    locking = 0
    for part in embedded(body):
        if part.kind == "dynamic" or (part.kind == "call" and not is_known(part.text.lower())):
            return False
        for inner in _parsed(part.text) if part.kind == "sql" else ():
            if _asked(inner):
                locking += 1
            elif inner.kind not in _HARMLESS and not _reads_catalog(inner):
                return False
    return locking == 1


def _body(block: Statement) -> str:
    options = text_options(block.tree.get("args", ()))
    return options.get("as", "") if options.get("language", "plpgsql") == "plpgsql" else ""


def _parsed(text: str) -> list[Statement]:
    try:
        return split(text)
    except SqlSyntaxError:
        return []


def _reads_catalog(statement: Statement) -> bool:
    calls = (dotted(node["funcname"]) for kind, node in walk(statement.tree) if kind == "FuncCall")
    return (
        statement.kind == "SelectStmt"
        and all(
            name.startswith(("pg_", "information_schema.")) for name in relations(statement.tree)
        )
        and all(is_known(name) or name in _AGGREGATES for name in calls)
    )
