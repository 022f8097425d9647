"""The SQL that writes a migration into the history, inside the message that runs it."""

from __future__ import annotations

from turnback.engine.session.events import RunContext
from turnback.migrations.model import Migration
from turnback.sql.quoting import identifier, literal

TIME_COLUMN = "turnback_ms"
# now() is when the message arrived, which in a message of many migrations is long before one of
# them begins; so each notes its beginning in a setting of its transaction.
BEGAN = "turnback.began"
NOTE_BEGINNING = (
    f"SELECT pg_catalog.set_config('{BEGAN}', "
    "extract(epoch FROM pg_catalog.clock_timestamp())::text, true);"
)
_ELAPSED = (
    "((extract(epoch FROM pg_catalog.clock_timestamp()) - coalesce(nullif("
    f"pg_catalog.current_setting('{BEGAN}', true), '')::numeric, "
    "extract(epoch FROM pg_catalog.now()))) * 1000)::integer"
)
_LONGEST_ERROR = 8000


class Recorder:
    """Writes the records of one run; every name is qualified, so no search_path can divert it."""

    def __init__(self, schema: str, context: RunContext) -> None:
        self.run = context.run
        self._context = context
        self._migrations = f"{identifier(schema)}.migrations"
        self._log = f"{identifier(schema)}.migration_log"

    def applied(self, migration: Migration, *, elapsed_ms: int | None = None) -> str:
        """SQL: this migration is applied; gives the milliseconds it took as ``turnback_ms``.

        Args:
            migration: the migration.
            elapsed_ms: what it took, where the transaction does not know that by itself.
        """
        took = _ELAPSED if elapsed_ms is None else literal(elapsed_ms)
        return (
            f"WITH logged AS ({self._logged(migration, 'up', 'done', took=took)})\n"
            f"INSERT INTO {self._migrations} AS m "
            "(version, name, checksum, execution_time, success) VALUES ("
            f"{literal(migration.version)}, {literal(migration.name)}, "
            f"{literal(migration.forward.checksum)}, {took}, true) "
            "ON CONFLICT (version) DO UPDATE SET name = excluded.name, "
            "checksum = excluded.checksum, applied_at = excluded.applied_at, "
            "execution_time = excluded.execution_time, success = true, error = NULL, "
            f"rolled_back_at = NULL RETURNING execution_time AS {TIME_COLUMN}"
        )

    def rolled_back(self, migration: Migration, *, elapsed_ms: int | None = None) -> str:
        """SQL: this migration is rolled back; gives ``turnback_ms``."""
        took = _ELAPSED if elapsed_ms is None else literal(elapsed_ms)
        # One that is half done may have no row: its run was killed before it wrote one.
        return (
            f"WITH logged AS ({self._logged(migration, 'down', 'done', took=took)})\n"
            f"INSERT INTO {self._migrations} AS m "
            "(version, name, checksum, success, rolled_back_at) VALUES ("
            f"{literal(migration.version)}, {literal(migration.name)}, "
            f"{literal(migration.forward.checksum)}, true, pg_catalog.now()) "
            "ON CONFLICT (version) DO UPDATE SET rolled_back_at = excluded.rolled_back_at, "
            f"success = true, error = NULL RETURNING {took} AS {TIME_COLUMN}"
        )

    def begun(self, migration: Migration, noted: str) -> str:
        """SQL: a migration that runs outside a transaction begins; its rollback script with it.

        Args:
            migration: the migration.
            noted: what its statements do, as of ``half_done.Work.to_json``.
        """
        return self._logged(
            migration,
            "up",
            "started",
            took="0",
            statement_checksum=migration.forward.checksum,
            error=noted,
        )

    def statement(
        self, migration: Migration, direction: str, number: int, checksum: str, elapsed_ms: int = 0
    ) -> str:
        """SQL: one statement of a migration that runs outside a transaction is done."""
        return self._logged(
            migration,
            direction,
            "done",
            took=literal(elapsed_ms),
            statement=number,
            statement_checksum=checksum,
        )

    def skipped(
        self, migration: Migration, number: int, checksum: str, sqlstate: str, reason: str
    ) -> str:
        """SQL: a statement of a rollback script had nothing to undo."""
        return self._logged(
            migration,
            "down",
            "done",
            took="0",
            statement=number,
            statement_checksum=checksum,
            sqlstate=sqlstate,
            error=reason[:_LONGEST_ERROR],
        )

    def left(self, migration: Migration, direction: str, number: int, error: str) -> str:
        """SQL: a statement failed, and something of it stays."""
        return self._logged(
            migration,
            direction,
            "failed",
            took="0",
            statement=number,
            error=error[:_LONGEST_ERROR],
        )

    def trying(
        self, migration: Migration, direction: str, number: int, checksum: str, noted: str | None
    ) -> str:
        """SQL: a statement that nobody may hear the end of is about to be run."""
        return self._logged(
            migration,
            direction,
            "started",
            took="0",
            statement=number,
            statement_checksum=checksum,
            error=noted,
        )

    def detached(self, migration: Migration, direction: str) -> str:
        """SQL: we leave a migration that goes on in the server."""
        return self._logged(migration, direction, "detached", took="0")

    def failed(
        self,
        migration: Migration,
        direction: str,
        message: str,
        *,
        sqlstate: str | None,
        statement: int | None = None,
    ) -> str:
        """SQL: an attempt failed, in the log, and for the way up in the history as well."""
        log = self._logged(
            migration,
            direction,
            "failed",
            took="0",
            statement=statement,
            sqlstate=sqlstate,
            error=message[:_LONGEST_ERROR],
        )
        if direction == "down":
            return log
        return (
            f"WITH logged AS ({log})\nINSERT INTO {self._migrations} AS m "
            "(version, name, checksum, success, error) VALUES ("
            f"{literal(migration.version)}, {literal(migration.name)}, "
            f"{literal(migration.forward.checksum)}, false, {literal(message[:_LONGEST_ERROR])}) "
            "ON CONFLICT (version) DO UPDATE SET name = excluded.name, "
            "checksum = excluded.checksum, applied_at = excluded.applied_at, execution_time = 0, "
            "success = false, error = excluded.error, rolled_back_at = NULL"
        )

    def repaired(self, version: str, name: str, change: str, reason: str) -> str:
        """SQL: a person changed the history, how and why."""
        return (
            f"INSERT INTO {self._log} (run_id, version, direction, outcome, error, actor) VALUES ("
            f"{literal(self._context.run)}, {literal(version)}, 'repair', 'done', "
            f"{literal(f'{name}: {change}: {reason}')}, {literal(self._context.actor)})"
        )

    def _logged(
        self,
        migration: Migration,
        direction: str,
        outcome: str,
        *,
        took: str,
        statement: int | None = None,
        statement_checksum: str | None = None,
        sqlstate: str | None = None,
        error: str | None = None,
    ) -> str:
        # The rollback script is stored with the record of the whole migration; and where that
        # may never come to be written, with its beginning.
        whole = direction == "up" and outcome in ("done", "started") and statement is None
        rollback = migration.rollback if whole else None
        values = {
            "run_id": literal(self._context.run),
            "release": literal(self._context.release),
            "version": literal(migration.version),
            "direction": literal(direction),
            "statement": literal(statement),
            "statement_checksum": literal(statement_checksum),
            "outcome": literal(outcome),
            "sqlstate": literal(sqlstate),
            "error": literal(error),
            "execution_ms": took,
            "actor": literal(self._context.actor),
            "rollback_path": literal(rollback.path if rollback else None),
            "rollback_sql": literal(rollback.sql if rollback else None),
        }
        given = {name: value for name, value in values.items() if value != "NULL"}
        return f"INSERT INTO {self._log} ({', '.join(given)}) VALUES ({', '.join(given.values())})"
