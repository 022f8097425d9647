"""What a migration must not do while a backfill of an earlier one goes on.

A name is compared without its schema: rather a migration too many waits than one too few. What a
block or a function does is not looked into.
"""

from __future__ import annotations

from collections.abc import Iterable

from turnback.errors import InvalidMigration
from turnback.migrations.model import Migration, Project, Script
from turnback.sql.script import Runnable, prepare
from turnback.sql.statements import Statement
from turnback.sql.tree import commands, objects, relations

_READ_OR_WRITE = {
    *("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "SelectStmt"),
    *("CreateTableAsStmt", "CopyStmt"),
}
_NEED_ROWS = {"AT_SetNotNull", "AT_ValidateConstraint", "AT_DropColumn", "AT_AlterColumnType"}
_RENAMED = {"OBJECT_COLUMN", "OBJECT_TABLE"}


def required_backfills(project: Project, migration: Migration) -> list[Migration]:
    """The migrations whose backfills must be done before this one, as its header says.

    Raises:
        InvalidMigration: it has none of such a version before it.
    """
    found = []
    for version in migration.forward.directives.after:
        other = project.find(version)
        if other is None or other not in project.before(migration.version):
            raise InvalidMigration(
                f"{migration.version} is to be applied after {version}, and there is no migration "
                f"{version} before it",
                file=migration.forward.path,
                version=migration.version,
                hint="correct the directive 'after'",
            )
        found.append(other)
    return found


def tables_of(script: Script) -> set[str]:
    """The tables that a backfill reads and writes."""
    options = script.directives.backfill
    assert options is not None
    found = {options.table[-1]}
    for statement in prepare(script).statements or ():
        found |= _plain(relations(statement.tree))
    return found


def waits_for_rows(runnable: Runnable, *, with_rows: bool) -> set[str]:
    """The tables whose rows must be complete before a migration.

    Args:
        runnable: the migration.
        with_rows: whether reading and writing rows counts, besides what needs all of them, takes
            a column or a table away, or gives it another name.
    """
    swap = runnable.script.directives.swap
    found = {swap.table[-1]} if swap else set[str]()
    if runnable.ranged and with_rows:
        found |= tables_of(runnable.script)
    for statement in runnable.statements or ():
        found |= _plain(_needed(statement, with_rows=with_rows))
    return found


def _needed(statement: Statement, *, with_rows: bool) -> Iterable[str]:
    tree = statement.tree
    match statement.kind:
        case "AlterTableStmt" if any(one["subtype"] in _NEED_ROWS for one in commands(tree)):
            return relations({"relation": tree["relation"]})
        case "RenameStmt" if tree.get("renameType") in _RENAMED:
            return relations({"relation": tree["relation"]})
        case "DropStmt" if tree["removeType"] == "OBJECT_TABLE":
            return [parts[-1] for parts in objects(tree)]
        case "TruncateStmt":
            return relations(tree)
        case kind if with_rows and kind in _READ_OR_WRITE:
            return relations(tree)
    return ()


def _plain(names: Iterable[str]) -> set[str]:
    return {name.rpartition(".")[2].strip('"') for name in names}
