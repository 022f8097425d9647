"""Finds scripts that would make, change or drop the tables that turnback keeps its history in."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

from turnback.errors import HistoryConflict
from turnback.migrations.model import Migration
from turnback.sql.blocks import body_of, statements_in
from turnback.sql.bulk import statements_of
from turnback.sql.parser import SqlSyntaxError
from turnback.sql.scope import Scope
from turnback.sql.statements import Statement
from turnback.sql.tree import dropped, joined, made, makes, target, targets

OWN_TABLES = ("migrations", "migration_log", "migration_health", "migration_backfills")
ELSEWHERE = (
    "keep turnback's tables in a schema of their own: --history-schema turnback, or for good in "
    'turnback.toml: [history] schema = "turnback"; on AWS also by the parameter HistorySchema'
)
_MENTIONED = re.compile(rf"\b({'|'.join(OWN_TABLES)}|drop\s+schema)\b")
# Their names are taken from the same set (manual, CREATE TABLE).
_RELATIONS = {
    *("OBJECT_TABLE", "OBJECT_FOREIGN_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW"),
    *("OBJECT_SEQUENCE", "OBJECT_INDEX", "OBJECT_TYPE", "OBJECT_DOMAIN"),
}


def names_of_own(schema: str) -> frozenset[str]:
    """The names of turnback's own tables, as ``tree`` writes names.

    Args:
        schema: where they are.
    """
    return frozenset(joined([schema, name]) for name in OWN_TABLES)


def conflicts(migrations: Iterable[Migration], schema: str) -> Iterator[HistoryConflict]:
    """The scripts that have a table of one of these names, each with its first statement of it.

    A script that empties such a table, or drops their schema, is meant as well.

    A script that only reads them, or that changes rows, is not meant: see ``destroys``.

    Args:
        migrations: whose scripts are read.
        schema: of turnback's own tables.
    """
    own = names_of_own(schema) | {f"schema {schema}"}
    for migration in migrations:
        for script in filter(None, (migration.forward, migration.rollback)):
            # Hardly any script mentions them, and reading SQL takes its time.
            if not any(map(_mentions, script.blocks())):
                continue
            try:
                statements = statements_of(script)
            except SqlSyntaxError:
                continue
            for name, statement in itertools.islice(_uses(statements, own), 1):
                line, column = script.position(statement.offset)
                yield HistoryConflict(
                    f"the {name} has the tables in which turnback keeps its history"
                    if name.startswith("schema ")
                    else f"the table {name} is one in which turnback keeps its history",
                    file=script.path,
                    line=line,
                    column=column,
                    version=migration.version,
                    hint=ELSEWHERE,
                )


def _mentions(text: str) -> bool:
    # An expression that ignores case takes ten times as long to find nothing.
    lower = text.lower()
    return ("migration" in lower or "schema" in lower) and bool(_MENTIONED.search(lower))


def _uses(statements: Iterable[Statement], own: frozenset[str]) -> Iterator[tuple[str, Statement]]:
    scope = Scope()
    scope.begin_script()
    for statement in statements:
        for inner in _with_embedded(statement):
            qualified = scope.qualified(inner)
            yield from ((name, statement) for name in sorted(_changed(qualified) & own))
            scope.after(qualified, "")


def _with_embedded(statement: Statement) -> Iterator[Statement]:
    """The statement, or those of a DO block."""
    if statement.kind != "DoStmt":
        yield statement
        return
    for _, inner in statements_in(*body_of(statement)):
        yield inner


def _changed(statement: Statement) -> set[str]:
    """The relations that a statement makes, alters, renames, empties or drops; or the schema."""
    tree = statement.tree
    match statement.kind:
        case "RenameStmt":
            named = makes(statement) if tree["renameType"] in _RELATIONS else frozenset()
            return {target(statement) or "", *named}
        case "AlterObjectSchemaStmt":
            name = tree.get("relation", {}).get("relname", "")
            return {target(statement) or "", joined([tree["newschema"], name])}
        case "AlterTableStmt":
            return {target(statement) or ""}
        case "TruncateStmt":
            return set(targets(statement))
        case "DropStmt":
            found = dropped(tree)
            if tree["removeType"] == "OBJECT_SCHEMA":
                return {f"schema {item.name}" for item in found}
        case _:
            found = made(statement)
    return {item.name for item in found if item.kind in _RELATIONS}
