"""The rows of a database that are compared again and again: each time only what may have changed.

The rows of a table amount to their number and the sum of a hash of each. So they need neither an
order nor memory, and what is added to them is added to the sum. Rows that are older than a look
were there in that look (their ``xmin``); where they are as many as then, they are the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from turnback.engine.session.message import Connection, rows, send
from turnback.rehearsal.planned import of_oids
from turnback.schema.changed import report
from turnback.sql.own_tables import OWN_TABLES
from turnback.sql.quoting import identifier, literal

# The setting in which a transaction leaves the tables that it has locked against others' changes:
# whoever changes rows holds such a lock to the end.
_WRITTEN = "turnback.written"
NOTE_WRITTEN = (
    f"SELECT pg_catalog.set_config('{_WRITTEN}', "
    "pg_catalog.string_agg(DISTINCT relation::text, ' '), false) "
    "FROM pg_catalog.pg_locks WHERE pid = pg_catalog.pg_backend_pid() AND locktype = 'relation' "
    "AND mode NOT IN ('AccessShareLock', 'RowShareLock')"
)
# Looks at a table that are remembered: before a migration, after it, and after its rollback.
_LOOKS = 3
# The text of such a column can change without a change of its table.
_UNSETTLED = """EXISTS (SELECT FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    AND (a.attgenerated = 'v' OR y.oid < 16384 AND y.typname ~ '^_?reg'))"""

# By name: a column that a rollback makes again is the last one, and its row is the same row.
_COLUMNS = """pg_catalog.array_to_string(ARRAY(
    SELECT pg_catalog.concat('t.', pg_catalog.quote_ident(a.attname))
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attname), ', ')"""


def written(connection: Connection) -> set[str]:
    """The oids of what the last transaction of a session has locked, where it ran the note.

    The session reports its statistics with it, where the server can.
    """
    query = f"SELECT pg_catalog.current_setting('{_WRITTEN}', true); {report(connection)}"
    [[found]] = rows(send(connection, query)[0])
    return set(str(found or "").split())


@dataclass(frozen=True, slots=True)
class _Look:
    """The rows of a table at one moment.

    Attributes:
        mark: transactions before this one had ended.
        count: how many rows there were.
        total: the sum of their hashes.
    """

    mark: str
    count: int
    total: int


@dataclass(slots=True)
class _Table:
    name: str
    place: str
    columns: str
    unsettled: bool
    looks: list[_Look] = field(default_factory=list)


class FollowedRows:
    """The rows of a database that is looked at again and again.

    Args:
        connection: a session with no transaction open.
        history_schema: where turnback's own tables are.
    """

    def __init__(self, connection: Connection, *, history_schema: str = "public") -> None:
        self._connection = connection
        self._history_schema = history_schema
        self._tables: dict[str, _Table] = {}

    def read(
        self, written: Collection[str] | None = None, changed: Collection[str] | None = None
    ) -> dict[str, str]:
        """Table → number and sum of its rows, for the tables that are not empty.

        Args:
            written: the oids of tables whose rows may be others than at the last look; None if
                that is every table.
            changed: the oids of tables of which the definition, or that of a type, has changed.
        """
        if written is None or changed is None:
            asked, changed = None, self._tables.keys() if changed is None else changed
        else:
            always = (oid for oid, table in self._tables.items() if table.unsettled)
            asked = {*written, *changed, *always}
        if asked is None or asked:
            found = self._find(asked, set(changed))
            older = self._unchanged(found)
            self._count(found, older)
        return {
            table.name: f"{table.looks[-1].count} {table.looks[-1].total}"
            for table in self._tables.values()
            if table.looks and table.looks[-1].count
        }

    def _find(self, asked: set[str] | None, changed: set[str]) -> dict[str, _Table]:
        """Those of the tables that exist and have a file that is not empty."""
        ours = ", ".join(literal(name) for name in OWN_TABLES)
        some = "" if asked is None else "AND c.oid = ANY ($1) "
        query = (
            f"SELECT c.oid, n.nspname, c.relname, {_UNSETTLED}, {_COLUMNS} "
            "FROM pg_catalog.pg_class c "
            "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\\_%' "
            f"AND n.nspname <> 'information_schema' {some}"
            "AND pg_catalog.pg_relation_size(c.oid) > 0 "
            f"AND NOT (n.nspname = {literal(self._history_schema)} AND c.relname IN ({ours}))"
        )
        found = {}
        if asked is None:
            [answer] = send(self._connection, query)
        else:
            answer = of_oids(self._connection, query, asked)
        for oid, schema, name, unsettled, columns in rows(answer):
            place = f"{identifier(str(schema))}.{identifier(str(name))}"
            table = _Table(f"{schema}.{name}", place, str(columns), unsettled == "t")
            known = self._tables.get(str(oid))
            if known and not table.unsettled and str(oid) not in changed:
                table.looks = known.looks
            found[str(oid)] = table
        gone = self._tables.keys() if asked is None else asked
        self._tables = {oid: one for oid, one in self._tables.items() if oid not in gone} | found
        return found

    def _unchanged(self, found: Mapping[str, _Table]) -> dict[str, _Look | None]:
        """The look at each of the tables whose rows are all still there; None without tables."""
        known = {oid: table for oid, table in found.items() if table.looks}
        older: dict[str, _Look | None] = dict.fromkeys(found)
        if not known:
            return older
        parts = (
            f"SELECT {oid}, {_counts(table.looks)} FROM ONLY {table.place}"
            for oid, table in known.items()
        )
        for oid, *numbers in rows(send(self._connection, " UNION ALL ".join(parts))[0]):
            for look, number in zip(known[str(oid)].looks, numbers, strict=False):
                if look.count == int(str(number)):
                    older[str(oid)] = look
        return older

    def _count(self, found: Mapping[str, _Table], older: Mapping[str, _Look | None]) -> None:
        """Look at the rows that are newer than an earlier look."""
        if not found:
            return
        mark = "pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::pg_catalog.xid"
        parts = (
            f"SELECT {oid}, {mark}, pg_catalog.count(*), "
            f"sum(pg_catalog.hashtextextended(ROW({table.columns})::text "
            'COLLATE pg_catalog."C", 0)) '
            f"FROM ONLY {table.place} t{_newer(older[oid])}"
            for oid, table in found.items()
        )
        for oid, at, count, total in rows(send(self._connection, " UNION ALL ".join(parts))[0]):
            looks, before = found[str(oid)].looks, older[str(oid)]
            number, amount = int(str(count)), int(str(total or 0))
            if before:
                number, amount = number + before.count, amount + before.total
            found[str(oid)].looks = [*looks[1 - _LOOKS :], _Look(str(at), number, amount)]


def _age(mark: str) -> str:
    return f"pg_catalog.age(xmin) {{}} (SELECT pg_catalog.age('{mark}'::pg_catalog.xid))"


def _counts(looks: Iterable[_Look]) -> str:
    """How many rows are older than each look, and NULL for looks that are not remembered."""
    counts = [f"pg_catalog.count(*) FILTER (WHERE {_age(look.mark).format('>')})" for look in looks]
    return ", ".join([*counts, *["-1"] * (_LOOKS - len(counts))])


def _newer(look: _Look | None) -> str:
    return f" WHERE {_age(look.mark).format('<=')}" if look else ""


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
