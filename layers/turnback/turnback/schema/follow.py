"""Reads the fingerprint of one database again and again: each time only what has changed.

A look finds the rows of the catalog that are newer than the look before it, by their ``xmin``, and
the ones that are gone, by their number. Whatever depends on a changed object may read otherwise
now (the text of a view, when a column is renamed), so ``pg_depend`` is followed from there. The
tables, types and functions that are found are read again by the same queries as all of them are;
so is what the queries do not know by such a key, which is little, where there is any of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from psycopg.pq.abc import PGresult

from turnback.engine.session.message import Connection, send
from turnback.engine.session.message import rows as text_rows
from turnback.schema.model import Fingerprint
from turnback.schema.read import Reading, conditions, moment, names_of, queries, refused, rows_of
from turnback.settings.ignore import NOTHING, Ignore

# Catalogs with what is keyed: an identity, then what is noted of a row.
_CATALOGS = {
    "pg_class": "oid, relkind, CASE WHEN relkind = 't' THEN substring(relname FROM '[0-9]+') END",
    "pg_attribute": "attrelid",
    "pg_attrdef": "oid, adrelid",
    "pg_constraint": "oid, conrelid, contypid",
    "pg_index": "indexrelid, indrelid",
    "pg_trigger": "oid, tgrelid, coalesce((SELECT c.conrelid FROM pg_constraint c "
    "WHERE c.oid = tgconstraint), 0)",
    "pg_type": "oid, typrelid",
    "pg_enum": "oid, enumtypid",
    "pg_proc": "oid",
    "pg_aggregate": "aggfnoid::oid",
    "pg_sequence": "seqrelid",
    "pg_foreign_table": "ftrelid",
    "pg_inherits": "inhrelid || '-' || inhparent, inhrelid, inhparent",
    "pg_rewrite": "oid, ev_class",
    "pg_policy": "oid, polrelid",
    "pg_namespace": "oid",
    "pg_depend": "classid::oid || '-' || objid, classid::oid, objid",
}
# Rows of these come and go with those of others, or are no row of one object.
_NOT_COUNTED = ("pg_attribute", "pg_depend", "pg_aggregate", "pg_enum")
# Where something changes in these, which is rare, everything is read.
_RARE = (
    "pg_am",
    "pg_collation",
    "pg_extension",
    "pg_foreign_data_wrapper",
    "pg_foreign_server",
    "pg_init_privs",
    "pg_language",
    "pg_opclass",
    "pg_operator",
    "pg_opfamily",
    "pg_range",
    "pg_tablespace",
)
# What else a look finds out: the oldest transaction that goes on, the names of the roles, how many
# objects belong to extensions, the rare catalogs, and which queries have an answer.
_MARK, _ROLES, _MEMBERS, _RARE_ONES, _PRESENT = "mark", "roles", "members", "rare", "present"
_BY_INDEX = "SET LOCAL enable_seqscan = off"
_DEPENDENT = """
WITH RECURSIVE hit (class, oid) AS (
    SELECT * FROM unnest($1, $2)
     UNION
    SELECT d.classid, d.objid FROM hit h
      JOIN pg_depend d ON d.refclassid = h.class AND d.refobjid = h.oid
), every (oid) AS (SELECT oid FROM hit UNION SELECT * FROM unnest($3))
SELECT oid FROM every
UNION SELECT i.indrelid FROM every e JOIN pg_index i ON i.indexrelid = e.oid
UNION SELECT c.conrelid FROM every e JOIN pg_constraint c ON c.oid = e.oid
UNION SELECT c.contypid FROM every e JOIN pg_constraint c ON c.oid = e.oid
UNION SELECT t.tgrelid FROM every e JOIN pg_trigger t ON t.oid = e.oid
UNION SELECT a.adrelid FROM every e JOIN pg_attrdef a ON a.oid = e.oid
UNION SELECT r.ev_class FROM every e JOIN pg_rewrite r ON r.oid = e.oid
UNION SELECT p.polrelid FROM every e JOIN pg_policy p ON p.oid = e.oid
UNION SELECT t.typrelid FROM every e JOIN pg_type t ON t.oid = e.oid
"""
_PLANNED_AGAIN = 4
_FEW = 1000
_numbers = itertools.count(1)
_Row = tuple[str, ...]


class FollowedSchema:
    """The schema of a database that is looked at again and again.

    Args:
        connection: a session that runs nothing else but what is rolled back.
        history_schema: where turnback's own tables are.
        ignore: what the project leaves out.
        left_out: gets the names of the objects that this leaves out.

    Attributes:
        changed: the oids of what the last reading has read again; None if that is everything.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        history_schema: str = "public",
        ignore: Ignore = NOTHING,
        left_out: set[str] | None = None,
    ) -> None:
        self._connection = connection
        self._left_out = set[str]() if left_out is None else left_out
        self._history_schema, self._ignore = history_schema, ignore
        self._planned_for = 0
        self._number = 0
        self.changed: set[str] | None = None
        self._seen = _Seen()
        self._base = self._nothing()
        self._mark: str | None = None

    @contextmanager
    def undone(self) -> Iterator[None]:
        """A transaction of the session that is rolled back in the end; the schema is read in it.

        What was known before is known again afterwards.
        """
        known = self._base.copy(), self._seen.copy(), self._mark
        send(self._connection, "BEGIN")
        try:
            yield
        finally:
            send(self._connection, "ROLLBACK")
            self._base, self._seen, self._mark = known

    def read(self) -> Fingerprint:
        """The fingerprint as it is now; the same as ``fingerprint`` reads.

        Raises:
            DatabaseRefused: the catalog changed meanwhile, or a lock was not available in time.
            DatabaseUnreachable: the connection broke.
        """
        with refused():
            return self._read()

    def _read(self) -> Fingerprint:
        version = self._connection.info.server_version // 10_000
        (settings, *whole), (_, *parts) = queries(version), queries(version, changed=True)
        if not self._number or len(self._base.objects) > _PLANNED_AGAIN * self._planned_for:
            self._prepare(version, settings, parts)
        dirty, present = self._changes(settings)
        self.changed = dirty
        keyed, rest = list[str](), list[str]()
        for number, (query, part) in enumerate(zip(whole, parts, strict=True)):
            name = f"turnback_follow_{self._number}_{number}"
            if query != part and dirty is None:
                keyed.append(query)
            elif query != part and dirty:
                keyed.append(f"EXECUTE {name}({_array(dirty)})")
            elif query == part and present[number]:
                rest.append(f"EXECUTE {name}")
        if dirty is None:
            self._base = self._nothing()
        else:
            self._base.forget(dirty)
            # They were planned for few keys, and the catalog may have been small.
            keyed = [_BY_INDEX, *keyed, "RESET enable_seqscan"]
        results = self._send(settings, *keyed, *rest)
        found = [(names_of(result), result) for result in results]
        for names, result in found:
            if "_key" in names:
                self._base.read(names, rows_of(result))
        now = self._base.copy()
        for names, result in found:
            if "_class" in names and "_key" not in names:
                now.read(names, rows_of(result))
        return now.fingerprint()

    def _nothing(self) -> Reading:
        return Reading(self._history_schema, self._ignore, self._left_out)

    def _send(self, *statements: str) -> list[PGresult]:
        """Run statements that see the same moment; what they set ends with it."""
        begin, end = moment(self._connection)
        return send(self._connection, ";\n".join([*begin, *statements, *end]))

    def _prepare(self, version: int, settings: str, parts: list[str]) -> None:
        """Plan the queries for a catalog of this size."""
        number = self._number = next(_numbers)
        self._planned_for = max(len(self._base.objects), 1)
        statements = [
            f"PREPARE turnback_follow_{number}_{i}{'(oid[])' if '$1' in query else ''} AS {query}"
            for i, query in enumerate(parts)
        ]
        statements += (
            f"PREPARE turnback_look_{number}(xid) AS {_look(conditions(version))}",
            f"PREPARE turnback_dependent_{number}(oid[], oid[], oid[]) AS {_DEPENDENT}",
        )
        # What is planned for any keys need not be planned again for each.
        send(self._connection, "SET plan_cache_mode = force_generic_plan")
        self._send(settings, *statements)

    def _changes(self, settings: str) -> tuple[set[str] | None, list[bool]]:
        """The keys of what may read otherwise than before; None if that is everything.

        And which of the queries may have an answer.
        """
        first, mark = self._mark is None, self._mark or "0"
        results = self._send(settings, f"EXECUTE turnback_look_{self._number}('{mark}')")
        [look] = [result for result in results if result.nfields > 1 and result.ntuples > 1]
        found = {str(name): (count, new) for name, count, new in text_rows(look)}
        self._mark = str(found[_MARK][1])
        present = [letter == "t" for letter in str(found[_PRESENT][1])]
        rare = (found[_ROLES][1], found[_MEMBERS][0], found[_RARE_ONES][1])
        unusual = self._seen.rare != rare or found[_RARE_ONES][0] != "0"
        self._seen.rare = rare
        changes = _Changes()
        for catalog in _CATALOGS:
            count, text = found[catalog]
            new = [tuple(row.split(" ")) for row in str(text or "").split(",") if row]
            gone = [] if count is None else self._gone(catalog, new, int(str(count)))
            if not (first or unusual):
                changes.add(catalog, itertools.chain(new, gone), self._seen)
        if first or unusual:
            return None, present
        if changes.empty:
            return set(), present
        results = self._send(
            settings,
            _BY_INDEX,
            f"EXECUTE turnback_dependent_{self._number}("
            f"{_array(one for one, _ in changes.seeds)}, "
            f"{_array(one for _, one in changes.seeds)}, {_array(changes.mapped)})",
            "RESET enable_seqscan",
        )
        [dependent] = [result for result in results if result.nfields][1:]
        dirty = changes.dirty | {str(key) for (key,) in text_rows(dependent)}
        # A constraint of a table has the type 0, and one of a type the table 0.
        return (dirty | {self._seen.table_of(key) for key in dirty}) - {"0"}, present

    def _gone(self, catalog: str, found: list[_Row], count: int) -> list[_Row]:
        """Note the new rows, and find those that are there no longer."""
        known = self._seen.rows.setdefault(catalog, {})
        known.update((row[0], row) for row in found)
        before = [one for one in self._seen.recent.get(catalog, ()) if one in known]
        self._seen.recent[catalog] = [row[0] for row in found]
        missing = len(known) - count
        if not missing:
            return []
        # A rollback drops what was made just before. Only otherwise all of them are looked through.
        gone = self._absent(catalog, before) if before else []
        if len(gone) != missing:
            gone = self._absent(catalog, known)
        return [known.pop(one) for one in gone]

    def _absent(self, catalog: str, rows: Collection[str]) -> list[str]:
        identity = _CATALOGS[catalog].partition(",")[0]
        some = ""
        if identity.isidentifier() and len(rows) <= _FEW:
            some = f" WHERE {identity} = ANY ({_array(rows)})"
        (result,) = send(self._connection, f"SELECT {identity} FROM pg_catalog.{catalog}{some}")
        there = {str(one) for (one,) in rows_of(result)}
        return [one for one in rows if one not in there]


