"""The application that runs while the release is applied: expand first, contract later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from turnback.sql.destroys import Kind, drops_with_rows
from turnback.sql.lint.model import Finding
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.writing import dotted_name, name, type_sql
from turnback.sql.tree import commands, definition, joined, table_name

# (table, column) → what a script did with it; the column is empty for the table itself.
Uses = Mapping[tuple[str, str], str]

# What queries name: a new name breaks them.
_QUERIED = {"OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW"}


def uses(found: Sequence[LintStep]) -> dict[tuple[str, str], str]:
    """What a script makes or writes: the tables and columns that it counts on."""
    used: dict[tuple[str, str], str] = {}
    for step in found:
        for table, column, verb in _uses(step):
            used.setdefault((table, column), verb)
    return used


def _uses(step: LintStep) -> Iterator[tuple[str, str, str]]:
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


def drops_what_was_used(step: LintStep, before: Sequence[tuple[str, Uses]]) -> Iterator[Finding]:
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


def _drops(step: LintStep) -> Iterator[tuple[str, str]]:
    for kind, dropped in drops_with_rows(step.statement):
        if kind is Kind.TABLES:
            yield dropped, ""
        elif kind is Kind.COLUMNS:
            table, _, column = dropped.rpartition(".")
            yield table, column


def _drop_sql(table: str, column: str) -> str:
    if column:
        return f"ALTER TABLE {dotted_name(table)} DROP COLUMN {dotted_name(column)};"
    return f"DROP TABLE {dotted_name(table)};"


def rename_rules(step: LintStep) -> Iterator[Finding]:
    """TB402: a new name for what queries name; indexes and constraints may be renamed."""
    if step.kind not in ("RenameStmt", "AlterObjectSchemaStmt"):
        return
    if step.context.is_rollback or "relation" not in step.tree:
        return
    old = table_name(step.tree["relation"])
    if not step.in_use(old):
        return
    kind = step.tree.get("renameType", step.tree.get("objectType", ""))
    if kind == "OBJECT_COLUMN":
        yield _column_renamed(step, old)
    elif kind in _QUERIED:
        yield _relation_renamed(step, old)


def _why(what: str) -> str:
    return (
        f"Every statement of the running application that names {what} fails, from the commit "
        "until the last of its processes is replaced. And after a rollback, those of the new one."
    )


def _column_renamed(step: LintStep, table: str) -> Finding:
    old, new = step.tree["subname"], step.tree["newname"]
    known = step.table(table)
    column = known.column(old) if known else None
    shown = f" {type_sql(column.type)}" if column else " …"
    return step.finding(
        "TB402",
        f"{table}.{old} is renamed to {new}.",
        why=_why(f"{table}.{old}"),
        safer=f"ALTER TABLE {dotted_name(table)} ADD COLUMN {name(new)}{shown};\n"
        "-- a trigger that keeps both equal, then fill the old rows in batches\n"
        "-- a later release, when nothing uses the old one any more\n"
        f"ALTER TABLE {dotted_name(table)} DROP COLUMN {name(old)};",
    )


def _relation_renamed(step: LintStep, old: str) -> Finding:
    tree = step.tree
    if "newschema" in tree:
        new = joined([tree["newschema"], tree["relation"]["relname"]])
    else:
        schema, _, _ = old.rpartition(".")
        new = f"{schema}.{tree['newname']}" if schema else tree["newname"]
    return step.finding(
        "TB402",
        f"{old} is renamed to {new}.",
        why=_why(old),
        safer=f"{step.statement.sql};\n"
        "-- in the same file: the old name goes on working, for writes too\n"
        f"CREATE VIEW {dotted_name(old)} AS SELECT * FROM {dotted_name(new)};\n"
        "-- a later release, when nothing uses the old name any more\n"
        f"DROP VIEW {dotted_name(old)};",
    )
