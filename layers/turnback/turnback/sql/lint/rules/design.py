"""Design: what is no danger for this release, and costs later (TB60x)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from turnback.sql.definitions import index_of, type_of
from turnback.sql.lint.model import Finding
from turnback.sql.lint.rules.indexes import foreign_keys
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.writing import dotted_name, type_sql
from turnback.sql.statements import json_value
from turnback.sql.tables import TEMPORARY, Index, Schema, Table
from turnback.sql.tree import Node, commands, dropped, strings, table_name

# Their values are oids of this database: pg_upgrade refuses such columns (manual, pg_upgrade).
_REG = {
    "regcollation",
    "regconfig",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
}
_ONE_TYPE = {"varchar": "text", "bpchar": "text"}


def design_rules(found: Sequence[LintStep], last: Schema) -> Iterator[Finding]:
    """TB601 to TB606, over a forward script.

    Args:
        last: the schema after the last script.
    """
    for number, step in enumerate(found):
        match step.kind:
            case "CreateStmt":
                yield from _types_differ(step, last)
                yield from _no_primary_key(step, last)
                yield from _reg_columns(step)
            case "AlterTableStmt":
                yield from _types_differ(step, last)
                yield from _reg_columns(step)
                yield from _triggers_off(step, found[number + 1 :])
            case "DropStmt":
                yield from _index_gap(step, found[number + 1 :])
            case "VariableSetStmt":
                yield from _replica_role(step)
            case "AlterSystemStmt":
                yield _server_setting(step)


def _types_differ(step: LintStep, last: Schema) -> Iterator[Finding]:
    for node, table, found in foreign_keys(step):
        here, there = last.find(table.name), last.find(found.references)
        if here is None or there is None:
            continue
        keys = strings(node.get("pk_attrs", ())) or _primary(there)
        for own, other in zip(found.columns, keys, strict=False):
            a, b = here.column(own), there.column(other)
            if a is None or b is None:
                continue
            names = {_ONE_TYPE.get(c.type.name, c.type.name) for c in (a, b)}
            if len(names) == 2:
                yield step.finding(
                    "TB601",
                    f"{table.name}.{own} is {type_sql(a.type)}, and {found.references}.{other}, "
                    f"which it points at, is {type_sql(b.type)}.",
                    why="Values that the one holds do not fit the other, and each look-up casts. "
                    "A narrower column overflows while the key goes on growing.",
                    safer=f"-- as it is in {found.references}\n-- {own} {type_sql(b.type)}",
                    at=node.get("location"),
                )


def _primary(table: Table) -> list[str]:
    return [c for item in table.constraints if item.kind == "primary" for c in item.columns]


def _no_primary_key(step: LintStep, last: Schema) -> Iterator[Finding]:
    if {"inhRelations", "ofTypename"} & step.tree.keys():
        return
    table = table_name(step.tree["relation"])
    known = last.find(table)
    like = any("TableLikeClause" in item for item in step.tree.get("tableElts", ()))
    temporary = table.startswith(f"{TEMPORARY}.") or step.tree["relation"]["relpersistence"] == "t"
    if known is None or like or temporary or any(known.unique_keys()):
        return
    yield step.finding(
        "TB602",
        f"{table} has no primary key.",
        why="Its rows cannot be told apart: logical replication refuses UPDATE and DELETE, and "
        "a row that is there twice cannot be removed by name.",
        safer=f"ALTER TABLE {dotted_name(table)} ADD COLUMN id bigint "
        "GENERATED ALWAYS AS IDENTITY PRIMARY KEY;",
    )


def _reg_columns(step: LintStep) -> Iterator[Finding]:
    for node in _columns(step):
        type_ = type_of(node["typeName"]).name if "typeName" in node else ""
        if type_ in _REG:
            yield step.finding(
                "TB603",
                f"{node['colname']} is of the type {type_}.",
                why="Its values are numbers of this one database, and pg_upgrade refuses to "
                "upgrade a cluster with such a column (manual, pg_upgrade). text keeps the name.",
                safer=f"-- {node['colname']} text",
                at=node.get("location"),
            )


def _columns(step: LintStep) -> Iterator[Node]:
    """The columns that a statement makes."""
    nodes = [*step.tree.get("tableElts", ()), *(c.get("def", {}) for c in commands(step.tree))]
    for node in nodes:
        if column := node.get("ColumnDef"):
            yield column


def _index_gap(step: LintStep, later: Sequence[LintStep]) -> Iterator[Finding]:
    if step.tree["removeType"] != "OBJECT_INDEX":
        return
    for item in dropped(step.tree):
        plain = item.name.rpartition(".")[2]
        table = step.schema.owner_of_index(item.name)
        if table is None or not step.in_use(table.name):
            continue
        for old in table.indexes:
            new = next((other for other in later if _replaces(other, table, old)), None)
            if old.name == plain and new:
                called = index_of(new.tree).name
                yield step.finding(
                    "TB604",
                    f"{plain} is dropped before {called}, which replaces it, is built.",
                    why=f"Until {called} is there, the queries that used {plain} read all of "
                    f"{table.name}.",
                    safer=f"{new.statement.sql};\n-- a file after it\n{step.statement.sql};",
                )


def _replaces(step: LintStep, table: Table, old: Index) -> bool:
    if step.kind != "IndexStmt" or table_name(step.tree["relation"]) != table.name:
        return False
    return index_of(step.tree).columns[:1] == old.columns[:1]


_OFF = {
    "AT_DisableTrig": "AT_EnableTrig",
    "AT_DisableTrigAll": "AT_EnableTrigAll",
    "AT_DisableTrigUser": "AT_EnableTrigUser",
}


_OFF_WHY = (
    "Rows are written meanwhile that no foreign key and no trigger has seen, and nothing looks at "
    "them again: the database keeps what its own rules forbid."
)


def _replica_role(step: LintStep) -> Iterator[Finding]:
    if step.tree.get("name") == "session_replication_role":
        values = [json_value(item) for item in step.tree.get("args", ())]
        if values == ["replica"]:
            said = "session_replication_role switches triggers and foreign keys off."
            yield step.finding("TB605", said, why=_OFF_WHY)


def _triggers_off(step: LintStep, later: Sequence[LintStep]) -> Iterator[Finding]:
    table = table_name(step.tree["relation"])
    for command in commands(step.tree) if step.in_use(table) else ():
        wanted = _OFF.get(command["subtype"])
        if wanted and not any(_enables(other, table, wanted, command) for other in later):
            shown = command.get("name", "all triggers")
            yield step.finding(
                "TB605", f"{shown} of {table} is switched off, and stays so.", why=_OFF_WHY
            )


def _enables(step: LintStep, table: str, wanted: str, command: Node) -> bool:
    return (
        step.kind == "AlterTableStmt"
        and table_name(step.tree["relation"]) == table
        and any(
            item["subtype"] in (wanted, "AT_EnableTrigAll")
            and item.get("name") in (None, command.get("name"))
            for item in commands(step.tree)
        )
    )


def _server_setting(step: LintStep) -> Finding:
    return step.finding(
        "TB606",
        "ALTER SYSTEM changes the whole server.",
        why="It is not part of the transaction, no rollback script takes it back by itself, and "
        "RDS, Aurora and Supabase refuse it (SQLSTATE 42501). A parameter group is the place.",
    )
