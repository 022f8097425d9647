"""A statement where it stands: in its file, with the schema as it finds it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from turnback.errors import TurnbackError
from turnback.migrations.large import LargeScript
from turnback.migrations.model import Script
from turnback.sql.blocks import body_of, statements_in
from turnback.sql.bulk import statements_of
from turnback.sql.lint.model import RULES, Finding, Severity, Suggestion
from turnback.sql.parser import SqlSyntaxError
from turnback.sql.replay import replay
from turnback.sql.scope import Scope
from turnback.sql.script import prepare, syntax_error
from turnback.sql.statements import Statement
from turnback.sql.tables import Schema, Table
from turnback.sql.tokens import tokens
from turnback.sql.tree import Named, Node


@dataclass(frozen=True)
class ScriptContext:
    """What all statements of a script share.

    Attributes:
        in_transaction: whether the script runs as one transaction.
        is_rollback: whether it is a rollback script.
        fresh: paths of the scripts whose tables are new, so the application does not use them yet.
        divided: whether it runs as several transactions, because it uses values of enums that it
            adds; the rules judge it as one.
    """

    script: Script
    in_transaction: bool
    is_rollback: bool
    fresh: frozenset[str]
    divided: bool = False

    def finding(
        self, rule: str, offset: int, message: str, *, why: str, safer: Suggestion = ""
    ) -> Finding:
        """A finding at an offset in characters from 0."""
        line, column = self.script.position(offset)
        found, path = RULES[rule], self.script.path
        remark = self.is_rollback and found.remark_in_rollback
        return Finding(found, path, line, column, offset, message, why, safer, remark)


@dataclass(frozen=True, slots=True)
class Block:
    """What a body does with a statement in it.

    Attributes:
        commits: whether it commits as it goes: each part is a transaction of its own.
        loops: whether the statement is in a loop, or may be.
    """

    commits: bool
    loops: bool


@dataclass(frozen=True, slots=True)
class LintStep:
    """One statement, and the schema before it.

    Attributes:
        known: what was found out about it, for the next rule that asks.
        block: the DO block or the function that it is in; None outside of one.
    """

    context: ScriptContext
    statement: Statement
    schema: Schema
    known: dict[str, Any] = field(default_factory=dict, compare=False)
    block: Block | None = None

    @property
    def kind(self) -> str:
        """The parser's name of the statement."""
        return self.statement.kind

    @property
    def tree(self) -> Node:
        """The parser's node."""
        return self.statement.tree

    def table(self, name: str) -> Table | None:
        """The table of this name, if a script made it."""
        return self.schema.find(name)

    @property
    def inside(self) -> list[LintStep]:
        """The statements of a DO block, each with the schema that it finds; empty of all others."""
        if self.kind != "DoStmt":
            return []
        if "inside" not in self.known:
            self.known["inside"] = list(self.in_body(*body_of(self.statement)))
        found: list[LintStep] = self.known["inside"]
        return found

    def in_body(self, body: str, offset: int = 0) -> Iterator[LintStep]:
        """The statements of a PL/pgSQL body that this statement runs."""
        words = {token.text.upper() for token in tokens(body) if token.kind == "word"}
        schema = self.schema
        for part, statement in statements_in(body, offset):
            block = Block("COMMIT" in words, bool(part.branch) and "LOOP" in words)
            yield replace(self, statement=statement, schema=schema, known={}, block=block)
            schema = replay(schema, statement, self.context.script.path)

    def in_use(self, name: str) -> bool:
        """Whether the table was there before: the application reads and writes it meanwhile."""
        table = self.schema.find(name)
        return table is None or table.born not in self.context.fresh

    def alone(self) -> LintStep:
        """The step as it is where the other scripts of the release ran before."""
        context = replace(self.context, fresh=frozenset({self.context.script.path}))
        return replace(self, context=context, known={})

    def column_in_use(self, table: str, column: str) -> bool:
        """Whether the column was there before, and its table."""
        known = self.table(table)
        made = known.column(column) if known else None
        return self.in_use(table) and (made is None or made.born not in self.context.fresh)

    def is_old(self, kind: str, name: str) -> bool:
        """Whether what is no table was there before; ``kind`` is the parser's word for it."""
        return self.schema.born.get(Named(kind, name), "") not in self.context.fresh

    def finding(
        self,
        rule: str,
        message: str,
        *,
        why: str,
        safer: Suggestion = "",
        at: int | None = None,
        severity: Severity | None = None,
    ) -> Finding:
        """A finding in this statement.

        Args:
            at: where, in the parser's bytes; the statement's first character if not given.
            severity: a level of its own, where it is not the rule's.
        """
        offset = self.statement.offset if at is None else self.statement.place(at)
        # Printed for people and in the document: written once.
        once = safer if isinstance(safer, str) else cache(safer)
        found = self.context.finding(rule, offset, message, why=why, safer=once)
        return replace(found, severity=severity) if severity else found


def steps(
    script: Script, schema: Schema, *, is_rollback: bool = False, fresh: frozenset[str]
) -> tuple[Sequence[LintStep], Schema, Finding | None]:
    """The statements of a script as steps, the schema after them, and what keeps it from running.

    Args:
        schema: as the script finds it.
        fresh: paths of other scripts whose tables are new.
    """
    context = ScriptContext(script, True, is_rollback, fresh | {script.path})
    try:
        runnable = prepare(script)
    except TurnbackError as error:
        return (), _replayed(schema, script), _unreadable(context, error)
    if runnable.statements is None:
        error_found = syntax_error(script)
        return (), schema, _unreadable(context, error_found) if error_found else None
    context = replace(
        context, in_transaction=not runnable.one_by_one, divided=bool(runnable.starts)
    )
    found = []
    scope = _scope(script, schema)
    for statement in runnable.statements:
        if scope:
            statement = scope.qualified(statement)
        step = LintStep(context, statement, schema)
        found.append(step)
        if scope:
            scope.after(statement, script.path)
            schema = scope.tables
        else:
            schema = replay(schema, statement, script.path)
        for inner in step.inside:
            schema = replay(schema, inner.statement, script.path)
        if scope:
            scope.tables = schema
    for name in schema.temporary:
        schema = schema.without(name)
    return found, schema, None


def _scope(script: Script, schema: Schema) -> Scope | None:
    """What finds the schema of each name, where a script has others than ``public``."""
    if isinstance(script, LargeScript):
        return None
    # An expression that ignores case takes ten times as long to find nothing.
    text = script.sql.lower()
    if "search_path" not in text and "temp" not in text:
        return None
    scope = Scope()
    scope.tables = schema
    return scope


def _replayed(schema: Schema, script: Script) -> Schema:
    """The schema after a script that the engine refuses; later scripts expect it."""
    try:
        for statement in statements_of(script):
            schema = replay(schema, statement, script.path)
    except SqlSyntaxError:
        return schema
    return schema


def _unreadable(context: ScriptContext, error: TurnbackError) -> Finding:
    lines = context.script.sql.splitlines(keepends=True)
    offset = sum(map(len, lines[: (error.line or 1) - 1])) + (error.column or 1) - 1
    advice = f"; {error.hint}" if error.hint else ""
    return context.finding(
        "TB901",
        offset,
        f"{error.message}{advice}.",
        why="No rule could look at this file, and the statements of later files are judged "
        "without it.",
    )
