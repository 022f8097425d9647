"""A new column that the running application cannot fill."""

from __future__ import annotations

from collections.abc import Iterator

from turnback.sql.definitions import SERIALS, column_of, type_of
from turnback.sql.lint.model import Finding
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.writing import NEXT, dotted_name, name, type_sql
from turnback.sql.tree import Node, commands, definition, inline_constraints, table_name

_FILLED = {"CONSTR_DEFAULT", "CONSTR_IDENTITY", "CONSTR_GENERATED"}


def column_rules(step: LintStep) -> Iterator[Finding]:
    """TB112."""
    if step.kind != "AlterTableStmt" or step.tree.get("objtype") != "OBJECT_TABLE":
        return
    table = table_name(step.tree["relation"])
    if not step.in_use(table):
        return
    for command in commands(step.tree):
        kind, node = definition(command)
        if command["subtype"] == "AT_AddColumn" and kind == "ColumnDef" and _is_required(node):
            yield _required(step, table, node)


def _is_required(node: Node) -> bool:
    found = {inner["contype"] for inner in inline_constraints(node)}
    filled = found & _FILLED or type_of(node["typeName"]).name in SERIALS
    return "CONSTR_NOTNULL" in found and not filled


def _required(step: LintStep, table: str, node: Node) -> Finding:
    column = column_of(node)
    shown = f"ALTER TABLE {dotted_name(table)} ADD COLUMN {name(column.name)}"
    check = name(f"{table.rpartition('.')[2]}_{column.name}_filled")
    return step.finding(
        "TB112",
        f"{table}.{column.name} is new and NOT NULL, and has no default.",
        why=f"It fails as soon as {table} has one row (SQLSTATE 23502). And where it does not "
        f"fail, the application that is running cannot insert into {table} until it is replaced.",
        safer=f"{shown} {type_sql(column.type)};\n"
        f"ALTER TABLE {dotted_name(table)} ADD CONSTRAINT {check} "
        f"CHECK ({name(column.name)} IS NOT NULL) NOT VALID; -- once the application fills it\n"
        f"{NEXT}: fill the old rows in batches, then\n"
        f"ALTER TABLE {dotted_name(table)} VALIDATE CONSTRAINT {check};",
        at=node["location"],
    )
