"""A statement that drops or alters several things, as one statement for each of them.

Where only some of the things exist, the server refuses the statement as a whole.
"""

from __future__ import annotations

from typing import Any

from turnback.sql.parser import SqlSyntaxError
from turnback.sql.statements import Statement, split

_FIELDS = {"DropStmt": "objects", "AlterTableStmt": "cmds"}
_NODES = {"DropStmt": "drop_stmt", "AlterTableStmt": "alter_table_stmt"}
_PLACES = ("location", "list_start", "list_end")


def parts(statement: Statement) -> list[Statement] | None:
    """One statement for each thing; None where there is one thing, or it cannot be divided.

    The parts are written from the parse tree, so they have no comments. A part counts only if the
    parser reads the same tree from it.
    """
    field = _FIELDS.get(statement.kind)
    items = statement.tree.get(field, []) if field else []
    if field is None or len(items) < 2:
        return None
    texts = _deparsed(statement, field)
    found = [
        _read(statement, text, {**statement.tree, field: [item]})
        for text, item in zip(texts, items, strict=True)
    ]
    read = [part for part in found if part is not None]
    return read if len(read) == len(found) else None


def _deparsed(statement: Statement, field: str) -> list[str]:
    # It brings protobuf, which nothing else needs and which takes 170 ms to import.
    import postgast

    whole = postgast.parse(statement.sql)
    node = getattr(whole.stmts[0].stmt, _NODES[statement.kind])
    items = list(getattr(node, field))
    texts = []
    for item in items:
        del getattr(node, field)[:]
        getattr(node, field).append(item)
        texts.append(postgast.deparse(whole))
    return texts


def _read(statement: Statement, text: str, wanted: dict[str, Any]) -> Statement | None:
    try:
        found = split(text)
    except SqlSyntaxError:
        return None
    if len(found) != 1 or without_places(found[0].tree) != without_places(wanted):
        return None
    return Statement(found[0].sql, statement.offset, found[0].kind, found[0].tree)


def without_places(node: Any) -> Any:
    """The tree without its positions in the text."""
    if isinstance(node, dict):
        return {k: without_places(v) for k, v in node.items() if not k.endswith(_PLACES)}
    return [without_places(value) for value in node] if isinstance(node, list) else node
