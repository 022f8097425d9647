"""Finds what has changed in the catalog since the last look at it.

These are the rows that are newer than the look before, by their ``xmin``, and the ones that are
gone, by their number. Where all who change the schema report their statistics (``report``), only
the catalogs that these name are looked at. Whatever depends on a changed object may read otherwise
now (the text of a view, when a column is renamed), so ``pg_depend`` is followed from there.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from psycopg.pq.abc import PGresult

from turnback.engine.session.message import Connection, send
from turnback.engine.session.message import rows as text_rows
from turnback.schema.read import conditions, moment, rows_of

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
# Of these, the oid that begins a row is also named by others, with what follows it.
_PARTS = (
    *("pg_index", "pg_constraint", "pg_trigger", "pg_attrdef", "pg_rewrite", "pg_policy"),
    "pg_type",
)
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
BY_INDEX = "SET LOCAL enable_seqscan = off"
_REPORTS_SINCE = 150_000
_DEPENDENT = """
WITH RECURSIVE hit (class, oid) AS (
    SELECT * FROM unnest($1, $2)
     UNION
    SELECT d.classid, d.objid FROM hit h
      JOIN pg_depend d ON d.refclassid = h.class AND d.refobjid = h.oid
) SELECT oid FROM hit
"""
_FEW = 1000
_numbers = itertools.count(1)
_Row = tuple[str, ...]


def report(connection: Connection) -> str:
    """The statement with which a session reports its statistics, before it is answered.

    Otherwise it does so within a second. Empty where the server cannot, before PostgreSQL 15.
    """
    if connection.info.server_version < _REPORTS_SINCE:
        return ""
    return "SELECT pg_catalog.pg_stat_force_next_flush()"


def send_as_one(connection: Connection, *statements: str) -> list[PGresult]:
    """Run statements that see the same moment; what they set ends with it."""
    begin, end = moment(connection)
    return send(connection, ";\n".join([*begin, *statements, *end]))


class Catalog:
    """The catalog of a database that is looked at again and again.

    Args:
        connection: a session that runs nothing else but what is rolled back.
        settings: the statement that makes the settings of a transaction.
    """

    def __init__(self, connection: Connection, settings: str) -> None:
        self._connection, self._settings = connection, settings
        self._number = 0
        self._seen = _Seen()

    def prepare(self) -> list[str]:
        """The statements that plan the queries for a catalog of this size."""
        number = self._number = next(_numbers)
        version = self._connection.info.server_version // 10_000
        return [
            f"PREPARE turnback_counts_{number} AS {_counts(conditions(version))}",
            f"PREPARE turnback_look_{number}(xid) AS {_look()}",
            f"PREPARE turnback_dependent_{number}(oid[], oid[]) AS {_DEPENDENT}",
            *(
                f"PREPARE turnback_new_{number}_{catalog}(xid) AS {_new_rows(catalog)}"
                for catalog in _CATALOGS
            ),
        ]

    def has_one_of(self, keys: set[str], catalogs: Iterable[str]) -> bool:
        """Whether one of these catalogs has one of the keys."""
        return any(not self._seen.rows[one].keys().isdisjoint(keys) for one in catalogs)

    def forget_since_first(self) -> None:
        """Read again what is newer than the first look."""
        self._seen.mark = self._seen.first

    @contextmanager
    def undone(self) -> Iterator[None]:
        """What is seen meanwhile is not known afterwards."""
        known = self._seen.copy()
        try:
            yield
        finally:
            self._seen = known

    def changes(self, *, reported: bool) -> tuple[set[str] | None, list[bool]]:
        """The keys of what may read otherwise than before; None if that is everything.

        And which of the queries may have an answer.

        Args:
            reported: whether all who may have changed the schema since the last look have reported
                their statistics, and count what they change (``track_counts``).
        """
        seen = self._seen
        first, mark = seen.mark is None, seen.mark or "0"
        look = f"EXECUTE turnback_look_{self._number}('{mark}')"
        general, *looks = self._ask(
            f"EXECUTE turnback_counts_{self._number}",
            *([] if reported and not first else [look]),
        )
        seen.mark = str(general[_MARK][1])
        seen.first = seen.first or seen.mark
        present = [letter == "t" for letter in str(general[_PRESENT][1])]
        around = general[_ROLES][1], general[_MEMBERS][0]
        written, deleted = seen.counted(general)
        unusual = around != seen.around
        seen.around = around
        if not looks and (unusual or not written.union(deleted).isdisjoint(_RARE)):
            looks = self._ask(look)
        if looks:
            [found] = looks
            unusual |= seen.rare != found[_RARE_ONES][1] or found[_RARE_ONES][0] != "0"
            seen.rare = found[_RARE_ONES][1]
        else:
            asked = [catalog for catalog in _CATALOGS if catalog in written]
            name = f"turnback_new_{self._number}"
            every = (f"EXECUTE {name}_{catalog}('{mark}')" for catalog in asked)
            found = {k: v for one in self._ask(*every) for k, v in one.items()}
        new = {
            catalog: [
                tuple(row.split(" ")) for row in str(found[catalog][1] or "").split(",") if row
            ]
            for catalog in _CATALOGS
            if catalog in found
        }
        made = seen.note(new)
        missing = {one: number for one, number in deleted.items() if one not in _NOT_COUNTED}
        if looks:
            counted = (catalog for catalog in new if catalog not in _NOT_COUNTED)
            missing = {one: len(seen.rows[one]) - int(str(found[one][0])) for one in counted}
        gone = self._gone(
            {one: number for one, number in missing.items() if number}, exact=bool(looks)
        )
        seen.recent |= {catalog: [row[0] for row in rows] for catalog, rows in new.items()}
        # More than are known: something has changed that was not seen then.
        if first or unusual or min(missing.values(), default=0) < 0:
            return None, present
        changes = _Changes()
        for catalog, rows in itertools.chain(new.items(), gone.items()):
            changes.add(catalog, rows, seen)
        return self._dirty(
            changes, made | {(one, row[0]) for one in gone for row in gone[one]}
        ), present

    def _ask(self, *statements: str) -> list[dict[str, tuple[object, object]]]:
        """The answers of ``_counts``, ``_look`` and ``_new_rows``, by their first column."""
        results = send_as_one(self._connection, self._settings, *statements) if statements else []
        return [
            {str(name): (count, text) for name, count, text in text_rows(result)}
            for result in results
            if result.nfields == _ANSWER
        ]

    def _dirty(self, changes: _Changes, alone: set[tuple[str, str]]) -> set[str]:
        """The keys of what has changed, and of what depends on it.

        Args:
            changes: all that has changed.
            alone: those of them that are new or gone: what depends on them has changed itself.
        """
        dirty = {key for one in changes.mapped for key in self._seen.keys_of(one)} | changes.dirty
        if seeds := changes.seeds - alone:
            classes, oids = (array_of(half) for half in zip(*seeds, strict=True))
            results = send_as_one(
                self._connection,
                self._settings,
                BY_INDEX,
                f"EXECUTE turnback_dependent_{self._number}({classes}, {oids})",
                "RESET enable_seqscan",
            )
            [_, dependent] = [result for result in results if result.nfields]
            found = (str(oid) for (oid,) in text_rows(dependent))
            dirty |= {key for oid in found for key in self._seen.keys_of(oid)}
        # A constraint of a table has the type 0, and one of a type the table 0.
        return (dirty | {self._seen.table_of(key) for key in dirty}) - {"0"}

    def _gone(self, missing: Mapping[str, int], *, exact: bool) -> dict[str, list[_Row]]:
        """The rows that are there no longer.

        Args:
            missing: how many, for each catalog.
            exact: whether these are so many; otherwise some may never have been seen.
        """
        known = self._seen.rows
        # A rollback drops what was made just before. Only otherwise all of them are looked through.
        recent = {
            catalog: [one for one in self._seen.recent.get(catalog, ()) if one in known[catalog]]
            for catalog in missing
        }
        gone = self._absent({catalog: ids for catalog, ids in recent.items() if ids})
        for catalog, number in missing.items():
            absent = len(gone.get(catalog, ()))
            if absent != number and not exact:
                [[count]] = text_rows(
                    send(self._connection, f"SELECT count(*) FROM pg_catalog.{catalog}")[0]
                )
                number = len(known[catalog]) - int(str(count))
            if absent != number:
                gone |= self._absent({catalog: list(known[catalog])})
        return {catalog: [known[catalog].pop(one) for one in ids] for catalog, ids in gone.items()}

    def _absent(self, asked: Mapping[str, list[str]]) -> dict[str, list[str]]:
        """Those of the identities that their catalogs do not have."""
        queries = []
        for catalog, ids in asked.items():
            identity = _CATALOGS[catalog].partition(",")[0]
            some = ""
            if identity.isidentifier() and len(ids) <= _FEW:
                some = f" WHERE {identity} = ANY ({array_of(ids)})"
            queries.append(f"SELECT {identity} FROM pg_catalog.{catalog}{some}")
        results = send(self._connection, ";\n".join(queries)) if queries else []
        absent = {}
        for (catalog, ids), result in zip(asked.items(), results, strict=True):
            there = {str(one) for (one,) in rows_of(result)}
            absent[catalog] = [one for one in ids if one not in there]
        return absent


@dataclass(slots=True)
class _Seen:
    """The rows of the catalogs as they were at the last look, and which of them were new then.

    Attributes:
        mark: transactions before this one had ended.
        first: the mark of the first look.
        counts: how many rows of a catalog were ever written, and how many deleted.
        around: what else tells that everything is to be read.
        rare: how many rows the rare catalogs had.
    """

    mark: str | None = None
    first: str | None = None
    rows: dict[str, dict[str, _Row]] = field(default_factory=dict)
    recent: dict[str, list[str]] = field(default_factory=dict)
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    around: object = None
    rare: object = None

    def copy(self) -> _Seen:
        """One that changes without a change of this one."""
        rows = {catalog: dict(known) for catalog, known in self.rows.items()}
        return replace(self, rows=rows, recent=dict(self.recent))

    def counted(
        self, found: Mapping[str, tuple[object, object]]
    ) -> tuple[set[str], dict[str, int]]:
        """The catalogs that were written since the last look, and of how many rows were deleted."""
        counts = {
            catalog: (int(str(found[catalog][0])), int(str(found[catalog][1])))
            for catalog in (*_CATALOGS, *_RARE)
        }
        known, self.counts = self.counts or counts, counts
        written = {one for one, (number, _) in counts.items() if number != known[one][0]}
        deleted = {one: number - known[one][1] for one, (_, number) in counts.items()}
        return written, {one: number for one, number in deleted.items() if number}

    def note(self, new: Mapping[str, list[_Row]]) -> set[tuple[str, str]]:
        """Take in new rows; those of them that are no other rows of what was known."""
        made = set()
        for catalog, rows in new.items():
            if catalog in _NOT_COUNTED:
                continue
            known = self.rows.setdefault(catalog, {})
            made |= {(catalog, row[0]) for row in rows if row[0] not in known}
            known.update((row[0], row) for row in rows)
        return made

    def table_of(self, key: str) -> str:
        """The table of an index; any other key itself."""
        index = self.rows["pg_index"].get(key)
        return index[1] if index else key

    def keys_of(self, oid: str) -> Iterator[str]:
        """The keys by which an object is read: its own, and that of what it is part of."""
        yield oid
        for catalog in _PARTS:
            yield from self.rows[catalog].get(oid, (oid,))[1:]


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


_NEW = "age(t.xmin) <= (SELECT age($1))"
_ANSWER = 3


def _look() -> str:
    """The query for changed rows: how many there are, and those newer than a transaction."""
    rare = " UNION ALL ".join(
        f"SELECT count(*), count(*) FILTER (WHERE {_NEW}) FROM {catalog} t" for catalog in _RARE
    )
    parts = [
        f"SELECT '{_RARE_ONES}', sum(b)::bigint, string_agg(a::text, ',') FROM ({rare}) AS r (a, b)"
    ]
    for catalog, columns in _CATALOGS.items():
        if catalog in _NOT_COUNTED:
            parts.append(_new_rows(catalog))
        else:
            parts.append(
                f"SELECT '{catalog}', count(*), string_agg(concat_ws(' ', {columns}), ',') "
                f"FILTER (WHERE {_NEW}) FROM {catalog} t"
            )
    return " UNION ALL ".join(parts)


def _new_rows(catalog: str) -> str:
    """The query for the rows of a catalog that are newer than a transaction."""
    rows = f"string_agg(concat_ws(' ', {_CATALOGS[catalog]}), ',')"
    return f"SELECT '{catalog}', NULL::bigint, {rows} FROM {catalog} t WHERE {_NEW}"


def _counts(conditions: Iterable[tuple[str | None, object]]) -> str:
    """The query for what a look finds out besides the changed rows.

    Args:
        conditions: of the queries, see ``read.conditions``.
    """
    exist = ", ".join(
        "true" if one is None else f"EXISTS (SELECT FROM {one})" for one, _ in conditions
    )
    every = ", ".join(f"'{catalog}'" for catalog in (*_CATALOGS, *_RARE))
    return f"""
SELECT '{_MARK}', NULL::bigint, pg_snapshot_xmin(pg_current_snapshot())::text
UNION ALL
SELECT '{_ROLES}', NULL, md5(string_agg(oid || ' ' || rolname, ',' ORDER BY oid)) FROM pg_roles
UNION ALL
SELECT '{_MEMBERS}', count(*), NULL FROM pg_depend
 WHERE refclassid = 'pg_extension'::regclass AND deptype IN ('e', 'x')
UNION ALL
SELECT '{_PRESENT}', NULL, string_agg(left(p::text, 1), '' ORDER BY place)
  FROM unnest(ARRAY[{exist}]) WITH ORDINALITY AS e (p, place)
UNION ALL
SELECT name, pg_stat_get_tuples_inserted(oid) + pg_stat_get_tuples_updated(oid),
       pg_stat_get_tuples_deleted(oid)::text
  FROM unnest(ARRAY[{every}], ARRAY[{every}]::regclass[]) AS c (name, oid)
"""


def array_of(values: Iterable[str]) -> str:
    """An array of oids; names are those of catalogs."""
    parts = ", ".join(
        value if value.isdecimal() else f"'{value}'::regclass::oid" for value in values
    )
    return f"ARRAY[{parts}]::oid[]"
