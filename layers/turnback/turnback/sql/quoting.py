"""Text as SQL literals and identifiers, for messages that take no parameters.

A simple query message has no parameters (PostgreSQL manual, 54.2.2), and a migration travels in
one together with its record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from turnback.sql.tokens import tokens
from turnback.wording import one_line, visible

# A name as SQL has it, in a regular expression.
NAME = r'"(?:[^"]|"")+"|[\w$-]+'


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


def plain(name: str) -> str:
    """The name that SQL means: without its quotes, or in lower case."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def printed(sql: str) -> str:
    """SQL, or a name in it, as it is printed: every character of a name is seen, on one line.

    A name may have line ends, and marks that turn text around: printed as they are, they would
    pass for something else, and without them it would name another object. So it is written as
    ``U&"a\\202eb"`` (PostgreSQL manual, 4.1.2.3), which names the same.
    """
    if one_line(sql) == sql:
        return sql
    parts, at = list[str](), 0
    for token in tokens(sql):
        parts.append(visible(sql[at : token.start]))
        name = token.kind == "quoted" and one_line(token.text) != token.text
        parts.append(_by_codes(token.text) if name else visible(token.text))
        at = token.end
    return "".join([*parts, visible(sql[at:])])


def _by_codes(name: str) -> str:
    if name[0] in "uU":
        return one_line(name)
    escaped = name.replace("\\", "\\\\")
    return "U&" + "".join(
        character if one_line(character) == character else f"\\+{ord(character):06x}"
        for character in escaped
    )


def joined(parts: Iterable[str]) -> str:
    """A name of several parts, each quoted."""
    return ".".join(identifier(part) for part in parts)


def relation_name(relation: Mapping[str, Any]) -> str:
    """The quoted name of a relation in the parser's tree, with its schema where that is given."""
    parts = [relation.get("schemaname"), relation["relname"]]
    return joined(part for part in parts if part)
