"""Statements that share a transaction, or cannot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from turnback.sql.lint.model import Finding
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.work import SlowWork, slow_work
from turnback.sql.lint.writing import NEXT
from turnback.sql.tables import Constraint
from turnback.sql.tree import (
    Node,
    commands,
    constants,
    definition,
    dotted,
    inline_constraints,
    joined,
    objects,
    table_name,
)

# Work that a rule of the 1xx group reports: once that is fixed, it is slow no more.
_FOUND_ELSEWHERE = {"index", "not_null", "foreign", "check", "type", "unique", "default"}
_NO_CHANGE = ("VariableSetStmt", "SelectStmt")


def transaction_rules(found: Sequence[LintStep]) -> Iterator[Finding]:
    """TB201, TB202, TB204 and TB205, over all statements of a script."""
    if not found:
        return
    if found[0].context.in_transaction:
        yield from _strong_after_slow(found)
        yield from _slow_under_strong(found)
        yield from _enum_values(found)
    else:
        yield from _mixed(found)


def _strong_after_slow(found: Sequence[LintStep]) -> Iterator[Finding]:
    slow: tuple[LintStep, SlowWork] | None = None
    held: dict[str, int] = {}
    for step in found:
        locked, own = locks(step), list(slow_work(step))
        found_elsewhere = any(item.kind in _FOUND_ELSEWHERE for item in own)
        if slow and not found_elsewhere:
            for table, level in locked.items():
                if level >= SHARE_ROW and level > held.get(table, 0):
                    yield _lock_finding(step, table, level, slow)
                    return
        if own and slow is None:
            slow = step, own[0]
        _hold(held, locked)


def _lock_finding(
    step: LintStep, table: str, level: int, slow: tuple[LintStep, SlowWork]
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
        safer=f"{before.statement.sql};\n{NEXT}\n{step.statement.sql};",
    )


def _slow_under_strong(found: Sequence[LintStep]) -> Iterator[Finding]:
    held: dict[str, int] = {}
    since: dict[str, LintStep] = {}
    for step in found:
        strong = [table for table, level in held.items() if level >= SHARE_ROW]
        own = [item for item in slow_work(step) if item.kind not in _FOUND_ELSEWHERE]
        if strong and own:
            table = max(strong, key=lambda name: held[name])
            yield _slow_finding(step, own[0], table, held[table], since[table])
        locked = locks(step)
        for table, level in locked.items():
            if level > held.get(table, 0):
                since[table] = step
        _hold(held, locked)


def _slow_finding(
    step: LintStep, item: SlowWork, table: str, level: int, since: LintStep
) -> Finding:
    return step.finding(
        "TB202",
        f"This {item.does} while line {_line(since)} keeps {table} locked.",
        why=f"The lock on {table} that line {_line(since)} took is held until the commit, so "
        f"{blocks(level)} of {table} wait for as long as this statement runs: its time grows "
        f"with {item.table}.",
        safer=f"{since.statement.sql};\n{NEXT}\n{step.statement.sql};",
    )


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
        safer=";\n".join(step.statement.sql for step in inside)
        + f";\n{NEXT}\n"
        + ";\n".join(step.statement.sql for step in outside)
        + ";",
    )


def _enum_values(found: Sequence[LintStep]) -> Iterator[Finding]:
    made = {dotted(step.tree["typeName"]) for step in found if step.kind == "CreateEnumStmt"}
    added: dict[str, tuple[LintStep, str]] = {}
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


def _used(step: LintStep, values: object) -> list[str]:
    if step.kind in ("CreateFunctionStmt", "DoStmt", "CommentStmt", "AlterEnumStmt"):
        return []
    tree: Node = step.tree
    return sorted(constants(tree) & set(values))  # type: ignore[call-overload]


# PostgreSQL's own numbers: a higher one is stronger.
SHARE_UPDATE, SHARE, SHARE_ROW, EXCLUSIVE, ACCESS_EXCLUSIVE = 4, 5, 6, 7, 8

# Subcommands of ALTER TABLE that let readers in, or writers too; every other shuts all out.
_SOFTER = {
    "AT_ValidateConstraint": SHARE_UPDATE,
    "AT_SetStatistics": SHARE_UPDATE,
    "AT_SetRelOptions": SHARE_UPDATE,
    "AT_ResetRelOptions": SHARE_UPDATE,
    "AT_SetOptions": SHARE_UPDATE,
    "AT_ResetOptions": SHARE_UPDATE,
    "AT_ClusterOn": SHARE_UPDATE,
    "AT_DropCluster": SHARE_UPDATE,
    "AT_AttachPartition": SHARE_UPDATE,
    "AT_EnableTrig": SHARE_ROW,
    "AT_EnableAlwaysTrig": SHARE_ROW,
    "AT_EnableReplicaTrig": SHARE_ROW,
    "AT_EnableTrigAll": SHARE_ROW,
    "AT_EnableTrigUser": SHARE_ROW,
    "AT_DisableTrig": SHARE_ROW,
    "AT_DisableTrigAll": SHARE_ROW,
    "AT_DisableTrigUser": SHARE_ROW,
}


def blocks(level: int) -> str:
    """Whom a lock shuts out."""
    return "readers and writers" if level == ACCESS_EXCLUSIVE else "writers"


def locks(step: LintStep) -> dict[str, int]:
    """The strongest lock the statement takes on each table that was there before.

    Those of reading and of changing rows are left out: they keep no row but their own.
    """
    strongest: dict[str, int] = {}
    for table, level in _lock_requests(step):
        if step.in_use(table):
            strongest[table] = max(level, strongest.get(table, 0))
    return strongest


def _lock_requests(step: LintStep) -> Iterator[tuple[str, int]]:
    tree = step.tree
    match step.kind:
        case "AlterTableStmt" if tree.get("objtype", "OBJECT_TABLE") == "OBJECT_TABLE":
            yield from _altered(tree)
            yield from _referenced_by_dropped(step)
        case "CreateStmt":
            own = table_name(tree["relation"])
            yield from (lock for lock in _created(tree) if lock[0] != own)
        case "IndexStmt":
            yield table_name(tree["relation"]), SHARE_UPDATE if tree.get("concurrent") else SHARE
        case "CreateTrigStmt":
            yield table_name(tree["relation"]), SHARE_ROW
        case "CreatePolicyStmt" | "AlterPolicyStmt":
            yield table_name(tree["table"]), ACCESS_EXCLUSIVE
        case "RefreshMatViewStmt":
            weak = bool(tree.get("concurrent"))
            yield table_name(tree["relation"]), EXCLUSIVE if weak else ACCESS_EXCLUSIVE
        case "TruncateStmt" | "LockStmt":
            for item in tree["relations"]:
                yield table_name(item["RangeVar"]), tree.get("mode", ACCESS_EXCLUSIVE)
        case "RenameStmt" | "AlterObjectSchemaStmt" if "relation" in tree:
            yield from _renamed(step)
        case "DropStmt":
            yield from _dropped(step)


def _altered(tree: Node) -> Iterator[tuple[str, int]]:
    table = table_name(tree["relation"])
    for command in commands(tree):
        kind, node = definition(command)
        level = _SOFTER.get(command["subtype"], ACCESS_EXCLUSIVE)
        keys = [node] if kind == "Constraint" else inline_constraints(node)
        for constraint in keys:
            if constraint["contype"] == "CONSTR_FOREIGN":
                yield table_name(constraint["pktable"]), SHARE_ROW
                level = SHARE_ROW if kind == "Constraint" else level
        yield table, level


def _created(tree: Node) -> Iterator[tuple[str, int]]:
    for element in tree.get("tableElts", ()):
        kind, node = next(iter(element.items()))
        for constraint in [node] if kind == "Constraint" else inline_constraints(node):
            if constraint["contype"] == "CONSTR_FOREIGN":
                yield table_name(constraint["pktable"]), SHARE_ROW
    if "partbound" in tree:
        for parent in tree["inhRelations"]:
            yield table_name(parent["RangeVar"]), ACCESS_EXCLUSIVE


def _referenced_by_dropped(step: LintStep) -> Iterator[tuple[str, int]]:
    """The tables that a dropped foreign key pointed at: its triggers there go too."""
    table = step.table(table_name(step.tree["relation"]))
    for command in commands(step.tree):
        name, subtype = command.get("name"), command["subtype"]
        for item in table.constraints if table else ():
            by_name = subtype == "AT_DropConstraint" and item.name == name
            if by_name or (subtype == "AT_DropColumn" and name in item.columns):
                yield from _targets([item])


def _targets(constraints: Iterable[Constraint]) -> Iterator[tuple[str, int]]:
    for item in constraints:
        if item.references:
            yield item.references, ACCESS_EXCLUSIVE


def _renamed(step: LintStep) -> Iterator[tuple[str, int]]:
    kind = step.tree.get("renameType", step.tree.get("objectType", ""))
    if kind in ("OBJECT_TABLE", "OBJECT_COLUMN", "OBJECT_TABCONSTRAINT", "OBJECT_TRIGGER"):
        yield table_name(step.tree["relation"]), ACCESS_EXCLUSIVE


def _dropped(step: LintStep) -> Iterator[tuple[str, int]]:
    kind = step.tree["removeType"]
    for parts in objects(step.tree):
        if kind in ("OBJECT_TABLE", "OBJECT_MATVIEW"):
            yield joined(parts), ACCESS_EXCLUSIVE
            table = step.table(joined(parts))
            yield from _targets(table.constraints if table else ())
        elif kind in ("OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE"):
            yield joined(parts[:-1]), ACCESS_EXCLUSIVE
        elif kind == "OBJECT_INDEX" and not step.tree.get("concurrent"):
            owner = step.schema.owner_of_index(joined(parts))
            if owner:
                yield owner.name, ACCESS_EXCLUSIVE
