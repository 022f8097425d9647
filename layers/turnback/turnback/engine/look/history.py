"""What the database says was done."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from importlib import resources
from typing import Any

import psycopg
from psycopg.rows import class_row, scalar_row, tuple_row

from turnback.engine.session.message import Connection, ServerError, rows, send, server_trouble
from turnback.engine.session.query import (
    CATALOG_ONLY,
    OURSELVES,
    READ_ONLY_STATE,
    execute,
    fetch,
    in_schema,
    load,
    no_writes,
    query,
    refusal,
    scalar,
)
from turnback.errors import DatabaseRefused, HistoryConflict, LockTimeout, TurnbackError
from turnback.migrations.versions import key
from turnback.sql.own_tables import ELSEWHERE
from turnback.sql.quoting import identifier, literal

FORMAT = 2
_MARK = "turnback history, format "
_LOG_MARK = "turnback: every attempt, append only"
# How long the upgrade of a history may wait for whoever reads it, milliseconds.
_UPGRADE_WAIT_MS = 2000
_NO_SCHEMA = "3F000"
# A relation, or a type, of the same name.
_TAKEN = ("42P07", "42710")
_LOCK_NOT_AVAILABLE = "55P03"
# A view of the user's on ours; a view, a rule or a policy on a column whose type changes.
_DEPENDED_ON = ("2BP01", "0A000")


@dataclass(frozen=True, slots=True)
class Entry:
    """A migration's row in the history.

    Attributes:
        kind: ``migration``, or ``adopted`` where another tool had applied it.
    """

    version: str
    name: str
    checksum: str
    applied_at: str
    execution_ms: int
    success: bool
    error: str | None
    rolled_back_at: str | None
    kind: str = "migration"

    @property
    def applied(self) -> bool:
        """Whether the database has this migration now."""
        return self.success and self.rolled_back_at is None

    @property
    def status(self) -> str:
        """``applied``, ``failed`` or ``rolled_back``."""
        if self.rolled_back_at is not None:
            return "rolled_back"
        return "applied" if self.success else "failed"

    @property
    def key(self) -> str:
        """What the version is compared by."""
        return key(self.version)


@dataclass(frozen=True, slots=True)
class Attempt:
    """The last attempt at a statement that runs outside a transaction.

    Attributes:
        direction: ``up`` or ``down``.
        number: the statement's place in its script, from 1.
        checksum: of the statement's text.
        done: whether it is recorded as done.
        interrupted: whether it was begun and its end is not recorded.
        note: what was noted before the attempt, or why the statement was skipped.
        skipped: the SQLSTATE for which a rollback script's statement was skipped, or None.
    """

    direction: str
    number: int
    checksum: str
    done: bool
    interrupted: bool
    note: str | None
    skipped: str | None = None


@dataclass(frozen=True, slots=True)
class UnfinishedAttempt:
    """The last row of the log about a migration whose end is bad or not recorded."""

    version: str
    direction: str
    outcome: str
    error: str | None
    run: str


@dataclass(frozen=True, slots=True)
class StoredScript:
    """A rollback script as the history stored it with its migration."""

    path: str
    sql: str


@dataclass(frozen=True, slots=True)
class HistoryState:
    """What a run reads when it takes the lock.

    Attributes:
        entries: all rows, in the order in which they were applied.
        detached: version → how often it was left to the server and ended without a record.
        logged: how many rows the log has.
    """

    entries: list[Entry]
    detached: dict[str, int]
    logged: int


class History:
    """Reads the history tables of one database, and creates them.

    Attributes:
        schema: the schema they are in.
        format: of the tables that are there; 0 before it was asked, and where there are none.
        backend_pid: the server's own number for this session; 0 before it was asked.
        hidden: whether row-level security may hide rows of it from this user.
        unreadable: the reasons why reading it would run what somebody else has made.
        distrust: those, and the reasons why others than the owner may change what is read from it.
    """

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._known = False
        self._asked = False
        self.format = 0
        self.backend_pid = 0
        self.hidden = False
        self.unreadable: list[str] = []
        self.distrust: list[str] = []
        self.schema = schema

    @property
    def connection(self) -> Connection:
        """The session that it is read in."""
        return self._connection

    def exists(self) -> bool:
        """Whether the tables exist, are turnback's, and can be read.

        Raises:
            HistoryConflict: a table of another tool, or a history newer than this turnback, or one
                that somebody else has planted.
        """
        found = self.found()
        if self.unreadable:
            self.require_trust()
        return found

    def found(self) -> bool:
        """Whether the tables exist, and their comment says that they are turnback's.

        Raises:
            HistoryConflict: a table of another tool, or a history newer than this turnback.
        """
        if not self._known:
            self._known = self._is_ours(execute(self._connection, self._load("history_mark")))
        return self._known

    def forget(self) -> None:
        """Ask the server again whether there are tables, and of which format."""
        self._known = False

    def read(self) -> list[Entry] | None:
        """All rows, in the order of application; None without tables. One round trip."""
        if not self._known and not self._asked:
            self._asked = True
            mark = self._load("history_mark")
            refused = refusal("turnback: the history belongs to somebody else")
            readable = (
                "SELECT CASE WHEN pg_catalog.cardinality(unreadable) = 0 THEN 1 "
                f"ELSE {refused} END FROM ({mark}) m"
            )
            try:
                cursor = execute(self._connection, f"{mark}; {readable}; {self._load('entries')}")
            except ServerError:
                # No such table, or one of another tool or user: read the mark alone.
                return self.entries() if self.exists() else None
            self._known = self._is_ours(cursor)
            self._require_visible()
            cursor.nextset()
            return fetch(cursor, class_row(Entry))
        return self.entries() if self.exists() else None

    def _load(self, name: str) -> str:
        return load(name, self.schema)

    def _is_ours(self, cursor: psycopg.Cursor[Any]) -> bool:
        ((self.backend_pid, comment, self.hidden, self.unreadable, other),) = fetch(
            cursor, tuple_row
        )
        self.distrust = [*self.unreadable, *other]
        if comment is None:
            return False
        if not comment.startswith(_MARK):
            raise HistoryConflict(
                f"{self.schema}.migrations belongs to another tool",
                hint=ELSEWHERE,
            )
        self.format = int(comment.removeprefix(_MARK))
        if self.format > FORMAT:
            raise HistoryConflict(
                f"the history was written by a newer turnback ({comment})",
                hint="upgrade turnback: pip install --upgrade turnback",
            )
        return True

    def _require_visible(self) -> None:
        """What is hidden must not be taken for what was never done."""
        if self.hidden:
            raise HistoryConflict(
                f"row-level security hides rows of the history in {self.schema} from this user",
                hint="run as its owner, or: ALTER TABLE ... DISABLE ROW LEVEL SECURITY on "
                "migrations and migration_log",
            )

    def elsewhere(self) -> list[str]:
        """The other schemas of this database with tables of a history of turnback, sorted."""
        sql = """
            SELECT n.nspname FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = 'migrations' AND n.nspname <> %(schema)s AND pg_catalog.strpos(
                pg_catalog.obj_description(c.oid, 'pg_class'), %(mark)s) = 1
            ORDER BY 1
        """
        values = {"schema": self.schema, "mark": _MARK}
        cursor = execute(self._connection, sql, values)
        return [name for (name,) in fetch(cursor, tuple_row)]

    def require_trust(self) -> None:
        """Refuse a history that others than its owner can change.

        Its rollback scripts run with the rights of this session.

        Raises:
            HistoryConflict: why it cannot be trusted.
        """
        if self.distrust:
            more = f" (and {len(self.distrust) - 1} more)" if len(self.distrust) > 1 else ""
            raise HistoryConflict(
                f"the history in {self.schema} cannot be trusted: {self.distrust[0]}{more}",
                hint="only its owner may write it, and it is the role that runs turnback: REVOKE "
                "the privilege, drop the trigger, rule or policy, or change the owner, after you "
                "have looked at what was written; turnback health shows every reason. Of two users "
                "that a rotation alternates between, both must act as one role: "
                "docs/reference/database.md#which-rights-does-the-database-user-need",
            )

    def create(self) -> None:
        """Make the tables and the view, all or none.

        Raises:
            DatabaseRefused: this user may not.
            HistoryConflict: something else has one of the names.
        """
        try:
            send(self._connection, f"{CATALOG_ONLY}\n{self.creation()}")
        except ServerError as error:
            if error.sqlstate == READ_ONLY_STATE:
                raise no_writes("") from error
            if error.sqlstate in _TAKEN:
                raise HistoryConflict(
                    f"the history tables cannot be created in the schema {self.schema}: {error}",
                    sqlstate=error.sqlstate,
                    hint=ELSEWHERE,
                ) from error
            raise DatabaseRefused(
                f"the history tables cannot be created: {error}",
                sqlstate=error.sqlstate,
                hint=server_trouble(error.sqlstate)
                or (
                    f"create the schema {self.schema}"
                    if error.sqlstate == _NO_SCHEMA
                    else f"grant CREATE on schema {self.schema} to this user"
                )
                + f", or {ELSEWHERE}",
            ) from error

    def creation(self) -> str:
        """SQL that makes the tables and the view, and the schema if it does not exist."""
        text = self._from_format(0)
        found = f"SELECT FROM pg_catalog.pg_namespace WHERE nspname = {literal(self.schema)}"
        # IF NOT EXISTS asks for the right to create a schema, also where the schema exists.
        if self.schema != "public" and not rows(send(self._connection, found)[0]):
            text = f"CREATE SCHEMA {identifier(self.schema)};\n{text}"
        return text

    def upgrade(self) -> None:
        """Bring the tables of an older turnback to this format, all or none; nobody else may run.

        Raises:
            LockTimeout: somebody reads them all the time.
            HistoryConflict: something that is not turnback's depends on them.
            DatabaseRefused: this user may not.
        """
        wait = f"SET LOCAL lock_timeout = {_UPGRADE_WAIT_MS};"
        try:
            send(self._connection, f"{OURSELVES} {CATALOG_ONLY} {wait}\n{self.upgrading()}")
        except ServerError as error:
            raise self._not_upgraded(error) from error
        self.format = FORMAT

    def upgrading(self) -> str:
        """SQL that brings the tables to this format; empty where they have it."""
        return self._from_format(self.format)

    def _from_format(self, number: int) -> str:
        folder = resources.files("turnback.engine")
        files = [f"schema_{after:04}.sql" for after in range(number + 1, FORMAT + 1)]
        texts = (folder.joinpath(name).read_text("utf-8") for name in files)
        return "\n".join(in_schema(text, self.schema) for text in texts)

    def _not_upgraded(self, error: ServerError) -> TurnbackError:
        what = f"the history in {self.schema} cannot be brought to format {FORMAT}: {error}"
        if error.sqlstate == READ_ONLY_STATE:
            return no_writes("")
        if error.sqlstate == _LOCK_NOT_AVAILABLE:
            return LockTimeout(
                what, sqlstate=error.sqlstate, hint="another session uses its tables: run it again"
            )
        if error.sqlstate in _DEPENDED_ON:
            return HistoryConflict(
                what,
                sqlstate=error.sqlstate,
                hint="drop what depends on it, run it again, and make that again",
            )
        return DatabaseRefused(
            what,
            sqlstate=error.sqlstate,
            hint=server_trouble(error.sqlstate)
            or "grant what is missing; or run turnback up once as the owner of its tables",
        )

    def log_is_alone(self) -> bool:
        """Whether turnback's log is there without its table migrations."""
        sql = "SELECT pg_catalog.obj_description(pg_catalog.to_regclass(%(log)s), 'pg_class')"
        log = f"{identifier(self.schema)}.migration_log"
        return not self.found() and scalar(self._connection, sql, {"log": log}) == _LOG_MARK

    def entries(self) -> list[Entry]:
        """All rows, in the order in which they were applied. The tables must exist.

        Raises:
            HistoryConflict: row-level security may hide some of them.
        """
        self._require_visible()
        return query(self._connection, self._load("entries"), class_row(Entry))

    def state_query(self) -> str:
        """The statements that ``read_state`` reads."""
        log = f"{identifier(self.schema)}.migration_log"
        count = f"SELECT pg_catalog.count(*) FROM {log}"
        return f"{self._load('entries')}; {self._load('detached')}; {count}"

    @staticmethod
    def read_state(cursor: psycopg.Cursor[Any]) -> HistoryState:
        """The state, from a cursor at the first statement of ``state_query``."""
        entries = fetch(cursor, class_row(Entry))
        detached: dict[str, int] = dict(fetch(cursor, tuple_row))
        return HistoryState(entries, detached, fetch(cursor, scalar_row)[0])

    def stored_rollbacks(self, versions: Collection[str]) -> dict[str, StoredScript]:
        """Version → the rollback script that was stored when it was last applied."""
        if not versions:
            return {}
        found = self._ask("stored_rollbacks", versions=list(versions))
        return {version: StoredScript(path, sql) for version, path, sql in found}

    def applied_by(self, run: str) -> list[str]:
        """The versions that this run applied and that are still applied, in that order."""
        return [version for (version,) in self._ask("applied_by_run", run=run)]

    def done_by(self, run: str, direction: str) -> dict[str, int]:
        """Version → milliseconds of the migrations that this run has done in this direction."""
        return dict(self._ask("done_by_run", run=run, direction=direction))

    def last_release(self) -> str | None:
        """The release that applied the newest of the migrations that are applied now."""
        found: str | None = scalar(self._connection, self._load("last_release"))
        return found

    def release_rows(self) -> dict[str, int]:
        """Release → the last row of the log in which it applied something."""
        return dict(self._ask("release_rows"))

    def releases(self) -> dict[str, str]:
        """Release → the last version that it ever applied, in the order of these versions."""
        return dict(self._ask("releases"))

    def contradictions(self) -> list[str]:
        """A sentence for each version about which history and log disagree."""
        return [
            f"the log says that {version} was applied, and the table migrations does not have it"
            if logged
            else f"{version} is recorded as applied, and the log has no record of it"
            for version, logged in self._ask("contradictions")
        ]

    def unfinished_attempts(self) -> list[UnfinishedAttempt]:
        """The last attempts at migrations, where they did not end well.

        Raises:
            HistoryConflict: row-level security may hide some of them.
        """
        self._require_visible()
        return query(self._connection, self._load("last_attempts"), class_row(UnfinishedAttempt))

    def changed_by(self, run: str) -> bool:
        """Whether this run has done something, or begun what is not known to have failed."""
        prefix = identifier(self.schema)
        sql = (
            f"SELECT EXISTS (SELECT FROM {prefix}.migration_log WHERE run_id = %(run)s "
            "AND direction IN ('up', 'down') AND outcome <> 'failed')"
        )
        return query(self._connection, sql, scalar_row, {"run": run}) == [True]

    def attempts(self, version: str) -> dict[str, dict[int, Attempt]]:
        """Direction → number → last attempt at each statement, since the whole was last done."""
        found: dict[str, dict[int, Attempt]] = {"up": {}, "down": {}}
        params = {"version": version}
        for one in query(self._connection, self._load("attempts"), class_row(Attempt), params):
            found[one.direction][one.number] = one
        return found

    def _ask(self, name: str, **params: object) -> list[tuple[Any, ...]]:
        return query(self._connection, self._load(name), tuple_row, params)
