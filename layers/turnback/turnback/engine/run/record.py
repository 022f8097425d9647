"""The SQL that records a migration in the history, inside the message that runs it."""

from __future__ import annotations

from typing import Any

from turnback.engine.look.history import Entry
from turnback.engine.run.plan import Repeat, Step
from turnback.engine.run.refusals import refuse_other_name
from turnback.engine.session import lock
from turnback.engine.session.events import RunContext
from turnback.engine.session.query import (
    DONE_ALREADY,
    HISTORY_REMOVED,
    TRANSACTION_ENDED,
    refusal,
)
from turnback.errors import ConfigurationError
from turnback.migrations.model import Migration
from turnback.sql.quoting import identifier, literal
from turnback.sql.statements import Statement

TIME_COLUMN = "turnback_ms"
# now() is when the message arrived; in a message of many migrations that is long before a later one
# begins. So each notes its beginning in a setting of its transaction.
BEGAN = "turnback.began"
NOTE_BEGINNING = (
    f"SELECT pg_catalog.set_config('{BEGAN}', "
    "extract(epoch FROM pg_catalog.clock_timestamp())::text, true);"
)
# What undoes the first text of a repeatable, as it was found before that ran.
FOUND = "turnback.found"
_ELAPSED = (
    "((extract(epoch FROM pg_catalog.clock_timestamp()) - coalesce(nullif("
    f"pg_catalog.current_setting('{BEGAN}', true), '')::numeric, "
    "extract(epoch FROM pg_catalog.now()))) * 1000::numeric)::integer"
)
# Of the row "m" of migrations.
_APPLIED = "(m.success AND m.rolled_back_at IS NULL)"
# Of a row that is there already, for another attempt.
ANEW = ", ".join(
    f"{column} = excluded.{column}"
    for column in ("name", "checksum", "kind", "position", "applied_at")
)
_REQUIRED_ROW = (
    f"SELECT coalesce((SELECT ms FROM recorded), {refusal(DONE_ALREADY)}) AS {TIME_COLUMN}"
)
_LONGEST_ERROR = 8000


# A script whose statements we cannot read may end the transaction that it runs in.
TRANSACTION = "turnback.xid"
NOTE_TRANSACTION = (
    f"SELECT pg_catalog.set_config('{TRANSACTION}', pg_catalog.pg_current_xact_id()::text, true);"
)
SAME_TRANSACTION = (
    f"SELECT CASE WHEN pg_catalog.current_setting('{TRANSACTION}', true) OPERATOR(pg_catalog.=) "
    f"pg_catalog.pg_current_xact_id()::text THEN 0 ELSE {refusal(TRANSACTION_ENDED)} END;"
)


