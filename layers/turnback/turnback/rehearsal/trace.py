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
from turnback.engine.run.failure import offset_in, point
from turnback.engine.run.plan import Plan, Step
from turnback.engine.session.message import Connection, ServerError, rows, send
from turnback.errors import TurnbackError
from turnback.migrations.large import LARGE_BYTES
from turnback.rehearsal.lock import KINDS, STRONG, Lock
from turnback.rehearsal.rights import Superuser
from turnback.sql.script import Runnable
from turnback.sql.statements import Statement

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
# Every relation but temporary ones and those of initdb (oids below 16384): its table, if it is an
# index or has the table's long values; its file; and what the transaction has done to its rows.
_RELATIONS = """
SELECT c.oid, c.oid::pg_catalog.regclass::text, CASE WHEN t.oid IS NULL THEN c.relkind ELSE 't' END,
    coalesce(t.oid, i.indrelid), coalesce(t.oid, i.indrelid)::pg_catalog.regclass::text,
    c.relfilenode,
    pg_catalog.pg_stat_get_xact_numscans(c.oid),
    pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid)
        + pg_catalog.pg_stat_get_xact_tuples_updated(c.oid)
        + pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid)
FROM pg_catalog.pg_class c
LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
LEFT JOIN pg_catalog.pg_class t ON t.reltoastrelid = coalesce(i.indrelid, c.oid)
WHERE c.oid >= 16384 AND c.relpersistence <> 't'
"""
# Left joined, as a relation that was dropped is locked as well.
_LOCKED = """
SELECT l.relation, l.modes, c.relfilenode, pg_catalog.pg_stat_get_xact_numscans(c.oid),
    pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid)
        + pg_catalog.pg_stat_get_xact_tuples_updated(c.oid)
        + pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid)
FROM (
    SELECT relation, pg_catalog.string_agg(mode, ' ') AS modes FROM pg_catalog.pg_locks
    WHERE pid = pg_catalog.pg_backend_pid() AND granted AND locktype = 'relation'
    GROUP BY relation
) l LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation
"""


@dataclass(frozen=True, slots=True)
class StatementTrace:
    """What one statement did.

    Attributes:
        line: where it begins in its file, from 1.
        ms: how long it took on the shadow.
        locks: those that others may wait for, on relations that existed before the migration: the
            ones that it took and that add to what the transaction had locked, and the strongest
            on each table that it rewrites or reads.
        rewrites: tables it rewrote, and indexes of others.
        scans: tables it read completely.
        writes: tables in which it changed rows.
    """

    line: int
    sql: str
    ms: float
    locks: tuple[Lock, ...] = ()
    rewrites: tuple[str, ...] = ()
    scans: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "line": self.line,
            "sql": self.sql,
            "ms": round(self.ms, 1),
            "locks": [lock.to_dict() for lock in self.locks],
            "rewrites": list(self.rewrites),
            "scans": list(self.scans),
        }


@dataclass(frozen=True, slots=True)
class _Relation:
    """A relation as others know it, whatever the migration calls it."""

    name: str
    kind: str
    table: str | None
    table_name: str | None

    @property
    def has_rows(self) -> bool:
        return self.kind in ("table", "materialized view")


@dataclass(slots=True)
class _Effects:
    """The transaction as it was after the last statement; by oid, as names change hands."""

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
        # What the migration makes itself is locked, written and scanned by nobody else.
        self._known = dict[str, _Relation]()
        for oid, name, kind, table, of, *effects in _found(connection, _RELATIONS):
            shown = f"TOAST of {of}" if kind == "t" else name
            self._known[oid] = _Relation(shown, KINDS[kind], table, of)
            self._note(self._last, oid, *effects)

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
        rewritten = {oid for oid, file in after.files.items() if before.files.get(oid) != file}
        scanned = _grown(before.scans, after.scans)
        if statement.kind == "TruncateStmt":
            # It gives a table another file, and counts as a scan where it empties the indexes.
            rewritten = scanned = set()
        return StatementTrace(
            line=line,
            sql=statement.sql[:_SQL_CHARACTERS],
            ms=ms,
            locks=self._locks(before.locks, after.locks, rewritten | scanned),
            rewrites=self._names(r for r in rewritten if self._known[r].table not in rewritten),
            scans=self._names(scanned),
            writes=self._names(_grown(before.changes, after.changes)),
        )

    def _locks(
        self, before: set[tuple[str, str]], after: set[tuple[str, str]], worked_on: set[str]
    ) -> tuple[Lock, ...]:
        found = {
            (oid, mode)
            for oid, mode in after - before
            if before.isdisjoint((oid, held) for held in _from(mode))
            # Whoever reads long values has the table locked before.
            and (
                self._known[oid].kind != "toast"
                or after.isdisjoint((self._known[oid].table, held) for held in _from(mode))
            )
        }
        for oid in worked_on:
            found |= set([(oid, mode) for mode in STRONG if (oid, mode) in after][-1:])
        known = ((self._known[oid], mode) for oid, mode in found)
        return tuple(sorted(Lock(one.name, mode, one.kind, one.table_name) for one, mode in known))

    def _names(self, oids: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(self._known[oid].name for oid in oids))

    def _read(self) -> _Effects:
        """Locks, files and counts of what this transaction has locked; all would take long."""
        last = self._last
        now = _Effects(set(), dict(last.files), dict(last.scans), dict(last.changes))
        for oid, modes, *effects in _found(self._connection, _LOCKED):
            if oid in self._known:
                now.locks |= {(oid, mode) for mode in modes.split() if mode in STRONG}
                self._note(now, oid, *effects)
        return now

    def _note(
        self, effects: _Effects, oid: str, file: str | None, scans: str | None, changes: str | None
    ) -> None:
        one = self._known[oid]
        if file and (one.has_rows or one.kind == "index"):
            effects.files[oid] = file
        if one.has_rows:
            # They count from the session's last report on, not from the transaction's beginning.
            effects.scans[oid] = int(scans or 0)
            effects.changes[oid] = int(changes or 0)


def _grown(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {oid for oid, count in after.items() if count > before.get(oid, 0)}


def _found(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return list(rows(send(connection, query)[0]))


def _from(mode: str) -> tuple[str, ...]:
    """This mode, and those that shut out more."""
    return STRONG[STRONG.index(mode) :]


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
        locks = (Lock(name, mode),) if mode and name in tables else ()
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
        send(connection, statement.sql, rows=statement.rows)


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
            return point(step, error, offset_in(statement, error), statement)
    try:
        transaction.finish(engine.session, step)
    except TurnbackError as error:
        return error
    return None


def _tables(engine: Engine) -> list[str]:
    query = "SELECT relname FROM pg_catalog.pg_class WHERE relkind IN ('r', 'm', 'p')"
    return [str(name) for (name,) in rows(send(engine.connection, query)[0])]
