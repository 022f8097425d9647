"""The application that runs while the release is applied: expand first, contract later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from turnback.sql.lint.model import Finding
from turnback.sql.lint.nodes import commands, definition, joined, objects, table_name
from turnback.sql.lint.step import Step
from turnback.sql.lint.writing import dotted_name

# (table, column) → what a script did with it; the column is empty for the table itself.
Uses = Mapping[tuple[str, str], str]


def uses(found: Sequence[Step]) -> dict[tuple[str, str], str]:
    """What a script makes or writes: the tables and columns that it counts on."""
    used: dict[tuple[str, str], str] = {}
    for step in found:
        for table, column, verb in _uses(step):
            used.setdefault((table, column), verb)
    return used


def _uses(step: Step) -> Iterator[tuple[str, str, str]]:
    tree = step.tree
    match step.kind:
        case "CreateStmt":
            table = table_name(tree["relation"])
            yield table, "", "made"
            for element in tree.get("tableElts", ()):
                if column := element.get("ColumnDef"):
                    yield table, column["colname"], "made"
        case "AlterTableStmt":
            table = table_name(tree["relation"])
            for command in commands(tree):
                kind, node = definition(command)
                if command["subtype"] == "AT_AddColumn" and kind == "ColumnDef":
                    yield table, node["colname"], "made"
        case "InsertStmt":
            table = table_name(tree["relation"])
            yield table, "", "wrote"
            for item in tree.get("cols", ()):
                yield table, item["ResTarget"]["name"], "wrote"
        case "UpdateStmt":
            table = table_name(tree["relation"])
            yield table, "", "wrote"
            for item in tree.get("targetList", ()):
                if "name" in item.get("ResTarget", {}):
                    yield table, item["ResTarget"]["name"], "wrote"


def drops_what_was_used(step: Step, before: Sequence[tuple[str, Uses]]) -> Iterator[Finding]:
    """TB401.

    Args:
        before: the scripts of the same release, oldest first: path, and what each used.
    """
    for table, column in _drops(step):
        for path, used in reversed(before):
            verb = used.get((table, column))
            if verb is None or not step.in_use(table):
                continue
            what = f"{table}.{column}" if column else table
            yield step.finding(
                "TB401",
                f"{what} is dropped, and {path} still {verb} it.",
                why="The application that runs while this release is applied may count on it: "
                "from the drop until every process of it is replaced, each of its statements "
                f"that names {what} fails. And what a rollback would restore is gone.",
                safer="-- this release: nothing uses it any more; deploy the application first\n"
                f"-- a later release\n{_drop_sql(table, column)}",
            )
            break


def _drops(step: Step) -> Iterator[tuple[str, str]]:
    if step.kind == "DropStmt" and step.tree["removeType"] == "OBJECT_TABLE":
        for parts in objects(step.tree):
            yield joined(parts), ""
    elif step.kind == "AlterTableStmt":
        table = table_name(step.tree["relation"])
        for command in commands(step.tree):
            if command["subtype"] == "AT_DropColumn":
                yield table, command["name"]


def _drop_sql(table: str, column: str) -> str:
    if column:
        return f"ALTER TABLE {dotted_name(table)} DROP COLUMN {dotted_name(column)};"
    return f"DROP TABLE {dotted_name(table)};"
