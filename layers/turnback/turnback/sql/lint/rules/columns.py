"""What rules about ALTER TABLE have in common."""

from __future__ import annotations

from turnback.sql.lint.definitions import column_of
from turnback.sql.lint.nodes import commands, definition
from turnback.sql.lint.step import Step
from turnback.sql.lint.writing import type_sql


def all_wait(table: str) -> str:
    """Whom an AccessExclusiveLock keeps waiting."""
    return f"Whoever reads or writes {table} waits meanwhile"


def new_column_type(step: Step, column: str) -> str:
    """The type of a column that this statement adds, with a space before it."""
    for command in commands(step.tree):
        kind, node = definition(command)
        if kind == "ColumnDef" and node.get("colname") == column:
            return " " + type_sql(column_of(node).type)
    return ""
