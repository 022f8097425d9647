"""The table of what was tried and what held."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class _Row:
    what: str
    tried: int = 0
    held: int = 0


@dataclass
class Table:
    """Fault → at how many places it was tried, at how many all was well after, and what that is."""

    _rows: dict[str, _Row] = field(default_factory=dict)

    def add(self, fault: str, what: str, *, tried: int, held: int) -> None:
        """Count places; the rows of one fault are one row."""
        row = self._rows.setdefault(fault, _Row(what))
        row.tried += tried
        row.held += held

    @contextlib.contextmanager
    def row(self, fault: str, what: str) -> Iterator[None]:
        """One place; it held when the block ends without an error."""
        self.add(fault, what, tried=1, held=0)
        yield
        self.add(fault, what, tried=0, held=1)

    def lines(self) -> list[str]:
        """The table as text."""
        if not self._rows:
            return []
        width = max(map(len, self._rows))
        return [
            f"{fault:<{width}}  {f'{row.held} of {row.tried}':>10}  {row.what}"
            for fault, row in self._rows.items()
        ]
