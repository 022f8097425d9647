"""What the database says was done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

from psycopg.pq.abc import PGresult

from turnback.engine.session.message import Connection, ServerError, rows, send
from turnback.errors import DatabaseRefused, HistoryConflict
from turnback.migrations.model import Migration
from turnback.sql.quoting import identifier, literal

FORMAT = 1
_MARK = "turnback history, format "


@dataclass(frozen=True, slots=True)
class Entry:
    """A migration's row in the history."""

    version: str
    name: str
    checksum: str
    applied_at: str
    execution_ms: int
    success: bool
    error: str | None
    rolled_back_at: str | None

    @property
    def applied(self) -> bool:
        """Whether the database has this migration now."""
        return self.success and self.rolled_back_at is None

    @property
    def word(self) -> str:
        """``applied``, ``failed`` or ``rolled_back``."""
        if self.rolled_back_at is not None:
            return "rolled_back"
        return "applied" if self.success else "failed"

    @property
    def number(self) -> int:
        """The version as a number."""
        return int(self.version)


@dataclass(frozen=True, slots=True)
class Try:
    """A statement that was run outside a transaction.

    Attributes:
        checksum: of the statement's text.
        done: whether it is recorded as done.
        cut_off: whether it was begun and nobody heard how it ended.
        noted: what the log noted before it was tried, or why it was skipped.
        skipped: the SQLSTATE for which a rollback script's statement was skipped, or None.
    """

    checksum: str
    done: bool
    cut_off: bool
    noted: str | None
    skipped: str | None = None


