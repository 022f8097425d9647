"""What a statement makes, takes away or writes, by name, as the parser's tree tells it.

A name is the object's own, without its schema; what belongs to a table carries the table's before
it: ``users``, ``users.email``. Two objects of one name in different schemas are taken for one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from turnback.sql.statements import Statement, json_value

_WRITERS = {
    "InsertStmt",
    "UpdateStmt",
    "DeleteStmt",
    "MergeStmt",
    "CopyStmt",
    "TruncateStmt",
    "DoStmt",
    "CallStmt",
}
# Objects of a table: the parser gives them as a list with the table's name before their own.
_OF_A_TABLE = {"OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE"}
_PARTS_RENAMED = {
    "OBJECT_COLUMN",
    "OBJECT_TABCONSTRAINT",
    "OBJECT_TRIGGER",
    "OBJECT_POLICY",
    "OBJECT_RULE",
    "OBJECT_ATTRIBUTE",
}


def makes(statement: Statement) -> frozenset[str]:
    """The objects that this statement makes, or gives a new name to."""
    maker = _MAKERS.get(statement.kind)
    return frozenset(maker(statement.tree)) - {""} if maker else frozenset()


def takes_away(statement: Statement) -> list[str]:
    """The objects that this statement takes away, or renames; one for each of its parts."""
    tree = statement.tree
    match statement.kind:
        case "DropStmt":
            return [_dropped(tree["removeType"], item) for item in tree["objects"]]
        case "RenameStmt":
            old = tree.get("subname") if tree["renameType"] in _PARTS_RENAMED else None
            return [_renamed(tree, old or tree.get("relation", {}).get("relname", ""))]
        case "AlterTableStmt":
            relation = tree["relation"]["relname"]
            commands = [item["AlterTableCmd"] for item in tree["cmds"]]
            drops = ("AT_DropColumn", "AT_DropConstraint")
            return [
                f"{relation}.{command['name']}" if command["subtype"] in drops else ""
                for command in commands
            ]
    return []


def writes_rows(statement: Statement) -> bool:
    """Whether this statement writes rows, or may: a block or a function may do anything."""
    if statement.kind == "SelectStmt":
        return '"FuncCall"' in json.dumps(statement.tree)
    return statement.kind in _WRITERS


def target(statement: Statement) -> str | None:
    """The table that this statement writes rows into, makes, or changes."""
    tree = statement.tree
    if statement.kind == "CreateTableAsStmt":
        return str(tree["into"]["rel"]["relname"])
    relation = tree.get("relation")
    return str(relation["relname"]) if isinstance(relation, dict) and relation else None


def targets(statement: Statement) -> list[str]:
    """The tables that this statement writes rows into; TRUNCATE has several."""
    if statement.kind == "TruncateStmt":
        return [str(item["RangeVar"]["relname"]) for item in statement.tree["relations"]]
    return [target(statement) or ""]


def holds_rows(statement: Statement) -> list[str]:
    """What this statement drops that may have rows in it: tables, columns, schemas."""
    tree = statement.tree
    if statement.kind == "DropStmt" and tree["removeType"] in ("OBJECT_TABLE", "OBJECT_SCHEMA"):
        return takes_away(statement)
    if statement.kind != "AlterTableStmt":
        return []
    subtypes = (item["AlterTableCmd"]["subtype"] for item in tree["cmds"])
    return [
        name
        for name, subtype in zip(takes_away(statement), subtypes, strict=True)
        if subtype == "AT_DropColumn"
    ]


def _added(tree: dict[str, Any]) -> set[str]:
    relation = tree["relation"]["relname"]
    names = set()
    for item in tree["cmds"]:
        command = item["AlterTableCmd"]
        if command["subtype"] == "AT_AddColumn":
            names.add(f"{relation}.{command['def']['ColumnDef']['colname']}")
        elif command["subtype"] == "AT_AddConstraint":
            name = command["def"]["Constraint"].get("conname")
            names |= {f"{relation}.{name}"} if name else set()
    return names


def _renamed(tree: dict[str, Any], name: str) -> str:
    relation = tree.get("relation", {}).get("relname", "")
    if tree["renameType"] in _PARTS_RENAMED:
        return f"{relation}.{name}"
    return name


def _dropped(kind: str, item: dict[str, Any]) -> str:
    inner: dict[str, Any] = next(iter(item.values()))
    if "ObjectWithArgs" in item:
        return _last(inner["objname"])
    if "TypeName" in item:
        return _last(inner["names"])
    if "List" in item:
        names = [str(json_value(part)) for part in inner["items"]]
        return ".".join(names[-2:]) if kind in _OF_A_TABLE else names[-1]
    return str(json_value(item))


def _last(names: list[dict[str, Any]]) -> str:
    return str(json_value(names[-1]))


def _of_table(tree: dict[str, Any], table: str, name: str) -> set[str]:
    return {f"{tree[table]['relname']}.{tree[name]}"}


_Maker = Callable[[dict[str, Any]], set[str]]
_MAKERS: dict[str, _Maker] = {
    "CreateStmt": lambda tree: {tree["relation"]["relname"]},
    "CreateForeignTableStmt": lambda tree: {tree.get("base", tree)["relation"]["relname"]},
    "CreateTableAsStmt": lambda tree: {tree["into"]["rel"]["relname"]},
    "ViewStmt": lambda tree: {tree["view"]["relname"]},
    "CreateSeqStmt": lambda tree: {tree["sequence"]["relname"]},
    "IndexStmt": lambda tree: {tree.get("idxname", "")},
    "CompositeTypeStmt": lambda tree: {tree["typevar"]["relname"]},
    "CreateEnumStmt": lambda tree: {_last(tree["typeName"])},
    "CreateRangeStmt": lambda tree: {_last(tree["typeName"])},
    "CreateDomainStmt": lambda tree: {_last(tree["domainname"])},
    "CreateFunctionStmt": lambda tree: {_last(tree["funcname"])},
    "CreateSchemaStmt": lambda tree: {tree.get("schemaname", "")},
    "CreateExtensionStmt": lambda tree: {tree["extname"]},
    "SelectStmt": lambda tree: (
        {tree["intoClause"]["rel"]["relname"]} if "intoClause" in tree else set()
    ),
    "CreateTrigStmt": lambda tree: _of_table(tree, "relation", "trigname"),
    "CreatePolicyStmt": lambda tree: _of_table(tree, "table", "policy_name"),
    "RenameStmt": lambda tree: {_renamed(tree, tree["newname"])},
    "AlterTableStmt": lambda tree: _added(tree),
}
