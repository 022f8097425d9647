"""CREATE INDEX CONCURRENTLY on a partitioned table, which the server refuses as one statement.

It is carried out as the manual says (CREATE INDEX, "Building Indexes Concurrently"): ON ONLY the
table, concurrently on each partition, and attached there; the index becomes valid with the last
one. The catalog shows how far it is, so a run that was cut off continues there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from psycopg.rows import class_row, tuple_row

from turnback.engine.session.message import Connection, ServerError, Watcher
from turnback.engine.session.query import load, query, relation_oid, scalar
from turnback.engine.session.watch import send_cleanup
from turnback.sql.deparse import deparse
from turnback.sql.quoting import identifier, joined, relation_name
from turnback.sql.statements import Statement
from turnback.sql.tree import objects

# How the note before the build begins: with the table; the indexes that were there follow.
BY_PARTITION = "by partition "


@dataclass(frozen=True, slots=True)
class _Missing:
    """A partition without its index.

    Attributes:
        above: the index to attach to.
        kind, definition: the words of the statement before and behind the table's name.
        built: an index of the partition that is ready to be attached; None where none is.
        broken: those that an interrupted build has left.
    """

    above: str
    table: str
    partitioned: bool
    kind: str
    definition: str
    built: str | None
    broken: list[str]


@dataclass(frozen=True, slots=True)
class PartitionedIndex:
    """The index that a statement builds on a partitioned table and on its partitions."""

    connection: Connection
    statement: Statement
    table: str

    @classmethod
    def of(cls, connection: Connection, statement: Statement) -> PartitionedIndex | None:
        """None where the statement builds no index concurrently, or its table has no partitions."""
        if statement.kind != "IndexStmt" or not statement.tree.get("concurrent"):
            return None
        relation = statement.tree["relation"]
        table = relation_name(relation)
        if not relation.get("inh") or _kind(connection, table) != "p":
            return None
        return cls(connection, statement, table)

    def note(self) -> str:
        """The note for the log before the first attempt."""
        return "\n".join([f"{BY_PARTITION}{self.table}", *_indexes(self.connection, self.table)])

    def begun(self, note: str = "") -> bool:
        """Whether it exists and is not complete."""
        found = self._find(note)
        return found is not None and not found[1]

    def build(
        self, note: str, alone: Callable[[str], None], watch: Watcher | None, *, resumed: bool
    ) -> None:
        """Do what is left of it.

        Args:
            note: what ``note`` has returned before the first attempt.
            alone: sends a build, without a lock timeout.
            watch: called while the server works.
            resumed: whether an earlier attempt may have begun it.

        Raises:
            ServerError: a step failed; those before it are kept.
        """
        found = (self._find(note) or self._find("")) if resumed else None
        if found is None:
            send_cleanup(self.connection, self._on_only(), watch)
            # Where IF NOT EXISTS has found an index of another table, there is nothing to do.
            found = self._find(note)
        while found and (missing := self._missing(found[0])):
            built = missing.built or self._build_one(found[0], missing, alone, watch)
            attach = f"ALTER INDEX {missing.above} ATTACH PARTITION {built}"
            send_cleanup(self.connection, attach, watch)

    def _build_one(
        self, index: int, missing: _Missing, alone: Callable[[str], None], watch: Watcher | None
    ) -> str:
        for name in missing.broken:
            alone(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        if missing.partitioned:
            only = f"CREATE {missing.kind} ON ONLY {missing.table} {missing.definition}"
            send_cleanup(self.connection, self._in_tablespace(only), watch)
        else:
            try:
                sql = f"CREATE {missing.kind} CONCURRENTLY ON {missing.table} {missing.definition}"
                alone(self._in_tablespace(sql))
            except ServerError:
                self._drop_broken(index, alone)
                raise
        built = self._missing(index)
        assert built and built.built, "the index of a partition is not found after it was built"
        return built.built

    def _drop_broken(self, index: int, alone: Callable[[str], None]) -> None:
        missing = self._missing(index)
        for name in missing.broken if missing else ():
            alone(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")

    def _on_only(self) -> str:
        tree = self.statement.tree
        changed = {"concurrent": False, "relation": {**tree["relation"], "inh": False}}
        return deparse(self.statement.kind, {**tree, **changed})

    def _in_tablespace(self, sql: str) -> str:
        """The server's text of an index does not have its tablespace."""
        space = self.statement.tree.get("tableSpace")
        if space is None:
            return sql
        before, where, condition = sql.partition(" WHERE ")
        return f"{before} TABLESPACE {identifier(space)}{where}{condition}"

    def _find(self, note: str) -> tuple[int, bool] | None:
        """The oid of the index of the table itself, and whether it is valid.

        One without a name in the statement is one that the note does not have; without a note, one
        that is not complete.
        """
        known, known_all = note.split("\n")[1:], bool(note)
        wanted = self.statement.tree.get("idxname")
        sql = (
            "SELECT i.indexrelid, i.indisvalid, c.relname::text, "
            "pg_catalog.format('%%I.%%I', n.nspname, c.relname) FROM pg_catalog.pg_index i "
            "JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid "
            "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            "WHERE i.indrelid = %(table)s ORDER BY i.indexrelid DESC"
        )
        oid = relation_oid(self.connection, self.table)
        for index, valid, own_name, name in query(self.connection, sql, tuple_row, {"table": oid}):
            unnamed = wanted is None and name not in known and (known_all or not valid)
            if own_name == wanted or unnamed:
                return int(index), bool(valid)
        return None

    def _missing(self, index: int) -> _Missing | None:
        found = query(
            self.connection,
            load("partition_without_index"),
            class_row(_Missing),
            {"index": index},
        )
        return found[0] if found else None


def remove(connection: Connection, note: str, watch: Watcher | None = None) -> None:
    """Drop what the attempts have built that began with this note."""
    first, *known = note.split("\n")
    table = first.removeprefix(BY_PARTITION)
    # Those of the table take what is attached with them, so they come first.
    while new := [name for name in _indexes(connection, table) if name not in known]:
        send_cleanup(connection, f"DROP INDEX IF EXISTS {new[0]}", watch)


def plain_drop(connection: Connection, statement: Statement) -> str | None:
    """A DROP INDEX CONCURRENTLY of a partitioned index as one that the server accepts; else None.

    It waits for a lock on the table and all its partitions, for as long as the lock timeout says.
    """
    if statement.kind != "DropStmt" or not statement.tree.get("concurrent"):
        return None
    names = [joined(parts) for parts in objects(statement.tree)]
    if not any(_kind(connection, name) == "I" for name in names):
        return None
    return deparse(statement.kind, {**statement.tree, "concurrent": False})


def _kind(connection: Connection, name: str) -> str | None:
    sql = "SELECT relkind::text FROM pg_catalog.pg_class WHERE oid = %(oid)s"
    found: str | None = scalar(connection, sql, {"oid": relation_oid(connection, name)})
    return found


def _indexes(connection: Connection, table: str) -> list[str]:
    """The indexes of a table and of its partitions, those of the table first."""
    sql = (
        "SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname) "
        "FROM pg_catalog.pg_partition_tree(%(table)s::oid) t "
        "JOIN pg_catalog.pg_index i ON i.indrelid = t.relid "
        "JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "ORDER BY t.level, c.oid"
    )
    oid = relation_oid(connection, table)
    return [str(name) for (name,) in query(connection, sql, tuple_row, {"table": oid})]
