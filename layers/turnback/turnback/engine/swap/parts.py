"""What there is around a table: what a swap carries over to the copy, and what it cannot."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from psycopg.rows import class_row, scalar_row

from turnback.engine.session.message import Connection
from turnback.engine.session.query import load, query
from turnback.sql.quoting import identifier, joined

_LONGEST_NAME = 63
# Stand in ``swap_parts.sql`` for the names of the table that gets a part.
_TARGET, _SCHEMA = "{turnback:target}", '"{turnback:schema}"'


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a table and of the one that changes places with it.

    Both have the same name in two schemas, so that their indexes, constraints and sequences have
    the same names as well: an exchange moves two tables, and renames nothing.

    Attributes:
        schema: of the table.
        table: its name.
    """

    schema: str
    table: str

    @property
    def shown(self) -> str:
        """The table, for people."""
        return f"{self.schema}.{self.table}"

    @property
    def beside(self) -> str:
        """The schema with the copy, or after the exchange with the table as it was."""
        name = f"turnback_swap_{self.table}"
        # Room for one more character, of the schema through which the exchange goes.
        if len(name.encode()) < _LONGEST_NAME:
            return name
        short = self.table.encode()[:30].decode(errors="ignore")
        return f"turnback_swap_{short}_{hashlib.sha256(name.encode()).hexdigest()[:12]}"

    @property
    def between(self) -> str:
        """The schema through which the exchange goes."""
        return f"{self.beside}_"

    @property
    def own(self) -> str:
        """The table, quoted."""
        return joined([self.schema, self.table])

    @property
    def other(self) -> str:
        """The other table, quoted."""
        return joined([self.beside, self.table])

    @property
    def state(self) -> str:
        """The table with the state of the swap, quoted."""
        return joined([self.beside, "turnback_state"])

    @property
    def missed(self) -> str:
        """The table with the keys of rows that a trigger could not write, quoted."""
        return joined([self.beside, "turnback_missed"])


@dataclass(frozen=True, slots=True)
class Part:
    """Something that a table has besides its rows.

    Attributes:
        phase: ``look``: the copy has it by CREATE TABLE … (LIKE …); ``copy``: it is made with the
            copy; ``link``: once its rows are there; ``move``: in the first exchange; ``join``: in
            each exchange, and taken from the table that leaves.
        kind: in words.
        name: which one.
        sql: what gives it to the copy; of ``look``, how it is.
        undo: what takes it from the table.
        after_exchange: what follows the exchange; for a trigger, what gives it its state again.
    """

    phase: str
    kind: str
    name: str
    sql: str
    undo: str | None
    after_exchange: str | None

    def on(self, names: Names) -> str:
        """The SQL for the other table."""
        return self._of(names, self.sql)

    def validated(self, names: Names) -> str | None:
        """What follows, for the other table."""
        return None if self.after_exchange is None else self._of(names, self.after_exchange)

    @staticmethod
    def _of(names: Names, sql: str) -> str:
        sql = sql.replace(_TARGET, names.other)
        return sql.replace(_SCHEMA, identifier(names.beside))


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; see ``swap_columns.sql``."""

    number: int
    name: str
    type: str
    base: str
    type_oid: int
    not_null: bool
    filled: bool
    generated: bool
    always: bool
    sequence: str | None
    sequence_schema: str | None
    shared: bool


def parts_of(connection: Connection, oid: int) -> list[Part]:
    """What a table has, in the order in which it is made."""
    return query(connection, load("swap_parts"), class_row(Part), {"table": oid})


def columns_of(connection: Connection, oid: int) -> list[Column]:
    """Its columns, in order."""
    return query(connection, load("swap_columns"), class_row(Column), {"table": oid})


def obstacles(connection: Connection, oid: int) -> list[str]:
    """What cannot be carried over, a sentence each."""
    return query(connection, load("swap_obstacles"), scalar_row, {"table": oid})


def definition(parts: Iterable[Part]) -> dict[tuple[str, str, str], str]:
    """What the copy is made from, to compare: it is the same of a faithful copy."""
    return {
        (one.kind, one.name, one.sql if one.phase == "copy" else ""): one.sql
        for one in parts
        if one.phase in ("look", "copy")
    }


def different(before: Sequence[Part], after: Sequence[Part]) -> list[str]:
    """The parts that differ, in words."""
    first, second = definition(before), definition(after)
    keys = [key for key in {**first, **second} if first.get(key) != second.get(key)]
    return sorted({" ".join(filter(None, key[:2])) for key in keys})


def signature(parts: Iterable[Part]) -> str:
    """A checksum of what the copy is made from."""
    return hashlib.sha256(repr(sorted(definition(parts).items())).encode()).hexdigest()
