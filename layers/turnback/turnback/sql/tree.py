"""The one reader of the parser's trees: names, parts, and what a statement makes and drops.

A name carries its schema, but not ``public`` and ``pg_catalog``; what belongs to a table carries
the table's name before its own: ``users``, ``app.users``, ``app.users.email``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from turnback.sql.statements import Statement, json_value

Node = dict[str, Any]


def table_name(relation: Node) -> str:
    """``schema.table`` of a RangeVar, without ``public``."""
    name: str = relation["relname"]
    if "schemaname" not in relation and "." not in name:
        return name
    return joined([relation.get("schemaname", "public"), name])


def dotted(items: Iterable[Node]) -> str:
    """The name that a list of String nodes spells, without ``public`` and ``pg_catalog``."""
    return joined(strings(items))


def strings(items: Iterable[Node]) -> list[str]:
    """The texts of String nodes."""
    return [item["String"]["sval"] for item in items if "String" in item]


def objects(drop: Node) -> list[list[str]]:
    """The names in a DropStmt, each as its parts."""
    return [object_parts(item) for item in drop.get("objects", ())]


def object_parts(item: Node) -> list[str]:
    """The parts of a name, as DROP, GRANT and COMMENT have it: a list, a type or a function."""
    if "RangeVar" in item:
        inner = item["RangeVar"]
        return [part for part in (inner.get("schemaname"), inner["relname"]) if part]
    if "ObjectWithArgs" in item:
        return strings(item["ObjectWithArgs"]["objname"])
    if "TypeName" in item:
        return strings(item["TypeName"]["names"])
    if "List" in item:
        # An operator class has its index method's name first; a cast has two types.
        return [_part(part) for part in item["List"]["items"]]
    return [str(json_value(item))]


def _part(node: Node) -> str:
    return dotted(node["TypeName"]["names"]) if "TypeName" in node else str(json_value(node))


def joined(parts: list[str]) -> str:
    """``schema.table`` of a name's parts, without ``public``."""
    said = parts[1:] if len(parts) > 1 and parts[0] in _IMPLIED else parts
    # A part with a dot in it is quoted, or it would be taken for two.
    return ".".join(f'"{part}"' if "." in part else part for part in said)


def walk(node: object) -> Iterator[tuple[str, Node]]:
    """Every node below, with its kind."""
    # A loop, since a generator in a generator costs a call for each level of every node.
    left: list[tuple[str, object]] = [("", node)]
    while left:
        kind, value = left.pop()
        if isinstance(value, dict):
            if kind:
                yield kind, value
            left.extend(reversed(value.items()))
        elif isinstance(value, list):
            left.extend([("", item) for item in reversed(value)])


def rewritten(node: Any, change: Callable[[Node], Node]) -> Any:
    """A tree with each of its objects changed, the innermost first.

    Args:
        node: the tree, or a list of trees.
        change: gives what takes the place of an object; the same one where nothing changes.
    """
    if isinstance(node, dict):
        return change({key: rewritten(value, change) for key, value in node.items()})
    return [rewritten(item, change) for item in node] if isinstance(node, list) else node


def column_parts(node: Node) -> list[str]:
    """The parts of the name of a column; empty for any other node."""
    return strings(node.get("ColumnRef", {}).get("fields", ()))


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


_IMPLIED = ("public", "pg_catalog")


@dataclass(frozen=True, slots=True)
class Named:
    """An object of a database.

    Attributes:
        kind: the parser's word for its kind, such as ``OBJECT_TABLE``.
        name: with schema and table, as this module writes names.
    """

    kind: str
    name: str


# Parts of a table: their names have the table's before their own.
_PARTS_RENAMED = {
    "OBJECT_COLUMN",
    "OBJECT_TABCONSTRAINT",
    "OBJECT_TRIGGER",
    "OBJECT_POLICY",
    "OBJECT_RULE",
    "OBJECT_ATTRIBUTE",
}
_OF_ONE_OBJECT = ("CommentStmt", "AlterOwnerStmt", "AlterObjectSchemaStmt")
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


def made(statement: Statement) -> list[Named]:
    """The objects that this statement makes."""
    maker = _MAKERS.get(statement.kind)
    found = maker(statement.tree) if maker else []
    return [item for item in found if item.name]


def makes(statement: Statement) -> frozenset[str]:
    """The names of the objects that this statement makes, or gives a new name to."""
    new = [_renamed(statement.tree, "newname")] if statement.kind == "RenameStmt" else []
    return frozenset([item.name for item in made(statement)] + new) - {""}


def takes_away(statement: Statement) -> list[str]:
    """The objects that this statement drops or renames; one for each of its parts."""
    tree = statement.tree
    match statement.kind:
        case "DropStmt":
            return [item.name for item in dropped(tree)]
        case "RenameStmt":
            return [_renamed(tree, "subname")]
        case "AlterTableStmt":
            table = table_name(tree["relation"])
            drops = ("AT_DropColumn", "AT_DropConstraint")
            return [
                f"{table}.{command['name']}" if command["subtype"] in drops else ""
                for command in commands(tree)
            ]
    return []


def changed(statement: Statement) -> list[str]:
    """The objects that this statement makes, changes, drops, or gives rights on."""
    tree = statement.tree
    found = [*makes(statement), *takes_away(statement)]
    found += [table_name(tree[key]) for key in ("relation", "table", "sequence") if tree.get(key)]
    if isinstance(tree.get("typeName"), list):
        found.append(dotted(tree["typeName"]))
    if statement.kind == "GrantStmt":
        found += [joined(object_parts(item)) for item in tree.get("objects", ())]
    elif "func" in tree:
        found.append(dotted(tree["func"]["objname"]))
    elif statement.kind in _OF_ONE_OBJECT and "object" in tree:
        found.append(joined(object_parts(tree["object"])))
    return [name for name in found if name]


