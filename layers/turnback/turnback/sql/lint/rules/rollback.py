"""The rollback script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from turnback.migrations.model import Migration
from turnback.sql.lint.model import Finding
from turnback.sql.lint.step import LintStep, ScriptContext

# Statements that change neither the schema nor the data.
_CHANGES_NOTHING = frozenset(
    {
        "CheckPointStmt",
        "ClusterStmt",
        "DiscardStmt",
        "ExplainStmt",
        "LockStmt",
        "RefreshMatViewStmt",
        "ReindexStmt",
        "SelectStmt",
        "VacuumStmt",
        "VariableSetStmt",
        "VariableShowStmt",
    }
)


def empty_rollback(
    migration: Migration, forward: Sequence[LintStep], backward: Sequence[LintStep]
) -> Iterator[Finding]:
    """TB501."""
    if migration.rollback is None or backward or migration.forward.directives.irreversible:
        return
    keeps = migration.rollback.directives.keep_rows
    changing = [step for step in forward if _changes(step) and not (keeps and _is_of_rows(step))]
    if not changing:
        return
    first = " ".join(changing[0].statement.sql.split()[:4])
    more = f", and {len(changing) - 1} more" if len(changing) > 1 else ""
    yield ScriptContext(migration.rollback, True, True, frozenset()).finding(
        "TB501",
        0,
        f"This rollback script has no statement, but {migration.forward.path} changes the database "
        f"({first} …{more}).",
        why="Rolled back, the history says that the migration is gone while its change is still "
        "there, and the next try to apply it fails or does it twice.",
        safer=f"-- write what undoes it, or say in the header of {migration.forward.path}:\n"
        "-- turnback: irreversible because REASON",
    )


def _is_of_rows(step: LintStep) -> bool:
    return step.kind in ("UpdateStmt", "InsertStmt", "DeleteStmt", "MergeStmt")


def _changes(step: LintStep) -> bool:
    return step.kind not in _CHANGES_NOTHING or "intoClause" in step.tree
