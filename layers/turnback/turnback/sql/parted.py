"""A mapping by name that is never changed, and cheap to have with one name more or less."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import cache
from typing import Generic, TypeVar, overload

V = TypeVar("V")
D = TypeVar("D")
_PARTS = 64


class Parted(Generic[V]):
    """Values by name. Each change gives a new one, and copies only the part that a name is in.

    So that a statement costs the same in the ten thousandth script as in the first.
    """

    __slots__ = ("_parts",)

    def __init__(self, parts: tuple[dict[str, V], ...] = ({},) * _PARTS) -> None:
        self._parts = parts

    @overload
    def get(self, name: str) -> V | None: ...

    @overload
    def get(self, name: str, default: D) -> V | D: ...

    def get(self, name: str, default: object = None) -> object:
        """The value of this name, or the default."""
        return self._parts[_part_of(name)].get(name, default)

    def items(self) -> Iterator[tuple[str, V]]:
        """Every name with its value, in no order."""
        for part in self._parts:
            yield from part.items()

    def put(self, name: str, value: V) -> Parted[V]:
        """With this value, in place of one of the same name."""
        number = _part_of(name)
        return self._with(number, {**self._parts[number], name: value})

    def remove(self, name: str) -> Parted[V]:
        """Without the value of this name."""
        number = _part_of(name)
        part = self._parts[number]
        return self._with(number, {key: value for key, value in part.items() if key != name})

    def _with(self, number: int, part: dict[str, V]) -> Parted[V]:
        return Parted((*self._parts[:number], part, *self._parts[number + 1 :]))


@cache
def _part_of(name: str) -> int:
    # Python's own hash of a text differs from process to process.
    return zlib.crc32(name.encode("utf-8")) % _PARTS
