"""ALTER TABLE that reads every row under its lock, for a NULL, a key or a check."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from turnback.sql.lint import suggest
from turnback.sql.lint.model import Finding
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.work import SlowWork, reads_rows, slow_work
from turnback.sql.lint.writing import all_wait, dotted_name
from turnback.sql.tree import dotted


def scan_rules(step: LintStep) -> Iterator[Finding]:
    """TB103, TB104, TB105 and TB111."""
    if step.kind == "AlterDomainStmt":
        yield from _domain(step)
    if step.kind != "AlterTableStmt":
        return
    for item in slow_work(step):
        match item.kind:
            case "not_null":
                yield _not_null(step, item)
            case "foreign":
                yield foreign_at_once(step, item)
            case "check":
                yield _check(step, item)


def _not_null(step: LintStep, item: SlowWork) -> Finding:
    what = f"SET NOT NULL on {item.table}.{item.column}"
    if item.constraint:
        what = f"The primary key {item.constraint.name} makes {item.table}.{item.column} NOT NULL"
    elif item.node:
        what = f"The new column {item.table}.{item.column} is virtual and NOT NULL"
    return step.finding(
        "TB103",
        f"{what} without a validated CHECK.",
        why=f"PostgreSQL reads every row of {item.table} under an AccessExclusiveLock. "
        f"{all_wait(item.table)}: seconds for each gigabyte. A validated CHECK is proof "
        "enough, and validating it blocks nobody.",
        safer=partial(suggest.not_null, step, item),
        at=item.at,
    )


def foreign_at_once(step: LintStep, item: SlowWork) -> Finding:
    """TB104."""
    assert item.constraint
    key = item.constraint
    if item.node is None:
        return step.finding(
            "TB104",
            f"The foreign key {key.name} of {item.table} validates at once.",
            why=f"ENFORCED looks up every row of {item.table} in {key.references}; whoever writes "
            "to either table waits meanwhile. Drop the constraint, add it again as NOT VALID, and "
            "VALIDATE it in a later migration: that keeps no writer out.",
            safer=partial(suggest.enforced, step, key),
        )
    return step.finding(
        "TB104",
        f"The foreign key {key.name} of {item.table} validates at once.",
        why=f"Every row of {item.table} is looked up in {key.references}; whoever writes to "
        f"either table waits meanwhile. NOT VALID takes the same locks for an instant, and "
        "VALIDATE keeps no writer out.",
        safer=partial(suggest.foreign, step, item),
        at=item.at,
    )


def _check(step: LintStep, item: SlowWork) -> Finding:
    assert item.constraint
    return step.finding(
        "TB105",
        f"The check {item.constraint.name} of {item.table} validates at once.",
        why=f"PostgreSQL reads every row of {item.table} under an AccessExclusiveLock. "
        f"{all_wait(item.table)}: seconds for each gigabyte.",
        safer=partial(suggest.check, step, item),
        at=item.at,
    )


def _domain(step: LintStep) -> Iterator[Finding]:
    constraint = step.tree.get("def", {}).get("Constraint", {})
    if not reads_rows(step.tree):
        return
    plain = dotted(step.tree["typeName"])
    columns = [column for table in step.schema.tables.values() for column in table.columns.values()]
    if plain in step.schema.domains and plain not in {column.type.name for column in columns}:
        return
    domain = dotted_name(plain)
    called = step.tree.get("name") or constraint.get("conname", f"{plain.rpartition('.')[2]}_check")
    yield step.finding(
        "TB111",
        f"The constraint {called} of the domain {domain} validates at once.",
        why="Every row of every table with a column of this domain is read, and whoever writes to "
        "one of them waits meanwhile: seconds for each gigabyte, of all of them together.",
        safer=partial(suggest.domain, step, called, constraint),
    )