class Recorder:
    """Writes the records of one run; every name is qualified, so no search_path can divert it.

    Args:
        schema: of the history.
        context: of the run.
        reset: undoes what a script has left behind in the session.
    """

    def __init__(self, schema: str, context: RunContext, reset: str) -> None:
        self.reset = reset
        self.run, self.actor = context.run, context.actor
        self._context = context
        self.migrations = f"{identifier(schema)}.migrations"
        self.log = f"{identifier(schema)}.migration_log"
        # The first statement of every transaction of a run.
        self.lock_assertion = lock.assertion(schema)
        # The first of every later migration in a message.
        self.go_on = lock.go_on(schema)
        # The place of one more migration.
        self.next_place = (
            f"(SELECT coalesce(pg_catalog.max(p.position), 0::bigint) OPERATOR(pg_catalog.+) "
            f"1::bigint FROM {self.migrations} AS p)"
        )
        self._applied = 0
        self._logged_rows = 0

    def begin(self, applied: int, logged: int) -> None:
        """Know what the history has now: migrations that are applied, and rows of the log."""
        self._applied, self._logged_rows = applied, logged

    def count(self, step: Step, *more: Step) -> None:
        """Know that these steps were done."""
        for one in (step, *more):
            if one.repeat is None:
                self._applied += 1 if one.direction == "up" else -1
            self._logged_rows += 1

    @property
    def history_there(self) -> str:
        """A statement that fails where a script has removed a table of the history."""
        there = " AND ".join(
            f"pg_catalog.to_regclass({literal(table)}) IS NOT NULL"
            for table in (self.migrations, self.log)
        )
        return f"SELECT CASE WHEN {there} THEN 0 ELSE {refusal(HISTORY_REMOVED)} END;"

    def history_kept(self, direction: str | None = None, before: int = 0) -> str:
        """A statement that fails where a script has removed rows that the history had.

        It belongs behind the record of the script: what another run has done meanwhile is found
        out by that.

        Args:
            direction: of the whole script that is recorded; None for one of its statements.
            before: how many migrations precede it in the same message.
        """
        done = before + 1 if direction else 0
        applied = self._applied + (-done if direction == "down" else done)
        kept = (
            f"(SELECT pg_catalog.count(*) FROM {self.migrations} AS m WHERE {_APPLIED} "
            "AND m.kind OPERATOR(pg_catalog.<>) 'repeatable'::text) "
            f"OPERATOR(pg_catalog.>=) {applied} AND "
            f"(SELECT pg_catalog.count(*) FROM {self.log}) "
            f"OPERATOR(pg_catalog.>=) {self._logged_rows + before + 1}"
        )
        return f"SELECT CASE WHEN {kept} THEN 0 ELSE {refusal(HISTORY_REMOVED)} END"

    def kept(self, *records: str) -> str:
        """Records of statements, where the script has not removed what was recorded before."""
        return f"{self.history_there} {'; '.join(records)}; {self.history_kept()}"

    def applied(self, migration: Migration, *, elapsed_ms: int | None = None) -> str:
        """SQL: this migration is applied; returns its milliseconds as ``turnback_ms``.

        It fails where the migration is applied already: a run that lost its lock must not apply
        what another one has applied.

        Args:
            migration: the migration.
            elapsed_ms: its duration, where the transaction cannot measure it.
        """
        took = _ELAPSED if elapsed_ms is None else literal(elapsed_ms)
        return (
            f"WITH logged AS ({self._logged(migration, 'up', 'done', took=took)}),\n"
            f"recorded AS (INSERT INTO {self.migrations} AS m "
            "(version, name, checksum, position, execution_time, success) VALUES ("
            f"{literal(migration.version)}, {literal(migration.name)}, "
            f"{literal(migration.forward.checksum)}, {self.next_place}, {took}, true) "
            f"ON CONFLICT (version) DO UPDATE SET {ANEW}, "
            "execution_time = excluded.execution_time, success = true, error = NULL, "
            f"rolled_back_at = NULL WHERE NOT {_APPLIED} RETURNING execution_time AS ms)\n"
            f"{_REQUIRED_ROW}"
        )

    def rolled_back(
        self, migration: Migration, *, elapsed_ms: int | None = None, half_done: bool = False
    ) -> str:
        """SQL: this migration is rolled back; returns ``turnback_ms``.

        It fails where the migration is not applied, unless it was half done.
        """
        took = _ELAPSED if elapsed_ms is None else literal(elapsed_ms)
        # A half done migration may have no row: its run was killed before it wrote one.
        return (
            f"WITH logged AS ({self._logged(migration, 'down', 'done', took=took)}),\n"
            f"recorded AS (INSERT INTO {self.migrations} AS m "
            "(version, name, checksum, position, success, rolled_back_at) VALUES ("
            f"{literal(migration.version)}, {literal(migration.name)}, "
            f"{literal(migration.forward.checksum)}, {self.next_place}, true, pg_catalog.now()) "
            "ON CONFLICT (version) DO UPDATE SET rolled_back_at = excluded.rolled_back_at, "
            f"success = true, error = NULL WHERE {'true' if half_done else _APPLIED} "
            f"RETURNING {took} AS ms)\n{_REQUIRED_ROW}"
        )

    def _repeated(self, step: Step, repeat: Repeat) -> str:
        """SQL: a repeatable is applied, or what was before it is back; returns ``turnback_ms``.

        It fails where something else is applied than what the step expects.
        """
        migration = step.migration
        expected = f"NOT {_APPLIED}"
        if repeat.before is not None:
            same = f"m.checksum::text OPERATOR(pg_catalog.=) {literal(repeat.before)}::text"
            expected = f"{_APPLIED} AND {same}"
        # Only what is applied for the first time has no row.
        gone = repeat.after is None
        undo = None
        if step.direction == "up" and step.first and migration.rollback:
            noted = f"nullif(pg_catalog.current_setting('{FOUND}', true), '')"
            undo = f"coalesce({noted}, {literal(migration.rollback.sql)})"
        logged = self._logged(migration, step.direction, "done", took=_ELAPSED, undo=undo)
        return (
            f"WITH logged AS ({logged}),\n"
            f"recorded AS (INSERT INTO {self.migrations} AS m "
            "(version, name, kind, checksum, position, execution_time, success, rolled_back_at) "
            f"VALUES ({literal(migration.version)}, {literal(migration.name)}, 'repeatable', "
            f"{literal(repeat.after or repeat.before)}, {self.next_place}, {_ELAPSED}, true, "
            f"{'pg_catalog.now()' if gone else 'NULL'}) "
            "ON CONFLICT (version) DO UPDATE SET name = excluded.name, kind = excluded.kind, "
            "checksum = excluded.checksum, position = excluded.position, "
            "applied_at = excluded.applied_at, execution_time = excluded.execution_time, "
            "success = true, error = NULL, rolled_back_at = excluded.rolled_back_at "
            f"WHERE {expected} RETURNING execution_time AS ms)\n{_REQUIRED_ROW}"
        )

    def done(self, step: Step, *, elapsed_ms: int | None = None) -> str:
        """SQL: this step is done; as ``applied`` or ``rolled_back``."""
        if step.repeat is not None:
            return self._repeated(step, step.repeat)
        if step.direction == "up":
            return self.applied(step.migration, elapsed_ms=elapsed_ms)
        half = step.half is not None
        return self.rolled_back(step.migration, elapsed_ms=elapsed_ms, half_done=half)

    def to_do(self, step: Step) -> str:
        """SQL that fails where another run has done this step already."""
        applied = (
            f"EXISTS (SELECT FROM {self.migrations} AS m WHERE m.version::text "
            f"OPERATOR(pg_catalog.=) {literal(step.version)}::text AND {_APPLIED})"
        )
        if step.direction == "down":
            applied = "false" if step.half else f"NOT {applied}"
        return f"SELECT CASE WHEN {applied} THEN {refusal(DONE_ALREADY)} ELSE 0 END;"

    def begun(self, migration: Migration, noted: str) -> str:
        """SQL: a migration that runs outside a transaction begins; its rollback script with it.

        Args:
            migration: the migration.
            noted: what its statements do, as of ``ScriptEffects.to_json``.
        """
        checksum = migration.forward.checksum
        return self._logged(migration, "up", "started", statement_checksum=checksum, error=noted)

    def statement(self, step: Step, number: int, statement: Statement) -> str:
        """SQL: one statement of a script that runs outside a transaction is done."""
        return self._of_statement(step, "done", number, statement)

    def skipped(
        self, step: Step, number: int, statement: Statement, sqlstate: str, reason: str
    ) -> str:
        """SQL: a statement of a rollback script had nothing to undo."""
        error = reason[:_LONGEST_ERROR]
        return self._of_statement(step, "done", number, statement, sqlstate=sqlstate, error=error)

    def trying(self, step: Step, number: int, statement: Statement, note: str | None) -> str:
        """SQL: a statement whose end may never be recorded is about to run."""
        return self._of_statement(step, "started", number, statement, error=note)

    def left(self, step: Step, number: int, error: str) -> str:
        """SQL: a statement failed, and left something behind."""
        error = error[:_LONGEST_ERROR]
        return self._logged(step.migration, step.direction, "failed", statement=number, error=error)

    def detached(self, migration: Migration, direction: str) -> str:
        """SQL: the client leaves a migration that continues in the server."""
        return self._logged(migration, direction, "detached")

    def failed(
        self, migration: Migration, direction: str, message: str, sqlstate: str | None
    ) -> str:
        """SQL: an attempt failed: in the log, and when applying in the history as well."""
        message = message[:_LONGEST_ERROR]
        log = self._logged(migration, direction, "failed", sqlstate=sqlstate, error=message)
        if direction == "down":
            return log
        return (
            f"WITH logged AS ({log})\nINSERT INTO {self.migrations} AS m "
            "(version, name, kind, checksum, position, success, error) VALUES ("
            f"{literal(migration.version)}, {literal(migration.name)}, {literal(migration.kind)}, "
            f"{literal(migration.forward.checksum)}, {self.next_place}, false, {literal(message)}) "
            f"ON CONFLICT (version) DO UPDATE SET {ANEW}, execution_time = 0, "
            "success = false, error = excluded.error, rolled_back_at = NULL "
            f"WHERE NOT {_APPLIED}"
        )

    def repair(
        self, migration: Migration | None, entry: Entry | None, change: str, reason: str
    ) -> tuple[str, str]:
        """SQL that corrects the history of one migration, with its row in the log; and a summary.

        Args:
            migration: its files; None where they are gone.
            entry: its row, or None. One of the two is given.
            change: ``accept-checksum``, ``applied`` or ``rolled-back``.
            reason: why, for the log.

        Raises:
            ConfigurationError: there is nothing to repair in this way.
            HistoryConflict: the row is of another project's migration.
        """
        match change:
            case "accept-checksum":
                sql, summary = self._accept(migration, entry)
            case "applied":
                sql, summary = self._mark_applied(migration, entry)
            case _:
                sql, summary = self._mark_rolled_back(entry)
        known = migration or entry
        assert known is not None
        logged = (
            f"INSERT INTO {self.log} (run_id, version, direction, outcome, error, actor) VALUES ("
            f"{literal(self._context.run)}, {literal(known.version)}, 'repair', 'done', "
            f"{literal(f'{known.name}: {change}: {reason}')}, {literal(self.actor)})"
        )
        return f"{sql}; {logged}", summary

    def _accept(self, migration: Migration | None, entry: Entry | None) -> tuple[str, str]:
        if migration is None or entry is None or not entry.applied:
            raise ConfigurationError(
                "only a migration that is applied and has a file can be accepted"
            )
        refuse_other_name(migration, entry)
        if migration.forward.checksum == entry.checksum:
            raise ConfigurationError(f"{entry.version} has the recorded checksum already")
        new = migration.forward.checksum
        return (
            f"UPDATE {self.migrations} SET checksum = {literal(new)}, "
            f"name = {literal(migration.name)} WHERE version = {literal(entry.version)}",
            f"{entry.version}: checksum {entry.checksum[:12]}… replaced by {new[:12]}…",
        )

    def _mark_applied(self, migration: Migration | None, entry: Entry | None) -> tuple[str, str]:
        if migration is None:
            raise ConfigurationError("there is no file to record as applied")
        if entry is not None and entry.applied:
            raise ConfigurationError(f"{entry.version} is applied already")
        return (
            self.applied(migration, elapsed_ms=0),
            f"{migration.version} is recorded as applied; nothing was run",
        )

    def _mark_rolled_back(self, entry: Entry | None) -> tuple[str, str]:
        if entry is None or entry.rolled_back_at is not None:
            raise ConfigurationError("the history does not say that it is applied")
        return (
            f"UPDATE {self.migrations} SET rolled_back_at = pg_catalog.now(), success = true, "
            f"error = NULL WHERE version = {literal(entry.version)}",
            f"{entry.version} is recorded as rolled back; nothing was run",
        )

    def _of_statement(
        self, step: Step, outcome: str, number: int, statement: Statement, **more: Any
    ) -> str:
        more |= {"statement": number, "statement_checksum": statement.checksum}
        return self._logged(step.migration, step.direction, outcome, **more)

    def _logged(
        self,
        migration: Migration,
        direction: str,
        outcome: str,
        *,
        took: str = "0",
        undo: str | None = None,
        **more: Any,
    ) -> str:
        """An INSERT into the log.

        Args:
            took: an expression for the milliseconds.
            undo: an expression for what undoes it, where the migration's script is not what does.
            more: the values of further columns.
        """
        # The rollback script is stored with the record of the whole migration, and with its
        # beginning, because that record may never be written.
        whole = direction == "up" and outcome in ("done", "started") and "statement" not in more
        rollback = migration.rollback if whole else None
        values = {
            "run_id": self._context.run,
            "release": self._context.release,
            "version": migration.version,
            "direction": direction,
            "outcome": outcome,
            "actor": self.actor,
            "rollback_path": rollback.path if rollback else None,
            "rollback_sql": rollback.sql if rollback else None,
            # What the next text of the file replaces.
            "script": migration.forward.sql if whole and migration.kind == "repeatable" else None,
            **more,
        }
        given = {name: literal(value) for name, value in values.items() if value is not None}
        given["execution_ms"] = took
        if undo is not None:
            given["rollback_sql"] = undo
        return f"INSERT INTO {self.log} ({', '.join(given)}) VALUES ({', '.join(given.values())})"
