"""The data that a script destroys and that no other script brings back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from turnback.sql.statements import Statement, json_value

# A change of type that keeps every value: from → to (manual, 8.1 and 8.3).
_WIDER = {
    "int2": {"int4", "int8", "numeric", "text", "varchar"},
    "int4": {"int8", "numeric", "text", "varchar"},
    "int8": {"numeric", "text", "varchar"},
    "float4": {"float8"},
    "varchar": {"text"},
    "bpchar": {"text"},
    "date": {"timestamp", "timestamptz"},
    "json": {"jsonb"},
    "inet": {"text"},
    "uuid": {"text"},
}


def losses(statements: Iterable[Statement]) -> list[str]:
    """What these statements destroy: tables, columns, rows; a few words each."""
    found: list[str] = []
    for statement in statements:
        found.extend(_losses(statement))
    return found


def narrowed(
    before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """The columns whose type holds less than it did; from the objects of two fingerprints."""
    found = []
    for name in sorted(before.keys() & after.keys()):
        old, new = before[name].get("type"), after[name].get("type")
        if name.startswith("column ") and old and new and not keeps_values(old, new):
            found.append(f"values of {name} that fit {old} and not {new}")
    return found


def keeps_values(old: str, new: str) -> bool:
    """Whether every value of type ``old`` survives a change to ``new``; by the types' names."""
    old_name, new_name = _plain(old), _plain(new)
    if old_name == new_name:
        return _width(new) is None or (_width(old) or 0) <= (_width(new) or 0) != 0
    return new_name in _WIDER.get(old_name, set()) and _width(new) is None


def _losses(statement: Statement) -> Iterator[str]:
    tree = statement.tree
    match statement.kind:
        case "DropStmt" if tree.get("removeType") == "OBJECT_TABLE":
            for item in tree["objects"]:
                parts = [str(json_value(part)) for part in item["List"]["items"]]
                yield f"table {'.'.join(parts)}, with its rows"
        case "TruncateStmt":
            for item in tree["relations"]:
                yield f"the rows of {_relation(item['RangeVar'])}"
        case "DeleteStmt":
            yield f"rows of {_relation(tree['relation'])}"
        case "AlterTableStmt":
            table = _relation(tree["relation"])
            for item in tree["cmds"]:
                command = item["AlterTableCmd"]
                if command.get("subtype") == "AT_DropColumn":
                    yield f"column {table}.{command.get('name')}, with its values"


def _relation(relation: dict[str, Any]) -> str:
    parts = [relation.get("schemaname"), relation["relname"]]
    return ".".join(part for part in parts if part)


_SAME = {
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "real": "float4",
    "double precision": "float8",
    "character varying": "varchar",
    "character": "bpchar",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
}


def _plain(name: str) -> str:
    bare = name.split("(")[0].strip()
    return _SAME.get(bare, bare)


def _width(name: str) -> int | None:
    inside = name.partition("(")[2].rstrip(")")
    first = inside.split(",")[0].strip()
    return int(first) if first.isdigit() else None
