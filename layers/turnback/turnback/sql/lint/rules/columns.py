"""Columns that the running application cannot fill, or cannot read."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from turnback.sql.definitions import column_of, is_null, type_of
from turnback.sql.lint import suggest
from turnback.sql.lint.model import Finding
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.writing import dotted_name, name, type_sql
from turnback.sql.tree import Node, commands, definition, table_name

_UNFILLS = {"AT_ColumnDefault": "DEFAULT", "AT_DropIdentity": "IDENTITY"}


def column_rules(step: LintStep) -> Iterator[Finding]:
    """TB112 and TB404."""
    if step.kind != "AlterTableStmt" or step.tree.get("objtype") != "OBJECT_TABLE":
        return
    table = table_name(step.tree["relation"])
    if not step.in_use(table):
        return
    for command in commands(step.tree):
        kind, node = definition(command)
        if command["subtype"] == "AT_AddColumn" and kind == "ColumnDef":
            if _is_required(step, node):
                yield _required(step, table, node)
            if _without_equality(step, node) and not step.context.is_rollback:
                yield _no_equality(step, table, node)
        elif command["subtype"] in _UNFILLS and not step.context.is_rollback:
            yield from _no_longer_filled(step, table, command)


def _is_required(step: LintStep, node: Node) -> bool:
    column = column_of(node)
    domain = step.schema.domains.get(column.type.name)
    by_domain = bool(domain and domain.not_null)
    filled = column.filled or bool(domain and domain.default)
    return (column.not_null or by_domain) and not filled


def _no_longer_filled(step: LintStep, table: str, command: Node) -> Iterator[Finding]:
    known = step.table(table)
    column = known.column(command["name"]) if known else None
    filled = "def" in command and not is_null(command["def"])
    if filled or column is None or not (column.not_null and column.filled):
        return
    for other in commands(step.tree):
        if other.get("name") != column.name:
            continue
        given = "def" in other and not is_null(other["def"])
        if other["subtype"] == "AT_DropNotNull" or (
            given and other["subtype"] in ("AT_ColumnDefault", "AT_AddIdentity")
        ):
            return
    what = _UNFILLS[command["subtype"]]
    yield step.finding(
        "TB112",
        f"{table}.{column.name} is NOT NULL, and loses its {what}.",
        why=f"An INSERT of the running application that does not name {column.name} fails "
        "(SQLSTATE 23502) until the last of its processes is replaced.",
        safer="-- this release: the application names the column in every INSERT\n"
        "-- a later release, with the reason:\n"
        "-- turnback: waive TB112 because every INSERT names the column\n"
        f"{step.statement.sql};",
    )


# Those without an operator class that DISTINCT could use (pg_opclass).
_NO_EQUALITY = {"json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle"}


def _without_equality(step: LintStep, node: Node) -> bool:
    type_ = type_of(node["typeName"]).name
    while domain := step.schema.domains.get(type_):
        type_ = domain.type.name
    return type_ in _NO_EQUALITY


def _no_equality(step: LintStep, table: str, node: Node) -> Finding:
    written = type_of(node["typeName"])
    plain = written.name == "json" and not written.array
    column = f"{name(node['colname'])} jsonb"
    return step.finding(
        "TB404",
        f"{table}.{node['colname']} is of the type {type_sql(written)}.",
        why=f"{type_sql(written)} has no equality: SELECT DISTINCT, GROUP BY and UNION over all "
        f"columns of {table} fail as soon as the column is there (SQLSTATE 42883)."
        + (" jsonb has one." if plain else ""),
        safer=f"ALTER TABLE {dotted_name(table)} ADD COLUMN {column};" if plain else "",
        at=node["location"],
    )


def _required(step: LintStep, table: str, node: Node) -> Finding:
    column = column_of(node)
    return step.finding(
        "TB112",
        f"{table}.{column.name} is new and NOT NULL, and has no default.",
        why=f"It fails as soon as {table} has one row (SQLSTATE 23502). And where it does not "
        f"fail, the application that is running cannot insert into {table} until it is replaced.",
        safer=partial(suggest.required, step, node),
        at=node["location"],
    )
