"""A rename, and the way to have both names for a while."""

from __future__ import annotations

from collections.abc import Iterator

from turnback.sql.lint.model import Finding
from turnback.sql.lint.nodes import joined, table_name
from turnback.sql.lint.step import Step
from turnback.sql.lint.writing import dotted_name, name, type_sql

_RELATIONS = {"OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW"}


def renamed(step: Step, offset: int) -> Iterator[Finding]:  # noqa: ARG001
    """TB402: of what was there before; names that no query says (of indexes, constraints) may."""
    if step.scene.is_rollback or "relation" not in step.tree:
        return
    old = table_name(step.tree["relation"])
    if not step.in_use(old):
        return
    kind = step.tree.get("renameType", step.tree.get("objectType", ""))
    if kind == "OBJECT_COLUMN":
        yield _column(step, old)
    elif kind in _RELATIONS:
        yield _relation(step, old)


def _why(what: str) -> str:
    return (
        f"Every statement of the running application that names {what} fails, from the commit "
        "until the last of its processes is replaced. And after a rollback, those of the new one."
    )


def _column(step: Step, table: str) -> Finding:
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


def _relation(step: Step, old: str) -> Finding:
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
