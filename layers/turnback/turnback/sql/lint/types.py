"""Changes of a column's type that PostgreSQL makes without touching a row."""

from __future__ import annotations

from turnback.sql.lint.definitions import type_of
from turnback.sql.lint.nodes import Node
from turnback.sql.lint.schema import Type

_UNBOUNDED = {
    ("varchar", "text"),
    ("text", "varchar"),
    ("cidr", "inet"),
    # Where the session's time zone is UTC, as it is on RDS unless someone sets another.
    ("timestamp", "timestamptz"),
    ("timestamptz", "timestamp"),
}
# The number is the most that fits, or the digits of a second; none is the highest.
_WIDER = {
    "varchar",
    "varbit",
    "timestamp",
    "timestamptz",
    "time",
    "timetz",
    "interval",
}


def rewrites(old: Type | None, column: Node) -> bool:
    """Whether the change rewrites the table, as far as the scripts tell; unknown means yes.

    Args:
        old: the type so far, if a script tells it.
        column: the parser's ColumnDef in ALTER COLUMN … TYPE.
    """
    new = type_of(column["typeName"])
    if not _only_casts(column.get("raw_default"), new):
        return True
    if old is None:
        return True
    if old == new:
        return False
    if old.array or new.array:
        return True
    if (old.name, new.name) in _UNBOUNDED:
        return bool(new.numbers)
    if old.name != new.name:
        return True
    if not new.numbers:
        return old.name not in _WIDER | {"numeric"}
    if not old.numbers:
        return True
    if old.name == "numeric":
        return not (_scale(old) == _scale(new) and new.numbers[0] >= old.numbers[0])
    return old.name not in _WIDER or new.numbers < old.numbers


def _scale(numeric: Type) -> int:
    return numeric.numbers[1] if len(numeric.numbers) > 1 else 0


def _only_casts(using: Node | None, new: Type) -> bool:
    """Whether there is no USING, or one that says no more than the new type: ``a::text``."""
    if using is None:
        return True
    cast = using.get("TypeCast")
    return bool(cast and "ColumnRef" in cast["arg"] and type_of(cast["typeName"]) == new)
