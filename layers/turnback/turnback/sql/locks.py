"""The locks on relations that a statement asks for, as far as its tree says.

Which form of a command takes which lock is in the PostgreSQL manual, 13.3.1, and on the pages of
the commands; table 13.2 has the conflicts. The locks of reading and of changing rows are left out,
and so is what a block or a function does (a block: sql/waits.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from turnback.sql.statements import Statement, is_option_on
from turnback.sql.tree import Node, commands, definition, inline_constraints, object_parts, objects

# PostgreSQL's own numbers of the modes (lockdefs.h): a higher one is stronger.
SHARE_UPDATE, SHARE, SHARE_ROW, EXCLUSIVE, ACCESS_EXCLUSIVE = 4, 5, 6, 7, 8
# Subcommands of ALTER TABLE that let readers in, or writers too; every other shuts all out.
_SOFTER = {
    "AT_ValidateConstraint": SHARE_UPDATE,
    "AT_SetStatistics": SHARE_UPDATE,
    "AT_SetRelOptions": SHARE_UPDATE,
    "AT_ResetRelOptions": SHARE_UPDATE,
    "AT_SetOptions": SHARE_UPDATE,
    "AT_ResetOptions": SHARE_UPDATE,
    "AT_ClusterOn": SHARE_UPDATE,
    "AT_DropCluster": SHARE_UPDATE,
    "AT_AttachPartition": SHARE_UPDATE,
    "AT_EnableTrig": SHARE_ROW,
    "AT_EnableAlwaysTrig": SHARE_ROW,
    "AT_EnableReplicaTrig": SHARE_ROW,
    "AT_EnableTrigAll": SHARE_ROW,
    "AT_EnableTrigUser": SHARE_ROW,
    "AT_DisableTrig": SHARE_ROW,
    "AT_DisableTrigAll": SHARE_ROW,
    "AT_DisableTrigUser": SHARE_ROW,
}
# Those that change the named table alone, also where it has partitions or heirs.
_NOT_INHERITED = {
    "AT_ChangeOwner",
    "AT_SetRelOptions",
    "AT_ResetRelOptions",
    "AT_ClusterOn",
    "AT_DropCluster",
    "AT_EnableRowSecurity",
    "AT_DisableRowSecurity",
    "AT_ForceRowSecurity",
    "AT_NoForceRowSecurity",
    "AT_ReplicaIdentity",
    "AT_AttachPartition",
    "AT_DetachPartition",
    "AT_AddInherit",
    "AT_DropInherit",
    "AT_EnableRule",
    "AT_DisableRule",
    "AT_SetLogged",
    "AT_SetUnLogged",
    "AT_SetOptions",
    "AT_ResetOptions",
    "AT_SetCompression",
    "AT_SetTableSpace",
    "AT_SetAccessMethod",
    "AT_AddOf",
    "AT_DropOf",
}
_TABLE, _INDEX = "OBJECT_TABLE", "OBJECT_INDEX"
_RELATIONS = {
    _TABLE,
    "OBJECT_FOREIGN_TABLE",
    "OBJECT_VIEW",
    "OBJECT_MATVIEW",
    "OBJECT_SEQUENCE",
    _INDEX,
}
_OF_TABLES = {"OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE"}
# No relations, but relations may go with them.
_DROPPED = {
    *("OBJECT_SCHEMA", "OBJECT_EXTENSION", "OBJECT_TYPE", "OBJECT_DOMAIN"),
    *("OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE", "OBJECT_AGGREGATE"),
}


@dataclass(frozen=True, slots=True)
class TableLock:
    """A lock on a relation that exists, or not.

    Attributes:
        parts: its name, as the statement has it.
        level: the number of the mode.
        kind: the parser's word for what the relation is, as far as the statement says.
        reach: what is locked with it: ``partitions``, ``heirs`` (those that inherit from it, or
            are its partitions), or ``children`` (these, and theirs), by the same mode; ``default``
            (the default partition, whatever the mode); ``dropped`` (children, the table of an
            index, the parent with its default partition, and the tables that foreign keys point
            at); ``indexes`` (those of the table, whatever the mode; who reads a table locks them
            too); ``cascade`` (whatever goes with it, which need not be a relation); or nothing.
        member: the column or constraint of it that goes, by ``cascade``.
    """

    parts: tuple[str, ...]
    level: int
    kind: str = _TABLE
    reach: str = ""
    member: str = ""


def cascades_of(statement: Statement) -> Iterator[TableLock]:
    """What a statement drops with all that depends on it; an extension has its members."""
    tree = statement.tree
    if statement.kind == "DropStmt":
        what = tree["removeType"]
        cascades = tree.get("behavior") == "DROP_CASCADE" or what == "OBJECT_EXTENSION"
        if cascades and what in _RELATIONS | _DROPPED:
            for parts in objects(tree):
                yield TableLock(tuple(parts), ACCESS_EXCLUSIVE, what, "cascade")
    elif statement.kind == "AlterTableStmt":
        for command in commands(tree):
            cascades = command.get("behavior") == "DROP_CASCADE"
            if cascades and command["subtype"] in ("AT_DropColumn", "AT_DropConstraint"):
                lock = _lock(tree["relation"], ACCESS_EXCLUSIVE, _TABLE, "cascade")
                yield replace(lock, member=command["name"])


def locks_of(statement: Statement) -> list[TableLock]:
    """The locks that a statement asks for; an index is named where its table is not."""
    finder = _FINDERS.get(statement.kind)
    return list(finder(statement.tree)) if finder else []


def _lock(relation: Node, level: int, kind: str = _TABLE, reach: str = "") -> TableLock:
    inherited = reach not in ("children", "partitions") or relation.get("inh", False)
    parts = tuple(object_parts({"RangeVar": relation}))
    return TableLock(parts, level, kind, reach if inherited else "")


def _on(field: str, level: int, kind: str = _TABLE, reach: str = "") -> _Finder:
    return lambda tree: iter([_lock(tree[field], level, kind, reach)])


def _several(tree: Node) -> Iterator[TableLock]:
    level = tree.get("mode", ACCESS_EXCLUSIVE)
    for item in tree["relations"] if level >= SHARE_UPDATE else ():
        yield _lock(item["RangeVar"], level, reach="children")


def _renamed(tree: Node) -> Iterator[TableLock]:
    if "relation" not in tree:
        return
    what = tree.get("renameType", tree.get("objectType", _TABLE))
    inherited = what in ("OBJECT_COLUMN", "OBJECT_TABCONSTRAINT", "OBJECT_TRIGGER")
    kind = what if what in _RELATIONS else tree.get("relationType", "")
    kind = _TABLE if inherited and kind not in _RELATIONS else kind
    kind = _TABLE if what in _OF_TABLES else kind
    level = SHARE_UPDATE if (what, "renameType" in tree) == (_INDEX, True) else ACCESS_EXCLUSIVE
    yield _lock(tree["relation"], level, kind, "children" if inherited else "")


def _indexed(tree: Node) -> Iterator[TableLock]:
    level = SHARE_UPDATE if tree.get("concurrent") else SHARE
    yield _lock(tree["relation"], level, reach="partitions")


def _refreshed(tree: Node) -> Iterator[TableLock]:
    level = EXCLUSIVE if tree.get("concurrent") else ACCESS_EXCLUSIVE
    yield _lock(tree["relation"], level, "OBJECT_MATVIEW")


def _reindexed(tree: Node) -> Iterator[TableLock]:
    """Of an index or a table; a whole schema names none."""
    if "relation" not in tree:
        return
    kind = _INDEX if tree["kind"] == "REINDEX_OBJECT_INDEX" else _TABLE
    if is_option_on(tree, "concurrently", field="params"):
        yield _lock(tree["relation"], SHARE_UPDATE, kind, "dropped" if kind == _INDEX else "")
    elif kind == _INDEX:
        yield _lock(tree["relation"], ACCESS_EXCLUSIVE, kind)
    else:
        yield _lock(tree["relation"], SHARE, reach="indexes")


def _rewritten(tree: Node) -> Iterator[TableLock]:
    """The one table of a CLUSTER or VACUUM; of several, the others come after the first."""
    if "relation" in tree:
        yield _lock(tree["relation"], ACCESS_EXCLUSIVE)
    elif tree.get("is_vacuumcmd") and len(tree.get("rels", ())) == 1:
        level = ACCESS_EXCLUSIVE if is_option_on(tree, "full") else SHARE_UPDATE
        yield _lock(tree["rels"][0]["VacuumRelation"]["relation"], level)


def _altered(tree: Node) -> Iterator[TableLock]:
    kind = tree.get("objtype", _TABLE)
    if kind not in _RELATIONS:
        return
    strongest = SHARE_UPDATE
    reach = ""
    for command in commands(tree):
        node_kind, node = definition(command)
        subtype = command["subtype"]
        level = _SOFTER.get(subtype, ACCESS_EXCLUSIVE)
        for key in _foreign_keys([node] if node_kind == "Constraint" else inline_constraints(node)):
            yield _lock(key["pktable"], SHARE_ROW, reach="partitions")
            level = SHARE_ROW if node_kind == "Constraint" else level
        if node_kind == "PartitionCmd":
            concurrent = bool(node.get("concurrent"))
            level = SHARE_UPDATE if concurrent else level
            yield _lock(node["name"], ACCESS_EXCLUSIVE, kind, "children")
            reach = reach or ("" if concurrent or kind == _INDEX else "default")
        elif subtype.startswith(("AT_EnableTrig", "AT_DisableTrig")):
            reach = reach or "partitions"
        elif subtype not in _NOT_INHERITED:
            # ONLY leaves the column to the children, as one of their own.
            direct = subtype == "AT_DropColumn" and not tree["relation"].get("inh")
            reach = "heirs" if direct else "children"
        strongest = max(strongest, level)
    yield _lock(tree["relation"], strongest, kind, reach)


def _foreign_keys(constraints: Iterable[Node]) -> list[Node]:
    return [node for node in constraints if node["contype"] == "CONSTR_FOREIGN"]


def _dropped(tree: Node) -> Iterator[TableLock]:
    what = tree["removeType"]
    level = SHARE_UPDATE if tree.get("concurrent") else ACCESS_EXCLUSIVE
    for parts in objects(tree):
        if what in _RELATIONS:
            yield TableLock(tuple(parts[-2:]), level, what, "dropped")
        elif what in _OF_TABLES:
            reach = "partitions" if what == "OBJECT_TRIGGER" else ""
            yield TableLock(tuple(parts[:-1]), level, reach=reach)


def _created(tree: Node) -> Iterator[TableLock]:
    """A new table locks the tables that it references, and the one whose partition it is."""
    tree = tree.get("base", tree)
    keys = [
        key
        for item in tree.get("tableElts", ())
        for element, node in item.items()
        for key in _foreign_keys([node] if element == "Constraint" else inline_constraints(node))
    ]
    yield from (_lock(key["pktable"], SHARE_ROW, reach="partitions") for key in keys)
    partition = "partbound" in tree
    level, reach = (ACCESS_EXCLUSIVE, "default") if partition else (SHARE_UPDATE, "")
    for item in tree.get("inhRelations", ()):
        yield _lock(item["RangeVar"], level, reach=reach)


def _viewed(tree: Node) -> Iterator[TableLock]:
    if tree.get("replace"):
        yield _lock(tree["view"], ACCESS_EXCLUSIVE, "OBJECT_VIEW")


_Finder = Callable[[Node], Iterator[TableLock]]
_FINDERS: dict[str, _Finder] = {
    "AlterTableStmt": _altered,
    "CreateStmt": _created,
    "CreateForeignTableStmt": _created,
    "IndexStmt": _indexed,
    "DropStmt": _dropped,
    "RenameStmt": _renamed,
    "AlterObjectSchemaStmt": _renamed,
    "TruncateStmt": _several,
    "LockStmt": _several,
    "RefreshMatViewStmt": _refreshed,
    "ClusterStmt": _rewritten,
    "VacuumStmt": _rewritten,
    "ReindexStmt": _reindexed,
    "ViewStmt": _viewed,
    "CreateTrigStmt": _on("relation", SHARE_ROW, reach="partitions"),
    "AlterSeqStmt": _on("sequence", SHARE_ROW, "OBJECT_SEQUENCE"),
    "CreatePolicyStmt": _on("table", ACCESS_EXCLUSIVE),
    "AlterPolicyStmt": _on("table", ACCESS_EXCLUSIVE),
    "RuleStmt": _on("relation", ACCESS_EXCLUSIVE),
}
