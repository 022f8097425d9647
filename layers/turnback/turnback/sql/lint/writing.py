"""SQL to copy, written with the names of the statement it is for."""

from __future__ import annotations

import re
from functools import cache

from turnback.sql.parser import SqlSyntaxError, parse_tree
from turnback.sql.tables import Type

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


_SHOWN = {"int4": "integer", "int8": "bigint", "int2": "smallint", "bool": "boolean"}


def type_sql(type_: Type) -> str:
    """A type as people write it."""
    plain = Type(_SHOWN.get(type_.name, type_.name), type_.numbers, type_.array)
    return str(plain) if "." not in type_.name else type_.name


def all_wait(table: str) -> str:
    """Whom an AccessExclusiveLock keeps waiting."""
    return f"Whoever reads or writes {table} waits meanwhile"
