"""What a table swap changes: plain statements about one table, which run on a copy of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from turnback.errors import InvalidMigration
from turnback.migrations.large import LargeScript
from turnback.migrations.model import Script, Swap
from turnback.sql.deparse import deparse, expression
from turnback.sql.statements import Statement
from turnback.sql.tables import Schema
from turnback.sql.tree import Node, commands, definition, inline_constraints
from turnback.sql.volatility import volatile_call

# Subcommands of ALTER TABLE that are about more than the table's own columns and constraints, or
# that a swap carries over by itself.
_REFUSED = {
    "AT_AddInherit": "inheritance",
    "AT_DropInherit": "inheritance",
    "AT_AddOf": "its type",
    "AT_DropOf": "its type",
    "AT_AttachPartition": "partitions",
    "AT_DetachPartition": "partitions",
    "AT_ChangeOwner": "its owner",
    "AT_ValidateConstraint": "a constraint that is there",
    "AT_EnableTrig": "triggers",
    "AT_EnableAlwaysTrig": "triggers",
    "AT_EnableReplicaTrig": "triggers",
    "AT_EnableTrigAll": "triggers",
    "AT_EnableTrigUser": "triggers",
    "AT_DisableTrig": "triggers",
    "AT_DisableTrigAll": "triggers",
    "AT_DisableTrigUser": "triggers",
}
# What has no value of its own: (a, b) = (SELECT …), a = DEFAULT.
_ALONE = {"MultiAssignRef", "SetToDefault"}
_ALLOWED = "ALTER TABLE, CREATE INDEX, and UPDATE without WHERE"


@dataclass(frozen=True, slots=True)
class Change:
    """One statement of a swap, as it runs on the copy."""

    statement: Statement

    def on(self, schema: str, table: str) -> str:
        """Its text, about a table of this name."""
        tree = self.statement.tree
        relation = {**tree["relation"], "schemaname": schema, "relname": table}
        return deparse(self.statement.kind, {**tree, "relation": relation})


@dataclass(frozen=True, slots=True)
class TableChange:
    """A table swap.

    Attributes:
        options: what the directive asks for.
        changes: the statements that change the definition, in order.
        values: column → the expression that gives it its value in the copy, over the row as it is
            in the table now: of UPDATE, and of ALTER COLUMN … TYPE … USING.
        volatile: those of them that may give the same row another value each time.
        first: the statement that an error of the whole is about.
    """

    options: Swap
    changes: Sequence[Change]
    values: Mapping[str, str]
    volatile: frozenset[str]
    first: Statement


def read_swap(script: Script, statements: Sequence[Statement]) -> TableChange:
    """The statements of a swap.

    Raises:
        InvalidMigration: one of them is not about the table alone.
    """
    options = script.directives.swap
    assert options is not None

    def refused(message: str, hint: str, statement: Statement | None = None) -> InvalidMigration:
        at = script.position(statement.offset) if statement else (options.line, 1)
        return InvalidMigration(message, file=script.path, line=at[0], column=at[1], hint=hint)

    if isinstance(script, LargeScript) or not statements:
        raise refused(
            "a swap changes a table, and the file does not say how",
            f"write what it changes after the directive: {_ALLOWED}",
        )
    changes, values = list[Change](), dict[str, Node]()
    for statement in statements:
        if reason := _reason(statement, options):
            hint = f"a swap has {_ALLOWED} of its table; move the rest to another migration"
            raise refused(reason, hint, statement)
        if statement.kind == "UpdateStmt":
            found = _of_update(statement)
        else:
            changes.append(Change(statement))
            found = _of_types(statement)
        if twice := found.keys() & values.keys():
            raise refused(
                f"the column {min(twice)} is given a value twice",
                "write one expression over the row as it was",
                statement,
            )
        values |= found
    unknown = Schema()
    return TableChange(
        options,
        changes,
        {name: expression(node) for name, node in values.items()},
        frozenset(name for name, node in values.items() if volatile_call(node, unknown)),
        statements[0],
    )


def _reason(statement: Statement, options: Swap) -> str | None:
    """Why a statement cannot be one of a swap."""
    tree, kind = statement.tree, statement.kind
    table = ".".join(options.table)
    is_table = tree.get("objtype", "OBJECT_TABLE") == "OBJECT_TABLE"
    if kind == "RenameStmt":
        is_table = tree.get("renameType") in ("OBJECT_COLUMN", "OBJECT_TABCONSTRAINT")
    if kind not in ("AlterTableStmt", "RenameStmt", "IndexStmt", "UpdateStmt") or not is_table:
        return "the statement is not one that a swap can run on a copy of its table"
    relation = tree["relation"]
    schema = relation.get("schemaname")
    if relation["relname"] != options.table[-1] or (
        schema and len(options.table) > 1 and schema != options.table[0]
    ):
        return f"the statement is about {relation['relname']}, and the swap about {table}"
    if kind == "IndexStmt" and tree.get("concurrent"):
        return "CONCURRENTLY is of no use on a copy that nobody reads"
    if kind == "UpdateStmt":
        others = ("whereClause", "fromClause", "returningList", "returningClause", "withClause")
        if any(tree.get(clause) for clause in others):
            return "the copy gets all rows in one way: an UPDATE here has SET alone"
        targets = [one["ResTarget"] for one in tree["targetList"]]
        if any(_ALONE & one["val"].keys() or one.get("indirection") for one in targets):
            return "each column needs an expression of its own"
    for command in commands(tree) if kind == "AlterTableStmt" else ():
        if about := _REFUSED.get(command["subtype"]):
            return f"the statement changes {about}"
        kind, node = definition(command)
        added = inline_constraints(node) if kind == "ColumnDef" else [node]
        if any(one.get("contype") == "CONSTR_FOREIGN" for one in added):
            return "a foreign key would be checked for each row that is copied"
    return None


def _of_update(statement: Statement) -> dict[str, Node]:
    targets = (one["ResTarget"] for one in statement.tree["targetList"])
    return {one["name"]: one["val"] for one in targets}


def _of_types(statement: Statement) -> dict[str, Node]:
    """The expressions of USING."""
    if statement.kind != "AlterTableStmt":
        return {}
    return {
        command["name"]: using
        for command in commands(statement.tree)
        if command["subtype"] == "AT_AlterColumnType"
        and (using := command["def"]["ColumnDef"].get("raw_default"))
    }
