"""What fails, and what does nothing where it seems to do something."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from turnback.sql.definitions import column_of, function_of, index_of, is_null, view_of
from turnback.sql.dependents import dependents, words
from turnback.sql.lint.model import Finding
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.writing import type_sql
from turnback.sql.replay import dropped_part
from turnback.sql.tables import Column
from turnback.sql.tree import (
    Named,
    Node,
    commands,
    definition,
    dotted,
    dropped,
    table_name,
    walk,
)


def refused_rules(step: LintStep) -> Iterator[Finding]:
    """TB701 and TB702."""
    match step.kind:
        case "CreateStmt" | "AlterTableStmt" | "IndexStmt":
            yield from _other_shape(step)
    for what, why in _refused(step):
        yield step.finding("TB702", what, why=why)


# IF NOT EXISTS


def _other_shape(step: LintStep) -> Iterator[Finding]:
    tree = step.tree
    name = table_name(tree["relation"])
    table = step.table(name)
    if step.kind == "IndexStmt":
        yield from _other_index(step, name)
    elif step.kind == "CreateStmt" and tree.get("if_not_exists") and table and table.columns:
        nodes = [item["ColumnDef"] for item in tree.get("tableElts", ()) if "ColumnDef" in item]
        for node in nodes:
            wanted = column_of(node)
            if differs := _differs(wanted, table.column(wanted.name)):
                yield _skipped(step, f"The table {name}", f"{wanted.name} {differs}")
                return
    elif step.kind == "AlterTableStmt" and table:
        for command in commands(tree):
            kind, node = definition(command)
            if command.get("missing_ok") and kind == "ColumnDef":
                wanted = column_of(node)
                known = table.column(wanted.name)
                if known and (differs := _differs(wanted, known)):
                    yield _skipped(step, f"The column {name}.{wanted.name}", f"it {differs}")


def _differs(wanted: Column, known: Column | None) -> str:
    if known is None:
        return "is not in it"
    if "" not in (wanted.type.name, known.type.name) and wanted.type != known.type:
        return f"is {type_sql(known.type)}, not {type_sql(wanted.type)}"
    if wanted.not_null and not known.not_null:
        return "is not NOT NULL"
    return ""


def _other_index(step: LintStep, table: str) -> Iterator[Finding]:
    if not step.tree.get("if_not_exists"):
        return
    wanted = index_of(step.tree)
    owner = step.schema.owner_of_index(wanted.name)
    known = next((i for i in owner.indexes if i.name == wanted.name), None) if owner else None
    if owner is None or known is None:
        return
    if owner.name != table:
        yield _skipped(step, f"The index {wanted.name}", f"it is on {owner.name}, not {table}")
    elif wanted != known:
        yield _skipped(step, f"The index {wanted.name}", "its definition is another one")


def _skipped(step: LintStep, what: str, how: str) -> Finding:
    return step.finding(
        "TB701",
        f"{what} is there already, and {how}.",
        why="IF NOT EXISTS looks at the name alone: the statement does nothing, and says so in a "
        "NOTICE only. What follows meets the old definition.",
        safer="-- what is to change, by ALTER; or a name of its own",
    )


# What the server says no to


Refusals = Iterator[tuple[str, str]]


def _refused(step: LintStep) -> Refusals:
    tree = step.tree
    yield from _twice(step)
    yield from _impossible_values(step)
    match step.kind:
        case "CreateStmt" if not tree.get("if_not_exists"):
            if step.table(name := table_name(tree["relation"])):
                yield f"The table {name} exists already.", _EXISTS
        case "RenameStmt" if tree["renameType"] == "OBJECT_COLUMN" and "relation" in tree:
            yield from _only_the_parent(step, tree["relation"])
        case "DropStmt" if tree.get("behavior") != "DROP_CASCADE":
            yield from _needed(step, dropped(tree))
        case "AlterTableStmt" if tree.get("objtype") == "OBJECT_TABLE":
            table, gone = table_name(tree["relation"]), list[Named]()
            yield from _cannot_be_altered(step, table)
            for command in commands(tree):
                if command["subtype"] in ("AT_DropColumn", "AT_DropConstraint"):
                    gone.append(dropped_part(table, command))
                    if command.get("behavior") != "DROP_CASCADE":
                        yield from _needed(step, gone[-1:], gone)
        case "ViewStmt" if tree.get("replace"):
            yield from _other_columns(step)
        case "CreateFunctionStmt" if tree.get("replace"):
            yield from _other_function(step)


_EXISTS = "PostgreSQL refuses it (SQLSTATE 42P07 or 42701): the migration fails."


def _cannot_be_altered(step: LintStep, name: str) -> Refusals:
    """A column that is there, a child that must not differ, a constraint of another kind."""
    table = step.table(name)
    gone = {c["name"] for c in commands(step.tree) if c["subtype"] == "AT_DropColumn"}
    for command in commands(step.tree) if table else ():
        _, node = definition(command)
        subtype, column = command["subtype"], node.get("colname", "")
        added = subtype == "AT_AddColumn" and not command.get("missing_ok")
        if added and column not in gone and table and table.column(column):
            yield f"The column {name}.{column} exists already.", _EXISTS
        inherited = subtype == "AT_AddConstraint" and node.get("contype") == "CONSTR_CHECK"
        if subtype in _TO_CHILDREN or (inherited and not node.get("is_no_inherit")):
            yield from _only_the_parent(step, step.tree["relation"])
        if subtype == "AT_AlterConstraint" and table and not node.get("alterInheritability"):
            for item in table.constraints:
                if item.name == node["conname"] and item.kind != "foreign":
                    yield (
                        f"{item.name} is no foreign key.",
                        "ALTER CONSTRAINT changes foreign keys only (SQLSTATE 42809).",
                    )


_TO_CHILDREN = ("AT_AddColumn", "AT_AlterColumnType")


def _only_the_parent(step: LintStep, relation: Node) -> Refusals:
    name = table_name(relation)
    if not relation.get("inh") and step.schema.heirs.get(name):
        yield (
            f"ONLY leaves out the tables that inherit from {name}.",
            "PostgreSQL refuses that: they have the same columns and constraints (SQLSTATE "
            "42P16). Leave ONLY out.",
        )


def _impossible_values(step: LintStep) -> Refusals:
    """NULL in a column that is NOT NULL, and a value for one that is computed."""
    if step.kind != "UpdateStmt":
        return
    table = step.table(table_name(step.tree["relation"]))
    for item in step.tree["targetList"]:
        target = item["ResTarget"]
        column = table.column(target["name"]) if table and "indirection" not in target else None
        if column is None or "val" not in target or "SetToDefault" in target["val"]:
            continue
        if column.computed_from:
            why = "PostgreSQL computes it, and refuses any value but DEFAULT (SQLSTATE 428C9)."
            yield f"{column.name} is a generated column.", why
        elif column.not_null and is_null(target["val"]):
            yield f"{column.name} is NOT NULL.", "The first row fails (SQLSTATE 23502)."


def _twice(step: LintStep) -> Refusals:
    lists = []
    if step.kind in _WITH_LISTS:
        lists = [
            (node.get(field, ()), "ResTarget")
            for kind, node in [(step.kind, step.tree), *walk(step.tree)]
            for field in _LISTS.get(kind, ())
        ]
    elif step.kind == "CreateStmt":
        lists.append((step.tree.get("tableElts", ()), "ColumnDef"))
    for items, kind in lists:
        if name := _repeated(items, kind):
            yield (
                f"The column {name} is named twice.",
                "PostgreSQL refuses the statement (SQLSTATE 42601 or 42701): each column gets one "
                "value.",
            )


# The nodes that name columns to fill. One with a subscript or a field may come again.
_LISTS = {
    "InsertStmt": ("cols",),
    "UpdateStmt": ("targetList",),
    "onConflictClause": ("targetList",),
    "MergeWhenClause": ("targetList",),
}
# The statements that have such nodes, themselves or below.
_WITH_LISTS = {
    *("InsertStmt", "UpdateStmt", "MergeStmt", "DeleteStmt", "SelectStmt", "ExplainStmt"),
    *("PrepareStmt", "CopyStmt", "RuleStmt", "CreateFunctionStmt"),
}


def _repeated(items: Iterable[Node], kind: str) -> str:
    seen = set[str]()
    for item in items:
        node = item.get(kind, {})
        name = node.get("name" if kind == "ResTarget" else "colname", "")
        if name in seen and "indirection" not in node:
            return str(name)
        seen |= {name} if name and "indirection" not in node else set()
    return ""


def _needed(step: LintStep, items: list[Named], gone: list[Named] | None = None) -> Refusals:
    """What is dropped without CASCADE while something is made of it.

    Args:
        items: what is dropped.
        gone: what goes with it or before; its own by default.
    """
    away = {item.name for item in gone or items if item.kind != "OBJECT_SCHEMA"}
    for item in items:
        for user in dependents(step.schema, item):
            if user.name in away or user.name.rpartition(".")[0] in away:
                continue
            yield (
                f"{item.name} cannot be dropped: {words(user)} is made of it.",
                "PostgreSQL drops nothing that something else needs (SQLSTATE 2BP01). Drop that "
                "first, in the same file; CASCADE would drop it unseen.",
            )
            break


def _other_columns(step: LintStep) -> Refusals:
    name = table_name(step.tree["view"])
    known = step.schema.views.get(name)
    new = view_of(name, step.tree, step.schema).columns
    if known and known.columns and new and new[: len(known.columns)] != known.columns:
        yield (
            f"The view {name} cannot be replaced: its columns are {', '.join(known.columns)}.",
            "CREATE OR REPLACE VIEW can add columns at the end, and neither drop, rename nor "
            "reorder one (SQLSTATE 42P16). Drop the view and create it, in one file.",
        )


def _other_function(step: LintStep) -> Refusals:
    name = dotted(step.tree["funcname"])
    known = step.schema.functions.get(name)
    new = function_of(step.tree, None)
    if known is None or known.overloaded:
        return
    if [kind for _, kind in known.arguments] != [kind for _, kind in new.arguments]:
        return
    renamed = any(
        old and old != given
        for (old, _), (given, _) in zip(known.arguments, new.arguments, strict=True)
    )
    if renamed or known.returns != new.returns:
        what = "an argument's name" if renamed else "its type"
        yield (
            f"The function {name} cannot be replaced: {what} is another one.",
            "CREATE OR REPLACE FUNCTION keeps the names of the arguments and the type that it "
            "returns (SQLSTATE 42P13). Drop the function and create it, in one file.",
        )
