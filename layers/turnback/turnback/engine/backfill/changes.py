"""What a backfill in Python sends for a range: the rows it reads, and the SQL of its results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg.rows import scalar_row, tuple_row
from psycopg.types.json import Jsonb

from turnback.engine.backfill.records import Changes
from turnback.engine.backfill.transform import Transform, TransformFailed
from turnback.engine.backfill.transform_child import unpack
from turnback.engine.session.message import Connection, send
from turnback.engine.session.query import OURSELVES, execute, load, query, relation_oid
from turnback.errors import TurnbackError
from turnback.migrations.model import Migration, Script
from turnback.sql.backfill import RangedStatement
from turnback.sql.own_tables import conflicts
from turnback.sql.quoting import identifier, joined, literal
from turnback.sql.script import prepare

_COLUMNS = """SELECT attname::text FROM pg_catalog.pg_attribute
WHERE attrelid = %(table)s::oid AND attnum > 0 AND NOT attisdropped"""
_KINDS = ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt")


class Transformed:
    """Reads the rows of a range and gives them to the user's code.

    The rows are read in the transaction that changes others, as of one moment: where another
    session has changed one of them meanwhile and the batch changes it too, the server refuses the
    batch, which is then repeated.

    Args:
        statement: reads the rows.
        transform: runs the user's code.
        history_schema: where turnback's own tables are.
        connection: the session of the worker.
    """

    def __init__(
        self,
        statement: RangedStatement,
        transform: Transform,
        history_schema: str,
        connection: Connection,
    ) -> None:
        self._statement = statement
        self._transform = transform
        self._history_schema = history_schema
        self._connection = connection
        self._binding = psycopg.ClientCursor(connection)
        self._checked = set[str]()
        self._texts = statement.code.texts if statement.code else frozenset[str]()
        self._columns: list[str] = []
        into = statement.options.into
        self._into = self._table(into) if into else None

    def close(self) -> None:
        """End the process of the code."""
        self._transform.close()

    def begin(self, condition: str) -> Changes:
        """Begin a transaction, read a range in it, and find what is to be changed.

        Raises:
            ServerError: the rows cannot be read.
            TransformFailed: the code failed, or its results cannot be used.
        """
        send(self._connection, f"BEGIN ISOLATION LEVEL REPEATABLE READ; {OURSELVES}")
        try:
            cursor = execute(self._connection, self._statement.over(condition))
            self._columns = [one.name for one in cursor.description or ()]
            found = cursor.fetchall()
        except psycopg.DataError as error:
            # PostgreSQL has dates that Python has not.
            raise TransformFailed(
                "a value of the row cannot be one of Python", detail=str(error)
            ) from error
        results = self._transform(self._columns, found) if found else []
        try:
            if self._into is None:
                return Changes((), [self._bound(one) for one in results])
            return Changes(list(self._inserts(self._into, results)))
        except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
            # Only code that writes into the pipe by itself makes something of this kind.
            raise TransformFailed("its answer cannot be read", detail=repr(error)) from error

    def give_up(self) -> None:
        """End the transaction without a change."""
        if not (self._connection.closed or self._connection.broken):
            send(self._connection, "ROLLBACK")

    def _table(self, name: Sequence[str]) -> tuple[str, frozenset[str]]:
        oid = relation_oid(self._connection, joined(name))
        if oid is None:
            text = f"there is no table {'.'.join(name)}, which into= names"
            raise TransformFailed(text, self._statement.options.line, of_rows=False)
        params = {"table": oid, "columns": []}
        ((table, _),) = query(self._connection, load("backfill_table"), tuple_row, params)
        columns = query(self._connection, _COLUMNS, scalar_row, params)
        return table, frozenset(columns)

    def _inserts(
        self, into: tuple[str, frozenset[str]], results: Iterable[list[Any]]
    ) -> Iterable[str]:
        """An INSERT for the rows of each set of columns: what a row leaves out has its default."""
        table, columns = into
        groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for result in results:
            if len(result) != 1:
                raise self._unusable(
                    f"transform returns a statement, and into= {table} is for rows"
                )
            groups.setdefault(tuple(sorted(result[0])), []).append(result[0])
        conflict = " ON CONFLICT DO NOTHING" if self._statement.options.skip_conflicts else ""
        for names, rows in groups.items():
            self._require_columns(table, columns, names)
            text = json.dumps(rows, ensure_ascii=False)
            try:
                text.encode()
            except UnicodeEncodeError:
                raise TransformFailed("a text has half of a character (a surrogate)") from None
            listed = ", ".join(map(identifier, names))
            values = ", ".join(f"r.{identifier(name)}" for name in names)
            yield (
                f"INSERT INTO {table} ({listed}) SELECT {values} FROM "
                f"pg_catalog.json_populate_recordset(NULL::{table}, {literal(text)}::json) AS r"
                f"{conflict}"
            )

    def _require_columns(self, table: str, known: frozenset[str], names: Sequence[str]) -> None:
        if not names:
            raise self._unusable("transform returns a row without columns")
        if missing := sorted(set(names) - known):
            read = {*self._texts, *self._columns}
            shown = ", ".join(name if name in read else "…" for name in missing)
            raise self._unusable(
                f"transform returns {shown}, and {table} has no such column", ", ".join(missing)
            )

    def _bound(self, result: list[Any]) -> str:
        """A statement with its parameters in it, as psycopg writes them."""
        if len(result) != 2:
            raise self._unusable(
                "transform returns a row, and the directive names no table for it: into=TABLE"
            )
        sql, packed = result
        parameters: Any = (
            {name: _parameter(value) for name, value in packed.items()}
            if isinstance(packed, dict)
            else [_parameter(value) for value in packed]
        )
        try:
            text = self._binding.mogrify(sql, parameters)
        except psycopg.DataError as error:
            raise TransformFailed("a parameter cannot be a value", detail=str(error)) from error
        except psycopg.ProgrammingError as error:
            raise self._bad_statement(sql, f"the parameters do not fit: {error}") from error
        if sql not in self._checked:
            self._check(sql, text)
            self._checked.add(sql)
        return text

    def _check(self, sql: str, text: str) -> None:
        """Refuse what would not be one statement that changes rows."""
        script = Script("statement", text, "")
        try:
            statements = prepare(script).statements
            for conflict in conflicts([Migration("0", "", script)], self._history_schema):
                raise conflict
        except TurnbackError as error:
            raise self._bad_statement(sql, error.message) from error
        if statements is None or len(statements) != 1 or statements[0].kind not in _KINDS:
            raise self._bad_statement(sql, "it is not one INSERT, UPDATE, DELETE or MERGE")

    def _bad_statement(self, sql: str, why: str) -> TransformFailed:
        whole = f"transform returns {sql!r}: {why}"
        if sql in self._texts:
            return self._unusable(whole)
        # Put together by the code, it may have values of rows in it.
        return self._unusable("transform returns a statement that cannot be run", whole)

    def _unusable(self, message: str, detail: str | None = None) -> TransformFailed:
        return TransformFailed(message, detail=detail, of_rows=False)


def _parameter(packed: Any) -> Any:
    value = unpack(packed)
    return Jsonb(value) if isinstance(value, dict) else value
