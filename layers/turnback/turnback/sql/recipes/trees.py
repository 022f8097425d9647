"""What defines columns, constraints and indexes, as trees with other columns in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from turnback.sql.definitions import constraint_of
from turnback.sql.deparse import deparse, expression
from turnback.sql.recipes.model import Values
from turnback.sql.tree import (
    Node,
    column_parts,
    commands,
    definition,
    inline_constraints,
    rewritten,
    strings,
    table_name,
)


def replaced(node: object, names: Mapping[str, str], table: str) -> Node:
    """A tree with other columns in it.

    Args:
        names: the column → the one in its place.
        table: the plain name by which the tree may name its table.
    """

    def change(one: Node) -> Node:
        changed = dict(one)
        if "ColumnRef" in one:
            fields = one["ColumnRef"]["fields"]
            *before, last = [field.get("String", {}).get("sval", "") for field in fields]
            if before in ([], [table]) and last in names:
                fields = [*fields[:-1], {"String": {"sval": names[last]}}]
            changed["ColumnRef"] = {**one["ColumnRef"], "fields": fields}
        if "IndexElem" in one and one["IndexElem"].get("name") in names:
            changed["IndexElem"] = {**one["IndexElem"], "name": names[one["IndexElem"]["name"]]}
        for key in ("fk_attrs", "keys"):
            if key in one:
                changed[key] = [{"String": {"sval": names.get(s, s)}} for s in strings(one[key])]
        return changed

    found: Node = rewritten(node, change)
    return found


def constraint_text(values: Values, node: Node, names: Mapping[str, str]) -> str:
    """A check or a foreign key after its name, without NOT VALID, with other columns in it."""
    added = {**replaced(node, names, values.plain), "conname": "c"}
    for key in ("skip_validation", "initially_valid"):
        added.pop(key, None)
    if node["contype"] == "CONSTR_FOREIGN" and not node.get("fk_attrs"):
        # It is written with its column.
        added["fk_attrs"] = [{"String": {"sval": one}} for one in names.values()]
    command = {"subtype": "AT_AddConstraint", "behavior": "DROP_RESTRICT"}
    tree = {
        "relation": {"relname": "t", "inh": True, "relpersistence": "p"},
        "cmds": [{"AlterTableCmd": {**command, "def": {"Constraint": added}}}],
        "objtype": "OBJECT_TABLE",
    }
    return deparse("AlterTableStmt", tree).partition(" ADD CONSTRAINT c ")[2]


def constraint_node(values: Values, called: str) -> Node | None:
    """What a script says of a constraint of the table."""
    table = values.known()
    for statement in reversed(values.statements):
        tree = statement.tree
        if statement.kind not in ("CreateStmt", "AlterTableStmt"):
            continue
        if table_name(tree["relation"]) != table.name:
            continue
        for node, column in _constraints_in(tree):
            found = constraint_of(node, table, column)
            if found and found.name == called:
                return node
    return None


def _constraints_in(tree: Node) -> Iterator[tuple[Node, str | None]]:
    items = [(kind, node) for item in tree.get("tableElts", ()) for kind, node in item.items()]
    items += [definition(command) for command in commands(tree)] if "cmds" in tree else []
    for kind, node in items:
        if kind == "Constraint":
            yield node, None
        elif kind == "ColumnDef":
            yield from ((one, node["colname"]) for one in inline_constraints(node))


def default_on(values: Values, column: str, using: str) -> str:
    """The default of a column for one whose values come from it by an expression; empty without.

    Args:
        using: an expression of the column, as SQL; empty where the values are the same.
    """
    default = values.default_of(values.known().name, column)
    if not default or not using:
        return default
    value = values.tree_of(default)
    return expression(
        rewritten(
            values.tree_of(using), lambda one: value if column_parts(one) == [column] else one
        )
    )
