"""Invalid indexes: what an interrupted CREATE INDEX CONCURRENTLY leaves behind.

IF NOT EXISTS takes such an index for done, and no query ever uses it (PostgreSQL manual, CREATE
INDEX, "Building Indexes Concurrently").
"""

from __future__ import annotations

from dataclasses import dataclass

from turnback.engine.session.message import Connection, rows, send
from turnback.sql.quoting import identifier, literal
from turnback.sql.statements import Statement


@dataclass(frozen=True, slots=True)
class IndexName:
    """The index a statement builds, with the table it is for; no schema: by search_path."""

    name: str
    table: str
    schema: str | None


def index_of(statement: Statement) -> IndexName | None:
    """The index that this CREATE INDEX CONCURRENTLY builds; None for any other statement."""
    tree = statement.tree
    if statement.kind != "IndexStmt" or not tree.get("concurrent") or not tree.get("idxname"):
        return None
    relation = tree["relation"]
    return IndexName(tree["idxname"], relation["relname"], relation.get("schemaname"))


def find_invalid(connection: Connection, index: IndexName) -> list[str]:
    """Its qualified and quoted name, if that index is there and invalid; else an empty list."""
    table = identifier(index.table)
    if index.schema:
        table = f"{identifier(index.schema)}.{table}"
    query = (
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_index i "
        "JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        f"WHERE NOT i.indisvalid AND c.relname = {literal(index.name)} "
        f"AND i.indrelid = pg_catalog.to_regclass({literal(table)})"
    )
    return [str(row[0]) for row in rows(send(connection, query)[0])]


def invalid_indexes(connection: Connection) -> list[str]:
    """Every invalid index of the database that no running statement is building."""
    query = (
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_index i "
        "JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname NOT LIKE 'pg\\_%' AND NOT EXISTS "
        "(SELECT FROM pg_catalog.pg_stat_progress_create_index p "
        "WHERE p.index_relid = i.indexrelid) ORDER BY 1"
    )
    return [str(row[0]) for row in rows(send(connection, query)[0])]
