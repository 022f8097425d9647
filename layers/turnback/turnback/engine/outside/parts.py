"""A statement that takes away several things at once, as one statement for each of them.

Where only some of them were made, the server refuses the statement as a whole. It is cut at the
commas of its text, and the pieces are believed only if the parser reads the same out of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from turnback.sql.parser import SqlSyntaxError
from turnback.sql.statements import Statement, split

_PLACES = ("location", "list_start", "list_end")
_FIELDS = {"DropStmt": "objects", "AlterTableStmt": "cmds"}
# Strings, quoted names, dollar quotes and comments hide commas and parentheses.
_TOKEN = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|(\$\w*\$).*?\1|--[^\n]*|/\*.*?\*/|[(\[]|[)\]]|,", re.S
)


def parts(statement: Statement) -> list[Statement] | None:
    """The statement cut into one for each thing; None where it has one part, or cannot be cut."""
    field = _FIELDS.get(statement.kind)
    items = statement.tree.get(field, []) if field else []
    if field is None or len(items) < 2:
        return None
    pieces = list(_pieces(statement.sql))
    if len(pieces) != len(items):
        return None
    wanted = [_bare({**statement.tree, field: [item]}) for item in items]
    tail = " CASCADE" if statement.tree.get("behavior") == "DROP_CASCADE" else ""
    for prefix in _prefixes(pieces[0]):
        texts = [pieces[0], *(f"{prefix} {piece}" for piece in pieces[1:])]
        found = [_first_read(text, tail, tree) for text, tree in zip(texts, wanted, strict=True)]
        if all(found):
            return [
                Statement(one.sql, statement.offset, one.kind, one.tree) for one in found if one
            ]
    return None


def _pieces(sql: str) -> Iterator[str]:
    depth = start = 0
    for token in _TOKEN.finditer(sql):
        mark = token[0]
        depth += (mark in "([") - (mark in ")]")
        if mark == "," and depth == 0:
            yield sql[start : token.start()].strip()
            start = token.end()
    yield sql[start:].strip()


def _prefixes(first: str) -> Iterator[str]:
    """What may come before the first thing: every beginning that ends between two words."""
    for space in re.finditer(r"\s+", first):
        yield first[: space.start()]


def _first_read(text: str, tail: str, wanted: object) -> Statement | None:
    for candidate in (text, text + tail):
        try:
            found = split(candidate)
        except SqlSyntaxError:
            continue
        if len(found) == 1 and _bare(found[0].tree) == wanted:
            return found[0]
    return None


def _bare(node: Any) -> Any:
    """The tree without the places of its nodes in the text."""
    if isinstance(node, dict):
        return {key: _bare(value) for key, value in node.items() if not key.endswith(_PLACES)}
    return [_bare(value) for value in node] if isinstance(node, list) else node
