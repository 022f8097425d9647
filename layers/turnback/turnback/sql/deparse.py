"""A statement as text again, out of the parser's tree.

libpg_query writes it, so that what was quoted, cast or nested stays what it means; comments are not
in the tree, and are lost.
"""

from __future__ import annotations

import sys
from typing import Any

from turnback.sql.parser import SqlSyntaxError
from turnback.sql.tree import Node


def deparse(kind: str, tree: Node) -> str:
    """The statement as one text, without a semicolon.

    Args:
        kind: the parser's name of it, such as ``IndexStmt``.
        tree: the parser's node; places in it are not looked at.

    Raises:
        SqlSyntaxError: it is nested too deeply to be written.
    """
    # They bring protobuf, which nothing else needs and which takes 80 ms to import.
    import postgast
    from google.protobuf.json_format import ParseDict
    from postgast import pg_query_pb2

    found = pg_query_pb2.ParseResult()
    try:
        document = {"stmts": [{"stmt": {kind: without_places(tree)}}]}
        # Its own limit of 100 is less than 50 operands in a row have.
        ParseDict(document, found, max_recursion_depth=sys.getrecursionlimit())
    except RecursionError:
        raise SqlSyntaxError("a statement is nested too deeply to be written", 0, "") from None
    text: str = postgast.deparse(found)
    return text


def expression(node: Node) -> str:
    """An expression as text."""
    return deparse("SelectStmt", {"targetList": [{"ResTarget": {"val": node}}]})[len("SELECT ") :]


_PLACES = ("location", "list_start", "list_end")


def without_places(node: Any) -> Any:
    """The tree without its positions in the text."""
    if isinstance(node, dict):
        return {k: without_places(v) for k, v in node.items() if not k.endswith(_PLACES)}
    return [without_places(value) for value in node] if isinstance(node, list) else node
