"""Indexes in the catalog: valid ones, and what an interrupted CREATE INDEX CONCURRENTLY leaves.

IF NOT EXISTS accepts an invalid index, which no query ever uses (PostgreSQL manual, CREATE INDEX,
"Building Indexes Concurrently").
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.rows import class_row

from turnback.engine.session.message import Connection
from turnback.engine.session.query import load, query, relation_oid, scalar
from turnback.sql.quoting import relation_name
from turnback.sql.statements import Statement


@dataclass(frozen=True, slots=True)
class Index:
    """An index that no running statement is building.

    Attributes:
        name: qualified, and quoted where it must be.
        own_name: without schema and quotes.
        valid: whether queries may use it.
    """

    name: str
    own_name: str
    valid: bool


def indexes_of(connection: Connection, table: str) -> list[Index]:
    """The indexes of a table, which is named as in SQL; empty where it does not exist."""
    oid = relation_oid(connection, table)
    if oid is None:
        return []
    return query(connection, load("indexes_of_table"), class_row(Index), {"table": oid})


def invalid_indexes(connection: Connection) -> list[Index]:
    """Every invalid index of the database, partitioned and temporary ones apart."""
    return query(connection, load("invalid_indexes"), class_row(Index))


def has_invalid_index(connection: Connection) -> bool:
    """Whether any index of the database is invalid, of whatever kind."""
    sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_index WHERE NOT indisvalid)"
    return bool(scalar(connection, sql))


def invalid_index_of(connection: Connection, statement: Statement) -> list[str]:
    """The name of the index that this CREATE INDEX CONCURRENTLY builds, if it is invalid."""
    tree = statement.tree
    if statement.kind != "IndexStmt" or not tree.get("concurrent") or not tree.get("idxname"):
        return []
    return [
        index.name
        for index in indexes_of(connection, relation_name(tree["relation"]))
        if index.own_name == tree["idxname"] and not index.valid
    ]
