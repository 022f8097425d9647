"""Which column of the copy is which of the table, and what each gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from psycopg.rows import scalar_row

from turnback.engine.backfill.keys import Keys
from turnback.engine.session.message import Connection
from turnback.engine.session.query import query
from turnback.engine.swap.mirror import Mirror, Value
from turnback.engine.swap.parts import Column, columns_of
from turnback.engine.swap.work import Work
from turnback.migrations.model import Backfill
from turnback.sql.backfill import RangedStatement
from turnback.sql.quoting import identifier

Pairs = Sequence[tuple[Column, Column | None]]
OUR_PATH = "pg_catalog, pg_temp"
# int8, int2, int4: one after another in the same order.
_INTEGERS = {20, 21, 23}
_DEFERRABLE = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint
                WHERE conrelid = %(table)s::oid AND contype IN ('p', 'u', 'x') AND condeferrable)
"""
_CHECKED_AT_ONCE = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_index i
     WHERE i.indrelid = %(table)s::oid AND i.indisunique AND i.indimmediate AND i.indisvalid
       AND i.indpred IS NULL
       AND ARRAY(SELECT a.attname::text
                   FROM pg_catalog.unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (n, place)
                   LEFT JOIN pg_catalog.pg_attribute a
                     ON a.attrelid = i.indrelid AND a.attnum = k.n
                  WHERE k.place <= i.indnkeyatts ORDER BY k.place) = %(columns)s::text[])
"""


class CopyStatement(RangedStatement):
    """The statement that copies a range; it is not in the file."""

    __slots__ = ()

    def place(self, offset: int, condition: str) -> int:  # noqa: ARG002
        """The first statement of the file, wherever in this one the error is."""
        return self.statement.offset


def ranged(work: Work, text: str, schema: str) -> CopyStatement:
    """A statement over ranges of the table, which is in this schema now."""
    options = work.change.options
    of = Backfill(
        (schema, work.names.table),
        tuple(work.key),
        parallel=options.parallel,
        line=options.line,
    )
    first = work.change.first
    return CopyStatement(of, replace(first, sql=text), text, identifier(work.names.table))


def pairs_of(connection: Connection, old: int, new: int) -> list[tuple[Column, Column | None]]:
    """The columns of the table as it was before, each with its own in the copy.

    The copy was made with these columns, in their order; what was added came after them.
    """
    by_number = {column.number: column for column in columns_of(connection, new)}
    return [(one, by_number.get(n)) for n, one in enumerate(columns_of(connection, old), 1)]


def forth(work: Work, old: int, new: int) -> Mirror:
    """From the table to its copy."""
    names, change = work.names, work.change
    pairs = pairs_of(work.connection, old, new)
    given = {after.number: before for before, after in pairs if after}
    keys, other_keys = _keys(work, old, new, pairs, work.names.schema)
    alias = identifier(names.table)
    values = [
        Value(
            column.name,
            change.values.get(column.name) or f"{alias}.{identifier(given[column.number].name)}",
            column.type,
            constant=column.name not in change.volatile,
            settable=not column.always,
        )
        for column in columns_of(work.connection, new)
        if not column.generated and (column.name in change.values or column.number in given)
    ]
    path = f"{work.path()}, pg_temp" if change.values else OUR_PATH
    deferrable = query(work.connection, _DEFERRABLE, scalar_row, {"table": new})[0]
    return Mirror(
        "forth",
        names,
        names.own,
        names.other,
        alias,
        keys,
        other_keys,
        values,
        path,
        deferrable,
    )


def back(work: Work, old: int, new: int, *, swapped: bool) -> Mirror:
    """From the copy to the table as it was before, once they have changed places.

    Args:
        work: the swap.
        old: the table as it was before.
        new: the copy.
        swapped: whether they have changed places already.
    """
    names = work.names
    pairs = pairs_of(work.connection, old, new)
    schema = names.beside if swapped else names.schema
    keys, other_keys = _keys(work, old, new, pairs, schema)
    alias = identifier(names.table)
    values = [
        Value(
            before.name,
            f"{alias}.{identifier(after.name)}"
            + ("" if before.type_oid == after.type_oid else f"::{before.base}"),
            before.type,
            settable=not before.always,
        )
        for before, after in pairs
        if after and not before.generated
    ]
    there, here = replace(keys, table=names.other), replace(other_keys, table=names.own)
    return Mirror("back", names, names.own, names.other, alias, here, there, values, OUR_PATH)


def refuse_values(work: Work, old: int, new: int) -> None:
    """Refuse what would leave a column of the copy without a value."""
    columns, values = columns_of(work.connection, new), work.change.values
    if wrong := values.keys() - {column.name for column in columns}:
        raise work.refused(
            f"the copy has no column {min(wrong)}, which gets a value",
            "name it as the last statement leaves it",
        )
    if both := [one.name for one in columns if one.generated and one.name in values]:
        raise work.refused(
            f"the column {both[0]} is generated, and gets a value", "remove one of the two"
        )
    known = {after.number for _, after in pairs_of(work.connection, old, new) if after}
    for column in columns:
        given = column.number in known or column.name in values
        if column.not_null and not (given or column.filled or column.generated):
            raise work.refused(
                f"the new column {column.name} is NOT NULL, and nothing gives it a value",
                "give it a DEFAULT, or a value by UPDATE … SET",
            )


def _keys(work: Work, old: int, new: int, pairs: Pairs, schema: str) -> tuple[Keys, Keys]:
    """The key in the table as it was before, which is in this schema, and in the copy."""
    known = {before.name: (before, after) for before, after in pairs}
    names, types = list[str](), list[str]()
    for name in work.key:
        if name not in known:
            raise work.refused(f"the table has no column {name}", "correct key= in the directive")
        before, after = known[name]
        if after is None or after.name in work.change.values:
            raise work.refused(
                f"the key column {name} gets other values in the copy, or goes",
                "name another unique index in key=",
            )
        both = {before.type_oid, after.type_oid}
        if len(both) > 1 and not both <= _INTEGERS:
            raise work.refused(
                f"the key column {name} changes its type from {before.type} to {after.type}",
                "name another unique index in key=",
            )
        names.append(after.name)
        types.append(after.base)
    keys = Keys.of(work.connection, ranged(work, "", schema), work.step.runnable.script)
    for table, columns in ((old, work.key), (new, names)):
        params = {"table": table, "columns": columns}
        if not query(work.connection, _CHECKED_AT_ONCE, scalar_row, params)[0]:
            raise work.refused(
                f"the copy has no unique index over {', '.join(columns)} that is checked at once",
                "name another unique index in key=, one without DEFERRABLE",
            )
    return keys, Keys(new, work.names.other, names, types, keys.operators)