class History:
    """Reads the history tables of one database; creates them when told to.

    Attributes:
        schema: the schema they are in.
        backend_pid: the server's own number for this session; 0 before it was asked.
    """

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._known = False
        self._asked = False
        self.backend_pid = 0
        self.schema = schema
        self.prefix = identifier(schema)

    def exists(self) -> bool:
        """Whether the tables are there, and ours.

        Raises:
            HistoryConflict: a table of another tool, or a history newer than this turnback.
        """
        if not self._known:
            self._known = self._is_ours(send(self._connection, self._mark_query())[0])
        return self._known

    def read(self) -> list[Entry] | None:
        """All rows, oldest version first; None where there are no tables. One round trip."""
        if self._known is False and not self._asked:
            self._asked = True
            try:
                mark, found = send(
                    self._connection, f"{self._mark_query()}; {self._entries_query()}"
                )
            except ServerError:
                # No such table, or one of another tool: ask for the mark alone.
                return self.entries() if self.exists() else None
            self._known = self._is_ours(mark)
            return self.parse_entries(found)
        return self.entries() if self.exists() else None

    def _mark_query(self) -> str:
        return (
            "SELECT pg_catalog.pg_backend_pid(), (SELECT "
            "coalesce(pg_catalog.obj_description(c.oid, 'pg_class'), '') "
            "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            f"WHERE n.nspname = {literal(self.schema)} AND c.relname = 'migrations')"
        )

    def _is_ours(self, result: PGresult) -> bool:
        ((pid, comment),) = rows(result)
        self.backend_pid = int(pid or 0)
        if comment is None:
            return False
        if not comment.startswith(_MARK):
            raise HistoryConflict(
                f"the table {self.schema}.migrations belongs to another tool",
                hint="keep turnback's tables elsewhere: --history-schema turnback",
            )
        if int(comment.removeprefix(_MARK)) > FORMAT:
            raise HistoryConflict(
                f"the history was written by a newer turnback ({comment})",
                hint="upgrade turnback: pip install --upgrade turnback",
            )
        return True

    def create(self) -> None:
        """Make the tables and the view, all or none.

        Raises:
            DatabaseRefused: we may not.
        """
        text = resources.files("turnback.engine").joinpath("schema_0001.sql").read_text("utf-8")
        text = text.replace('"history_schema"', self.prefix)
        if self.schema != "public":
            text = f"CREATE SCHEMA IF NOT EXISTS {self.prefix};\n{text}"
        try:
            send(self._connection, text)
        except ServerError as error:
            raise DatabaseRefused(
                f"the history tables cannot be created: {error.message}",
                sqlstate=error.sqlstate,
                hint="this server is read-only: name the endpoint of the writer"
                if error.sqlstate == "25006"
                else f"grant CREATE on schema {self.schema} to this user, or name another "
                "schema with --history-schema",
            ) from error

    def entries(self) -> list[Entry]:
        """All rows, oldest version first. The tables must be there."""
        return self.parse_entries(send(self._connection, self._entries_query())[0])

    def _entries_query(self) -> str:
        return (
            f"SELECT version, name, checksum, {_utc('applied_at')}, "
            f"execution_time, success, error, {_utc('rolled_back_at')} "
            f"FROM {self.prefix}.migrations ORDER BY version::numeric"
        )

    def state_query(self) -> str:
        """SQL whose two results are the rows, and what was left running without a record."""
        return (
            f"{self._entries_query()}; SELECT version, count(*) FROM {self.prefix}.migration_log d "
            "WHERE outcome = 'detached' AND NOT EXISTS (SELECT FROM "
            f"{self.prefix}.migration_log l WHERE l.version = d.version AND l.id > d.id "
            "AND l.outcome IN ('done', 'failed')) GROUP BY version"
        )

    @staticmethod
    def parse_entries(result: PGresult) -> list[Entry]:
        """The rows of a result of the entries."""
        return [
            Entry(
                str(version),
                str(name),
                str(checksum),
                str(at),
                int(ms or 0),
                ok == "t",
                error,
                back,
            )
            for version, name, checksum, at, ms, ok, error, back in rows(result)
        ]

    def stored_rollbacks(self, versions: Iterable[str]) -> dict[str, tuple[str, str]]:
        """Version → path and SQL of the rollback script stored when it was last applied."""
        wanted = ", ".join(literal(version) for version in versions)
        if not wanted:
            return {}
        query = (
            "SELECT DISTINCT ON (version) version, rollback_path, rollback_sql "
            f"FROM {self.prefix}.migration_log WHERE version IN ({wanted}) "
            "AND direction = 'up' AND outcome = 'done' AND statement IS NULL "
            "ORDER BY version, id DESC"
        )
        return {
            str(version): (str(path), sql)
            for version, path, sql in self._ask(query)
            if sql is not None
        }

    def applied_by(self, run: str) -> list[str]:
        """The versions that this run applied and that are applied still, oldest first."""
        query = (
            f"SELECT m.version FROM {self.prefix}.migrations m WHERE m.success "
            f"AND m.rolled_back_at IS NULL AND (SELECT l.run_id FROM {self.prefix}.migration_log l "
            "WHERE l.version = m.version AND l.direction = 'up' AND l.outcome = 'done' "
            f"AND l.statement IS NULL ORDER BY l.id DESC LIMIT 1) = {literal(run)} "
            "ORDER BY m.version::numeric"
        )
        return [str(row[0]) for row in self._ask(query)]

    def done_by(self, run: str, direction: str) -> dict[str, int]:
        """Version → milliseconds of the migrations that this run has done in this direction."""
        # What failed half way, and was taken back, never was a success.
        state = "m.success AND m.rolled_back_at IS NULL"
        state = state if direction == "up" else "m.rolled_back_at IS NOT NULL"
        query = (
            f"SELECT version, l.execution_ms FROM {self.prefix}.migration_log l "
            f"JOIN {self.prefix}.migrations m USING (version) "
            f"WHERE l.run_id = {literal(run)} AND l.direction = {literal(direction)} "
            "AND l.outcome = 'done' AND l.statement IS NULL "
            f"AND {state} ORDER BY l.id"
        )
        return {str(version): int(took or 0) for version, took in self._ask(query)}

    def last_release(self) -> str | None:
        """The release that applied last what is applied still; each migration's last one counts."""
        query = (
            "SELECT release FROM (SELECT DISTINCT ON (version) l.id, l.release "
            f"FROM {self.prefix}.migration_log l JOIN {self.prefix}.migrations m USING (version) "
            "WHERE m.success AND m.rolled_back_at IS NULL AND l.direction = 'up' "
            "AND l.outcome = 'done' AND l.statement IS NULL ORDER BY version, l.id DESC) a "
            "WHERE release IS NOT NULL ORDER BY id DESC LIMIT 1"
        )
        found = self._ask(query)
        return found[0][0] if found else None

    def released(self) -> dict[str, int]:
        """Release → the highest number of a migration that it ever applied."""
        query = (
            f"SELECT release, max(version::numeric) FROM {self.prefix}.migration_log "
            "WHERE direction = 'up' AND outcome = 'done' AND statement IS NULL "
            "AND release IS NOT NULL GROUP BY release"
        )
        return {str(name): int(number or 0) for name, number in self._ask(query)}

    def _ask(self, query: str) -> list[tuple[str | None, ...]]:
        return rows(send(self._connection, query)[0])

    def mentions(self, run: str) -> bool:
        """Whether this run has written anything into the log."""
        query = (
            f"SELECT EXISTS (SELECT FROM {self.prefix}.migration_log WHERE run_id = {literal(run)})"
        )
        return self._ask(query)[0][0] == "t"

    def tries(self, migration: Migration) -> dict[str, dict[int, Try]]:
        """Direction → number → the last try of each statement, since all was last done or undone.

        A ``failed`` row of a statement tells what it left; it is none of its tries.
        """
        query = (
            "WITH attempts AS (SELECT * "
            f"FROM {self.prefix}.migration_log WHERE version = {literal(migration.version)}) "
            "SELECT DISTINCT ON (direction, statement) direction, statement, outcome, "
            "statement_checksum, error, sqlstate, EXISTS ("
            "SELECT FROM attempts f WHERE f.id > a.id AND f.outcome = 'failed') FROM attempts a "
            "WHERE statement IS NOT NULL AND outcome <> 'failed' "
            "AND id > coalesce((SELECT max(id) FROM attempts "
            "WHERE outcome = 'done' AND statement IS NULL), 0) "
            "ORDER BY direction, statement, id DESC"
        )
        found: dict[str, dict[int, Try]] = {"up": {}, "down": {}}
        for direction, number, outcome, checksum, noted, sqlstate, failed in rows(
            send(self._connection, query)[0]
        ):
            found[str(direction)][int(number or 0)] = Try(
                checksum=str(checksum),
                done=outcome == "done",
                cut_off=outcome == "started" and failed == "f",
                noted=noted,
                skipped=sqlstate if outcome == "done" else None,
            )
        return found


def _utc(column: str) -> str:
    form = 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'
    return f"pg_catalog.to_char({column} AT TIME ZONE 'UTC', '{form}')"
