"""The rows of the shadow: data that migrations insert and their rollbacks must remove."""

from __future__ import annotations

from collections.abc import Mapping

from turnback.engine.session.message import Connection, rows, send
from turnback.sql.quoting import identifier, literal

OURS = ("migrations", "migration_log")


def row_state(connection: Connection, history_schema: str = "public") -> dict[str, str]:
    """Table → number and checksum of its rows, for the tables that are not empty."""
    ours = ", ".join(literal(name) for name in OURS)
    query = (
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\\_%' "
        "AND n.nspname <> 'information_schema' AND pg_catalog.pg_relation_size(c.oid) > 0 "
        f"AND NOT (n.nspname = {literal(history_schema)} AND c.relname IN ({ours})) ORDER BY 1, 2"
    )
    tables = [(str(schema), str(name)) for schema, name in rows(send(connection, query)[0])]
    if not tables:
        return {}
    parts = [
        f"SELECT {literal(f'{schema}.{name}')}, pg_catalog.count(*) || ' ' || pg_catalog.md5("
        "coalesce(pg_catalog.string_agg(t::text, E'\\n' ORDER BY t::text), '')) "
        f"FROM {identifier(schema)}.{identifier(name)} t"
        for schema, name in tables
    ]
    found = rows(send(connection, " UNION ALL ".join(parts))[0])
    return {str(table): str(state) for table, state in found if not str(state).startswith("0 ")}


def changed_rows(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What differs between two states, as text; a table that is not listed is empty."""
    differences = []
    for table in sorted(before.keys() | after.keys()):
        old, new = before.get(table, "0"), after.get(table, "0")
        if old == new:
            continue
        counts = old.split()[0], new.split()[0]
        how = (
            f"{counts[0]} → {counts[1]}"
            if counts[0] != counts[1]
            else "the same number, other rows"
        )
        differences.append(f"rows of {table}: {how}")
    return differences
