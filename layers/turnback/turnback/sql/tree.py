"""Reading the parser's nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

Node = dict[str, Any]


def table_name(relation: Node) -> str:
    """``schema.table`` of a RangeVar, without ``public``."""
    schema = relation.get("schemaname", "public")
    name: str = relation["relname"]
    return name if schema == "public" else f"{schema}.{name}"


def dotted(items: Iterable[Node]) -> str:
    """The name that a list of String nodes spells, without ``public`` and ``pg_catalog``."""
    parts = strings(items)
    return ".".join(parts[1:] if len(parts) > 1 and parts[0] in _UNSAID else parts)


def strings(items: Iterable[Node]) -> list[str]:
    """The texts of String nodes."""
    return [item["String"]["sval"] for item in items if "String" in item]


def objects(drop: Node) -> list[list[str]]:
    """The names in a DropStmt, each as its parts."""
    found = []
    for item in drop.get("objects", ()):
        if "List" in item:
            found.append(strings(item["List"]["items"]))
        elif "TypeName" in item:
            found.append(strings(item["TypeName"]["names"]))
        else:
            found.append(strings([item]))
    return found


def joined(parts: list[str]) -> str:
    """``schema.table`` of a name's parts, without ``public``."""
    return ".".join(parts[1:] if len(parts) > 1 and parts[0] == "public" else parts)


def walk(node: object) -> Iterator[tuple[str, Node]]:
    """Every node below, with its kind."""
    if isinstance(node, list):
        for item in node:
            yield from walk(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, dict):
                yield key, value
            yield from walk(value)


def column_refs(node: object) -> list[str]:
    """The columns an expression names, each once, in order."""
    found = []
    for kind, inner in walk(node):
        if kind == "ColumnRef" and (names := strings(inner["fields"])):
            found.append(names[-1])
    return list(dict.fromkeys(found))


def relations(node: object) -> list[str]:
    """The tables a query names, each once, in order."""
    found = [
        table_name(inner)
        for kind, inner in walk(node)
        if kind == "RangeVar" or (kind == "relation" and "relname" in inner)
    ]
    return list(dict.fromkeys(found))


def constants(node: object) -> set[str]:
    """The string constants in a statement."""
    return {
        inner["sval"]["sval"]
        for kind, inner in walk(node)
        if kind == "A_Const" and isinstance(inner.get("sval"), dict) and "sval" in inner["sval"]
    }


def commands(tree: Node) -> list[Node]:
    """The subcommands of an ALTER TABLE."""
    return [item["AlterTableCmd"] for item in tree.get("cmds", ())]


def definition(command: Node) -> tuple[str, Node]:
    """What a subcommand defines: ``("ColumnDef", …)``, ``("Constraint", …)`` or ``("", {})``."""
    for kind, node in command.get("def", {}).items():
        return kind, node
    return "", {}


def inline_constraints(column: Node) -> list[Node]:
    """The constraints written with a column."""
    return [item["Constraint"] for item in column.get("constraints", ())]


def index_columns(tree: Node) -> list[str | None]:
    """The columns of an IndexStmt or of a constraint's index; None for an expression."""
    return [item["IndexElem"].get("name") for item in tree.get("indexParams", ())]


_UNSAID = ("public", "pg_catalog")
