"""Whether a function may give each row another value (manual, 36.7)."""

from __future__ import annotations

from functools import cache
from importlib import resources

from turnback.sql.tables import Schema
from turnback.sql.tree import Node, dotted, walk


@cache
def _builtin() -> tuple[frozenset[str], frozenset[str]]:
    """The volatile functions, and the others, of PostgreSQL and of its usual extensions.

    A name with both kinds counts as volatile. ``tests/integration/test_lint_server.py`` compares
    the file with pg_proc.
    """
    text = resources.files(__package__).joinpath("builtin_functions.txt").read_text("utf-8")
    volatile, others = (frozenset(part.split()) for part in text.split("\n\n"))
    return volatile, others


def is_known(function: str) -> bool:
    """Whether the function is one of PostgreSQL's own, or of an extension that comes with it."""
    return any(function in names for names in _builtin())


def volatile_call(expression: object, schema: Schema) -> str:
    """The first function in an expression that is VOLATILE, or may be; empty without one.

    A function that neither the scripts nor PostgreSQL make may be.
    """
    for kind, node in walk({"expression": expression}):
        if kind == "FuncCall" and _is_volatile(called := _name(node), schema):
            return called
    return ""


def _name(call: Node) -> str:
    return dotted(call["funcname"])


def _is_volatile(name: str, schema: Schema) -> bool:
    if (made := schema.functions.get(name)) is not None:
        return made.volatile
    volatile, others = _builtin()
    return name in volatile or name not in others
