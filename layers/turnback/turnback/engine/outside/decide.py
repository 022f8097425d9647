"""Whether a statement of a rollback script runs, for a migration that is half done.

The script undoes the whole migration, and only a part of it was done. So a statement is skipped
if what it drops was never created, or if what it restores still exists. A statement that would
overwrite rows which the migration had not reached is refused, and a person, or a restore, is
needed: nothing in the database shows whether rows are as they were.

Nothing here asks the server. What it has to say is gathered beforehand, as facts (undo.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from turnback.engine.look.half_done import HalfDone
from turnback.engine.session.message import ServerError
from turnback.sql.parts import parts
from turnback.sql.statements import Statement
from turnback.sql.tree import takes_away, target, targets, writes_rows

_UNDEFINED_OBJECT = "42704"
# Appendix A of the manual: undefined_table, _column, _object, _function, and no such schema or
# database.
UNDEFINED = ("42P01", "42703", _UNDEFINED_OBJECT, "42883", "3F000", "3D000")
# duplicate_table, _column, _object, _function, _schema, _database.
DUPLICATE = ("42P07", "42701", "42710", "42723", "42P06", "42P04")
_WRONG_OBJECT_TYPE = "42809"
# They drop or change what exists. A statement that creates something, and cannot because something
# else is missing, has failed for another reason.
_CHANGING = {
    "AlterTableStmt",
    "CommentStmt",
    "DeleteStmt",
    "GrantStmt",
    "InsertStmt",
    "MergeStmt",
    "RefreshMatViewStmt",
    "ReindexStmt",
    "RenameStmt",
    "TruncateStmt",
    "UpdateStmt",
    "VacuumStmt",
}
# What they do cannot be read from their text.
_OPAQUE = {"DoStmt", "CallStmt", "SelectStmt"}
# They restore rows.
_RESTORING = {"InsertStmt", "UpdateStmt", "MergeStmt", "CopyStmt"}
# Removing rows removes none that an INSERT has not brought.
_HARMLESS = {"DeleteStmt": {"InsertStmt", "CopyStmt"}, "TruncateStmt": {"InsertStmt", "CopyStmt"}}


@dataclass(frozen=True, slots=True)
class Run:
    """The statement runs; by its parts, where they are given, and each of them is decided anew."""

    parts: tuple[Statement, ...] = ()


@dataclass(frozen=True, slots=True)
class Skip:
    """The statement has nothing to undo."""

    reason: str
    sqlstate: str = _UNDEFINED_OBJECT


@dataclass(frozen=True, slots=True)
class Refuse:
    """The statement could destroy rows."""

    reason: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known before a statement of the rollback script runs.

    Attributes:
        half: what was done of the migration.
        script_makes: what the rollback script itself makes, as of ``tree.makes``.
        never_dropped: tables that were to be restored and still exist, with their rows.
        exists: whether a table, schema or column that the statement drops exists.
        plannable: whether the server can plan the statement; if not, something that it names was
            never created.
    """

    half: HalfDone
    script_makes: frozenset[str] = frozenset()
    never_dropped: frozenset[str] = frozenset()
    exists: bool = False
    plannable: bool = True


@dataclass(frozen=True, slots=True)
class FailureFacts:
    """What is known after a statement failed.

    Attributes:
        table_exists: whether the table that it alters exists.
        attached: whether the partition that it attaches is attached.
    """

    table_exists: bool = False
    attached: bool = False


def decide(statement: Statement, facts: Facts) -> Run | Skip | Refuse:
    """Whether the statement runs."""
    if rows_uncertain(statement, facts):
        if not facts.plannable:
            return Skip("what it reads or writes was never created")
        return Refuse(_uncertain_rows(statement, facts))
    unknown = _made_by_nothing(statement, facts)
    if unknown and facts.exists:
        return Refuse(f"nothing in the forward script makes {unknown}")
    names = takes_away(statement)
    never_made = [name in facts.half.never_made() for name in names]
    if any(never_made):
        if found := parts(statement):
            return Run(tuple(found))
        if all(never_made):
            # Whatever has the name now is older than the migration.
            return Skip(f"{', '.join(names)} was never created")
    return Run()


def decide_after_failure(
    statement: Statement, error: ServerError, facts: FailureFacts
) -> Run | Skip | None:
    """Whether the statement failed only because there was nothing to undo; None if not so."""
    reason = _nothing_to_undo(statement, error, facts)
    if reason is None:
        return None
    if found := parts(statement):
        return Run(tuple(found))
    # Some of several things may have been created, and nothing says which.
    several = max(len(takes_away(statement)), len(list(_subtypes(statement)))) > 1
    return None if several else Skip(reason, error.sqlstate)


def rows_uncertain(statement: Statement, facts: Facts) -> bool:
    """Whether the statement writes rows that may be right as they are."""
    if statement.kind in _RESTORING and target(statement) in facts.never_dropped:
        return True
    if not writes_rows(statement):
        return False
    # Rows of a table that the forward script made are its own, and may all be removed.
    own = set(targets(statement)) <= facts.half.made()
    harmless = _HARMLESS.get(statement.kind, set()) if own else set()
    return any(kind not in harmless for _, kind in facts.half.not_written())


def _uncertain_rows(statement: Statement, facts: Facts) -> str:
    for number, _ in facts.half.not_written():
        return f"statement {number} of the forward script, which writes rows, is not done"
    return f"{target(statement)} was never dropped, and still has its rows"


def _made_by_nothing(statement: Statement, facts: Facts) -> str | None:
    """A table, schema or column that would be dropped although the forward script did not make it.

    A block or a function may have made anything.
    """
    half = facts.half
    if half.effects is None or _OPAQUE & set(half.effects.writes.values()):
        return None
    made = half.made()
    known = made | half.never_made() | facts.script_makes
    # The table of a column may have another name by now.
    columns = {name.rpartition(".")[2] for name in made}
    # The judge of loss takes 25 ms to import; only the rollback of a half-done file asks it.
    from turnback.sql.destroys import drops_with_rows

    for _, name in drops_with_rows(statement):
        owner, _, own_name = name.rpartition(".")
        renamed = statement.kind == "AlterTableStmt" and own_name in columns
        if name not in known and owner not in made and not renamed:
            return name
    return None


def _nothing_to_undo(statement: Statement, error: ServerError, facts: FailureFacts) -> str | None:
    kind = statement.kind
    if kind in _OPAQUE:
        return None
    if error.sqlstate in UNDEFINED:
        if kind == "AlterTableStmt" and _only_adds(statement):
            return None if facts.table_exists else f"never created: {error}"
        if kind in _CHANGING or kind.startswith(("Drop", "Alter")):
            return f"never created: {error}"
    if error.sqlstate in DUPLICATE and kind != "RenameStmt":
        return f"still exists: {error}"
    if error.sqlstate == _WRONG_OBJECT_TYPE and facts.attached:
        return f"still attached: {error}"
    return None


def _only_adds(statement: Statement) -> bool:
    return all(subtype.startswith(("AT_Add", "AT_Attach")) for subtype in _subtypes(statement))


def _subtypes(statement: Statement) -> Iterator[str]:
    for item in statement.tree.get("cmds", ()) if statement.kind == "AlterTableStmt" else ():
        yield item["AlterTableCmd"]["subtype"]
