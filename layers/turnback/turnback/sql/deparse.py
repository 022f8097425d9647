"""A statement as text again, out of the parser's tree.

libpg_query writes it, so that what was quoted, cast or nested stays what it means; comments are not
in the tree, and are lost.
"""

from __future__ import annotations

from typing import Any

from turnback.sql.tree import Node


def deparse(kind: str, tree: Node) -> str:
    """The statement as one text, without a semicolon.

    Args:
        kind: the parser's name of it, such as ``IndexStmt``.
        tree: the parser's node; places in it are not looked at.
    """
    # They bring protobuf, which nothing else needs and which takes 80 ms to import.
    import postgast
    from google.protobuf.json_format import ParseDict
    from postgast import pg_query_pb2

    document = {"stmts": [{"stmt": {kind: without_places(tree)}}]}
    text: str = postgast.deparse(ParseDict(document, pg_query_pb2.ParseResult()))
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
