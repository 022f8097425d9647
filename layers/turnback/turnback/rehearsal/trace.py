"""Traces what each statement locks, rewrites and scans on the shadow database.

Locks, rewrites and scans show on empty tables too, so no data is needed: ``pg_locks`` keeps what a
transaction has locked until it ends, a rewritten table has another file, and the transaction's own
statistics count its scans and its rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from turnback.engine.engine import Engine
from turnback.engine.run import transaction
from turnback.engine.run.failure import offset_in, point
from turnback.engine.run.plan import Plan, Step
from turnback.engine.session.message import Connection, ServerError, rows, send
from turnback.engine.session.query import object_oids
from turnback.errors import TurnbackError
from turnback.migrations.large import LARGE_BYTES
from turnback.rehearsal.lock import KINDS, STRONG, Lock
from turnback.rehearsal.planned import of_oids
from turnback.rehearsal.rights import Superuser
from turnback.rehearsal.rows import NOTE_WRITTEN
from turnback.schema.changed import report
from turnback.sql.locks import SHARE_UPDATE, TableLock, locks_of
from turnback.sql.quoting import joined as quoted
from turnback.sql.scope import Scope
from turnback.sql.script import Runnable
from turnback.sql.statements import Statement

_SQL_CHARACTERS = 400
# Relations but temporary ones and those of initdb (oids below 16384): its table, if it is an index
# or has the table's long values; and its file.
_RELATIONS = """
SELECT c.oid, c.oid::pg_catalog.regclass::text, CASE WHEN t.oid IS NULL THEN c.relkind ELSE 't' END,
    coalesce(t.oid, i.indrelid), coalesce(t.oid, i.indrelid)::pg_catalog.regclass::text,
    c.relfilenode
FROM pg_catalog.pg_class c
LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
LEFT JOIN pg_catalog.pg_depend d ON d.objid = coalesce(i.indrelid, c.oid) AND d.deptype = 'i'
    AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = d.classid
LEFT JOIN pg_catalog.pg_class t ON t.oid = d.refobjid AND t.reltoastrelid = d.objid
WHERE c.oid >= 16384 AND c.relpersistence <> 't'
"""
# What the session has not reported yet of the tables that it has read and changed.
_COUNTED = """
SELECT oid, scans, changes
FROM pg_catalog.pg_class c,
    LATERAL (SELECT pg_catalog.pg_stat_get_xact_numscans(c.oid) AS scans,
        pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid)
            + pg_catalog.pg_stat_get_xact_tuples_updated(c.oid)
            + pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid) AS changes) AS s
WHERE oid >= 16384 AND relkind IN ('r', 'm') AND (scans > 0 OR changes > 0)
"""
# Left joined, as a relation that was dropped is locked as well. Without those that the migration
# has made: a file with hundreds of statements holds the locks of all of them until its end.
_LOCKED = """
SELECT l.relation, l.modes, c.relfilenode, pg_catalog.pg_stat_get_xact_numscans(c.oid),
    pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid)
        + pg_catalog.pg_stat_get_xact_tuples_updated(c.oid)
        + pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid)
