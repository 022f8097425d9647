"""Which values survive a change of a column's type (manual, 8, and by trying)."""

from __future__ import annotations

from turnback.sql.definitions import type_of
from turnback.sql.tables import Type
from turnback.sql.tree import Node

_TEXT = {"text", "varchar", "citext"}
_INTEGERS = {"int2", "int4", "int8"}
# From → to: each value can be changed back, or the change fails. Everything can become text.
_LOSSLESS = {
    "bool": {"int4"},
    "cidr": {"inet"},
    "date": {"timestamp", "timestamptz"},
    "float4": {"float8"},
    "int2": _INTEGERS | {"numeric", "float4", "float8"},
    "int4": _INTEGERS | {"numeric", "float8"},
    "int8": _INTEGERS | {"numeric"},
    "jsonb": {"json"},
    "text": {"json"},
    "time": {"interval"},
    "timestamp": {"timestamptz"},
    "timestamptz": {"timestamp"},
    "varchar": {"json"},
}
# From → to: what does not fit is rounded, or left out.
_LOSSY = {
    "float4": _INTEGERS,
    "float8": _INTEGERS | {"float4"},
    "int4": {"float4"},
    "int8": {"float4", "float8"},
    "json": {"jsonb"},
    "numeric": _INTEGERS | {"float4", "float8"},
    "timestamp": {"date", "time"},
    "timestamptz": {"date", "time"},
}
# The decimal digits that each float keeps.
_EXACT_DIGITS = {"float4": 6, "float8": 15}
# Their number is the most that fits; a value that is longer makes an assignment fail, but an
# explicit cast cuts it (manual, 8.3).
_LENGTHS = {"bpchar", "varchar", "bit", "varbit"}
# Their number is how many digits of a second are kept; what is more is rounded away.
_DIGITS = {"time", "timetz", "timestamp", "timestamptz", "interval"}
_ALL_DIGITS = 6


def keeps_values(old: Type | None, column: Node) -> bool | None:
    """Whether each value survives ALTER COLUMN … TYPE, or makes it fail; None if nobody knows.

    Args:
        old: the type so far; None if no script tells it.
        column: the parser's ColumnDef.
    """
    new = type_of(column["typeName"])
    using = column.get("raw_default")
    cast = using.get("TypeCast") if using else None
    if using is not None and not (cast and "ColumnRef" in cast["arg"]):
        # Values are computed. Only the column itself is as good as no USING.
        return None if "ColumnRef" in using else False
    if cast and type_of(cast["typeName"]) != new:
        return False
    if old is None:
        return None
    if new.name in _TEXT and not new.array:
        if old.name != new.name or old.array:
            return None if new.numbers and cast else True
    elif old.array != new.array:
        return None
    if old.name == new.name:
        return _same_name(old, new, explicit=cast is not None)
    return _other_name(old, new)


def _other_name(old: Type, new: Type) -> bool | None:
    if new.name in _TEXT:
        return True
    if new.name in _EXACT_DIGITS and old.name == "numeric" and old.numbers:
        return old.numbers[0] <= _EXACT_DIGITS[new.name]
    if new.name in _LOSSY.get(old.name, ()):
        return False
    if new.name not in _LOSSLESS.get(old.name, ()):
        return None
    if new.name in _DIGITS and new.numbers and old.name != "date":
        return _digits(new) >= _digits(old)
    return True


def _same_name(old: Type, new: Type, *, explicit: bool) -> bool | None:
    if not new.numbers or old.numbers == new.numbers:
        return True
    if new.name in _LENGTHS:
        if explicit and not old.numbers:
            return None
        return not explicit or new.numbers >= old.numbers
    if new.name in _DIGITS:
        return _digits(new) >= _digits(old)
    return bool(old.numbers) and _scale(new) >= _scale(old)


def _scale(numeric: Type) -> int:
    return numeric.numbers[1] if len(numeric.numbers) > 1 else 0


def _digits(time: Type) -> int:
    return time.numbers[-1] if time.numbers else _ALL_DIGITS


# A change of type that keeps every value: from → to (manual, 8.1 and 8.3).
_WIDER = {
    "int2": {"int4", "int8", "numeric", "text", "varchar"},
    "int4": {"int8", "numeric", "text", "varchar"},
    "int8": {"numeric", "text", "varchar"},
    "float4": {"float8"},
    "varchar": {"text"},
    "bpchar": {"text"},
    "date": {"timestamp", "timestamptz"},
    "json": {"jsonb"},
    "inet": {"text"},
    "uuid": {"text"},
}


def holds_as_much(old: str, new: str) -> bool:
    """Whether each value of a type fits another one, both as the catalog writes types."""
    old_name, new_name = _short(old), _short(new)
    if old_name == new_name:
        return _width(new) is None or (_width(old) or 0) <= (_width(new) or 0) != 0
    return new_name in _WIDER.get(old_name, set()) and _width(new) is None


_SHORT = {
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "real": "float4",
    "double precision": "float8",
    "character varying": "varchar",
    "character": "bpchar",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
}


def _short(name: str) -> str:
    bare = name.split("(")[0].strip()
    return _SHORT.get(bare, bare)


def _width(name: str) -> int | None:
    inside = name.partition("(")[2].rstrip(")")
    first = inside.split(",")[0].strip()
    return int(first) if first.isdigit() else None
