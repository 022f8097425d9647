"""A statement that drops or alters several things, as one statement for each of them.

Where only some of the things exist, the server refuses the statement as a whole.
"""

from __future__ import annotations

from turnback.sql.deparse import deparse, without_places
from turnback.sql.parser import SqlSyntaxError
from turnback.sql.statements import Statement, split
from turnback.sql.tree import Node

_FIELDS = {"DropStmt": "objects", "AlterTableStmt": "cmds"}


def parts(statement: Statement) -> list[Statement] | None:
    """One statement for each thing; None where there is one thing, or it cannot be divided.

    The parts are written from the parse tree, so they have no comments. A part counts only if the
    parser reads the same tree from it.
    """
    field = _FIELDS.get(statement.kind)
    items = statement.tree.get(field, []) if field else []
    if field is None or len(items) < 2:
        return None
    found = [_read(statement, {**statement.tree, field: [item]}) for item in items]
    read = [part for part in found if part is not None]
    return read if len(read) == len(found) else None


def _read(statement: Statement, wanted: Node) -> Statement | None:
    try:
        found = split(deparse(statement.kind, wanted))
    except SqlSyntaxError:
        return None
    if len(found) != 1 or without_places(found[0].tree) != without_places(wanted):
        return None
    return Statement(found[0].sql, statement.offset, found[0].kind, found[0].tree)
