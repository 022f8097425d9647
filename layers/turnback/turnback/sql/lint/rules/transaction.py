"""Statements that share a transaction, or cannot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from turnback.sql.enum_values import added_value, used_values
from turnback.sql.lint import suggest
from turnback.sql.lint.locked import locks
from turnback.sql.lint.model import Finding, Severity
from turnback.sql.lint.rules.scans import foreign_at_once
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.work import SlowWork, filled_by, slow_work
from turnback.sql.locks import ACCESS_EXCLUSIVE, SHARE_ROW
from turnback.sql.tree import (
    commands,
    constants,
    dotted,
    relations,
    strings,
    table_name,
    walk,
)

# Work that a rule of the 1xx group reports: once that is fixed, it is slow no more.
_FOUND_ELSEWHERE = {
    *("index", "not_null", "foreign", "check", "type", "unique", "default"),
    *("rewrite", "partition", "domain"),
}
_NO_CHANGE = ("VariableSetStmt", "SelectStmt")
# What follows from a value that is used too soon: where the file is one transaction, and where it
# is more than one.
_ENUM_VALUE = (
    "so the migration fails and is rolled back",
    "so the file is applied in two transactions: when the second one fails, the first one is kept, "
    "and the migration is half done",
)


def transaction_rules(found: Sequence[LintStep]) -> Iterator[Finding]:
    """TB201, TB202, TB204, TB205, and TB104 for a table that the same script fills."""
    if not found:
        return
    if found[0].context.in_transaction:
        yield from _enum_values(found)
        if any(map(slow_work, found)):
            yield from _strong_after_slow(found)
            yield from _slow_under_strong(found)
            yield from _keys_of_filled(found)
    else:
        yield from _mixed(found)


def _strong_after_slow(found: Sequence[LintStep]) -> Iterator[Finding]:
    slow: tuple[LintStep, SlowWork] | None = None
    held: dict[str, int] = {}
    for step in found:
        locked, own = locks(step), slow_work(step)
        found_elsewhere = any(item.kind in _FOUND_ELSEWHERE for item in own)
        if slow and not found_elsewhere:
            for table, level in locked.items():
                if level >= SHARE_ROW and level > held.get(table, 0):
                    yield _lock_finding(found, step, table, level, slow)
                    return
        # What is read alone costs nothing but time when it is done again.
        own = [item for item in own if item.kind != "read"]
        if own and slow is None:
            slow = step, own[0]
        _hold(held, locked)


def _lock_finding(
    found: Sequence[LintStep],
    step: LintStep,
    table: str,
    level: int,
    slow: tuple[LintStep, SlowWork],
) -> Finding:
    before, item = slow
    line = _line(before)
    return step.finding(
        "TB201",
        f"A strong lock on {table} is acquired after line {line}, which {item.does}, "
        "in the same transaction.",
        why=f"When the lock on {table} is not granted within the lock timeout, the whole file "
        f"starts again, and the work of line {line} with it, each time for as long as it takes. "
        f"Once it is granted, {blocks(level)} of {table} wait for the commit.",
        safer=partial(suggest.in_files_of_their_own, found),
    )


def _slow_under_strong(found: Sequence[LintStep]) -> Iterator[Finding]:
    held: dict[str, int] = {}
    since: dict[str, LintStep] = {}
    for step in found:
        strong = [table for table, level in held.items() if level >= SHARE_ROW]
        own = [item for item in slow_work(step) if item.kind not in _FOUND_ELSEWHERE]
        if strong and own:
            yield _slow_finding(found, step, own[0], held, since)
        locked = locks(step)
        for item in own:
            level = locked.get(item.table, 0)
            if item.kind == "validate" and level >= SHARE_ROW and item.table not in strong:
                yield _own_finding(step, item, level)
        for table, level in locked.items():
            if level > held.get(table, 0):
                since[table] = step
        _hold(held, locked)


def _slow_finding(
    found: Sequence[LintStep],
    step: LintStep,
    item: SlowWork,
    held: Mapping[str, int],
    taken: Mapping[str, LintStep],
) -> Finding:
    table = max(held, key=lambda name: held[name])
    level, since = held[table], taken[table]
    return step.finding(
        "TB202",
        f"This {item.does} while line {_line(since)} keeps {table} locked.",
        why=f"The lock on {table} that line {_line(since)} took is held until the commit, so "
        f"{blocks(level)} of {table} wait for as long as this statement runs: its time grows "
        f"with {item.table}.",
        safer=partial(suggest.in_files_of_their_own, found),
    )


def _own_finding(step: LintStep, item: SlowWork, level: int) -> Finding:
    every = commands(step.tree)
    last = [command for command in every if command["subtype"] == "AT_ValidateConstraint"]
    first = [command for command in every if command not in last]
    return step.finding(
        "TB202",
        f"This {item.does} under the lock of its other subcommands.",
        why=f"ALTER TABLE takes the strongest lock that one of its subcommands needs, so "
        f"{blocks(level)} of {item.table} wait while every row is read. Alone, VALIDATE keeps "
        "nobody out.",
        safer=lambda: suggest.files([suggest.alter(step, *first)], [suggest.alter(step, *last)]),
    )


def _keys_of_filled(found: Sequence[LintStep]) -> Iterator[Finding]:
    """Foreign keys whose table is new, but has so many rows that its target is locked for long."""
    filled = set[str]()
    for step in found:
        for item in slow_work(step, filled):
            key = item.constraint
            if item.table in filled and key and key.references and step.in_use(key.references):
                yield foreign_at_once(step, item)
        filled.add(filled_by(step))


def _hold(held: dict[str, int], locked: dict[str, int]) -> None:
    for table, level in locked.items():
        held[table] = max(level, held.get(table, 0))


def _line(step: LintStep) -> int:
    return step.finding("TB201", "", why="").line


def _mixed(found: Sequence[LintStep]) -> Iterator[Finding]:
    outside = [step for step in found if step.statement.outside_transaction]
    inside = [
        step
        for step in found
        if not step.statement.outside_transaction and step.kind not in _NO_CHANGE
    ]
    if not outside or not inside or found[0].context.script.directives.no_transaction:
        return
    words = " ".join(outside[0].statement.sql.split()[:2])
    yield outside[0].finding(
        "TB204",
        f"{words} … cannot run in a transaction, and shares the file with statements that can.",
        why="The whole file runs statement by statement, each committed at once. When one fails, "
        "those before it remain, and somebody must find out how far it came.",
        safer=suggest.apart(_runs(found)),
    )


def _runs(found: Sequence[LintStep]) -> list[list[LintStep]]:
    """The statements in their order, those together that can share a transaction."""
    runs: list[list[LintStep]] = []
    for step in found:
        alone = step.statement.outside_transaction
        if runs and not alone and not runs[-1][0].statement.outside_transaction:
            runs[-1].append(step)
        else:
            runs.append([step])
    return runs


def _enum_values(found: Sequence[LintStep]) -> Iterator[Finding]:
    made = {dotted(step.tree["typeName"]) for step in found if step.kind == "CreateEnumStmt"}
    added: dict[str, tuple[LintStep, str]] = {}
    for step in found:
        for value in _used(step, added):
            before, enum = added.pop(value)
            yield step.finding(
                "TB205",
                f"'{value}' is used in the file that adds it to {enum}.",
                why="PostgreSQL refuses to use a value of an enum in the transaction that added "
                f"it (SQLSTATE 55P04), {_ENUM_VALUE[step.context.divided]}.",
                safer=suggest.apart([[before], [step]]),
                severity=None if step.context.divided else Severity.ERROR,
            )
        new = added_value(step.statement)
        if new is not None and (enum := dotted(step.tree["typeName"])) not in made:
            added[new] = step, enum


def _used(step: LintStep, values: Mapping[str, tuple[LintStep, str]]) -> list[str]:
    """Of the values that were added, those that the statement says to a column of their enum."""
    found = used_values(step.statement, values) if values else ()
    return sorted(value for value in found if not _of_another_type(step, value, values[value][1]))


def _of_another_type(step: LintStep, value: str, enum: str) -> bool:
    """Whether each place of the value is known to be a column of another type."""
    tables = [step.table(name) for name in relations({"statement": step.tree})]
    columns = {
        column.name: column.type.name
        for table in tables
        if table
        for column in table.columns.values()
    }
    places = list(_places(step, value))
    return bool(places) and all(columns.get(name, enum) != enum for name in places)


def _places(step: LintStep, value: str) -> Iterator[str]:
    """The columns that the value is given to, or compared with; empty for any other place."""
    if step.kind == "InsertStmt":
        table = step.table(table_name(step.tree["relation"]))
        named = [item["ResTarget"]["name"] for item in step.tree.get("cols", ())]
        named = named or list(table.columns if table else ())
        rows = step.tree.get("selectStmt", {}).get("SelectStmt", {}).get("valuesLists", ())
        for row in rows:
            for name, item in zip(named, row["List"]["items"], strict=False):
                if value in constants([item]):
                    yield name
        return
    for kind, node in walk(step.tree):
        if kind == "ResTarget" and value in constants([node.get("val")]):
            yield node.get("name", "")
        elif kind == "A_Expr" and value in constants([node.get("rexpr")]):
            yield (strings(node.get("lexpr", {}).get("ColumnRef", {}).get("fields", ())) or [""])[
                -1
            ]


def blocks(level: int) -> str:
    """Whom a lock shuts out."""
    return "readers and writers" if level == ACCESS_EXCLUSIVE else "writers"
