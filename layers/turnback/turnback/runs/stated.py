"""JSON at the edge, frozen dataclasses inside: how the state and the records of a run are read."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from enum import StrEnum
from typing import Any, Self

from turnback.errors import VerificationFailed


def key(name: str) -> Mapping[str, str]:
    """Metadata of a field whose JSON key is not its name."""
    return {"key": name}


@dataclass(frozen=True, slots=True)
class Stated:
    """A part of the state or of a record: JSON outside, typed inside."""

    @classmethod
    def from_state(cls, state: object) -> Self:
        """Read it from parsed JSON. A key that is missing or null gets the field's default.

        Raises:
            VerificationFailed: a value has another type than its field, or a key without a
                default is missing.
        """
        return cls.read(state, cls.__name__)

    @classmethod
    def read(cls, value: object, where: str) -> Self:
        """Read it from a part of a document.

        Args:
            value: parsed JSON.
            where: the part's path in the document, for the error.
        """
        if not isinstance(value, Mapping):
            raise unreadable(where, "an object")
        hints, given = typing.get_type_hints(cls), {}
        for one in fields(cls):
            name = _key(one)
            if value.get(name) is not None:
                given[one.name] = _read(hints[one.name], value[name], f"{where}.{name}")
            elif one.default is MISSING and one.default_factory is MISSING:
                raise unreadable(f"{where}.{name}", "there")
        return cls(**given)

    def to_state(self) -> dict[str, Any]:
        """As JSON: every field that is not left out, whether it is set or not."""
        left_out = self.left_out()
        return {
            _key(one): _written(getattr(self, one.name))
            for one in fields(self)
            if one.name not in left_out
        }

    def left_out(self) -> set[str]:
        """The names of fields that have no key in the JSON."""
        return set()


def unreadable(where: str, wanted: str) -> VerificationFailed:
    """The error for a part of a document that is not what it must be."""
    return VerificationFailed(
        f"the record of this run cannot be read: {where} is not {wanted}",
        hint="look for what wrote it; turnback status shows what is applied",
    )


def _key(one: Field[Any]) -> str:
    return str(one.metadata.get("key", one.name))


def _read(kind: Any, value: object, where: str) -> Any:
    """A value of parsed JSON as this type."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        [kind] = [part for part in parts if part is not type(None)]
        return None if value is None else _read(kind, value, where)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_read(parts[0], item, where) for item in value)
    if origin is dict and isinstance(value, Mapping):
        return {str(name): _read(parts[1], item, f"{where}.{name}") for name, item in value.items()}
    if origin is not None:
        raise unreadable(where, "a list" if origin is tuple else "an object")
    if kind is Any:
        return value
    if issubclass(kind, Stated):
        return kind.read(value, where)
    if issubclass(kind, StrEnum) and value in set(kind):
        return kind(str(value))
    # Exactly this type: bool is an int in Python.
    if type(value) is kind:
        return value
    raise unreadable(where, kind.__name__)


def _written(value: Any) -> Any:
    if isinstance(value, Stated):
        return value.to_state()
    if isinstance(value, tuple):
        return [_written(item) for item in value]
    if isinstance(value, dict):
        return {name: _written(item) for name, item in value.items()}
    return value
