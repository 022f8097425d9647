"""SQL to copy, written with the names of the statement it is for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache

from turnback.sql.deparse import deparse
from turnback.sql.lint.step import LintStep
from turnback.sql.parser import SqlSyntaxError, parse_tree
from turnback.sql.tables import Table, Type
from turnback.sql.tree import Node, table_name

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*\Z")
NEXT = "-- the next migration"
VERIFY = "-- its verify script"


@cache
def name(text: str) -> str:
    """An identifier, in quotes where it needs them."""
    if _PLAIN.match(text):
        try:
            parse_tree(f"CREATE TABLE {text} ({text} int)")
        except SqlSyntaxError:
            pass
        else:
            return text
    return '"' + text.replace('"', '""') + '"'


def dotted_name(text: str) -> str:
    """``schema.table`` with each part in quotes where it needs them."""
    schema, _, plain = text.rpartition(".")
    return f"{name(schema)}.{name(plain)}" if schema else name(plain)


_SHOWN = {"int4": "integer", "int8": "bigint", "int2": "smallint", "bool": "boolean"}


def type_sql(type_: Type) -> str:
    """A type as people write it."""
    plain = Type(_SHOWN.get(type_.name, type_.name), type_.numbers, type_.array)
    return str(plain) if "." not in type_.name else type_.name


def all_wait(table: str) -> str:
    """Whom an AccessExclusiveLock keeps waiting."""
    return f"Whoever reads or writes {table} waits meanwhile"


# Statements out of the author's tree, and the files that they are in.

File = Sequence[str]
OUTSIDE = "-- turnback: no-transaction"
# The longest name in bytes (manual, 4.1.1).
_LONGEST_BYTES = 63


def files(*texts: File) -> str:
    """Migrations as one text, each after a mark of its own."""
    return f"\n{NEXT}\n".join("\n".join(file) for file in texts if file)


def written(kind: str, tree: Node) -> str:
    """A statement, with its semicolon."""
    return deparse(kind, tree) + ";"


def free_name(step: LintStep, *parts: str) -> str:
    """A name of these parts that PostgreSQL does not cut off and no relation of the table has."""
    table = step.table(table_name(step.tree["relation"])) if "relation" in step.tree else None
    names = taken(table)
    number = 0
    while True:
        end = "_".join(["", *parts[1:], *([str(number)] if number else [])])
        room = _LONGEST_BYTES - len(end.encode("utf-8"))
        whole = parts[0].encode("utf-8")[: max(room, 8)].decode("utf-8", errors="ignore") + end
        kept = whole.encode("utf-8")[:_LONGEST_BYTES].decode("utf-8", errors="ignore")
        if kept not in names:
            return kept
        number += 1


def taken(table: Table | None) -> set[str]:
    if table is None:
        return set()
    return {item.name for item in table.constraints} | {item.name for item in table.indexes}


def alter(step: LintStep, *commands: Node) -> str:
    """ALTER TABLE of the statement's table, with these subcommands."""
    items = [{"AlterTableCmd": {"behavior": "DROP_RESTRICT", **command}} for command in commands]
    tree = {"relation": step.tree["relation"], "cmds": items, "objtype": "OBJECT_TABLE"}
    return written("AlterTableStmt", tree)


def validate(step: LintStep, constraint: str) -> str:
    """VALIDATE CONSTRAINT."""
    return alter(step, {"subtype": "AT_ValidateConstraint", "name": constraint})


def not_valid(step: LintStep, node: Node, called: str) -> str:
    """ADD CONSTRAINT … NOT VALID."""
    added = {**node, "conname": called, "skip_validation": True}
    added.pop("initially_valid", None)
    return alter(step, {"subtype": "AT_AddConstraint", "def": {"Constraint": added}})


def add_column(step: LintStep, node: Node, *without: str) -> str:
    """ADD COLUMN, without some of its constraints.

    Args:
        without: the parser's words for them, such as ``CONSTR_CHECK``.
    """
    kept = [
        item for item in node.get("constraints", ()) if item["Constraint"]["contype"] not in without
    ]
    column = {**node, "constraints": kept}
    return alter(step, {"subtype": "AT_AddColumn", "def": {"ColumnDef": column}})


def apart(groups: Iterable[Sequence[LintStep]]) -> str:
    """Statements as they are, in files of their own."""
    return files(*[[f"{step.statement.sql};" for step in group] for group in groups])


def on(step: LintStep, table: str) -> LintStep:
    """The statement, with another table as its own."""
    schema, _, plain = table.rpartition(".")
    relation = {"relname": plain, "inh": True, "relpersistence": "p"}
    relation |= {"schemaname": schema} if schema else {}
    tree = {**step.tree, "relation": relation}
    return replace(step, statement=replace(step.statement, tree=tree), known={})


def column_def(step: LintStep, column: str) -> Node:
    """The parser's ColumnDef of a column that the statement adds."""
    for command in step.tree["cmds"]:
        node = command["AlterTableCmd"].get("def", {}).get("ColumnDef")
        if node and node.get("colname") == column:
            found: Node = node
            return found
    raise LookupError(column)


def reference(*names: str) -> Node:
    """A column, as the parser has it."""
    return {"ColumnRef": {"fields": [{"String": {"sval": item}} for item in names]}}


ORDER = {"ordering": "SORTBY_DEFAULT", "nulls_ordering": "SORTBY_NULLS_DEFAULT"}
