"""How far a backfill has come: its rows in ``migration_backfills``, one for each range of keys.

A batch changes rows and moves the position of its range in one message, so a crash repeats nothing
and loses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources

from psycopg.rows import class_row

from turnback.engine.session.message import Connection, send
from turnback.engine.session.query import CATALOG_ONLY, OURSELVES, query, refusal, scalar
from turnback.sql.quoting import identifier, literal
from turnback.wording import counted

MOVED = "turnback: another run goes on with the backfill"
_TABLE = "migration_backfills"
# The key before a range, None for the beginning; and its last one, None where there are no rows.
Bounds = tuple[Sequence[str] | None, Sequence[str] | None]


@dataclass(frozen=True, slots=True)
class Changes:
    """What one batch changes.

    Attributes:
        changing: statements that return nothing; the rows that they change are counted.
        before: statements that run before these; each counts as one row.
    """

    changing: Sequence[str]
    before: Sequence[str] = ()

    def counted(self) -> str:
        """SQL: all of it; the numbers of rows are in ``turnback_rows (n)`` of a WITH."""
        names = [f"turnback_{number}" for number in range(len(self.changing))]
        parts = [
            f"{name} AS (\n{statement}\nRETURNING 1)"
            for name, statement in zip(names, self.changing, strict=True)
        ]
        numbers = [f"SELECT {len(self.before)}::bigint"]
        numbers += [f"SELECT pg_catalog.count(*) FROM {name}" for name in names]
        parts.append(f"turnback_rows (n) AS ({' UNION ALL '.join(numbers)})")
        return "".join([*(f"{one};\n" for one in self.before), "WITH ", ",\n".join(parts)])


@dataclass(frozen=True, slots=True)
class Parked:
    """A row that could not be changed: its key, and what the server said."""

    key: list[str]
    error: str


@dataclass(frozen=True, slots=True)
class Range:
    """One range of a backfill's keys, and how far it has come.

    Attributes:
        part: its number, from 1.
        state: ``running``, ``paused``, ``cancelled``, ``failed`` or ``done``.
        low: the range begins after this key, whose values are text; None: with the first.
        position: the last key that is done; None before the first.
        upto: the last key of the range.
        parked: the rows that could not be changed.
        batch_rows: how many keys the next batch takes.
        target_ms: how long a batch is to take, milliseconds.
        pause_ms: how long to wait between two batches, milliseconds.
        rows: how many rows were changed.
        keys: how many keys were gone through.
        keys_in_all: how many there were at the beginning, by estimate.
        work_ms: how long the batches took in the server, milliseconds.
        passes: how often the range is gone through; more than once with ``sweep``.
        run: the run that has applied its migration, where it is in the background; None where the
            migration is applied at its end.
        announced: of how many percent it was announced.
        error: what stopped it or holds it up, or None.
    """

    version: str
    direction: str
    part: int
    state: str
    checksum: str
    relation: str
    key: list[str]
    low: list[str] | None
    position: list[str] | None
    upto: list[str] | None
    parked: list[Parked]
    batch_rows: int
    target_ms: int
    pause_ms: int
    rows: int
    keys: int
    keys_in_all: int
    batches: int
    work_ms: int
    passes: int
    run: str | None
    announced: int
    error: str | None
    started_at: datetime
    updated_at: datetime


def state_of(ranges: Sequence[Range]) -> str:
    """The state of a backfill: that of the range that needs most attention."""
    states = {one.state for one in ranges}
    return next(
        one for one in ("cancelled", "failed", "paused", "running", "done") if one in states
    )


@dataclass(frozen=True, slots=True)
class BackfillStatus:
    """The state of a backfill, and how many percent of it are done."""

    state: str
    percent: int

    def __str__(self) -> str:
        return f"{self.state}, {self.percent} %"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a backfill has come, over all its ranges.

    Attributes:
        percent: of the keys; 100 only when it is done.
        rows: how many were changed.
        per_second: how many rows a second of wall time; None at the beginning.
        left_s: how long the rest takes at that speed, seconds; None at the beginning.
    """

    percent: int
    rows: int
    per_second: float | None
    left_s: float | None

    @classmethod
    def of(cls, ranges: Sequence[Range]) -> Progress:
        """The progress that the records show."""
        done = all(one.state == "done" or one.position == one.upto for one in ranges)
        keys, in_all = sum(one.keys for one in ranges), sum(one.keys_in_all for one in ranges)
        rows = sum(one.rows for one in ranges)
        share = min(keys / in_all, 0.99) if in_all else 0.0
        began = min(one.started_at for one in ranges)
        took = (max(one.updated_at for one in ranges) - began).total_seconds()
        return cls(
            100 if done else int(share * 100),
            rows,
            rows / took if took else None,
            took * (1 - share) / share if share and took and not done else None,
        )

    def __str__(self) -> str:
        text = counted(self.rows, "row")
        if self.per_second is not None:
            text += f", {self.per_second:,.0f} a second"
        if self.left_s is not None:
            text += f", about {_time(self.left_s)} left"
        return text


