"""New names for what the running application names (TB402)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from turnback.sql.lint import suggest
from turnback.sql.lint.model import Finding
from turnback.sql.lint.rules.swaps import takes_name
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.writing import dotted_name
from turnback.sql.tree import (
    dotted,
    joined,
    object_parts,
    table_name,
)

# What queries name: a new name breaks them.
_QUERIED = {"OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW"}


def rename_rules(found: Sequence[LintStep]) -> Iterator[Finding]:
    """TB402: a new name for what queries name; indexes and constraints may be renamed."""
    found = [one for step in found for one in step.inside or (step,)]
    # The running application knows nothing by a name that this script gives.
    given = set[str]()
    for number, step in enumerate(found):
        if step.context.is_rollback:
            continue
        if step.kind == "AlterEnumStmt" and "oldVal" in step.tree:
            yield from _value_renamed(step)
        if step.kind not in ("RenameStmt", "AlterObjectSchemaStmt"):
            continue
        if "relation" in step.tree and step.tree.get("renameType") in _QUERIED:
            given.add(table_name({**step.tree["relation"], "relname": step.tree["newname"]}))
        kind = step.tree.get("renameType", step.tree.get("objectType", ""))
        if kind in _OTHERS_NAMED:
            yield from _other_renamed(step, kind)
        elif "relation" in step.tree and step.in_use(old := table_name(step.tree["relation"])):
            if kind == "OBJECT_COLUMN":
                if old not in given and step.column_in_use(old, step.tree["subname"]):
                    yield _column_renamed(step, old)
            elif step.table(old) is None and step.schema.owner_of_index(old):
                # ALTER TABLE renames an index as well.
                continue
            elif (
                kind in _QUERIED
                and not _is_partition(step, old)
                and not _stays(found[number + 1 :], old)
            ):
                yield _relation_renamed(step, old)


def _is_partition(step: LintStep, name: str) -> bool:
    """Whether queries name its partitioned table in its place."""
    table = step.table(name)
    parents = map(step.table, table.parents) if table else ()
    return any(parent and parent.partitioned for parent in parents)


def _stays(later: Sequence[LintStep], name: str) -> bool:
    """Whether a view takes the old name in the same transaction, or a table (TB405)."""
    return any(
        (step.kind == "ViewStmt" and table_name(step.tree["view"]) == name)
        or takes_name(step, name)
        for step in later
        if step.context.in_transaction
    )


_OTHERS_NAMED = {
    "OBJECT_TYPE": "type",
    "OBJECT_DOMAIN": "domain",
    "OBJECT_SCHEMA": "schema",
    "OBJECT_FUNCTION": "function",
    "OBJECT_PROCEDURE": "procedure",
    "OBJECT_ROUTINE": "routine",
    "OBJECT_AGGREGATE": "aggregate",
    "OBJECT_SEQUENCE": "sequence",
    "OBJECT_ATTRIBUTE": "attribute",
    "OBJECT_ROLE": "role",
    "OBJECT_DATABASE": "database",
}


def _other_renamed(step: LintStep, kind: str) -> Iterator[Finding]:
    tree = step.tree
    if kind == "OBJECT_ATTRIBUTE":
        owner = table_name(tree["relation"])
        name, is_old = f"{owner}.{tree['subname']}", step.is_old("OBJECT_TYPE", owner)
    else:
        if "relation" in tree:
            name = table_name(tree["relation"])
        else:
            name = joined(object_parts(tree["object"])) if "object" in tree else tree["subname"]
        known = step.schema.functions.get(name)
        is_old = step.is_old(kind, name) and not (known and known.is_trigger)
    if not is_old:
        return
    new = tree.get("newname") or f"the schema {tree['newschema']}"
    verb = "is renamed to" if "newname" in tree else "moves to"
    yield step.finding(
        "TB402",
        f"The {_OTHERS_NAMED[kind]} {name} {verb} {new}.",
        why=_why(name),
        safer=_renamed_later(step),
    )


def _value_renamed(step: LintStep) -> Iterator[Finding]:
    enum = dotted(step.tree["typeName"])
    if step.is_old("OBJECT_TYPE", enum):
        old, new = step.tree["oldVal"], step.tree["newVal"]
        yield step.finding(
            "TB402",
            f"The value '{old}' of {enum} is renamed to '{new}'.",
            why=f"Every statement of the running application that says '{old}' fails, from the "
            "commit until the last of its processes is replaced; and it reads a value it does not "
            "know.",
            safer=_renamed_later(step),
        )


def _renamed_later(step: LintStep) -> str:
    return (
        "-- this release: the application understands both names\n"
        "-- a later release, with the reason:\n"
        "-- turnback: waive TB402 because the application understands both names\n"
        f"{step.statement.sql};"
    )


def _why(what: str) -> str:
    return (
        f"Every statement of the running application that names {what} fails, from the commit "
        "until the last of its processes is replaced. And after a rollback, those of the new one."
    )


def _column_renamed(step: LintStep, table: str) -> Finding:
    old, new = step.tree["subname"], step.tree["newname"]
    known = step.table(table)
    column = known.column(old) if known else None
    return step.finding(
        "TB402",
        f"{table}.{old} is renamed to {new}.",
        why=_why(f"{table}.{old}"),
        safer=partial(suggest.renamed_column, step, old, new, column.type if column else None),
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
        safer=suggest.files(
            [
                f"{step.statement.sql};",
                "-- in the same file: the old name goes on working, for writes too",
                f"CREATE VIEW {dotted_name(old)} AS SELECT * FROM {dotted_name(new)};",
            ],
            [
                "-- a later release",
                "-- turnback: waive TB401 because nothing uses the old name any more",
                f"DROP VIEW {dotted_name(old)};",
            ],
        ),
    )
