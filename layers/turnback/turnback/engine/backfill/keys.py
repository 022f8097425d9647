"""The keys of a backfill's table: the index that orders them, and conditions for ranges of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.rows import class_row, tuple_row

from turnback.engine.session.message import Connection, rows, send
from turnback.engine.session.query import load, query, relation_oid
from turnback.errors import MigrationFailed
from turnback.migrations.model import Script
from turnback.sql.backfill import RangedStatement
from turnback.sql.quoting import identifier, literal

# The table's own name for it in the queries here.
_ALIAS = "t"


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the key, as the server has it; see backfill_key.sql."""

    name: str
    type: str
    not_null: bool
    operators: str


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one table, in the order of a unique index.

    Attributes:
        oid: of the table.
        table: its name, quoted, with its schema.
        columns: those of the key, as the table has them.
        types: theirs, as SQL.
        operators: the schema of their operators.
    """

    oid: int
    table: str
    columns: Sequence[str]
    types: Sequence[str]
    operators: str

    @classmethod
    def of(cls, connection: Connection, statement: RangedStatement, script: Script) -> Keys:
        """The keys that a backfill's directive names.

        Raises:
            MigrationFailed: there is no such table or column, or no unique index over these
                columns, whose values are all there.
        """
        options = statement.options

        def refused(message: str, hint: str) -> MigrationFailed:
            return MigrationFailed(message, file=script.path, line=options.line, hint=hint)

        name = ".".join(options.table)
        oid = relation_oid(connection, statement.table)
        if oid is None:
            raise refused(f"there is no table {name}", "correct table= in the directive backfill")
        params = {"table": oid, "columns": list(options.key)}
        found = query(connection, load("backfill_key"), class_row(_Column), params)
        missing = [column for column in options.key if column not in {one.name for one in found}]
        if missing:
            raise refused(
                f"the table {name} has no column {missing[0]}", "correct key= in the directive"
            )
        ((table, unique),) = query(connection, load("backfill_table"), tuple_row, params)
        nullable = [one.name for one in found if not one.not_null]
        if not unique:
            raise refused(
                f"no unique index of {name} has the key {', '.join(options.key)}, in this order",
                "name the columns of its primary key, or of another unique index without WHERE",
            )
        if nullable:
            raise refused(
                f"{nullable[0]} may be null, and a row without a key is in no range",
                "name the columns of the primary key, or set the column NOT NULL before",
            )
        operators = {one.operators for one in found}
        if len(operators) > 1:
            raise refused(
                f"the columns of the key have operators in several schemas: {sorted(operators)}",
                "name the columns of another unique index",
            )
        return cls(
            oid,
            table,
            [one.name for one in found],
            [one.type for one in found],
            operators.pop(),
        )

    def between(
        self,
        columns: Sequence[str],
        after: Sequence[str] | None,
        upto: Sequence[str] | None,
    ) -> str:
        """A condition: the key is behind one, and not behind another.

        Args:
            columns: the key's columns, as the statement names them.
            after: the one before the range, as text; None for the beginning.
            upto: the last one; None for the end.
        """
        ends = ((">", after), ("<=", upto))
        found = [self._compared(columns, sign, key) for sign, key in ends if key is not None]
        return " AND ".join(found) or "true"

    def equal(self, columns: Sequence[str], key: Sequence[str]) -> str:
        """A condition: the key is this one."""
        return f"{self._compared(columns, '>=', key)} AND {self._compared(columns, '<=', key)}"

    def _compared(self, columns: Sequence[str], operator: str, key: Sequence[str]) -> str:
        values = [
            f"{literal(value)}::{type_}" for value, type_ in zip(key, self.types, strict=True)
        ]
        row = "ROW" if len(values) > 1 else ""
        return (
            f"{row}({', '.join(columns)}) OPERATOR({identifier(self.operators)}.{operator}) "
            f"{row}({', '.join(values)})"
        )

    def last(self, connection: Connection) -> list[str] | None:
        """The last key of the table; None where it has no rows."""
        return self._ask(connection, "true", "DESC", 0)

    def at(
        self,
        connection: Connection,
        after: Sequence[str] | None,
        upto: Sequence[str] | None,
        size: int,
    ) -> list[str] | None:
        """The last key of a batch of so many; None where there are fewer.

        Args:
            connection: a session.
            after: the key before the batch; None for the beginning.
            upto: the last key of the range; None for the end.
            size: how many keys the batch has.
        """
        where = self.between(self._own, after, upto)
        return self._ask(connection, where, "ASC", size - 1)

    def size(self, connection: Connection) -> tuple[int, int]:
        """How many rows the table has, by estimate, and how many bytes; both may be 0."""
        sql = load("backfill_size")
        ((count, size),) = query(connection, sql, tuple_row, {"table": self.oid})
        return count, size

    @property
    def _own(self) -> list[str]:
        return [f"{_ALIAS}.{identifier(column)}" for column in self.columns]

    def _ask(
        self, connection: Connection, where: str, direction: str, offset: int
    ) -> list[str] | None:
        texts = ", ".join(f"{column}::pg_catalog.text" for column in self._own)
        order = ", ".join(f"{column} {direction}" for column in self._own)
        # The keys that OFFSET passes over are not made text.
        sql = (
            f"SELECT {texts} FROM (SELECT {', '.join(self._own)} FROM {self.table} AS {_ALIAS} "
            f"WHERE {where} ORDER BY {order} OFFSET {offset} LIMIT 1) AS {_ALIAS}"
        )
        # With all digits of a number: a rounded one could be before its own row.
        found = rows(send(connection, f"SET LOCAL extra_float_digits = 1; {sql}")[-1])
        return [text for text in found[0] if text is not None] if found else None
