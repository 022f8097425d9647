"""SQL to copy, written with the names of the statement it is for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from turnback.sql.definitions import column_of
from turnback.sql.lint.step import LintStep
from turnback.sql.parser import SqlSyntaxError, parse_tree
from turnback.sql.tables import Type
from turnback.sql.tokens import tokens
from turnback.sql.tree import Node, commands, definition, strings, table_name

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*\Z")
_ACTIONS = {"r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
NEXT = "-- the next migration"


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


def names(items: Iterable[str]) -> str:
    """Identifiers with commas between them."""
    return ", ".join(map(name, items))


def foreign_key(node: Node, columns: Iterable[str]) -> str:
    """The clause of a foreign key, as it was written."""
    target = names(strings(node.get("pk_attrs", ())))
    text = f"FOREIGN KEY ({names(columns)}) REFERENCES {dotted_name(table_name(node['pktable']))}"
    if target:
        text += f" ({target})"
    if node.get("fk_matchtype") == "f":
        text += " MATCH FULL"
    for event, field in (("DELETE", "fk_del_action"), ("UPDATE", "fk_upd_action")):
        if action := _ACTIONS.get(node.get(field, "")):
            text += f" ON {event} {action}"
    if node.get("deferrable"):
        text += " DEFERRABLE"
    if node.get("initdeferred"):
        text += " INITIALLY DEFERRED"
    return text


def condition(sql: str, start: int) -> str:
    """The text in the first pair of parentheses at or after an offset, without them.

    A text that ends before its pair is given as it is.
    """
    depth, opening = 0, start
    for token in tokens(sql, start):
        if token.text == "(":
            opening = token.end if depth == 0 else opening
            depth += 1
        elif token.text == ")":
            depth -= 1
            if depth == 0:
                return sql[opening : token.start]
    return sql[opening:]


def concurrently(sql: str, keyword: str) -> str:
    """The statement with CONCURRENTLY after its first ``keyword``."""
    return re.sub(rf"\b{keyword}\b", f"{keyword} CONCURRENTLY", sql, count=1, flags=re.I) + ";"


_SHOWN = {"int4": "integer", "int8": "bigint", "int2": "smallint", "bool": "boolean"}


def type_sql(type_: Type) -> str:
    """A type as people write it."""
    plain = Type(_SHOWN.get(type_.name, type_.name), type_.numbers, type_.array)
    return str(plain) if "." not in type_.name else type_.name


def all_wait(table: str) -> str:
    """Whom an AccessExclusiveLock keeps waiting."""
    return f"Whoever reads or writes {table} waits meanwhile"


def new_column_type(step: LintStep, column: str) -> str:
    """The type of a column that this statement adds, with a space before it."""
    for command in commands(step.tree):
        kind, node = definition(command)
        if kind == "ColumnDef" and node.get("colname") == column:
            return " " + type_sql(column_of(node).type)
    return ""
