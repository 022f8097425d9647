"""Rolling back a migration that is half done, by a rollback script.

In a transaction each statement has a savepoint, so that one with nothing to undo can be skipped.
The watcher is called between them: a client that leaves in the middle has undone nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from psycopg.pq import TransactionStatus

from turnback.engine.look.half_done import HalfDone
from turnback.engine.outside.cleanup import clean_up_before_rollback
from turnback.engine.outside.decide import (
    DUPLICATE,
    UNDEFINED,
    Facts,
    FailureFacts,
    Refuse,
    Run,
    Skip,
    decide,
    decide_after_failure,
    rows_uncertain,
)
from turnback.engine.outside.partitions import is_attached
from turnback.engine.run import transaction
from turnback.engine.run.failure import offset_in, point, require_plain_reading
from turnback.engine.run.ladder import Attempt, Ladder
from turnback.engine.run.plan import Step
from turnback.engine.run.record import NOTE_BEGINNING
from turnback.engine.run.session import Session
from turnback.engine.session.events import Event, EventKind
from turnback.engine.session.message import ServerError, Watcher, send
from turnback.engine.session.query import READ_ONLY_STATE, relation_oid, scalar
from turnback.engine.session.read_only import refuse_read_only
from turnback.errors import RollbackFailed, TurnbackError
from turnback.sql.destroys import drops_with_rows
from turnback.sql.quoting import joined, relation_name
from turnback.sql.statements import Statement
from turnback.sql.tree import makes, objects, target

_SAVEPOINT = "turnback_undo"
_PLANNED = {"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "SelectStmt"}
_LONGEST_STATEMENT = 2000


def run(
    session: Session,
    step: Step,
    half: HalfDone,
    watch: Watcher | None = None,
    ladder: Ladder | None = None,
) -> int:
    """Run the rollback script of a half done migration, and return the milliseconds it took.

    Raises:
        RollbackFailed: a statement failed, or could destroy rows; nothing of the script was kept.
        LockTimeout: a lock timeout; nothing of the script was kept.
        DatabaseUnreachable: the connection broke; only the history knows whether it was done.
    """
    statements = step.runnable.statements
    if statements is None:
        # What cannot be parsed cannot be divided: all of it, or nothing.
        return transaction.run(session, step, watch, ladder)
    attempt = Attempt(step, ladder)
    undo = Undo(session, step, half)
    try:
        undo.check_beforehand()
        clean_up_before_rollback(session.connection, statements, half.notes, watch)
        send(
            session.connection,
            f"BEGIN; {transaction.settings(step, session.recorder)}{NOTE_BEGINNING}",
        )
        for number, statement in enumerate(statements, 1):
            with attempt.around(session.connection, statement):
                _run_in_savepoint(undo, statement, number, watch)
        return transaction.finish(session, step, undo.records_of_skipped())
    except (ServerError, TurnbackError) as error:
        if session.usable:
            transaction.end_transaction(session.connection)
        if isinstance(error, ServerError):
            if error.sqlstate == READ_ONLY_STATE:
                refuse_read_only(session.connection)
            raise point(step, error, None, None) from error
        raise


def _run_in_savepoint(undo: Undo, statement: Statement, number: int, watch: Watcher | None) -> None:
    connection = undo.session.connection
    require_plain_reading(connection, undo.step, statement)
    prefix = ""

    def send_one(sql: str) -> None:
        nonlocal prefix
        prefix = f"SAVEPOINT {_SAVEPOINT};"
        try:
            send(connection, f"{prefix}{sql}\n; RELEASE {_SAVEPOINT}", watch, statement.rows)
        except ServerError:
            if connection.info.transaction_status == TransactionStatus.INERROR:
                send(connection, f"ROLLBACK TO {_SAVEPOINT}; RELEASE {_SAVEPOINT}")
            raise

    try:
        if statement.kind == "TransactionStmt":
            # No savepoint of ours around the script's own, which would release it.
            send(connection, statement.sql, watch)
        else:
            undo.run(statement, number, send_one)
    except ServerError as error:
        offset = offset_in(statement, error, len(prefix))
        raise point(undo.step, error, offset, statement) from error


@dataclass(frozen=True, slots=True)
class Skipped:
    """A statement that was not run, or had nothing to do, and why."""

    number: int
    statement: Statement
    sqlstate: str
    reason: str


class Undo:
    """Runs the statements of one rollback script, as far as there is something to undo.

    Args:
        session: the session.
        step: the rollback of a migration that is half done.
        half: what was done of it.
    """

    def __init__(self, session: Session, step: Step, half: HalfDone) -> None:
        self.session = session
        self.step = step
        self.skipped: list[Skipped] = []
        statements = step.runnable.statements or ()
        self._known = Facts(half, frozenset().union(*map(makes, statements)))

    def check_beforehand(self) -> None:
        """Refuse the script before anything of it is done, where that can be known.

        Raises:
            RollbackFailed: it could destroy rows that the forward script had not reached.
        """
        for statement in self.step.runnable.statements or ():
            self._decide(statement)

    def skipped_before(self, skipped: Skipped) -> None:
        """Remember a statement that is skipped now, or was by an earlier attempt."""
        self.skipped.append(skipped)
        if skipped.sqlstate in DUPLICATE:
            self._never_dropped(skipped.statement)

    def run(self, statement: Statement, number: int, send_one: Callable[[str], None]) -> None:
        """Run a statement, or each of its parts, unless there is nothing for it to undo.

        Args:
            statement: of the rollback script.
            number: its number.
            send_one: sends SQL; a ServerError means that nothing was kept.

        Raises:
            ServerError: it failed, and not because there was nothing to undo.
            RollbackFailed: it could destroy rows.
        """
        decision: Run | Skip | None = self._decide(statement)
        if decision == Run():
            if self._exists_already(statement):
                self._never_dropped(statement)
            try:
                send_one(statement.sql)
            except ServerError as error:
                decision = decide_after_failure(statement, error, self._failure_facts(statement))
                if decision is None:
                    raise
        if isinstance(decision, Skip):
            self._skip(Skipped(number, statement, decision.sqlstate, decision.reason))
        else:
            assert decision is not None
            for part in decision.parts:
                self.run(part, number, send_one)

    def records_of_skipped(self, first: int = 0) -> list[str]:
        """SQL that records the statements that were skipped, from the ``first`` of them on."""
        statements = self.step.runnable.statements or ()
        return [
            self.session.recorder.skipped(
                self.step, one.number, statements[one.number - 1], one.sqlstate, one.reason
            )
            for one in self.skipped[first:]
        ]

    def _decide(self, statement: Statement) -> Run | Skip:
        decision = decide(statement, self._facts(statement))
        if isinstance(decision, Refuse):
            raise self._refusal(statement, decision.reason)
        return decision

    def _skip(self, skipped: Skipped) -> None:
        self.skipped_before(skipped)
        text = f"{skipped.statement.sql}: skipped, {skipped.reason}"
        self.session.listener(
            Event(EventKind.SKIPPED, self.step.version, self.step.name, text=text)
        )

    def _never_dropped(self, statement: Statement) -> None:
        if table := target(statement):
            tables = self._known.never_dropped | {table}
            self._known = replace(self._known, never_dropped=tables)

    def _refusal(self, statement: Statement, reason: str) -> RollbackFailed:
        line, column = self.step.runnable.position(statement.offset)
        return RollbackFailed(
            f"the rollback of {self.step.version}, which is half done, would write rows that "
            f"may be right as they are: {reason}",
            file=self.step.runnable.script.path,
            line=line,
            column=column,
            statement=statement.sql[:_LONGEST_STATEMENT],
            version=self.step.version,
            hint="check the rows; then finish the migration (turnback up), undo it by hand "
            f"(turnback repair {self.step.version} --rolled-back), or restore a snapshot",
        )

    def _facts(self, statement: Statement) -> Facts:
        facts = self._known
        if rows_uncertain(statement, facts):
            facts = replace(facts, plannable=self._plannable(statement))
        if drops_with_rows(statement):
            facts = replace(facts, exists=self._exists(statement))
        return facts

    def _failure_facts(self, statement: Statement) -> FailureFacts:
        if statement.kind != "AlterTableStmt":
            return FailureFacts()
        return FailureFacts(
            table_exists=self._relation_exists(relation_name(statement.tree["relation"])),
            attached=is_attached(self.session.connection, statement),
        )

    def _plannable(self, statement: Statement) -> bool:
        """Whether the server can plan it; only then does everything that it names exist."""
        if statement.kind not in _PLANNED:
            return True
        try:
            self._explain(statement)
        except ServerError as error:
            return error.sqlstate not in UNDEFINED
        return True

    def _explain(self, statement: Statement) -> None:
        connection = self.session.connection
        sql = f"EXPLAIN {statement.sql}"
        if connection.info.transaction_status == TransactionStatus.IDLE:
            send(connection, sql)
            return
        send(connection, "SAVEPOINT turnback_look")
        try:
            send(connection, sql)
        finally:
            send(connection, "ROLLBACK TO turnback_look; RELEASE turnback_look")

    def _exists(self, statement: Statement) -> bool:
        """Whether a table, schema or column that this statement would drop exists."""
        tree = statement.tree
        if statement.kind == "AlterTableStmt":
            columns = [item["AlterTableCmd"].get("name") for item in tree["cmds"]]
            return self._column_exists(relation_name(tree["relation"]), columns)
        if tree.get("removeType") in ("OBJECT_TABLE", "OBJECT_FOREIGN_TABLE"):
            return any(self._relation_exists(joined(parts)) for parts in objects(tree))
        if tree.get("removeType") != "OBJECT_SCHEMA":
            return False
        sql = "SELECT pg_catalog.to_regnamespace(%(name)s) IS NOT NULL"
        names = [{"name": joined(parts)} for parts in objects(tree)]
        return any(scalar(self.session.connection, sql, name) for name in names)

    def _exists_already(self, statement: Statement) -> bool:
        """Whether IF NOT EXISTS finds the table, or a column, that this statement would make."""
        tree = statement.tree
        if statement.kind in ("CreateStmt", "CreateTableAsStmt") and tree.get("if_not_exists"):
            relation = tree.get("relation") or tree["into"]["rel"]
            return self._relation_exists(relation_name(relation))
        if statement.kind != "AlterTableStmt":
            return False
        commands = [item["AlterTableCmd"] for item in tree["cmds"]]
        columns = [
            command["def"]["ColumnDef"]["colname"]
            for command in commands
            if command["subtype"] == "AT_AddColumn" and command.get("missing_ok")
        ]
        return self._column_exists(relation_name(tree["relation"]), columns)

    def _relation_exists(self, name: str) -> bool:
        return relation_oid(self.session.connection, name) is not None

    def _column_exists(self, table: str, columns: list[str | None]) -> bool:
        sql = (
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute "
            "WHERE attrelid OPERATOR(pg_catalog.=) %(table)s "
            "AND attname::text OPERATOR(pg_catalog.=) ANY (%(columns)s::text[]) "
            "AND NOT attisdropped)"
        )
        oid = relation_oid(self.session.connection, table)
        return scalar(self.session.connection, sql, {"table": oid, "columns": columns}) is True
