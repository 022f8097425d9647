"""What an interrupted statement left behind, found in the catalog and set right.

Only statements that cannot run in a transaction leave anything. Before each of them the log gets
a row that says it was tried; the catalog then says what became of it. No flag is kept anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from turnback.engine.outside.partitions import detaches, finish, finish_before, half_detached
from turnback.engine.session.message import Connection, Quiet, rows, send
from turnback.engine.session.watch import mend
from turnback.sql.quoting import joined, literal, relation_name
from turnback.sql.statements import Statement, json_value

# What REINDEX CONCURRENTLY calls the index it builds, and the one it has replaced (manual,
# REINDEX, "Rebuilding Indexes Concurrently").
_REINDEX_LEFTOVER = r"_cc(new|old)\d*$"

# What begins the note before an index is built: the table it is for.
_ON = "on "
_REINDEXED = "reindex"

_Healer = Callable[[Connection, Statement, str, Quiet | None], bool]


def before(connection: Connection, statement: Statement, watch: Quiet | None = None) -> str | None:
    """What to note in the log before the statement is tried: its table, and the indexes of it.

    An invalid index of the name that is to be built is dropped first, whoever left it: IF NOT
    EXISTS would take it for done, and no query ever uses it.
    """
    if statement.kind == "ReindexStmt":
        return _REINDEXED
    if statement.kind != "IndexStmt":
        return None
    wanted = statement.tree.get("idxname")
    table = relation_name(statement.tree["relation"])
    kept = []
    for name, valid in _indexes(connection, table):
        if wanted and not valid and name.endswith(f".{_as_shown(connection, wanted)}"):
            _drop(connection, name, watch)
        else:
            kept.append(name)
    return "\n".join([f"{_ON}{table}", *sorted(kept)])


def heal(
    connection: Connection, statement: Statement, noted: str | None, watch: Quiet | None = None
) -> bool:
    """Set right what an earlier try of this statement left; whether it had done its work.

    Args:
        connection: the session that holds the lock, outside a transaction.
        statement: the one that was tried and has no record of its end.
        noted: what ``before`` gave then.
        watch: called while the server works.
    """
    healer = _HEALERS.get(statement.kind)
    return healer(connection, statement, noted or "", watch) if healer else False


def clean(
    connection: Connection, statement: Statement, noted: str | None, watch: Quiet | None = None
) -> None:
    """Drop the invalid index that a failed statement of ours left, in the same session."""
    if connection.closed or connection.broken:
        return
    if statement.kind == "IndexStmt":
        _drop_new_invalid(connection, statement, noted or "", watch)
    elif statement.kind == "ReindexStmt":
        _drop_reindex_leftovers(connection, watch)


def stays(connection: Connection, statement: Statement) -> bool:
    """Whether a statement that failed left something that only going on, or back, takes away.

    An index whose DROP was cut off is there, and is invalid; a partition is half detached.
    """
    if connection.closed or connection.broken:
        return False
    if half_detached(connection, statement):
        return True
    if statement.kind != "DropStmt" or not statement.tree.get("concurrent"):
        return False
    names_of_all = ", ".join(
        f"pg_catalog.to_regclass({literal(name)})" for name in _dropped(statement)
    )
    query = (
        f"SELECT FROM pg_catalog.pg_index WHERE NOT indisvalid AND indexrelid IN ({names_of_all})"
    )
    return send(connection, query)[0].ntuples > 0


def clear(
    connection: Connection,
    script: Iterable[Statement],
    noted: Iterable[str],
    watch: Quiet | None = None,
) -> None:
    """Set right what statements left whose end nobody heard of, before a rollback script runs.

    Args:
        connection: the session that holds the lock, outside a transaction.
        script: the rollback script; of an index it builds, an invalid one is dropped, and a
            partition it attaches is detached to the end.
        noted: what ``before`` gave for the statements that were cut off.
        watch: called while the server works.
    """
    for note in noted:
        first, *known = note.split("\n")
        if first == _REINDEXED:
            _drop_reindex_leftovers(connection, watch)
        elif first.startswith(_ON):
            for name, valid in _indexes(connection, first.removeprefix(_ON)):
                if not valid and name not in known:
                    _drop(connection, name, watch)
    for statement in script:
        if statement.kind == "IndexStmt":
            before(connection, statement, watch)
        finish_before(connection, statement, watch)


def _drop(connection: Connection, name: str, watch: Quiet | None) -> None:
    """Drop an invalid index, however long the transactions that may still know it last."""
    # Nobody queues behind it, so like the build itself it has no timeout.
    names = ("lock_timeout", "statement_timeout")
    settings = ", ".join(f"pg_catalog.current_setting('{name}')" for name in names)
    (kept,) = rows(send(connection, f"SELECT {settings}")[0])
    send(connection, "; ".join(f"SET {name} = 0" for name in names))
    mend(connection, f"DROP INDEX CONCURRENTLY IF EXISTS {name}", watch)
    back = (f"SET {name} = {literal(was)}" for name, was in zip(names, kept, strict=True))
    send(connection, "; ".join(back))


def _indexes(connection: Connection, table: str) -> list[tuple[str, bool]]:
    query = (
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), i.indisvalid "
        "FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        f"WHERE i.indrelid = pg_catalog.to_regclass({literal(table)}) AND NOT EXISTS "
        "(SELECT FROM pg_catalog.pg_stat_progress_create_index p "
        "WHERE p.index_relid = i.indexrelid)"
    )
    return [(str(name), valid == "t") for name, valid in rows(send(connection, query)[0])]


def _as_shown(connection: Connection, name: str) -> str:
    """The name as format('%I') writes it, quoted only where it must be."""
    query = f"SELECT pg_catalog.quote_ident({literal(name)})"
    return str(rows(send(connection, query)[0])[0][0])


def _heal_index(
    connection: Connection, statement: Statement, noted: str, watch: Quiet | None
) -> bool:
    known = set(noted.split("\n"))
    wanted = statement.tree.get("idxname")
    end = f".{_as_shown(connection, wanted)}" if wanted else ""
    done = any(
        valid and name not in known and name.endswith(end)
        for name, valid in _indexes(connection, relation_name(statement.tree["relation"]))
    )
    _drop_new_invalid(connection, statement, noted, watch)
    return done


def _drop_new_invalid(
    connection: Connection, statement: Statement, noted: str, watch: Quiet | None
) -> None:
    known = set(noted.split("\n"))
    for name, valid in _indexes(connection, relation_name(statement.tree["relation"])):
        if not valid and name not in known:
            _drop(connection, name, watch)


def _heal_drop(
    connection: Connection,
    statement: Statement,
    noted: str,  # noqa: ARG001
    watch: Quiet | None,  # noqa: ARG001
) -> bool:
    checks = ", ".join(f"pg_catalog.to_regclass({literal(name)})" for name in _dropped(statement))
    (found,) = rows(send(connection, f"SELECT {checks}")[0])
    return not any(found)


def _heal_reindex(
    connection: Connection,
    statement: Statement,  # noqa: ARG001
    noted: str,  # noqa: ARG001
    watch: Quiet | None,
) -> bool:
    _drop_reindex_leftovers(connection, watch)
    return False


def _drop_reindex_leftovers(connection: Connection, watch: Quiet | None) -> None:
    query = (
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_index i "
        "JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        f"WHERE NOT i.indisvalid AND c.relname ~ {literal(_REINDEX_LEFTOVER)} "
        "AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p "
        "WHERE p.index_relid = i.indexrelid)"
    )
    for (name,) in rows(send(connection, query)[0]):
        _drop(connection, str(name), watch)


def _dropped(statement: Statement) -> list[str]:
    return [
        joined([str(json_value(part)) for part in item["List"]["items"]])
        for item in statement.tree["objects"]
    ]


def _heal_detach(
    connection: Connection,
    statement: Statement,
    noted: str,  # noqa: ARG001
    watch: Quiet | None,
) -> bool:
    if finish(connection, statement, watch):
        return True
    return detaches(statement) and half_detached(connection, statement) is None


def _in_catalog(table: str, column: str, key: str, *, wanted: bool) -> _Healer:
    """Done if, and only if, the object is there (or, for a DROP, is not)."""

    def healer(
        connection: Connection,
        statement: Statement,
        noted: str,  # noqa: ARG001
        watch: Quiet | None,  # noqa: ARG001
    ) -> bool:
        name = literal(str(statement.tree[key]))
        query = f"SELECT FROM pg_catalog.{table} WHERE {column} = {name}"
        if table == "pg_database":
            # -2 marks a database whose DROP was cut off (PostgreSQL 15.4 release notes).
            query += " AND datconnlimit <> -2"
        return (send(connection, query)[0].ntuples > 0) is wanted

    return healer


_HEALERS: dict[str, _Healer] = {
    "IndexStmt": _heal_index,
    "DropStmt": _heal_drop,
    "ReindexStmt": _heal_reindex,
    "AlterTableStmt": _heal_detach,
    "CreatedbStmt": _in_catalog("pg_database", "datname", "dbname", wanted=True),
    "DropdbStmt": _in_catalog("pg_database", "datname", "dbname", wanted=False),
    "CreateTableSpaceStmt": _in_catalog("pg_tablespace", "spcname", "tablespacename", wanted=True),
    "DropTableSpaceStmt": _in_catalog("pg_tablespace", "spcname", "tablespacename", wanted=False),
    "CreateSubscriptionStmt": _in_catalog("pg_subscription", "subname", "subname", wanted=True),
    "DropSubscriptionStmt": _in_catalog("pg_subscription", "subname", "subname", wanted=False),
}
