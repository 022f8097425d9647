"""Running the rollback script of a migration that is half done: what to skip, what to refuse.

The script undoes the whole migration, and only a part of it was done. So a statement is skipped
if what it would take away was never made, or what it would bring back was never taken away. What
would harm rows that the migration had not come to is refused, and a person, or a restore, is
needed: nothing in the database tells whether rows are as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from psycopg.pq import TransactionStatus

from turnback.engine.look.half_done import HalfDone, Work
from turnback.engine.outside.partitions import attached
from turnback.engine.outside.parts import parts
from turnback.engine.outside.presence import found_already, is_there
from turnback.engine.run.plan import Step
from turnback.engine.session.events import Event, Listener
from turnback.engine.session.message import Connection, ServerError, rows, send
from turnback.errors import RollbackFailed
from turnback.sql.destroys import drops_with_rows
from turnback.sql.quoting import literal, relation_name
from turnback.sql.statements import Statement
from turnback.sql.tree import makes, takes_away, target, targets, writes_rows

# Appendix A of the manual: undefined_table, _column, _object, _function, and no such schema or
# database.
_NEVER_MADE = ("42P01", "42703", "42704", "42883", "3F000", "3D000")
# duplicate_table, _column, _object, _function, _schema, _database.
_NEVER_TAKEN = ("42P07", "42701", "42710", "42723", "42P06", "42P04")
# They take away, or change, what is there. A statement that makes something, and cannot because
# something else is absent, has met another fault than the one that is forgiven here.
_TAKING = {
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
_NOT_TAKING = {"DoStmt", "CallStmt", "SelectStmt"}
_EXPLAINED = {"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "SelectStmt"}
# They bring rows back.
_RESTORING = {"InsertStmt", "UpdateStmt", "MergeStmt", "CopyStmt"}
# What takes rows away takes away none that an INSERT has not brought.
_HARMLESS = {"DeleteStmt": {"InsertStmt", "CopyStmt"}, "TruncateStmt": {"InsertStmt", "CopyStmt"}}
# What they make nobody can read in them.
_UNREAD = {"DoStmt", "CallStmt", "SelectStmt"}

Send = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A statement that was not run, or had nothing to do, and why."""

    number: int
    sqlstate: str
    reason: str


