"""Text as SQL literals and identifiers, for messages that take no parameters.

A simple query message has no parameters (PostgreSQL manual, 54.2.2), and a migration travels in
one together with its record.
"""

from __future__ import annotations


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
