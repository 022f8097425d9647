"""What an interrupted statement left behind, found in the catalog and cleaned up.

Only statements that cannot run in a transaction leave anything. Before each of them the log gets a
row that says it was tried; the catalog then shows what became of it. No flag is kept anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from psycopg.rows import scalar_row, tuple_row

from turnback.engine.look.indexes import indexes_of
from turnback.engine.outside.partitioned_index import BY_PARTITION, PartitionedIndex, remove
from turnback.engine.outside.partitions import (
    detach_pending,
    finish_detach,
    finish_detach_before,
    has_partition,
)
from turnback.engine.session.message import Connection, Watcher, send
from turnback.engine.session.query import load, query, relation_oid, scalar
from turnback.engine.session.watch import send_cleanup
from turnback.sql.quoting import joined, literal, relation_name
from turnback.sql.statements import Statement
from turnback.sql.tree import objects

# How the note before an index build begins: with the index's table.
_ON = "on "
_REINDEXED = "reindex"

_Check = Callable[[Connection, Statement, str, Watcher | None], bool]


def prepare_attempt(
    connection: Connection, statement: Statement, watch: Watcher | None = None
) -> str | None:
    """The note for the log before the statement is tried: its table and the table's indexes.

    An invalid index with the name of the one to be built is dropped first, whoever left it:
    IF NOT EXISTS would accept it, and no query ever uses it.
    """
    if statement.kind == "ReindexStmt":
        return _REINDEXED
    if statement.kind != "IndexStmt" or PartitionedIndex.of(connection, statement):
        return None
    table = relation_name(statement.tree["relation"])
    kept = []
    for index in indexes_of(connection, table):
        if not index.valid and index.own_name == statement.tree.get("idxname"):
            _drop(connection, index.name, watch)
        else:
            kept.append(index.name)
    return "\n".join([f"{_ON}{table}", *sorted(kept)])


def was_completed(
    connection: Connection, statement: Statement, note: str | None, watch: Watcher | None = None
) -> bool:
    """Whether an earlier attempt did the statement's work; if not, what it left is cleaned up.

    Args:
        connection: the session that holds the lock, outside a transaction.
        statement: the one that was tried, and whose end is not recorded.
        note: what ``prepare_attempt`` returned then.
        watch: called while the server works.
    """
    check = _CHECKS.get(statement.kind)
    return check(connection, statement, note or "", watch) if check else False


def clean_up(
    connection: Connection, statement: Statement, note: str | None, watch: Watcher | None = None
) -> None:
    """Drop the invalid index that a failed statement left, in the same session."""
    if connection.closed or connection.broken:
        return
    if PartitionedIndex.of(connection, statement):
        # What is built is kept, and an attempt that continues finds it.
        return
    if statement.kind == "IndexStmt":
        _drop_new_invalid(connection, statement, note or "", watch)
    elif statement.kind == "ReindexStmt":
        _drop_reindex_leftovers(connection, watch)


def left_something(connection: Connection, statement: Statement) -> bool:
    """Whether a failed statement left something that only going on, or rolling back, removes.

    An index whose DROP was interrupted exists and is invalid; the detach of a partition is pending.
    """
    if connection.closed or connection.broken:
        return False
    if index := PartitionedIndex.of(connection, statement):
        return index.begun()
    if has_partition(statement):
        return bool(detach_pending(connection, statement))
    if statement.kind != "DropStmt" or not statement.tree.get("concurrent"):
        return False
    oids = [relation_oid(connection, name) for name in _dropped(statement)]
    sql = (
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_index "
        "WHERE NOT indisvalid AND indexrelid = ANY (%(oids)s::oid[]))"
    )
    return scalar(connection, sql, {"oids": oids}) is True


def clean_up_before_rollback(
    connection: Connection,
    script: Iterable[Statement],
    notes: Iterable[str],
    watch: Watcher | None = None,
) -> None:
    """Clean up after statements whose end is not recorded, before a rollback script runs.

    Args:
        connection: the session that holds the lock, outside a transaction.
        script: the rollback script; an invalid index of one it builds is dropped, and a pending
            detach of a partition it attaches is finalized.
        notes: what ``prepare_attempt`` returned for the interrupted statements.
        watch: called while the server works.
    """
    for note in notes:
        first, *known = note.split("\n")
        if first.startswith(BY_PARTITION):
            remove(connection, note, watch)
        elif first == _REINDEXED:
            _drop_reindex_leftovers(connection, watch)
        elif first.startswith(_ON):
            _drop_invalid(connection, first.removeprefix(_ON), known, watch)
    for statement in script:
        if statement.kind == "IndexStmt":
            prepare_attempt(connection, statement, watch)
        finish_detach_before(connection, statement, watch)


def _drop(connection: Connection, name: str, watch: Watcher | None) -> None:
    """Drop an invalid index, however long the transactions last that may still use it."""
    # Like the index build, it blocks nobody while it waits, so it has no timeout.
    names = ("lock_timeout", "statement_timeout")
    settings = ", ".join(f"pg_catalog.current_setting('{name}')" for name in names)
    (values,) = query(connection, f"SELECT {settings}", tuple_row)
    send(connection, "; ".join(f"SET {name} = 0" for name in names))
    send_cleanup(connection, f"DROP INDEX CONCURRENTLY IF EXISTS {name}", watch)
    again = (f"SET {name} = {literal(value)}" for name, value in zip(names, values, strict=True))
    send(connection, "; ".join(again))


def _index_built(
    connection: Connection, statement: Statement, note: str, watch: Watcher | None
) -> bool:
    known = note.split("\n")
    wanted = statement.tree.get("idxname")
    built = any(
        index.valid and index.name not in known and wanted in (None, index.own_name)
        for index in indexes_of(connection, relation_name(statement.tree["relation"]))
    )
    _drop_new_invalid(connection, statement, note, watch)
    return built


def _drop_new_invalid(
    connection: Connection, statement: Statement, note: str, watch: Watcher | None
) -> None:
    table = relation_name(statement.tree["relation"])
    _drop_invalid(connection, table, note.split("\n"), watch)


def _drop_invalid(
    connection: Connection, table: str, known: Iterable[str], watch: Watcher | None
) -> None:
    """Drop the invalid indexes of a table, but for those that were there before."""
    for index in indexes_of(connection, table):
        if not index.valid and index.name not in known:
            _drop(connection, index.name, watch)


def _index_dropped(
    connection: Connection, statement: Statement, _note: str, _watch: Watcher | None
) -> bool:
    return all(relation_oid(connection, name) is None for name in _dropped(statement))


def _reindexed(
    connection: Connection, _statement: Statement, _note: str, watch: Watcher | None
) -> bool:
    # Whether the index was rebuilt cannot be seen; it is rebuilt again.
    _drop_reindex_leftovers(connection, watch)
    return False


def _drop_reindex_leftovers(connection: Connection, watch: Watcher | None) -> None:
    for name in query(connection, load("reindex_leftovers"), scalar_row):
        _drop(connection, name, watch)


def _dropped(statement: Statement) -> list[str]:
    return [joined(parts) for parts in objects(statement.tree)]


def _detached(
    connection: Connection, statement: Statement, _note: str, watch: Watcher | None
) -> bool:
    if finish_detach(connection, statement, watch):
        return True
    return has_partition(statement) and detach_pending(connection, statement) is None


def _in_catalog(table: str, column: str, key: str, *, wanted: bool) -> _Check:
    """Completed if, and only if, the object exists (or, for a DROP, does not)."""
    # -2 marks a database whose DROP was interrupted (PostgreSQL 15.4 release notes).
    usable = " AND datconnlimit <> -2" if table == "pg_database" else ""
    sql = f"SELECT EXISTS (SELECT FROM pg_catalog.{table} WHERE {column} = %(name)s{usable})"

    def check(
        connection: Connection, statement: Statement, _note: str, _watch: Watcher | None
    ) -> bool:
        return scalar(connection, sql, {"name": str(statement.tree[key])}) is wanted

    return check


_CHECKS: dict[str, _Check] = {
    "IndexStmt": _index_built,
    "DropStmt": _index_dropped,
    "ReindexStmt": _reindexed,
    "AlterTableStmt": _detached,
    "CreatedbStmt": _in_catalog("pg_database", "datname", "dbname", wanted=True),
    "DropdbStmt": _in_catalog("pg_database", "datname", "dbname", wanted=False),
    "CreateTableSpaceStmt": _in_catalog("pg_tablespace", "spcname", "tablespacename", wanted=True),
    "DropTableSpaceStmt": _in_catalog("pg_tablespace", "spcname", "tablespacename", wanted=False),
    "CreateSubscriptionStmt": _in_catalog("pg_subscription", "subname", "subname", wanted=True),
    "DropSubscriptionStmt": _in_catalog("pg_subscription", "subname", "subname", wanted=False),
}
