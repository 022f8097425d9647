"""ALTER TABLE that reads every row under its lock, for a NULL, a key or a check."""

from __future__ import annotations

from collections.abc import Iterator

from turnback.sql.lint.model import Finding
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.work import SlowWork, slow_work
from turnback.sql.lint.writing import (
    NEXT,
    all_wait,
    condition,
    dotted_name,
    foreign_key,
    name,
    new_column_type,
)
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
                yield _foreign(step, item)
            case "check":
                yield _check(step, item)


def _not_null(step: LintStep, item: SlowWork) -> Finding:
    table, column = dotted_name(item.table), name(item.column)
    check = name(f"{item.table.rpartition('.')[2]}_{item.column}_filled")
    return step.finding(
        "TB103",
        f"SET NOT NULL on {item.table}.{item.column} without a validated CHECK.",
        why=f"PostgreSQL reads every row of {item.table} under an AccessExclusiveLock. "
        f"{all_wait(item.table)}: seconds for each gigabyte. A validated CHECK is proof "
        "enough, and validating it blocks nobody.",
        safer=f"ALTER TABLE {table} ADD CONSTRAINT {check}\n"
        f"    CHECK ({column} IS NOT NULL) NOT VALID;\n"
        f"{NEXT}\n"
        f"ALTER TABLE {table} VALIDATE CONSTRAINT {check};\n"
        f"{NEXT}\n"
        f"ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL;\n"
        f"ALTER TABLE {table} DROP CONSTRAINT {check};",
        at=item.at,
    )


def _foreign(step: LintStep, item: SlowWork) -> Finding:
    assert item.constraint and item.node
    key, table = item.constraint, dotted_name(item.table)
    add = ""
    if item.column:
        add = (
            f"ALTER TABLE {table} ADD COLUMN {name(item.column)}"
            f"{new_column_type(step, item.column)}; -- without the REFERENCES\n"
        )
    return step.finding(
        "TB104",
        f"The foreign key {key.name} of {item.table} validates at once.",
        why=f"Every row of {item.table} is looked up in {key.references}; whoever writes to "
        f"either table waits meanwhile. NOT VALID takes the same locks for an instant, and "
        "VALIDATE keeps no writer out.",
        safer=f"{add}ALTER TABLE {table} ADD CONSTRAINT {name(key.name)}\n"
        f"    {foreign_key(item.node, key.columns)} NOT VALID;\n"
        f"{NEXT}\n"
        f"ALTER TABLE {table} VALIDATE CONSTRAINT {name(key.name)};",
        at=item.at,
    )


def _check(step: LintStep, item: SlowWork) -> Finding:
    assert item.constraint and item.node
    table, called = dotted_name(item.table), name(item.constraint.name)
    script = step.context.script.sql
    start = step.statement.place(item.node.get("location", 0))
    test = condition(script[: step.statement.end], start)
    add = (
        f"ALTER TABLE {table} ADD COLUMN {name(item.column)}"
        f"{new_column_type(step, item.column)}; -- without the CHECK\n"
        if item.column
        else ""
    )
    return step.finding(
        "TB105",
        f"The check {item.constraint.name} of {item.table} validates at once.",
        why=f"PostgreSQL reads every row of {item.table} under an AccessExclusiveLock. "
        f"{all_wait(item.table)}: seconds for each gigabyte.",
        safer=f"{add}ALTER TABLE {table} ADD CONSTRAINT {called}\n"
        f"    CHECK ({test}) NOT VALID;\n"
        f"{NEXT}\n"
        f"ALTER TABLE {table} VALIDATE CONSTRAINT {called};",
        at=item.at,
    )


def _domain(step: LintStep) -> Iterator[Finding]:
    constraint = step.tree.get("def", {}).get("Constraint", {})
    if not constraint or constraint.get("skip_validation"):
        return
    plain = dotted(step.tree["typeName"])
    columns = [column for table in step.schema.tables.values() for column in table.columns.values()]
    if plain in step.schema.domains and plain not in {column.type.name for column in columns}:
        return
    domain = dotted_name(plain)
    called = name(constraint.get("conname", f"{domain.rpartition('.')[2]}_check"))
    start = step.statement.place(constraint.get("location", 0))
    test = "VALUE IS NOT NULL"
    if constraint.get("contype") == "CONSTR_CHECK":
        test = condition(step.context.script.sql[: step.statement.end], start)
    yield step.finding(
        "TB111",
        f"The constraint {called} of the domain {domain} validates at once.",
        why="Every row of every table with a column of this domain is read, and whoever writes to "
        "one of them waits meanwhile: seconds for each gigabyte, of all of them together.",
        safer=f"ALTER DOMAIN {domain} ADD CONSTRAINT {called} CHECK ({test}) NOT VALID;\n"
        f"{NEXT}\n"
        f"ALTER DOMAIN {domain} VALIDATE CONSTRAINT {called};",
    )
