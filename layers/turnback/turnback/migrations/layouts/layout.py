"""What a layout is: how the files of a migration tool are read, and what its history says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from turnback.errors import TurnbackError
from turnback.migrations.files import Files
from turnback.migrations.layouts.names import header
from turnback.migrations.layouts.reading import Reading
from turnback.migrations.model import Migration

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why files are taken for those of a tool.

    Attributes:
        text: the reason, as a sentence.
        certain: whether it is in their content; names alone fit several tools.
    """

    text: str
    certain: bool = True


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
        execution_ms: how long it took, milliseconds; 0 where the tool does not keep it.
    """

    version: str
    name: str
    applied_at: datetime | None = None
    same: bool | None = None
    execution_ms: int = 0

    @classmethod
    def of(
        cls,
        found: Migration | None,
        version: str,
        applied_at: datetime | None = None,
        *,
        name: str = "",
        same: bool | None = None,
        ms: int | None = None,
    ) -> Applied:
        """A row, with the version and the name of its file, where there is one."""
        if found:
            version, name = found.version, found.name
        return cls(version, name, applied_at, same, ms or 0)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a tool's history says.

    Attributes:
        applied: in the order of application, as far as the tool keeps it.
        refused: why it cannot be taken over as it is.
    """

    applied: Sequence[Applied]
    refused: Sequence[TurnbackError] = field(default=())


@dataclass(frozen=True, slots=True)
class Recorded:
    """The rows of a tool's history, beside the files of the project.

    Attributes:
        rows: as the query of the history returns them.
        migrations: of the files, in their order.
        files: the project's files, for a comparison with what the tool kept of them.
    """

    rows: Sequence[Row]
    migrations: Sequence[Migration]
    files: Files

    @property
    def by_version(self) -> dict[str, Migration]:
        """The migrations by their version."""
        return {migration.version: migration for migration in self.migrations}

    @property
    def by_number(self) -> dict[int, Migration]:
        """The migrations by their version as a number."""
        return {migration.number: migration for migration in self.migrations}

    def data(self, migration: Migration) -> bytes:
        """The bytes of the file that has the migration."""
        return self.files.read(migration.forward.path)


@dataclass(frozen=True, slots=True)
class History:
    """The table in which a tool records what it has applied.

    It is recognised by its columns: several tools share names of tables.

    Attributes:
        columns: those that it has, with their types as in ``Table``; an empty type is any.
        select: the query that reads it, with ``{table}``, and each optional column in braces.
        read: what its rows say.
        optional: columns that some versions of the tool make; None for any others.
        not_beside: a table whose presence in the same schema shows that this is another tool's.
    """

    columns: Mapping[str, str]
    select: str
    read: Callable[[Recorded], Kept]
    optional: Collection[str] | None = ()
    not_beside: str = ""

    def owns(self, table: Table, beside: Collection[Table]) -> bool:
        """Whether a table is this one.

        Args:
            table: a table of the database.
            beside: all tables of the database.
        """
        more = table.columns.keys() - self.columns.keys()
        return (
            all(
                name in table.columns and kind in ("", table.columns[name])
                for name, kind in self.columns.items()
            )
            and (self.optional is None or more <= set(self.optional))
            and (table.schema, self.not_beside) not in {(one.schema, one.name) for one in beside}
        )

    def query(self, quoted: str, columns: Collection[str]) -> str:
        """The query that reads a table.

        Args:
            quoted: its name, with its schema.
            columns: those that it has.
        """
        optional = {name: name if name in columns else "NULL" for name in self.optional or ()}
        return self.select.format(table=quoted, **optional)


@dataclass(frozen=True, slots=True)
class Scripts:
    """The SQL of a new migration, each script with its directives first.

    Attributes:
        rollback: empty where it has none.
        verify: empty where it has none.
    """

    forward: str
    rollback: str
    verify: str = ""


@dataclass(frozen=True, slots=True)
class New:
    """A migration to be written.

    Attributes:
        version: the number after the last one, in its form; a tool may have versions of its own.
        slug: its name: letters, digits and underscores.
        migrations: those that exist, in their order.
        files: the project's files.
        scripts: its SQL; None for files to be written by hand.
    """

    version: str
    slug: str
    migrations: Sequence[Migration]
    files: Files
    scripts: Scripts | None = None

    def forward(self, version: str = "", *, above: str = "") -> str:
        """The text of the forward script, with its header.

        Args:
            version: where the tool has one of its own.
            above: a line for the tool, below the header.
        """
        body = self.scripts.forward if self.scripts else "\n"
        return f"{header(self.slug, version or self.version)}{above}{body}"

    def rollback(self, version: str = "") -> str:
        """The text of the rollback script, with its header; empty where there is none."""
        if self.scripts and not self.scripts.rollback:
            return ""
        body = self.scripts.rollback if self.scripts else "\n"
        return f"{header(f'{self.slug} (rollback)', version or self.version)}{body}"


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one migration tool, and its history.

    Attributes:
        name: as ``[layout] name`` has it.
        recognise: what in the files shows that they are of this tool; None if nothing does.
        read: the migrations, in the order in which the tool runs them; what is wrong with a file
            is added to the findings of the Reading.
        new: the files of a new migration, path → text, empty for no file; among them what the tool
            lists them in.
        history: what the tool keeps in the database; None for files that belong to no tool.
        by_time: whether the tool numbers a first migration by the time.
        verify: the path of a verify script, with the ``folder``, ``stem`` or ``version`` of its
            migration, where ``read`` finds them; others are in a folder ``verify``.
    """

    name: str
    recognise: Callable[[Files], Evidence | None]
    read: Callable[[Reading], list[Migration]]
    new: Callable[[New], dict[str, str]]
    history: History | None = None
    by_time: bool = True
    verify: str = ""