@dataclass(slots=True)
class Undoing:
    """The judgement about one rollback script, while it runs.

    Args:
        connection: the session.
        step: the rollback of a migration that is half done.
        half: what was done of it.
        listener: told what is skipped.
    """

    connection: Connection
    step: Step
    half: HalfDone
    listener: Listener
    skipped: list[Skipped] = field(default_factory=list)
    _never_taken: set[str] = field(default_factory=set)

    @property
    def work(self) -> Work:
        """What the forward script's statements do."""
        return self.half.work or Work()

    def refuse_beforehand(self) -> None:
        """Refuse the script before anything of it is done, where that can be known.

        Raises:
            RollbackFailed: it writes rows that the forward script had not come to.
        """
        for statement in self.step.runnable.statements or ():
            if self._rows_unknown(statement) and not self._cannot_run(statement):
                raise self._refusal(statement)
            older = self._never_made_at_all(statement)
            if older and is_there(self.connection, statement):
                raise self._refusal(statement, f"nothing in the forward script makes {older}")

    def settled(self, statement: Statement, number: int, sqlstate: str, reason: str) -> None:
        """Remember a statement that an earlier try skipped."""
        self.skipped.append(Skipped(number, sqlstate, reason))
        self._remember(statement, sqlstate)

    def run(self, statement: Statement, number: int, carry: Send) -> None:
        """Run a statement, or each of its parts, unless there is nothing for it to do.

        Args:
            statement: of the rollback script.
            number: its number.
            carry: sends it; after a ServerError nothing of it is kept.

        Raises:
            ServerError: it failed, and not because there was nothing to undo.
            RollbackFailed: it would harm rows.
        """
        if self._rows_unknown(statement) or self._never_taken_rows(statement):
            if self._cannot_run(statement):
                self._skip(number, "", "what it reads or writes was never made", statement)
                return
            raise self._refusal(statement)
        self._look_before(statement)
        if (older := self._never_made_at_all(statement)) and is_there(self.connection, statement):
            raise self._refusal(statement, f"nothing in the forward script makes {older}")
        names = takes_away(statement)
        never = self.half.never_made(self.work)
        pieces = parts(statement)
        if pieces is None or not any(name in never for name in names):
            if names and all(name in never for name in names):
                # What bears the name now is older than the migration.
                self._skip(number, "", f"{', '.join(names)} was never made", statement)
                return
            try:
                carry(statement.sql)
            except ServerError as error:
                reason = self.reason(statement, error)
                if reason is None:
                    raise
                if pieces is None and self._many(statement):
                    raise
                if pieces is None:
                    self._skip(number, error.sqlstate, reason, statement)
                    return
            else:
                return
        for piece in pieces or ():
            self.run(piece, number, carry)

    def reason(self, statement: Statement, error: ServerError) -> str | None:
        """Why this failure is none: nothing was there to undo; None where it is one."""
        kind = statement.kind
        if error.sqlstate in _NEVER_MADE and kind not in _NOT_TAKING:
            if kind == "AlterTableStmt" and _only_adds(statement):
                return None if self._there(statement) else f"never made: {error.message}"
            if kind in _TAKING or kind.startswith(("Drop", "Alter")):
                return f"never made: {error.message}"
        if error.sqlstate in _NEVER_TAKEN and kind not in _NOT_TAKING and kind != "RenameStmt":
            return f"never taken away: {error.message}"
        if kind == "AlterTableStmt" and self._attached_still(statement, error):
            return f"never taken away: {error.message}"
        return None

    def _skip(self, number: int, sqlstate: str, reason: str, statement: Statement) -> None:
        self.settled(statement, number, sqlstate or _NEVER_MADE[2], reason)
        step = self.step
        text = f"{statement.sql}: skipped, {reason}"
        self.listener(Event("skipped", step.version, step.name, text=text))

    def _remember(self, statement: Statement, sqlstate: str) -> None:
        if sqlstate in _NEVER_TAKEN and (table := target(statement)):
            self._never_taken.add(table)

    def _rows_unknown(self, statement: Statement) -> bool:
        """Whether it writes rows, and the forward script had rows to write that it did not."""
        if not writes_rows(statement):
            return False
        # Rows of a table that it made itself are its own, and so are all that are taken from it.
        own = set(targets(statement)) <= self.half.made(self.work)
        harmless = _HARMLESS.get(statement.kind, set()) if own else set()
        return any(kind not in harmless for _, kind in self.half.not_written(self.work))

    def _never_made_at_all(self, statement: Statement) -> str | None:
        """What holds rows, and would be dropped although nothing in the forward script makes it.

        A block or a function may have made anything.
        """
        if self.half.work is None or _UNREAD & set(self.work.writes.values()):
            return None
        made = self.half.made(self.work)
        script = frozenset().union(*map(makes, self.step.runnable.statements or ()))
        known = made | self.half.never_made(self.work) | script
        for name in drops_with_rows(statement):
            table, _, column = name.partition(".")
            # The table of a column may have another name by now.
            columns = {one.rpartition(".")[2] for one in made} if column else set()
            if name not in known and table not in made and column not in columns:
                return name
        return None

    def _never_taken_rows(self, statement: Statement) -> bool:
        """Whether it brings rows back into a table that was never taken away."""
        return statement.kind in _RESTORING and target(statement) in self._never_taken

    def _cannot_run(self, statement: Statement) -> bool:
        """Whether the server would not even plan it, for what it names was never made."""
        if statement.kind not in _EXPLAINED:
            return False
        try:
            self._look(f"EXPLAIN {statement.sql}")
        except ServerError as error:
            return error.sqlstate in _NEVER_MADE
        return False

    def _look(self, sql: str) -> None:
        """Ask, in whatever transaction the session is in, and leave it as it was."""
        if self.connection.info.transaction_status == TransactionStatus.IDLE:
            send(self.connection, sql)
            return
        send(self.connection, "SAVEPOINT turnback_look")
        try:
            send(self.connection, sql)
        finally:
            send(self.connection, "ROLLBACK TO turnback_look; RELEASE turnback_look")

    def _refusal(self, statement: Statement, why: str | None = None) -> RollbackFailed:
        line, column = self.step.runnable.position(statement.offset)
        pending = self.half.not_written(self.work)
        why = why or (
            f"statement {pending[0][0]} of the forward script, which writes rows, is not done"
            if pending
            else f"{target(statement)} was never taken away, and has its rows"
        )
        return RollbackFailed(
            f"the rollback of {self.step.version}, which is half done, would write rows that "
            f"may be right as they are: {why}",
            file=self.step.runnable.script.path,
            line=line,
            column=column,
            statement=statement.sql[:2000],
            version=self.step.version,
            hint="look at the rows; then take it to its end (turnback up), set it right by hand "
            f"(turnback repair {self.step.version} --rolled-back), or restore a snapshot",
        )

    def _look_before(self, statement: Statement) -> None:
        """Remember a table that IF NOT EXISTS finds, or finds a column of: it was never taken."""
        table = target(statement)
        if table is not None and found_already(self.connection, statement):
            self._never_taken.add(table)

    def _there(self, statement: Statement) -> bool:
        name = literal(relation_name(statement.tree["relation"]))
        query = f"SELECT pg_catalog.to_regclass({name})"
        return rows(send(self.connection, query)[0])[0][0] is not None

    def _attached_still(self, statement: Statement, error: ServerError) -> bool:
        """Whether it attaches a partition that is attached (wrong_object_type)."""
        return error.sqlstate == "42809" and attached(self.connection, statement)

    def _many(self, statement: Statement) -> bool:
        """Whether it has parts of which some may have been made, that cannot be told apart."""
        return max(len(takes_away(statement)), len(list(_subtypes(statement)))) > 1


def _only_adds(statement: Statement) -> bool:
    return all(subtype.startswith(("AT_Add", "AT_Attach")) for subtype in _subtypes(statement))


def _subtypes(statement: Statement) -> Iterator[str]:
    for item in statement.tree.get("cmds", ()) if statement.kind == "AlterTableStmt" else ():
        yield item["AlterTableCmd"]["subtype"]