def dropped(drop: Node) -> list[Named]:
    """The objects of a DropStmt."""
    return [Named(drop["removeType"], joined(parts)) for parts in objects(drop)]


def writes_rows(statement: Statement) -> bool:
    """Whether this statement writes rows, or may: a block or a function may do anything."""
    if statement.kind == "SelectStmt":
        return any(kind == "FuncCall" for kind, _ in walk(statement.tree))
    return statement.kind in _WRITERS


def target(statement: Statement) -> str | None:
    """The table that this statement writes rows into, makes, or changes."""
    tree = statement.tree
    if statement.kind == "CreateTableAsStmt":
        return table_name(tree["into"]["rel"])
    relation = tree.get("relation")
    return table_name(relation) if isinstance(relation, dict) and relation else None


def targets(statement: Statement) -> list[str]:
    """The tables that this statement writes rows into; TRUNCATE has several."""
    if statement.kind == "TruncateStmt":
        return [table_name(item["RangeVar"]) for item in statement.tree["relations"]]
    return [target(statement) or ""]


def text_options(items: Iterable[Node]) -> dict[str, str]:
    """The options of DO and CREATE FUNCTION that are texts: ``language`` and ``as``."""
    found = {}
    for item in items:
        element = item["DefElem"]
        arg = element.get("arg", {})
        texts = strings(arg["List"]["items"] if "List" in arg else [arg])
        if texts:
            found[element["defname"]] = texts[0]
    return found


def _renamed(tree: Node, field: str) -> str:
    """The old (``subname``) or the new name (``newname``) of what a RenameStmt renames."""
    kind = tree["renameType"]
    relation = tree.get("relation", {})
    if kind in _PARTS_RENAMED and relation:
        return f"{table_name(relation)}.{tree.get(field, '')}"
    if relation:
        return table_name(relation if field == "subname" else relation | {"relname": tree[field]})
    parts = object_parts(tree["object"]) if "object" in tree else [tree.get("subname", "")]
    return joined(parts if field == "subname" else [*parts[:-1], tree[field]])


def _added(tree: Node) -> list[Named]:
    table = table_name(tree["relation"])
    found = []
    for command in commands(tree):
        kind, node = definition(command)
        if command["subtype"] == "AT_AddColumn" and kind == "ColumnDef":
            found.append(Named("OBJECT_COLUMN", f"{table}.{node['colname']}"))
        elif command["subtype"] == "AT_AddConstraint" and node.get("conname"):
            found.append(Named("OBJECT_TABCONSTRAINT", f"{table}.{node['conname']}"))
    return found


def _relation(kind: str, *path: str) -> Callable[[Node], list[Named]]:
    def maker(tree: Node) -> list[Named]:
        for key in path:
            tree = tree.get(key, {})
        return [Named(kind, table_name(tree))] if tree else []

    return maker


def _listed(kind: str, field: str) -> Callable[[Node], list[Named]]:
    return lambda tree: [Named(kind, dotted(tree[field]))]


def _plain(kind: str, field: str) -> Callable[[Node], list[Named]]:
    return lambda tree: [Named(kind, tree.get(field, ""))]


def _of_table(kind: str, table: str, field: str) -> Callable[[Node], list[Named]]:
    return lambda tree: [Named(kind, f"{table_name(tree[table])}.{tree[field]}")]


def _index(tree: Node) -> list[Named]:
    # An index is in the schema of its table.
    relation = tree["relation"] | {"relname": tree.get("idxname", "")}
    return [Named("OBJECT_INDEX", table_name(relation) if tree.get("idxname") else "")]


def _created_as(tree: Node) -> list[Named]:
    return [Named(tree.get("objtype", "OBJECT_TABLE"), table_name(tree["into"]["rel"]))]


def _foreign(tree: Node) -> list[Named]:
    return [Named("OBJECT_FOREIGN_TABLE", table_name(tree.get("base", tree)["relation"]))]


_MAKERS: dict[str, Callable[[Node], list[Named]]] = {
    "CreateStmt": _relation("OBJECT_TABLE", "relation"),
    "CreateForeignTableStmt": _foreign,
    "CreateTableAsStmt": _created_as,
    "ViewStmt": _relation("OBJECT_VIEW", "view"),
    "CreateSeqStmt": _relation("OBJECT_SEQUENCE", "sequence"),
    "IndexStmt": _index,
    "CompositeTypeStmt": _relation("OBJECT_TYPE", "typevar"),
    "CreateEnumStmt": _listed("OBJECT_TYPE", "typeName"),
    "CreateRangeStmt": _listed("OBJECT_TYPE", "typeName"),
    "CreateDomainStmt": _listed("OBJECT_DOMAIN", "domainname"),
    "CreateFunctionStmt": _listed("OBJECT_FUNCTION", "funcname"),
    "CreateSchemaStmt": _plain("OBJECT_SCHEMA", "schemaname"),
    "CreateExtensionStmt": _plain("OBJECT_EXTENSION", "extname"),
    "SelectStmt": _relation("OBJECT_TABLE", "intoClause", "rel"),
    "CreateTrigStmt": _of_table("OBJECT_TRIGGER", "relation", "trigname"),
    "CreatePolicyStmt": _of_table("OBJECT_POLICY", "table", "policy_name"),
    "RuleStmt": _of_table("OBJECT_RULE", "relation", "rulename"),
    "CreateEventTrigStmt": _plain("OBJECT_EVENT_TRIGGER", "trigname"),
    "CreateRoleStmt": _plain("OBJECT_ROLE", "role"),
    "AlterTableStmt": _added,
}
