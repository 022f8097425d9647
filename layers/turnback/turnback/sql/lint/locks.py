"""Which locks a statement takes on tables, by PostgreSQL's manual, 13.3, and by trying."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from turnback.sql.lint.nodes import (
    Node,
    commands,
    definition,
    inline_constraints,
    joined,
    objects,
    table_name,
)
from turnback.sql.lint.schema import Constraint
from turnback.sql.lint.step import Step

# PostgreSQL's own numbers: a higher one is stronger.
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


def blocks(level: int) -> str:
    """Whom a lock shuts out."""
    return "readers and writers" if level == ACCESS_EXCLUSIVE else "writers"


def locks(step: Step) -> dict[str, int]:
    """The strongest lock the statement takes on each table that was there before.

    Those of reading and of changing rows are left out: they keep no row but their own.
    """
    strongest: dict[str, int] = {}
    for table, level in _taken(step):
        if step.in_use(table):
            strongest[table] = max(level, strongest.get(table, 0))
    return strongest


def _taken(step: Step) -> Iterator[tuple[str, int]]:
    tree = step.tree
    match step.kind:
        case "AlterTableStmt" if tree.get("objtype", "OBJECT_TABLE") == "OBJECT_TABLE":
            yield from _altered(tree)
            yield from _let_go(step)
        case "CreateStmt":
            own = table_name(tree["relation"])
            yield from (taken for taken in _created(tree) if taken[0] != own)
        case "IndexStmt":
            yield table_name(tree["relation"]), SHARE_UPDATE if tree.get("concurrent") else SHARE
        case "CreateTrigStmt":
            yield table_name(tree["relation"]), SHARE_ROW
        case "CreatePolicyStmt" | "AlterPolicyStmt":
            yield table_name(tree["table"]), ACCESS_EXCLUSIVE
        case "RefreshMatViewStmt":
            weak = bool(tree.get("concurrent"))
            yield table_name(tree["relation"]), EXCLUSIVE if weak else ACCESS_EXCLUSIVE
        case "TruncateStmt" | "LockStmt":
            for item in tree["relations"]:
                yield table_name(item["RangeVar"]), tree.get("mode", ACCESS_EXCLUSIVE)
        case "RenameStmt" | "AlterObjectSchemaStmt" if "relation" in tree:
            yield from _renamed(step)
        case "DropStmt":
            yield from _dropped(step)


def _altered(tree: Node) -> Iterator[tuple[str, int]]:
    table = table_name(tree["relation"])
    for command in commands(tree):
        kind, node = definition(command)
        level = _SOFTER.get(command["subtype"], ACCESS_EXCLUSIVE)
        keys = [node] if kind == "Constraint" else inline_constraints(node)
        for constraint in keys:
            if constraint["contype"] == "CONSTR_FOREIGN":
                yield table_name(constraint["pktable"]), SHARE_ROW
                level = SHARE_ROW if kind == "Constraint" else level
        yield table, level


def _created(tree: Node) -> Iterator[tuple[str, int]]:
    for element in tree.get("tableElts", ()):
        kind, node = next(iter(element.items()))
        for constraint in [node] if kind == "Constraint" else inline_constraints(node):
            if constraint["contype"] == "CONSTR_FOREIGN":
                yield table_name(constraint["pktable"]), SHARE_ROW
    if "partbound" in tree:
        for parent in tree["inhRelations"]:
            yield table_name(parent["RangeVar"]), ACCESS_EXCLUSIVE


def _let_go(step: Step) -> Iterator[tuple[str, int]]:
    """The tables that a dropped foreign key pointed at: its triggers there go too."""
    table = step.table(table_name(step.tree["relation"]))
    for command in commands(step.tree):
        name, subtype = command.get("name"), command["subtype"]
        for item in table.constraints if table else ():
            by_name = subtype == "AT_DropConstraint" and item.name == name
            if by_name or (subtype == "AT_DropColumn" and name in item.columns):
                yield from _targets([item])


def _targets(constraints: Iterable[Constraint]) -> Iterator[tuple[str, int]]:
    for item in constraints:
        if item.references:
            yield item.references, ACCESS_EXCLUSIVE


def _renamed(step: Step) -> Iterator[tuple[str, int]]:
    kind = step.tree.get("renameType", step.tree.get("objectType", ""))
    if kind in ("OBJECT_TABLE", "OBJECT_COLUMN", "OBJECT_TABCONSTRAINT", "OBJECT_TRIGGER"):
        yield table_name(step.tree["relation"]), ACCESS_EXCLUSIVE


def _dropped(step: Step) -> Iterator[tuple[str, int]]:
    kind = step.tree["removeType"]
    for parts in objects(step.tree):
        if kind in ("OBJECT_TABLE", "OBJECT_MATVIEW"):
            yield joined(parts), ACCESS_EXCLUSIVE
            table = step.table(joined(parts))
            yield from _targets(table.constraints if table else ())
        elif kind in ("OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE"):
            yield joined(parts[:-1]), ACCESS_EXCLUSIVE
        elif kind == "OBJECT_INDEX" and not step.tree.get("concurrent"):
            owner = step.schema.owner_of_index(joined(parts))
            if owner:
                yield owner.name, ACCESS_EXCLUSIVE