@dataclass(slots=True)
class _Seen:
    """The rows of the catalogs as they were at the last look, and which of them were new then."""

    rows: dict[str, dict[str, _Row]] = field(default_factory=dict)
    recent: dict[str, list[str]] = field(default_factory=dict)
    rare: object = None

    def copy(self) -> _Seen:
        """One that changes without a change of this one."""
        rows = {catalog: dict(known) for catalog, known in self.rows.items()}
        return _Seen(rows, dict(self.recent), self.rare)

    def table_of(self, key: str) -> str:
        """The table of an index; any other key itself."""
        index = self.rows["pg_index"].get(key)
        return index[1] if index else key


@dataclass(slots=True)
class _Changes:
    """What has changed.

    Attributes:
        dirty: the keys of what is read again.
        seeds: class and oid of what others may name.
        mapped: oids of parts, of which the keys are to be found.
    """

    dirty: set[str] = field(default_factory=set)
    seeds: set[tuple[str, str]] = field(default_factory=set)
    mapped: set[str] = field(default_factory=set)

    @property
    def empty(self) -> bool:
        return not (self.dirty or self.seeds or self.mapped)

    def add(self, catalog: str, changed: Iterable[_Row], seen: _Seen) -> None:
        """Take in the rows of a catalog that are new, or gone."""
        for one, *more in changed:
            match catalog:
                case "pg_class":
                    self.seeds.add(("pg_class", one))
                    self.dirty |= {one, seen.table_of(one), *more[1:]}
                case "pg_attribute":
                    self.seeds.add(("pg_class", one))
                    self.dirty.add(one)
                case "pg_constraint" | "pg_type" | "pg_proc" | "pg_namespace":
                    self.seeds.add((catalog, one))
                    self.dirty |= {one, *more}
                case "pg_index":
                    self.seeds.add(("pg_class", one))
                    self.dirty |= {one, *more}
                case "pg_rewrite":
                    self.seeds.add(("pg_class", more[0]))
                    self.dirty |= {*more}
                case "pg_enum":
                    self.seeds.add(("pg_type", more[0]))
                    self.dirty |= {*more}
                case "pg_depend":
                    self.mapped.add(more[1])
                case "pg_attrdef" | "pg_trigger" | "pg_inherits" | "pg_policy":
                    self.dirty |= {*more}
                case _:
                    self.dirty.add(one)