class Records:
    """Reads and writes the records of one migration's backfill in one direction.

    Attributes:
        table: the table's name, quoted.
        direction: ``up`` or ``down``.
    """

    def __init__(self, schema: str, version: str = "", direction: str = "up") -> None:
        self._schema = schema
        self.table = f"{identifier(schema)}.{_TABLE}"
        self._version, self.direction = version, direction

    def exist(self, connection: Connection) -> bool:
        """Whether the table is there."""
        name = {"name": self.table}
        found = scalar(connection, "SELECT pg_catalog.to_regclass(%(name)s)::oid", name)
        return found is not None

    def readable(self, connection: Connection) -> bool:
        """Whether the table is there, and this user may read it."""
        sql = (
            "SELECT pg_catalog.has_table_privilege("
            "pg_catalog.to_regclass(%(name)s)::pg_catalog.oid, 'SELECT')"
        )
        return scalar(connection, sql, {"name": self.table}) is True

    def create(self, connection: Connection) -> None:
        """Make the table, unless it is there."""
        if not self.exist(connection):
            file = resources.files("turnback.engine").joinpath("schema_backfills.sql")
            text = file.read_text("utf-8").replace("'history_schema'", literal(self._schema))
            text = text.replace('"history_schema"', identifier(self._schema))
            send(connection, f"{OURSELVES} {CATALOG_ONLY} {text}")

    def read(self, connection: Connection) -> list[Range]:
        """The ranges of this backfill, in their order; of all backfills without a version."""
        if not self.exist(connection):
            return []
        where = "true"
        if self._version:
            where = "version = %(version)s AND direction = %(direction)s"
        sql = (
            "SELECT version::text, direction, part, state, checksum::text, relation, key, low, "
            "position, upto, parked, batch_rows, target_ms, pause_ms, rows, keys, keys_in_all, "
            "batches, work_ms, passes, run, announced, error, started_at, updated_at "
            f"FROM {self.table} WHERE {where} "
            "ORDER BY started_at, version, part"
        )
        params = {"version": self._version, "direction": self.direction}
        found = query(connection, sql, class_row(_Row), params)
        return [row.range() for row in found]

    def begin(
        self,
        checksum: str,
        relation: str,
        key: Sequence[str],
        parts: Sequence[Bounds],
        keys_in_all: int,
        target_ms: int,
        pause_ms: int,
        passes: int,
        run: str | None = None,
    ) -> str:
        """SQL: a backfill begins.

        Args:
            checksum: of its script.
            relation: the table, as it is printed.
            key: its key's columns.
            parts: the key before each range, and its last one; none where there are no rows.
            keys_in_all: how many keys there are, by estimate.
            target_ms: how long a batch is to take.
            pause_ms: how long to wait between two batches.
            passes: 2 where the ranges may have been gone through before, else 1.
            run: the run that applies its migration before it; None where that is done at its end.
        """
        rows = list[str]()
        each = max(keys_in_all // max(len(parts), 1), 0)
        for part, bounds in enumerate(parts or [(None, None)], 1):
            low, upto = ("NULL" if one is None else _array(one) for one in bounds)
            rows.append(
                f"({literal(self._version)}, {literal(self.direction)}, {part}, "
                f"{literal(checksum)}, {literal(relation)}, {_array(key)}, {low}, {low}, "
                f"{upto}, {each}, {target_ms}, {pause_ms}, {passes}, {literal(run)})"
            )
        return (
            f"DELETE FROM {self.table} WHERE {self._this}; INSERT INTO {self.table} (version, "
            "direction, part, checksum, relation, key, low, position, upto, keys_in_all, "
            f"target_ms, pause_ms, passes, run) VALUES {', '.join(rows)};"
        )

    def still_at(self, part: int, position: Sequence[str] | None) -> str:
        """SQL that fails where another run has gone on with the range."""
        here = (
            "pg_catalog.array_to_json(position)::text OPERATOR(pg_catalog.=) "
            f"pg_catalog.array_to_json({_array(position)})::text"
            if position is not None
            else "position IS NULL"
        )
        return (
            f"SELECT CASE WHEN EXISTS (SELECT FROM {self.table} WHERE {self._in(part)} AND {here}) "
            f"THEN 0 ELSE {refusal(MOVED)} END;"
        )

    def batch(
        self, changes: Changes, part: int, position: Sequence[str], keys: int, size: int
    ) -> str:
        """SQL: what a batch changes, and its record, which is one statement with the last of it.

        It returns the range's state, target and pause, as they are now, and the rows it changed.

        Args:
            changes: what it changes.
            part: the range.
            position: the last key of the batch.
            keys: how many keys it has.
            size: how many keys the next batch takes.
        """
        return (
            f"{changes.counted()},\n"
            "turnback_count AS (SELECT pg_catalog.sum(n)::bigint AS n, "
            "pg_catalog.clock_timestamp() AS t FROM turnback_rows)\n"
            f"UPDATE {self.table} AS b SET position = {_array(position)}, "
            "rows = b.rows OPERATOR(pg_catalog.+) c.n, "
            f"keys = b.keys OPERATOR(pg_catalog.+) {keys}, batch_rows = {size}, "
            "batches = b.batches OPERATOR(pg_catalog.+) 1, work_ms = b.work_ms "
            "OPERATOR(pg_catalog.+) (extract(epoch FROM c.t OPERATOR(pg_catalog.-) "
            "pg_catalog.statement_timestamp()) OPERATOR(pg_catalog.*) 1000::numeric)::bigint, "
            f"updated_at = c.t FROM turnback_count AS c WHERE {self._in(part, 'b.')} "
            "RETURNING b.state, b.target_ms, b.pause_ms, c.n"
        )

    def park(self, part: int, position: Sequence[str], error: str) -> str:
        """SQL: the row of this key could not be changed; the range goes on after it."""
        one = f"pg_catalog.jsonb_build_object('key', {_array(position)}, 'error', {literal(error)})"
        return (
            f"UPDATE {self.table} SET position = {_array(position)}, "
            f"parked = parked OPERATOR(pg_catalog.||) {one}, "
            "keys = keys OPERATOR(pg_catalog.+) 1 "
            f"WHERE {self._in(part)} RETURNING state, target_ms, pause_ms, 0"
        )

    def freed(self, changes: Changes, part: int, number: int) -> str:
        """SQL: a parked row is changed after all; ``number`` is its place, from 0."""
        return (
            f"{changes.counted()}\n"
            f"UPDATE {self.table} SET parked = parked OPERATOR(pg_catalog.-) {number}, "
            "rows = rows OPERATOR(pg_catalog.+) "
            "(SELECT pg_catalog.sum(n)::bigint FROM turnback_rows) "
            f"WHERE {self._in(part)} RETURNING state, target_ms, pause_ms, 0"
        )

    def again(self, part: int, upto: Sequence[str], passes: int) -> str:
        """SQL: the range is gone through once more, from its beginning."""
        return (
            f"UPDATE {self.table} SET position = low, upto = {_array(upto)}, "
            f"passes = {passes} WHERE {self._in(part)}"
        )

    def forget(self) -> str:
        """SQL: nothing of this backfill was done."""
        return f"DELETE FROM {self.table} WHERE {self._this}"

    def edited(self, checksum: str, run: str | None = None) -> str:
        """SQL: the rest runs with the script as it is now; ``run`` is as of ``begin``."""
        new = f"checksum = {literal(checksum)}, run = {literal(run)}"
        return f"UPDATE {self.table} SET {new} WHERE {self._this}"

    def announced(self, percent: int) -> str:
        """SQL: it was announced that so much is done."""
        return f"UPDATE {self.table} SET announced = {percent} WHERE {self._this}"

    def set_state(self, state: str, error: str | None = None) -> str:
        """SQL: every range of this backfill that is not done has this state, and why."""
        return (
            f"UPDATE {self.table} SET state = {literal(state)}, error = {literal(error)}, "
            f"updated_at = pg_catalog.clock_timestamp() WHERE {self._this} "
            "AND state OPERATOR(pg_catalog.<>) 'done' RETURNING 1"
        )

    def set_error(self, error: str | None) -> str:
        """SQL: what holds it up; None where nothing does any more."""
        return f"UPDATE {self.table} SET error = {literal(error)} WHERE {self._this}"

    def set_speed(self, target_ms: int | None, pause_ms: int | None) -> str:
        """SQL: how long a batch is to take from now on, and how long to wait between two."""
        values = {"target_ms": target_ms, "pause_ms": pause_ms}
        new = ", ".join(f"{name} = {value}" for name, value in values.items() if value is not None)
        return f"UPDATE {self.table} SET {new} WHERE {self._this} RETURNING 1"

    def done(self) -> str:
        """SQL: the whole backfill is done; what the other direction had recorded goes."""
        return (
            f"{self.set_state('done')}; DELETE FROM {self.table} WHERE version::text "
            f"OPERATOR(pg_catalog.=) {literal(self._version)}::text AND NOT ({self._this})"
        )

    @property
    def _this(self) -> str:
        return self._in(None)

    def _in(self, part: int | None, prefix: str = "") -> str:
        where = (
            f"{prefix}version::text OPERATOR(pg_catalog.=) {literal(self._version)}::text "
            f"AND {prefix}direction OPERATOR(pg_catalog.=) {literal(self.direction)}"
        )
        if part is None:
            return where
        return f"{where} AND {prefix}part OPERATOR(pg_catalog.=) {part}"


@dataclass(frozen=True, slots=True)
class _Row(Range):
    """A row as psycopg reads it."""

    def range(self) -> Range:
        values = {name: getattr(self, name) for name in Range.__dataclass_fields__}
        parked = [Parked(one["key"], one["error"]) for one in self.parked]  # type: ignore[index]
        return Range(**{**values, "parked": parked})


def _array(values: Sequence[str]) -> str:
    return f"ARRAY[{', '.join(map(literal, values))}]::pg_catalog.text[]"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
