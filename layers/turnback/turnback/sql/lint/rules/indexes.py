"""Building indexes, and the one a foreign key needs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from turnback.sql.definitions import constraint_of
from turnback.sql.lint import suggest
from turnback.sql.lint.model import Finding
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.work import slow_work
from turnback.sql.tables import Constraint, Schema, Table
from turnback.sql.tree import (
    Node,
    commands,
    definition,
    inline_constraints,
    table_name,
)

_REINDEXED = {
    "REINDEX_OBJECT_INDEX",
    "REINDEX_OBJECT_TABLE",
    "REINDEX_OBJECT_SCHEMA",
    "REINDEX_OBJECT_DATABASE",
}


def index_rules(step: LintStep) -> Iterator[Finding]:
    """TB101, TB102, TB302 and TB303."""
    if step.kind == "ReindexStmt":
        yield from _reindex(step)
    if step.kind != "IndexStmt":
        return
    yield from _blocking(step)
    if step.tree.get("concurrent"):
        yield from _concurrent(step)


def _blocking(step: LintStep) -> Iterator[Finding]:
    if step.tree.get("concurrent"):
        return
    for item in slow_work(step):
        yield step.finding(
            "TB101",
            f"CREATE INDEX on {item.table} without CONCURRENTLY.",
            why=f"Whoever writes to {item.table} waits until the index is built, which reads and "
            "sorts every row: minutes on a table of many gigabytes.",
            safer=partial(suggest.index, step),
        )


def _concurrent(step: LintStep) -> Iterator[Finding]:
    table = table_name(step.tree["relation"])
    if step.tree.get("if_not_exists"):
        yield step.finding(
            "TB302",
            f"CREATE INDEX CONCURRENTLY IF NOT EXISTS on {table}.",
            why="A build that was interrupted leaves an invalid index, which exists: this "
            "statement then does nothing and succeeds, while every write keeps up an index that "
            "no query may use. turnback drops what its own interrupted builds left, and builds "
            "again.",
            safer=partial(suggest.index, step),
        )
    if not step.tree.get("idxname"):
        yield step.finding(
            "TB303",
            f"CREATE INDEX CONCURRENTLY on {table} without a name.",
            why="A build that was interrupted leaves an invalid index. With no name in the file, "
            "the next try makes a second one beside it under another name, and the rollback "
            "script cannot know which to drop.",
            safer=partial(suggest.index, step),
        )


def foreign_keys_without_index(step: LintStep, last: Schema) -> Iterator[Finding]:
    """TB301: judged by the schema after the last script, where the index may have been added."""
    for node, table, found in foreign_keys(step):
        now = last.find(table.name)
        if now is None or not any(found.name == item.name for item in now.constraints):
            continue
        wanted = set(found.columns)
        if any(wanted == set(key[: len(wanted)]) for key in now.leading(found.columns)):
            continue
        shown = ", ".join(found.columns)
        yield step.finding(
            "TB301",
            f"No index on {table.name} ({shown}) serves the foreign key {found.name}.",
            why=f"Each DELETE of a row of {found.references}, and each change of its key, reads "
            f"all of {table.name} to find the rows that point at it, and holds its locks "
            "meanwhile, once for each deleted row.",
            safer=partial(suggest.index_of_columns, step, now, found.columns),
            at=node.get("location"),
        )


def foreign_keys(step: LintStep) -> list[tuple[Node, Table, Constraint]]:
    """The foreign keys that a statement adds: the parser's node, the table and the key."""
    if step.kind not in ("CreateStmt", "AlterTableStmt"):
        return []
    # Several rules ask.
    if "foreign_keys" not in step.known:
        step.known["foreign_keys"] = list(_foreign_keys(step))
    found: list[tuple[Node, Table, Constraint]] = step.known["foreign_keys"]
    return found


def _foreign_keys(step: LintStep) -> Iterator[tuple[Node, Table, Constraint]]:
    table = Table(table_name(step.tree["relation"]), "")
    elements = list(step.tree.get("tableElts", ()))
    for command in commands(step.tree) if step.kind == "AlterTableStmt" else ():
        kind, node = definition(command)
        elements += [{kind: node}] if kind else []
    for element in elements:
        kind, node = next(iter(element.items()))
        column = node.get("colname") if kind == "ColumnDef" else None
        inner = [node] if kind == "Constraint" else inline_constraints(node)
        for item in inner:
            if item.get("contype") == "CONSTR_FOREIGN" and (
                found := constraint_of(item, table, column)
            ):
                yield item, table, found


def _reindex(step: LintStep) -> Iterator[Finding]:
    if step.tree["kind"] not in _REINDEXED or not step.statement.strong_outside:
        return
    if step.tree["kind"] in ("REINDEX_OBJECT_INDEX", "REINDEX_OBJECT_TABLE"):
        called = table_name(step.tree["relation"])
        owner = step.schema.owner_of_index(called) or step.table(called)
        if owner and not step.in_use(owner.name):
            return
    yield step.finding(
        "TB102",
        "REINDEX without CONCURRENTLY.",
        why="Whoever writes to the table waits until its index is rebuilt, and so does every "
        "query that would use the index: minutes on a table of many gigabytes.",
        safer=partial(suggest.reindex, step),
    )
