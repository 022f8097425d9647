"""Traces what each statement locks, rewrites and scans on the shadow database.

Locks, rewrites and scans show on empty tables too, so no data is needed: ``pg_locks`` keeps what a
transaction has locked until it ends, a rewritten table has another file, and the transaction's own
statistics count its scans and its rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from turnback.engine.engine import Engine
from turnback.engine.run import transaction
from turnback.engine.run.failure import point
from turnback.engine.run.plan import Plan, Step
from turnback.engine.session.message import Connection, ServerError, rows, send
from turnback.errors import TurnbackError
from turnback.migrations.large import LARGE_BYTES
from turnback.rehearsal.rights import Superuser
from turnback.sql.script import Runnable
from turnback.sql.statements import Statement

# Weak locks that every reader and writer takes; they block nobody.
_HARMLESS = {"AccessShareLock", "RowShareLock", "RowExclusiveLock"}
_SQL_CHARACTERS = 400
# What PostgreSQL takes for statements that commit in the middle of their work, where the
# transaction's locks cannot be looked at (manual, 13.3.1 and the commands' own pages).
_LOCKS_OUTSIDE = {
    "IndexStmt": "ShareUpdateExclusiveLock",
    "DropStmt": "ShareUpdateExclusiveLock",
    "ReindexStmt": "ShareUpdateExclusiveLock",
    "VacuumStmt": "ShareUpdateExclusiveLock",
    "AlterTableStmt": "ShareUpdateExclusiveLock",
}


_MODES = (
    "(SELECT pg_catalog.string_agg(l.mode, ' ') FROM pg_catalog.pg_locks l "
    "WHERE l.relation = c.oid AND l.pid = pg_catalog.pg_backend_pid() AND l.granted)"
)
_LOCKED = (
    "AND c.oid IN (SELECT relation FROM pg_catalog.pg_locks "
    "WHERE pid = pg_catalog.pg_backend_pid() AND granted AND locktype = 'relation')"
)


@dataclass(frozen=True, slots=True)
class StatementTrace:
    """What one statement did.

    Attributes:
        line: where it begins in its file, from 1.
        ms: how long it took on the shadow.
        locks: relation and mode of the locks that it took first and that block others, on tables
            that existed before the migration.
        rewrites: tables it rewrote.
        scans: tables it read completely.
        writes: tables in which it changed rows.
    """

    line: int
    sql: str
    ms: float
    locks: tuple[tuple[str, str], ...] = ()
    rewrites: tuple[str, ...] = ()
    scans: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "line": self.line,
            "sql": self.sql,
            "ms": round(self.ms, 1),
            "locks": [{"relation": relation, "mode": mode} for relation, mode in self.locks],
            "rewrites": list(self.rewrites),
            "scans": list(self.scans),
        }


@dataclass(slots=True)
class _Effects:
    """The transaction as it was after the last statement; tables by oid, as names change hands."""

    names: dict[str, str] = field(default_factory=dict)
    locks: set[tuple[str, str]] = field(default_factory=set)
    files: dict[str, str] = field(default_factory=dict)
    scans: dict[str, int] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)


class Tracer:
    """Runs the statements of one migration in an open transaction, and reads the effects of each.

    Args:
        connection: with a transaction open.
        superuser: repeats what it may not run; None where nothing is repeated.
    """

    def __init__(self, connection: Connection, superuser: Superuser | None) -> None:
        self._connection = connection
        self._superuser = superuser
        self._last = _Effects()
        self._last = self._read(every=True)
        # What the migration makes itself is locked, written and scanned by nobody else. A table has
        # the name under which others know it, whatever the migration calls it.
        self._known = self._last.names

    def run(self, runnable: Runnable, statement: Statement) -> StatementTrace:
        """Run a statement.

        Raises:
            ServerError: it failed.
        """
        began = time.perf_counter()
        run(self._connection, statement, self._superuser)
        ms = (time.perf_counter() - began) * 1000
        before, after = self._last, self._read()
        self._last = after
        line, _ = runnable.position(statement.offset)
        return StatementTrace(
            line=line,
            sql=statement.sql[:_SQL_CHARACTERS],
            ms=ms,
            locks=tuple(
                sorted(
                    (self._known[table], mode)
                    for table, mode in after.locks - before.locks
                    if mode not in _HARMLESS and table in self._known
                )
            ),
            rewrites=self._changed(before.files, after.files),
            scans=self._grown(before.scans, after.scans),
            writes=self._grown(before.changes, after.changes),
        )

    def _changed(self, before: dict[str, str], after: dict[str, str]) -> tuple[str, ...]:
        return tuple(
            sorted(
                self._known[table]
                for table, node in after.items()
                if table in self._known and before.get(table, node) != node
            )
        )

    def _grown(self, before: dict[str, int], after: dict[str, int]) -> tuple[str, ...]:
        return tuple(
            sorted(
                self._known[table]
                for table, count in after.items()
                if table in self._known and count > before.get(table, 0)
            )
        )

    def _read(self, *, every: bool = False) -> _Effects:
        """Locks, files and counts of the tables that this transaction has locked, or of every one.

        Locks are those of the locked ones alone: to look for the locks of each table takes long.
        """
        query = (
            f"SELECT c.oid, c.oid::pg_catalog.regclass::text, {'NULL' if every else _MODES}, "
            "pg_catalog.pg_relation_filenode(c.oid), pg_catalog.pg_stat_get_xact_numscans(c.oid), "
            "pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid) "
            "+ pg_catalog.pg_stat_get_xact_tuples_updated(c.oid) "
            "+ pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid) FROM pg_catalog.pg_class c "
            "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            f"WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname NOT LIKE 'pg\\_%' "
            f"AND n.nspname <> 'information_schema' {'' if every else _LOCKED}"
        )
        last = self._last
        now = _Effects({}, set(), dict(last.files), dict(last.scans), dict(last.changes))
        for oid, name, modes, node, scans, changes in rows(send(self._connection, query)[0]):
            table = str(oid)
            now.names[table] = str(name)
            now.locks |= {(table, mode) for mode in (modes or "").split()}
            now.files[table] = str(node)
            # They count from the session's last report on, not from the transaction's beginning.
            now.scans[table] = int(scans or 0)
            now.changes[table] = int(changes or 0)
        return now


def outside(runnable: Runnable, known: Iterable[str]) -> list[StatementTrace]:
    """The statements of a file that runs outside a transaction, with the locks the manual names."""
    tables = set(known)
    found = []
    for statement in runnable.statements or ():
        line, _ = runnable.position(statement.offset)
        relation = statement.tree.get("relation") or {}
        name = relation.get("relname", "")
        mode = _LOCKS_OUTSIDE.get(statement.kind) if statement.outside_transaction else None
        if statement.strong_outside:
            mode = "AccessExclusiveLock"
        locks = ((name, mode),) if mode and name in tables else ()
        scans = (name,) if statement.kind in ("IndexStmt", "ReindexStmt") and locks else ()
        found.append(
            StatementTrace(line, statement.sql[:_SQL_CHARACTERS], 0.0, locks=locks, scans=scans)
        )
    return found


def run(connection: Connection, statement: Statement, superuser: Superuser | None) -> None:
    """Run a statement of a script; as superuser where it is one that is repeated so."""
    if superuser:
        superuser.run(connection, statement)
    else:
        send(connection, statement.sql)


def apply_traced(
    engine: Engine, step: Step, superuser: Superuser | None
) -> tuple[list[StatementTrace], TurnbackError | None]:
    """Apply a migration on the shadow; the trace of its statements, and its error if it failed.

    What cannot run in a transaction, or cannot be parsed here, is left to the engine; its locks are
    then those that the manual names.
    """
    runnable = step.runnable
    if runnable.one_by_one or runnable.statements is None:
        known = _tables(engine)
        report = engine.run(Plan("up", (step,)))
        return outside(runnable, known), report.error
    tracer: Tracer | None = None
    traces: list[StatementTrace] = []

    def traced(statement: Statement) -> None:
        nonlocal tracer
        tracer = tracer or Tracer(engine.connection, superuser)
        traces.append(tracer.run(runnable, statement))

    return traces, by_statement(engine, step, traced)


def by_statement(
    engine: Engine, step: Step, run_one: Callable[[Statement], None]
) -> TurnbackError | None:
    """Run a script in a transaction; its error if it failed.

    The SQL, its order and the record are those of the engine, but each statement is a message of
    its own.
    """
    connection = engine.connection
    send(connection, f"BEGIN; {transaction.settings(step, engine.session.recorder)}")
    large = step.runnable.script.size >= LARGE_BYTES
    last: int | None = None
    for statement in step.runnable.statements or ():
        if (
            large
            and (progress := transaction.file_progress(step, statement.offset)).percent != last
        ):
            engine.session.listener(progress)
            last = progress.percent
        try:
            run_one(statement)
        except ServerError as error:
            send(connection, "ROLLBACK")
            offset = statement.offset
            if error.position is not None and error.position <= len(statement.sql):
                offset += error.position - 1
            return point(step, error, offset, statement)
    try:
        transaction.finish(engine.session, step)
    except TurnbackError as error:
        return error
    return None


def _tables(engine: Engine) -> list[str]:
    query = "SELECT relname FROM pg_catalog.pg_class WHERE relkind IN ('r', 'm', 'p')"
    return [str(name) for (name,) in rows(send(engine.connection, query)[0])]
