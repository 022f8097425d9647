"""What the statements of a migration mean for a database, by the sizes of its tables.

The sizes are read from pg_class alone, which waits for no lock: pg_total_relation_size() opens the
table, and so waits behind a migration that has it locked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from psycopg.rows import tuple_row

from turnback.engine.session.message import Connection
from turnback.engine.session.query import query, relation_oid
from turnback.rehearsal.lock import Lock
from turnback.rehearsal.trace import StatementTrace

# A smaller table is read or rewritten in well under a second.
_SMALL_BYTES = 64 * 2**20
_BLOCKS = {
    "AccessExclusiveLock": "reads and writes",
    "ExclusiveLock": "writes",
    "ShareRowExclusiveLock": "writes",
    "ShareLock": "writes",
}


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a table, as of its last ANALYZE or VACUUM.

    Attributes:
        rows: the estimate; None before the first ANALYZE or VACUUM.
        bytes: of the table itself, without indexes and TOAST.
    """

    rows: int | None
    bytes: int

    def to_dict(self) -> dict[str, int | None]:
        return {"rows": self.rows, "bytes": self.bytes}

    def __str__(self) -> str:
        if self.rows is None:
            return f"never counted, {human_bytes(self.bytes)}"
        return f"about {human_count(self.rows)} rows, {human_bytes(self.bytes)}"


def sizes(connection: Connection, tables: Iterable[str]) -> dict[str, Size]:
    """Table → its size, for those that exist; names as the shadow shows them."""
    # Before the first ANALYZE reltuples is -1.
    sql = (
        "SELECT oid, CASE WHEN reltuples >= 0 THEN reltuples::bigint END, "
        "relpages::bigint * current_setting('block_size')::bigint "
        "FROM pg_class WHERE oid = ANY (%(oids)s::oid[])"
    )
    oids = {name: relation_oid(connection, name) for name in sorted(set(tables))}
    found = query(connection, sql, tuple_row, {"oids": list(oids.values())})
    known = {oid: Size(rows, size) for oid, rows, size in found}
    return {name: known[oid] for name, oid in oids.items() if oid in known}


def describe(statement: StatementTrace, sizes: Mapping[str, Size]) -> Iterator[str]:
    """The strongest lock on each relation, what the statement does there, and the risk of it.

    Args:
        statement: as it was traced.
        sizes: of the tables whose sizes are known.
    """
    strongest = {
        lock.relation: lock for lock in sorted(statement.locks, key=lambda it: it.strength)
    }
    for relation, lock in sorted(strongest.items()):
        table = strongest.get(lock.on_table)
        if lock.table and table and table.strength >= lock.strength:
            # Whoever uses an index has its table locked before.
            continue
        does = [
            *(["rewrites it"] if relation in statement.rewrites else []),
            *([f"reads all of {lock.table or 'it'}"] if lock.on_table in statement.scans else []),
        ]
        what = f": {', '.join(does)}" if does else ""
        size = sizes.get(lock.on_table) if lock.has_size else None
        known = f" ({size})" if size else ""
        risk = judge(lock.mode, size, long_work=bool(does)) if size else waiting(lock)
        yield f"{statement.line}: {lock}{known}{what}; {risk}"


def waiting(lock: Lock) -> str:
    """What waits for a lock, where the size of the table is not known."""
    if not lock.waits:
        return "reads and writes go on"
    *others, last = lock.waits
    return f"{', '.join(others)} and {last} wait" if others else f"{last} waits"


def judge(mode: str, size: Size, *, long_work: bool) -> str:
    """The impact of a lock on a table of this size: what it blocks, and for how long.

    Args:
        mode: the lock (manual, 13.3.1).
        size: the table's.
        long_work: whether the statement reads or rewrites the whole table under that lock.
    """
    if size.bytes == 0:
        return "no risk: it is empty"
    if mode == "ShareUpdateExclusiveLock":
        return "no risk: reads and writes go on"
    blocked = "reads and writes" if mode == "AccessExclusiveLock" else "writes"
    if not long_work or size.bytes < _SMALL_BYTES:
        return f"low risk: blocks {blocked} for a moment"
    return f"HIGH RISK: blocks {blocked} until all of it is done"


def human_count(number: int) -> str:
    """``950``, ``12 thousand``, ``41 million``, ``3.2 billion``."""
    for limit, word in ((10**9, "billion"), (10**6, "million"), (10**3, "thousand")):
        if number >= limit:
            value = number / limit
            return f"{value:.1f} {word}" if value < 10 else f"{value:.0f} {word}"
    return str(number)


def human_bytes(number: int) -> str:
    """``8 kB``, ``12 GB``."""
    for limit, word in ((2**40, "TB"), (2**30, "GB"), (2**20, "MB"), (2**10, "kB")):
        if number >= limit:
            value = number / limit
            return f"{value:.1f} {word}" if value < 10 else f"{value:.0f} {word}"
    return f"{number} bytes"
