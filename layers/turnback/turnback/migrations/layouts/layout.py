"""What a layout is: how the files of a migration tool are read, and what its history says."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from turnback.errors import TurnbackError
from turnback.migrations.files import Files
from turnback.migrations.layouts.reading import Reading
from turnback.migrations.model import Migration

Row = Mapping[str, Any]


class Layout(Protocol):
    """The files of one migration tool."""

    name: str
    """As ``[layout] name`` has it."""

    by_time: bool
    """Whether the tool numbers a first migration by the time."""

    history: History | None
    """What the tool keeps in the database; None for files that belong to no tool."""

    def recognise(self, files: Files) -> str | None:
        """What in the files shows that they are of this tool, as a sentence; None if nothing does.

        The content decides: names alone fit several tools.
        """

    def read(self, reading: Reading) -> list[Migration]:
        """The migrations, in the order in which the tool runs them.

        What is wrong with a file is added to the findings of ``reading``.
        """

    def new(self, version: str, slug: str) -> dict[str, str]:
        """The files of a new migration: path → text.

        Args:
            version: made by ``next_version``, from those that exist.
            slug: its name: letters, digits and underscores.
        """


class History(Protocol):
    """The table in which a tool records what it has applied."""

    def owns(self, table: Table, beside: Collection[Table]) -> bool:
        """Whether a table is this tool's history, by its columns: several tools share names.

        Args:
            table: a table of the database.
            beside: all tables of the database.
        """

    def query(self, table: str, columns: Collection[str]) -> str:
        """The SELECT that reads the table.

        Args:
            table: its name, quoted, with its schema.
            columns: those that it has.
        """

    def read(self, rows: Sequence[Row], migrations: Sequence[Migration], files: Files) -> Kept:
        """What the rows say.

        Args:
            rows: as ``query`` returns them.
            migrations: those of the files, in their order.
            files: the project's files, for a comparison with what the tool kept of them.
        """


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a database.

    Attributes:
        columns: name → type, as ``format_type`` writes it without a length.
    """

    schema: str
    name: str
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Applied:
    """A migration that a tool has recorded as applied.

    Attributes:
        version: as the layout numbers its files.
        name: of the migration.
        applied_at: when; None where the tool does not keep it.
        same: whether the file is what was applied; None where the tool keeps nothing to tell.
    """

    version: str
    name: str
    applied_at: datetime | None = None
    same: bool | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What a tool's history says.

    Attributes:
        applied: in the order of application, as far as the tool keeps it.
        refused: why it cannot be taken over as it is.
    """

    applied: Sequence[Applied]
    refused: Sequence[TurnbackError] = field(default=())
