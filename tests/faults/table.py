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
    _cells: dict[str, dict[str, str]] = field(default_factory=dict)

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

    def cell(self, row: str, column: str, text: str, *, held: bool) -> None:
        """One place of a grid, which stands below the rows."""
        self._cells.setdefault(row, {})[column] = text if held else f"{text} !"

    def grid(self) -> list[list[str]]:
        """The grid: its heading, then a line for each row; empty where nothing was put in it."""
        if not self._cells:
            return []
        columns = list(dict.fromkeys(name for cells in self._cells.values() for name in cells))
        rows = [[row, *map(cells.get, columns)] for row, cells in self._cells.items()]
        return [["state, release", *columns], *([text or "" for text in row] for row in rows)]

    def lines(self) -> list[str]:
        """The table as text."""
        width = max(map(len, self._rows), default=0)
        rows = [
            f"{fault:<{width}}  {f'{row.held} of {row.tried}':>10}  {row.what}"
            for fault, row in self._rows.items()
        ]
        grid = self.grid()
        widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
        return rows + [
            " | ".join(text.ljust(wide) for text, wide in zip(line, widths, strict=True)).rstrip()
            for line in grid
        ]
