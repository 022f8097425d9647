"""The SQL that keeps one table as the other one is: the copy of ranges, triggers, a comparison.

The triggers are one a statement, and write the rows of its keys as they are when it ends: a row
that a trigger of the application has changed once more, a changed key and a column that became NULL
are not special. What cannot be written is no error of the application: the key is noted, and the
row is written before the exchange, or refused there by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from turnback.engine.backfill.keys import Keys
from turnback.engine.swap.parts import Names
from turnback.sql.quoting import identifier, joined, literal

_EVENTS = {
    "insert": ("REFERENCING NEW TABLE AS new_rows", ("new_rows",)),
    "update": ("REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows", ("old_rows", "new_rows")),
    "delete": ("REFERENCING OLD TABLE AS old_rows", ("old_rows",)),
    "truncate": ("", ()),
}
# A plan that is kept for a session must suit one row as well as all of them.
_BY_INDEX = "SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off"


@dataclass(frozen=True, slots=True)
class Value:
    """A column that gets its value from the source.

    Attributes:
        name: of the column in the target.
        expression: over the source's row.
        type: of the column.
        constant: whether the same row gives the same value.
        settable: whether UPDATE may set it.
    """

    name: str
    expression: str
    type: str
    constant: bool = True
    settable: bool = True


@dataclass(frozen=True, slots=True)
class Mirror:
    """Two tables and how a row of the one becomes a row of the other.

    Attributes:
        direction: ``forth`` or ``back``, in the names of the triggers.
        source, target: quoted.
        alias: what the expressions call the source, quoted.
        keys: those of the source.
        target_keys: the same in the target.
        values: the columns that are written.
        path: the search_path of the expressions.
        deferrable: whether the target has a deferrable constraint, for which PostgreSQL has no ON
            CONFLICT (manual, INSERT).
    """

    direction: str
    names: Names
    source: str
    target: str
    alias: str
    keys: Keys
    target_keys: Keys
    values: Sequence[Value]
    path: str
    deferrable: bool = False

    def trigger(self, event: str) -> str:
        """The name of a trigger."""
        return f"turnback_swap_{self.direction}_{event}"

    @property
    def functions(self) -> list[str]:
        """SQL that makes the functions of the triggers."""
        return [self._function(event, rows) for event, (_, rows) in _EVENTS.items()]

    @property
    def triggers(self) -> list[str]:
        """SQL that makes the triggers; they fire for replicated changes as well."""
        made = []
        for event, (referencing, _) in _EVENTS.items():
            name = identifier(self.trigger(event))
            made.append(
                f"CREATE TRIGGER {name} AFTER {event.upper()} ON {self.source} {referencing} "
                f"FOR EACH STATEMENT EXECUTE FUNCTION {self._name(event)}()"
            )
            made.append(f"ALTER TABLE {self.source} ENABLE ALWAYS TRIGGER {name}")
        return made

    @property
    def without_triggers(self) -> list[str]:
        """SQL that removes the triggers."""
        return [f"DROP TRIGGER {identifier(self.trigger(one))} ON {self.source}" for one in _EVENTS]

    @property
    def function_names(self) -> list[str]:
        """The functions of the triggers, quoted."""
        return [self._name(event) for event in _EVENTS]

    def _name(self, event: str) -> str:
        return joined([self.names.beside, self.trigger(event)])

    def _function(self, event: str, rows: Sequence[str]) -> str:
        if rows:
            keys = " UNION ".join(f"SELECT {self._key_of('r')} FROM {one} AS r" for one in rows)
            run = ";\n    ".join(self._written(keys, gone=event != "insert"))
            array = ", ".join(f"k.s{n}::pg_catalog.text" for n, _ in enumerate(self.keys.columns))
            noted = (
                f"INSERT INTO {self.names.missed} (key, error) "
                f"SELECT ARRAY[{array}], SQLERRM FROM ({keys}) AS k"
            )
        else:
            run = f"TRUNCATE {self.target}"
            # Without a key, the whole table.
            noted = f"INSERT INTO {self.names.missed} (key, error) VALUES ('{{}}', SQLERRM)"
        body = (
            f"#variable_conflict use_column\nBEGIN\n  BEGIN\n    {run};\n"
            f"  EXCEPTION WHEN OTHERS THEN\n    {noted};\n  END;\n  RETURN NULL;\nEND"
        )
        return (
            f"CREATE FUNCTION {self._name(event)}() RETURNS trigger LANGUAGE plpgsql "
            f"SECURITY DEFINER SET search_path = {self.path} {_BY_INDEX} AS {literal(body)}"
        )

    def _key_of(self, row: str) -> str:
        """A row's key, as it is in the source and in the target."""
        found = []
        for n, column in enumerate(self.keys.columns):
            own = f"{row}.{identifier(column)}"
            found += [f"{own} AS s{n}", f"{own}::{self.target_keys.types[n]} AS t{n}"]
        return ", ".join(found)

    def _same(self, row: str, columns: Sequence[str], mark: str, keys: str = "k") -> str:
        equal = f"OPERATOR({identifier(self.keys.operators)}.=)"
        return " AND ".join(
            f"{row}.{identifier(column)} {equal} {keys}.{mark}{n}"
            for n, column in enumerate(columns)
        )

    def _written(self, keys: str, *, gone: bool) -> list[str]:
        """SQL that gives the rows of these keys to the target; removes those that are gone."""
        found = []
        if gone:
            found.append(
                f"DELETE FROM {self.target} AS t USING ({keys}) AS k "
                f"WHERE {self._same('t', self.target_keys.columns, 't')} AND NOT EXISTS "
                f"(SELECT FROM {self.source} AS s WHERE {self._same('s', self.keys.columns, 's')})"
            )
        # Every column of the source can be named in an expression, and none is called so.
        named = f'"turnback keys" ({", ".join(self._hidden(mark) for mark in self._marks)})'
        equal = f"OPERATOR({identifier(self.keys.operators)}.=)"
        on = " AND ".join(
            f'{self.alias}.{identifier(column)} {equal} "turnback keys".{self._hidden(f"s{n}")}'
            for n, column in enumerate(self.keys.columns)
        )
        found.append(
            f"{self._insert} SELECT {self._expressions} FROM ({keys}) AS {named} "
            f"JOIN {self.source} AS {self.alias} ON {on} {self._on_conflict}"
        )
        return found

    @property
    def _marks(self) -> list[str]:
        return [f"{mark}{n}" for n, _ in enumerate(self.keys.columns) for mark in "st"]

    @staticmethod
    def _hidden(mark: str) -> str:
        return identifier(f"turnback {mark}")

    @property
    def _insert(self) -> str:
        columns = ", ".join(identifier(value.name) for value in self.values)
        return f"INSERT INTO {self.target} ({columns}) OVERRIDING SYSTEM VALUE"

    @property
    def _expressions(self) -> str:
        return ", ".join(value.expression for value in self.values)

    @property
    def _on_conflict(self) -> str:
        key = ", ".join(map(identifier, self.target_keys.columns))
        names = [
            identifier(value.name)
            for value in self.values
            if value.settable and value.name not in self.target_keys.columns
        ]
        if not names:
            return f"ON CONFLICT ({key}) DO NOTHING"
        changed = ", ".join(f"{name} = excluded.{name}" for name in names)
        return f"ON CONFLICT ({key}) DO UPDATE SET {changed}"

    def copy(self, condition: str) -> str:
        """SQL that copies the rows of a range.

        A row that somebody has locked is left to the trigger of whoever changes it, or to the
        comparison: the copy waits for nobody, and so is in no deadlock. Its own locks keep a row
        from being removed before its copy can be seen. A row in whose way another one is, by any
        unique index, is left to the comparison as well: that one may be about to go.
        """
        key = ", ".join(map(identifier, self.target_keys.columns))
        return (
            f"{self._insert} SELECT {self._expressions} FROM {self.source} AS {self.alias} "
            f"WHERE {condition} FOR SHARE OF {self.alias} SKIP LOCKED "
            f"ON CONFLICT {f'({key}) ' if self.deferrable else ''}DO NOTHING"
        )

    def equal(self, after: Sequence[str] | None, upto: Sequence[str] | None) -> str:
        """SQL: whether a range has the same rows in both tables, by their hashes.

        One statement sees both as they were at one moment.
        """
        count = "SELECT ROW(pg_catalog.count(*), pg_catalog.sum({}::numeric))::pg_catalog.text "
        there, here = (
            f"({count.format(value)} FROM {table} WHERE {condition})"
            for value, table, condition in self._sides(after, upto)
        )
        return f"SELECT {there} OPERATOR(pg_catalog.=) {here}"

    def differing(self, after: Sequence[str] | None, upto: Sequence[str] | None) -> str:
        """SQL: the keys of the rows that differ, as arrays of text."""
        keys = (self._key_text(self.alias, self.keys), self._key_text("t", self.target_keys))
        there, here = (
            f"(SELECT {key} AS k, {value} AS h FROM {table} WHERE {condition})"
            for key, (value, table, condition) in zip(keys, self._sides(after, upto), strict=True)
        )
        return (
            f"SELECT pg_catalog.to_json(coalesce(a.k, b.k)) FROM {there} AS a "
            f"FULL JOIN {here} AS b "
            "ON a.k OPERATOR(pg_catalog.=) b.k WHERE a.h IS DISTINCT FROM b.h"
        )

    def _sides(
        self, after: Sequence[str] | None, upto: Sequence[str] | None
    ) -> list[tuple[str, str, str]]:
        """Of each table: the hash of a row, its name, the range."""
        same = [value for value in self.values if value.constant]
        there = ", ".join(f"({value.expression})::{value.type}" for value in same)
        here = ", ".join(f"t.{identifier(value.name)}" for value in same)
        return [
            (
                f"pg_catalog.hashtextextended(ROW({row})::pg_catalog.text, 0)",
                f"{table} AS {alias}",
                keys.between([f"{alias}.{identifier(one)}" for one in keys.columns], after, upto),
            )
            for row, table, alias, keys in (
                (there, self.source, self.alias, self.keys),
                (here, self.target, "t", self.target_keys),
            )
        ]

    @staticmethod
    def _key_text(alias: str, keys: Keys) -> str:
        texts = (f"{alias}.{identifier(column)}::pg_catalog.text" for column in keys.columns)
        return f"ARRAY[{', '.join(texts)}]"

    def repaired(self, key: Sequence[str]) -> list[str]:
        """SQL that gives the row of one key to the target as the source has it now.

        The first statement waits for whoever changes the row.
        """
        keys = self._one(key)
        lock = (
            f"SELECT FROM {self.source} AS s, ({keys}) AS k "
            f"WHERE {self._same('s', self.keys.columns, 's')} FOR SHARE OF s"
        )
        return [lock, *self._written(keys, gone=True)]

    def exists(self, key: Sequence[str]) -> str:
        """SQL: whether the source has a row of this key."""
        columns = [f"s.{identifier(column)}" for column in self.keys.columns]
        where = self.keys.equal(columns, key)
        return f"SELECT EXISTS (SELECT FROM {self.source} AS s WHERE {where})"

    def removed(self, key: Sequence[str]) -> str:
        """SQL that removes the row of one key from the target."""
        same = self._same("t", self.target_keys.columns, "t")
        return f"DELETE FROM {self.target} AS t USING ({self._one(key)}) AS k WHERE {same}"

    def _one(self, key: Sequence[str]) -> str:
        values = zip(key, self.keys.types, self.target_keys.types, strict=True)
        row = ", ".join(
            f"{literal(value)}::{here} AS s{n}, {literal(value)}::{there} AS t{n}"
            for n, (value, here, there) in enumerate(values)
        )
        return f"SELECT {row}"
