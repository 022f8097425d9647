"""How big the tables of a database are, without waiting for any lock.

From pg_class alone: pg_total_relation_size() opens the table, and so waits behind a migration that
has it locked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from turnback.engine.message import Connection, rows, send
from turnback.engine.quoting import literal


@dataclass(frozen=True, slots=True)
class Size:
    """A table as the server last counted it.

    Attributes:
        rows: about how many; None before the first ANALYZE or VACUUM.
        bytes: of the table itself, without indexes and TOAST.
    """

    rows: int | None
    bytes: int

    def __str__(self) -> str:
        if self.rows is None:
            return f"never counted, {human_bytes(self.bytes)}"
        return f"about {human_count(self.rows)} rows, {human_bytes(self.bytes)}"


def sizes(connection: Connection, tables: Iterable[str]) -> dict[str, Size]:
    """Table → its size, for those that are there; names as the shadow shows them."""
    wanted = sorted(set(tables))
    if not wanted:
        return {}
    values = ", ".join(f"({literal(name)})" for name in wanted)
    query = (
        "SELECT w.name, c.reltuples, "
        "c.relpages::bigint * pg_catalog.current_setting('block_size')::bigint "
        f"FROM (VALUES {values}) AS w (name) "
        "JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(w.name)"
    )
    return {
        str(name): Size(
            None if float(tuples or -1) < 0 else int(float(tuples or 0)), int(size or 0)
        )
        for name, tuples, size in rows(send(connection, query)[0])
    }


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
