"""Text as SQL literals and identifiers, for messages that take no parameters.

A simple query message has no parameters (PostgreSQL manual, 54.2.2), and a migration travels in
one together with its record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def literal(value: str | int | None) -> str:
    """The value as a SQL literal that means the same under every server setting."""
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    text = value.replace("'", "''")
    if "\\" in text:
        return "E'" + text.replace("\\", "\\\\") + "'"
    return f"'{text}'"


def identifier(name: str) -> str:
    """The name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def joined(parts: Iterable[str]) -> str:
    """A name of several parts, each quoted."""
    return ".".join(identifier(part) for part in parts)


def relation_name(relation: Mapping[str, Any]) -> str:
    """The quoted name of a relation in the parser's tree, with its schema where that is given."""
    parts = [relation.get("schemaname"), relation["relname"]]
    return joined(part for part in parts if part)
