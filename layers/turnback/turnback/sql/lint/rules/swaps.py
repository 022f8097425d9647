"""A table that takes another one's name (TB405)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from turnback.sql.lint.model import Finding
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.writing import dotted_name
from turnback.sql.tree import table_name


def swap_rules(found: Sequence[LintStep]) -> Iterator[Finding]:
    """TB405: a table in use is renamed, and another one gets its name."""
    found = [one for step in found for one in step.inside or (step,)]
    for number, step in enumerate(found):
        old = _renamed(step)
        if not old or not step.in_use(old):
            continue
        taking = next((one for one in found[number + 1 :] if takes_name(one, old)), None)
        if taking is not None:
            yield _swapped(found[:number], taking, old, table_name(taking.tree["relation"]))


def takes_name(step: LintStep, name: str) -> bool:
    """Whether a table is renamed to this."""
    if not (old := _renamed(step)):
        return False
    schema, _, _ = old.rpartition(".")
    new = step.tree["newname"]
    return name in (f"{schema}.{new}" if schema else new, new if not schema else None)


def _renamed(step: LintStep) -> str:
    """The table that the statement renames; empty without one."""
    if step.kind != "RenameStmt" or step.tree.get("renameType") != "OBJECT_TABLE":
        return ""
    return table_name(step.tree["relation"])


def _swapped(before: Sequence[LintStep], taking: LintStep, old: str, new: str) -> Finding:
    lost = ["privileges", "policies", "triggers"]
    if any(_made_as(step, new) for step in before):
        lost = ["defaults", "NOT NULLs", "keys", "indexes", *lost]
    parts = f"{', '.join(lost[:-1])} and {lost[-1]}"
    return taking.finding(
        "TB405",
        f"{new} takes the place of {old}.",
        why=f"Rows that are written to {old} while {new} is filled are lost. The {parts} of {old} "
        "stay with the renamed table, unless the file makes them again, and views and foreign keys "
        "go on pointing at it.",
        safer=f"-- turnback: swap table={dotted_name(old)}\n"
        "-- and after it what is to change, as for a small table: ALTER TABLE, UPDATE … SET",
    )


def _made_as(step: LintStep, name: str) -> bool:
    """Whether the statement makes a table of what a query finds, and so has only columns."""
    into = step.tree.get("into") or step.tree.get("intoClause") or {}
    return "rel" in into and table_name(into["rel"]) == name
