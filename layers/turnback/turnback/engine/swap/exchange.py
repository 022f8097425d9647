"""The exchange: the table and the other one change places, in one short transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from psycopg.rows import scalar_row

from turnback.engine.run.recreate import View, made_again, views_above
from turnback.engine.session.message import Connection
from turnback.engine.session.query import query, refusal
from turnback.engine.swap.parts import Column, Names, Part
from turnback.sql.quoting import identifier, joined, literal

MISSED = "turnback: rows are to be written again"
_VIEWS = """
SELECT DISTINCT r.ev_class::bigint
  FROM pg_catalog.pg_depend d
  JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_catalog.pg_rewrite'::regclass
 WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = %(table)s::oid
   AND r.ev_class <> d.refobjid
"""
_CHILDREN = """
SELECT DISTINCT conrelid::regclass::text FROM pg_catalog.pg_constraint
 WHERE contype = 'f' AND confrelid = %(table)s::oid AND conrelid <> confrelid
"""
_STATISTICS = """
SELECT stxname::text FROM pg_catalog.pg_statistic_ext WHERE stxrelid = %(table)s::oid
"""


@dataclass(frozen=True, slots=True)
class Around:
    """What the exchange has to move, as it is when it begins.

    Attributes:
        parts: of the table that leaves.
        pairs: its columns, each with that of the table that enters, if it has one.
        views: that read it.
        children: tables whose foreign keys point at it, quoted.
        statistics: names of the extended statistics, of the table that leaves and the other.
    """

    names: Names
    parts: Sequence[Part]
    pairs: Sequence[tuple[Column, Column | None]]
    views: Sequence[View]
    children: Sequence[str]
    statistics: tuple[Sequence[str], Sequence[str]]

    @classmethod
    def of(
        cls,
        connection: Connection,
        names: Names,
        parts: Sequence[Part],
        pairs: Sequence[tuple[Column, Column | None]],
        tables: tuple[int, int],
    ) -> Around:
        """Read it.

        Args:
            connection: the session.
            names: of the tables.
            parts: of the table that leaves.
            pairs: of columns.
            tables: the oids of the table that leaves and of the one that enters.
        """
        leaving, entering = ({"table": oid} for oid in tables)
        found = query(connection, _VIEWS, scalar_row, leaving)
        return cls(
            names,
            parts,
            pairs,
            views_above(connection, found) if found else [],
            query(connection, _CHILDREN, scalar_row, leaving),
            (
                query(connection, _STATISTICS, scalar_row, leaving),
                query(connection, _STATISTICS, scalar_row, entering),
            ),
        )

    def lock(self) -> str:
        """SQL: the locks that the exchange needs, before it does anything."""
        tables = [self.names.own, self.names.other, *self.children]
        return f"LOCK TABLE ONLY {', ONLY '.join(tables)} IN ACCESS EXCLUSIVE MODE"

    def exchange(self, *, first: bool, before: Sequence[str], after: Sequence[str]) -> list[str]:
        """SQL, after the locks.

        Args:
            first: whether the table that enters is new, and gets triggers and policies.
            before: removes the triggers of the table that leaves.
            after: makes those of the one that enters.
        """
        return [
            f"SELECT CASE WHEN EXISTS (SELECT FROM {self.names.missed}) "
            f"THEN {refusal(MISSED)} ELSE 0 END",
            *(f"DROP VIEW {view.name}" for view in reversed(self.views)),
            *before,
            *self._undone(),
            *self._sequences_free(),
            *self._moved(),
            *self._sequences_taken(),
            *self._made(first=first),
            *after,
            *(sql for view in self.views for sql in made_again(view)),
        ]

    def _undone(self) -> Iterator[str]:
        """What the table that leaves no longer has; its triggers would fire for the mirror."""
        for part in self.parts:
            if part.undo and part.phase in ("join", "move"):
                yield part.undo

    def _made(self, *, first: bool) -> Iterator[str]:
        for part in self.parts:
            if part.phase == "join" or (first and part.phase == "move"):
                yield part.sql

    def validations(self) -> list[str]:
        """What follows the exchange, without a lock that a reader or a writer waits for."""
        return [
            part.after_exchange
            for part in self.parts
            if part.after_exchange and part.phase == "join"
        ]

    def _moved(self) -> list[str]:
        names = self.names
        between = identifier(names.between)
        here, beside = identifier(names.schema), identifier(names.beside)
        table = identifier(names.table)
        leaving, entering = self.statistics
        moves = [
            (f"ALTER TABLE {here}.{table}", between),
            *((f"ALTER STATISTICS {here}.{identifier(one)}", between) for one in leaving),
            (f"ALTER TABLE {beside}.{table}", here),
            *((f"ALTER STATISTICS {beside}.{identifier(one)}", here) for one in entering),
            (f"ALTER TABLE {between}.{table}", beside),
            *((f"ALTER STATISTICS {between}.{identifier(one)}", beside) for one in leaving),
        ]
        return [
            f"CREATE SCHEMA {between}",
            *(f"{what} SET SCHEMA {where}" for what, where in moves),
            f"DROP SCHEMA {between}",
        ]

    def _shared(self) -> Iterator[tuple[str, str]]:
        """The sequences that both tables count with, and the column that owns each from now on."""
        for column, pair in self.pairs:
            if column.sequence and column.shared and pair and not pair.sequence:
                name = joined([column.sequence_schema or "", column.sequence])
                yield name, f"{self.names.own}.{identifier(pair.name)}"

    def _sequences_free(self) -> list[str]:
        return [f"ALTER SEQUENCE {name} OWNED BY NONE" for name, _ in self._shared()]

    def _sequences_taken(self) -> Iterator[str]:
        for name, owner in self._shared():
            yield f"ALTER SEQUENCE {name} OWNED BY {owner}"
        for column, pair in self.pairs:
            if column.sequence and pair and pair.sequence:
                # They have moved with their tables.
                here = joined([self.names.schema, pair.sequence])
                there = joined([self.names.beside, column.sequence])
                yield (
                    f"SELECT pg_catalog.setval({literal(here)}, last_value, is_called) FROM {there}"
                )