FROM (
    SELECT relation, pg_catalog.string_agg(mode, ' ') AS modes FROM pg_catalog.pg_locks
    WHERE pid = pg_catalog.pg_backend_pid() AND granted AND locktype = 'relation'
        AND relation <> ALL ('{made}')
    GROUP BY relation
) l LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation
"""
_CHILDREN = """
SELECT h.inhparent, h.inhrelid, r.relispartition
FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class r ON r.oid = h.inhrelid
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

    def lock(self, mode: str) -> Lock:
        return Lock(self.name, mode, self.kind, self.table_name)

    @property
    def has_file(self) -> bool:
        return self.has_rows or self.kind == "index"


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
        connection: with a transaction open, and ``report`` run before it.
        superuser: repeats what it may not run; None where nothing is repeated.
        others: another session; it sees the relations as they were before the migration.
    """

    def __init__(
        self, connection: Connection, superuser: Superuser | None, others: Connection
    ) -> None:
        self._connection = connection
        self._superuser = superuser
        self._others = others
        self._last = _Effects()
        # What the migration makes itself is locked, written and scanned by nobody else.
        self._seen = set[str]()
        self._known = dict[str, _Relation]()
        # Where it does not report before the transaction, they count from its last report on.
        for oid, scans, changes in () if report(connection) else _found(connection, _COUNTED):
            self._last.scans[oid], self._last.changes[oid] = int(scans), int(changes)

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
        return tuple(sorted(self._known[oid].lock(mode) for oid, mode in found))

    def _names(self, oids: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(self._known[oid].name for oid in oids))

    def _read(self) -> _Effects:
        """Locks, files and counts of what this transaction has locked; all would take long."""
        made = ",".join(self._seen - self._known.keys())
        locked = _found(self._connection, _LOCKED.replace("{made}", f"{{{made}}}"))
        self._look_up({oid for oid, *_ in locked} - self._seen)
        last = self._last
        now = _Effects(set(), dict(last.files), dict(last.scans), dict(last.changes))
        for oid, modes, *effects in locked:
            if oid in self._known:
                now.locks |= {(oid, mode) for mode in modes.split() if mode in STRONG}
                self._note(now, oid, *effects)
        return now

    def _look_up(self, oids: set[str]) -> None:
        """Find what is locked for the first time, as it was before: nobody has changed it yet."""
        self._seen |= oids
        for oid, relation, file in _relations(self._others, oids) if oids else ():
            self._known[oid] = relation
            if relation.has_file:
                self._last.files[oid] = file

    def _note(
        self, effects: _Effects, oid: str, file: str | None, scans: str | None, changes: str | None
    ) -> None:
        one = self._known[oid]
        if file and one.has_file:
            effects.files[oid] = file
        if one.has_rows:
            effects.scans[oid] = int(scans or 0)
            effects.changes[oid] = int(changes or 0)


def _grown(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {oid for oid, count in after.items() if count > before.get(oid, 0)}


def _found(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return list(rows(send(connection, query)[0]))


def _from(mode: str) -> tuple[str, ...]:
    """This mode, and those that shut out more."""
    return STRONG[STRONG.index(mode) :]


def _relations(
    connection: Connection, oids: Iterable[str] | None = None
) -> Iterator[tuple[str, _Relation, str]]:
    """The oid of each relation, or of these, the relation, and its file."""
    if oids is None:
        [answer] = send(connection, _RELATIONS)
    else:
        answer = of_oids(connection, f"{_RELATIONS}AND c.oid = ANY ($1)", oids)
    found: list[tuple[Any, ...]] = list(rows(answer))
    for oid, name, kind, table, of, file in found:
        shown = f"TOAST of {of}" if kind == "t" else name
        yield oid, _Relation(shown, KINDS[kind], table, of), file


def outside(connection: Connection, runnable: Runnable) -> list[StatementTrace]:
    """The statements of a file that runs outside a transaction, with the locks the manual names.

    On relations that there are before the file runs, and by their names from before.
    """
    known = {oid: relation for oid, relation, *_ in _relations(connection)}
    below = _found(connection, _CHILDREN)
    found = []
    scope = Scope()
    statements = runnable.statements or ()
    for statement in statements:
        asked = locks_of(scope.qualified(statement))
        scope.after(statement, runnable.script.path)
        oids = object_oids(connection, [quoted(lock.parts) for lock in asked])
        locked = {
            (reached, STRONG[lock.level - SHARE_UPDATE])
            for lock, oid in zip(asked, oids, strict=True)
            for reached in _reached(known, below, lock, str(oid))
        }
        if runnable.swap and statement is not statements[-1]:
            # It is done to a copy; only the exchange in the end locks the table.
            locked = set()
        builds = statement.kind in ("IndexStmt", "ReindexStmt") and not runnable.swap
        scans = {known[oid].name for oid, _ in locked if builds and known[oid].has_rows}
        line, _ = runnable.position(statement.offset)
        found.append(
            StatementTrace(
                line,
                statement.sql[:_SQL_CHARACTERS],
                0.0,
                locks=tuple(sorted(known[oid].lock(mode) for oid, mode in locked)),
                scans=tuple(sorted(scans)),
            )
        )
    return found


def _reached(
    known: Mapping[str, _Relation], below: Iterable[tuple[Any, ...]], lock: TableLock, oid: str
) -> set[str]:
    """The oids of a relation and of what is locked with it."""
    if oid not in known:
        return set()
    found = {oid}
    if (table := known[oid].table) and lock.reach == "dropped":
        found.add(table)
    every = lock.reach in ("children", "dropped")
    for parent, child, partition in below if every or lock.reach == "partitions" else ():
        if parent == oid and (every or partition == "t"):
            found |= _reached(known, below, lock, child)
    return found


def run(connection: Connection, statement: Statement, superuser: Superuser | None) -> None:
    """Run a statement of a script; as superuser where it is one that is repeated so."""
    if superuser:
        superuser.run(connection, statement)
    else:
        send(connection, statement.sql, rows=statement.rows)


def apply_traced(
    engine: Engine, step: Step, superuser: Superuser | None, others: Connection
) -> tuple[list[StatementTrace], TurnbackError | None]:
    """Apply a migration on the shadow; the trace of its statements, and its error if it failed.

    What cannot run in a transaction, or cannot be parsed here, is left to the engine; its locks are
    then those that the manual names.
    """
    runnable = step.runnable
    if not runnable.in_one_transaction or runnable.statements is None:
        traces = outside(engine.connection, runnable)
        return traces, engine.run(Plan("up", (step,))).error
    tracer: Tracer | None = None
    traces = []

    def traced(statement: Statement) -> None:
        nonlocal tracer
        tracer = tracer or Tracer(engine.connection, superuser, others)
        traces.append(tracer.run(runnable, statement))

    send(engine.connection, report(engine.connection))
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
        transaction.finish(engine.session, step, last=NOTE_WRITTEN)
    except TurnbackError as error:
        return error
    return None
