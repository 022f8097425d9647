"""Statements that share a transaction, or cannot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from turnback.sql.lint.locks import SHARE_ROW, blocks, locks
from turnback.sql.lint.model import Finding
from turnback.sql.lint.nodes import Node, constants, dotted
from turnback.sql.lint.step import Step
from turnback.sql.lint.work import Work, work
from turnback.sql.lint.writing import NEXT

# Work that a rule of the first hundred finds already: mended there, it is slow no more.
_FOUND_ELSEWHERE = {"index", "not_null", "foreign", "check", "type", "unique", "default"}
_NO_CHANGE = ("VariableSetStmt", "SelectStmt")


def transaction_rules(found: Sequence[Step]) -> Iterator[Finding]:
    """TB201, TB202, TB204 and TB205, over all statements of a script."""
    if not found:
        return
    if found[0].scene.in_transaction:
        yield from _strong_after_slow(found)
        yield from _slow_under_strong(found)
        yield from _enum_values(found)
    else:
        yield from _mixed(found)


def _strong_after_slow(found: Sequence[Step]) -> Iterator[Finding]:
    slow: tuple[Step, Work] | None = None
    held: dict[str, int] = {}
    for step in found:
        taken, own = locks(step), list(work(step))
        mended_elsewhere = any(item.kind in _FOUND_ELSEWHERE for item in own)
        if slow and not mended_elsewhere:
            for table, level in taken.items():
                if level >= SHARE_ROW and level > held.get(table, 0):
                    yield _lock_finding(step, table, level, slow)
                    return
        if own and slow is None:
            slow = step, own[0]
        _hold(held, taken)


def _lock_finding(step: Step, table: str, level: int, slow: tuple[Step, Work]) -> Finding:
    before, item = slow
    line = _line(before)
    return step.finding(
        "TB201",
        f"A strong lock on {table} is taken after line {line}, which {item.does}, "
        "in the same transaction.",
        why=f"When the lock on {table} is not to be had within the lock timeout, the whole file "
        f"starts again, and the work of line {line} with it, each time for as long as it takes. "
        f"Once it is had, {blocks(level)} of {table} wait for the commit.",
        safer=f"{before.statement.sql};\n{NEXT}\n{step.statement.sql};",
    )


def _slow_under_strong(found: Sequence[Step]) -> Iterator[Finding]:
    held: dict[str, int] = {}
    since: dict[str, Step] = {}
    for step in found:
        strong = [table for table, level in held.items() if level >= SHARE_ROW]
        own = [item for item in work(step) if item.kind not in _FOUND_ELSEWHERE]
        if strong and own:
            table = max(strong, key=lambda name: held[name])
            yield _slow_finding(step, own[0], table, held[table], since[table])
        taken = locks(step)
        for table, level in taken.items():
            if level > held.get(table, 0):
                since[table] = step
        _hold(held, taken)


def _slow_finding(step: Step, item: Work, table: str, level: int, since: Step) -> Finding:
    return step.finding(
        "TB202",
        f"This {item.does} while line {_line(since)} keeps {table} locked.",
        why=f"The lock on {table} that line {_line(since)} took is held until the commit, so "
        f"{blocks(level)} of {table} wait for as long as this statement runs: its time grows "
        f"with {item.table}.",
        safer=f"{since.statement.sql};\n{NEXT}\n{step.statement.sql};",
    )


def _hold(held: dict[str, int], taken: dict[str, int]) -> None:
    for table, level in taken.items():
        held[table] = max(level, held.get(table, 0))


def _line(step: Step) -> int:
    return step.finding("TB201", "", why="").line


def _mixed(found: Sequence[Step]) -> Iterator[Finding]:
    outside = [step for step in found if step.statement.outside_transaction]
    inside = [
        step
        for step in found
        if not step.statement.outside_transaction and step.kind not in _NO_CHANGE
    ]
    if not outside or not inside or found[0].scene.script.directives.no_transaction:
        return
    words = " ".join(outside[0].statement.sql.split()[:2])
    yield outside[0].finding(
        "TB204",
        f"{words} … cannot run in a transaction, and shares the file with what can.",
        why="The whole file runs statement by statement, each for good at once. When one fails, "
        "those before it stay, and a person must find out how far it came.",
        safer=";\n".join(step.statement.sql for step in inside)
        + f";\n{NEXT}\n"
        + ";\n".join(step.statement.sql for step in outside)
        + ";",
    )


def _enum_values(found: Sequence[Step]) -> Iterator[Finding]:
    made = {dotted(step.tree["typeName"]) for step in found if step.kind == "CreateEnumStmt"}
    added: dict[str, tuple[Step, str]] = {}
    for step in found:
        for value in _used(step, added.keys()):
            before, enum = added.pop(value)
            yield step.finding(
                "TB205",
                f"'{value}' is used in the file that adds it to {enum}.",
                why="PostgreSQL refuses to use a value of an enum in the transaction that added "
                "it (SQLSTATE 55P04), so the migration fails and is rolled back.",
                safer=f"{before.statement.sql};\n{NEXT}\n{step.statement.sql};",
            )
        if step.kind == "AlterEnumStmt" and "oldVal" not in step.tree:
            enum = dotted(step.tree["typeName"])
            if enum not in made:
                added[step.tree["newVal"]] = step, enum


def _used(step: Step, values: object) -> list[str]:
    if step.kind in ("CreateFunctionStmt", "DoStmt", "CommentStmt", "AlterEnumStmt"):
        return []
    tree: Node = step.tree
    return sorted(constants(tree) & set(values))  # type: ignore[call-overload]
