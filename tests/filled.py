"""Rows for a schema that nobody has written any for: as many tables as its constraints let."""

from __future__ import annotations

from typing import Any

import psycopg

ROWS = 25
# Of each table that is no partition: its columns, with the table and column that each refers to.
COLUMNS = """
SELECT c.oid::regclass::text, quote_ident(a.attname), coalesce(bt.typname, t.typname), t.typtype,
       t.typcategory, format_type(a.atttypid, a.atttypmod), k.confrelid::regclass::text,
       (SELECT quote_ident(f.attname) FROM pg_attribute f WHERE f.attrelid = k.confrelid
           AND f.attnum = k.confkey[array_position(k.conkey, a.attnum)])
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_type bt ON bt.oid = t.typbasetype
  LEFT JOIN LATERAL (SELECT * FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f'
                        AND a.attnum = ANY (k.conkey) ORDER BY k.conname LIMIT 1) k ON true
 WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
   AND a.attgenerated = '' AND a.attidentity <> 'a' AND c.relnamespace = 'public'::regnamespace
 ORDER BY c.oid, a.attnum
"""
VALUES = {
    "bool": "n % 2 = 0",
    "uuid": "md5(n::text)::uuid",
    "json": """'{"n": 1}'""",
    "jsonb": "jsonb_build_object('n', n)",
    "bytea": "decode(md5(n::text), 'hex')",
    "date": "'2026-01-01'::date + n",
    "timestamp": "'2026-01-01'::timestamp + n * interval '1 hour'",
    "timestamptz": "'2026-01-01'::timestamptz + n * interval '1 hour'",
    "interval": "n * interval '1 minute'",
    "tsvector": "to_tsvector('simple', 'word ' || n)",
    "inet": "('10.0.0.' || n)::inet",
}


def fill(url: str) -> tuple[int, int]:
    """Put rows into every table of the schema public; how many tables there are, and have some."""
    tables: dict[str, list[tuple[Any, ...]]] = {}
    with psycopg.connect(url, autocommit=True) as connection:
        for table, *column in connection.execute(COLUMNS).fetchall():
            tables.setdefault(table, []).append(tuple(column))
        filled: set[str] = set()
        # A table follows those that it refers to.
        while True:
            before = len(filled)
            for table in tables.keys() - filled:
                statement = _insert(table, tables[table])
                try:
                    if connection.execute(statement.encode()).rowcount > 0:
                        filled.add(table)
                except psycopg.Error:
                    continue
            if len(filled) == before:
                return len(tables), len(filled)


def _insert(table: str, columns: list[tuple[Any, ...]]) -> str:
    names = ", ".join(column[0] for column in columns)
    values = ", ".join(_value(table, *column[1:]) for column in columns)
    return (
        f"INSERT INTO {table} ({names}) SELECT {values} FROM generate_series(1, {ROWS}) n "
        "ON CONFLICT DO NOTHING"
    )


def _value(
    table: str,
    name: str,
    kind: str,
    category: str,
    written: str,
    parent: str | None,
    key: str | None,
) -> str:
    if parent:
        return (
            f"(SELECT {key} FROM {parent} ORDER BY {key} "
            f"OFFSET n % greatest((SELECT count(*) FROM {parent}), 1) LIMIT 1)"
        )
    if kind == "e":
        return f"(enum_range(NULL::{written}))[1]"
    if category == "A":
        return f"'{{}}'::{written}"
    if category == "N":
        # A small number is often one of few.
        return "1 + n % 5" if name == "int2" else "n"
    # Not the same words everywhere: some tables list those that others must not have.
    word = table.strip('"')[:3]
    return VALUES.get(name, f"('{word}' || n)::{written}")