def _look(conditions: Iterable[str | None]) -> str:
    """The query for changed rows: how many there are, and those newer than a transaction.

    Args:
        conditions: of the queries, see ``read.conditions``.
    """
    new = "age(t.xmin) <= (SELECT age($1))"
    parts = [
        f"SELECT '{_MARK}', NULL::bigint, pg_snapshot_xmin(pg_current_snapshot())::text",
        f"SELECT '{_ROLES}', NULL, md5(string_agg(oid || ' ' || rolname, ',' ORDER BY oid)) "
        "FROM pg_roles",
        f"SELECT '{_MEMBERS}', count(*), NULL FROM pg_depend "
        "WHERE refclassid = 'pg_extension'::regclass AND deptype IN ('e', 'x')",
    ]
    for catalog, columns in _CATALOGS.items():
        rows = f"string_agg(concat_ws(' ', {columns}), ',')"
        if catalog in _NOT_COUNTED:
            parts.append(f"SELECT '{catalog}', NULL, {rows} FROM {catalog} t WHERE {new}")
        else:
            parts.append(
                f"SELECT '{catalog}', count(*), {rows} FILTER (WHERE {new}) FROM {catalog} t"
            )
    rare = " UNION ALL ".join(
        f"SELECT count(*), count(*) FILTER (WHERE {new}) FROM {catalog} t" for catalog in _RARE
    )
    parts.append(
        f"SELECT '{_RARE_ONES}', sum(b)::bigint, string_agg(a::text, ',') FROM ({rare}) AS r (a, b)"
    )
    exist = ", ".join(
        "true" if one is None else f"EXISTS (SELECT FROM {one})" for one in conditions
    )
    parts.append(
        f"SELECT '{_PRESENT}', NULL, string_agg(left(p::text, 1), '' ORDER BY place) "
        f"FROM unnest(ARRAY[{exist}]) WITH ORDINALITY AS e (p, place)"
    )
    return " UNION ALL ".join(parts)


def _array(values: Iterable[str]) -> str:
    """An array of oids; names are those of catalogs."""
    parts = ", ".join(
        value if value.isdecimal() else f"'{value}'::regclass::oid" for value in values
    )
    return f"ARRAY[{parts}]::oid[]"
