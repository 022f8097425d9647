"""Whether what a statement names is there, asked of the catalog before the statement is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnback.engine.session.message import Connection, rows, send
from turnback.sql.quoting import joined, literal, relation_name
from turnback.sql.statements import Statement, json_value


def is_there(connection: Connection, statement: Statement) -> bool:
    """Whether a table, schema or column that this statement would drop is there."""
    tree = statement.tree
    if statement.kind == "AlterTableStmt":
        table = relation_name(tree["relation"])
        columns = [item["AlterTableCmd"].get("name") for item in tree["cmds"]]
        return any(_column(connection, table, name) for name in columns if name)
    look = _schema if tree["removeType"] == "OBJECT_SCHEMA" else _relation
    return any(look(connection, _dropped(item)) for item in tree["objects"])


def found_already(connection: Connection, statement: Statement) -> bool:
    """Whether IF NOT EXISTS finds the table, or a column, that this statement would make."""
    tree = statement.tree
    if statement.kind in ("CreateStmt", "CreateTableAsStmt") and tree.get("if_not_exists"):
        relation = tree.get("relation") or tree["into"]["rel"]
        return _relation(connection, relation_name(relation))
    if statement.kind != "AlterTableStmt":
        return False
    table = relation_name(tree["relation"])
    commands = [item["AlterTableCmd"] for item in tree["cmds"]]
    return any(
        _column(connection, table, command["def"]["ColumnDef"]["colname"])
        for command in commands
        if command["subtype"] == "AT_AddColumn" and command.get("missing_ok")
    )


def _dropped(item: Mapping[str, Any]) -> str:
    """The quoted name in a DROP: of one part, or a list of them."""
    parts = item["List"]["items"] if "List" in item else [dict(item)]
    return joined(str(json_value(part)) for part in parts)


def _relation(connection: Connection, name: str) -> bool:
    return _true(connection, f"pg_catalog.to_regclass({literal(name)}) IS NOT NULL")


def _schema(connection: Connection, name: str) -> bool:
    return _true(connection, f"pg_catalog.to_regnamespace({literal(name)}) IS NOT NULL")


def _column(connection: Connection, table: str, column: str) -> bool:
    return _true(
        connection,
        "EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = "
        f"pg_catalog.to_regclass({literal(table)}) AND attname = {literal(column)} "
        "AND NOT attisdropped)",
    )


def _true(connection: Connection, question: str) -> bool:
    return rows(send(connection, f"SELECT {question}")[0])[0][0] == "t"
