"""What other migration tools have recorded in a database, beside the files of a project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.rows import dict_row, tuple_row

from turnback.engine.session.message import Connection
from turnback.engine.session.query import load, own_statements, query
from turnback.errors import ChecksumMismatch, HistoryConflict, MigrationMissing, TurnbackError
from turnback.migrations.files import Files
from turnback.migrations.layouts import others
from turnback.migrations.layouts.layout import Applied, Layout, Recorded, Table
from turnback.migrations.model import Migration, Project
from turnback.sql.quoting import identifier


@dataclass(frozen=True, slots=True)
class OtherHistory:
    """The table of another tool, in which it has recorded what it applied.

    Attributes:
        layout: the tool's.
        table: with its columns.
        hidden: whether row-level security may hide rows of it from this user.
    """

    layout: Layout
    table: Table
    hidden: bool

    @property
    def name(self) -> str:
        """The table's name, with its schema."""
        return f"{self.table.schema}.{self.table.name}"

    def __str__(self) -> str:
        return f"{self.layout.name}: {self.name}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The files of a project beside what their tool has recorded.

    Attributes:
        applied: each migration that is applied and has a file, with its row, in the order of
            application.
        pending: what has no row.
        compared: how many files were compared with what the tool kept of them.
        differences: each file that was edited since, and each row without a file.
        refused: why the history cannot be taken over.
    """

    applied: Sequence[tuple[Migration, Applied]]
    pending: Sequence[Migration]
    compared: int
    differences: Sequence[TurnbackError]
    refused: Sequence[TurnbackError]


@own_statements()
def histories(connection: Connection) -> list[OtherHistory]:
    """The tables of the database that are the history of a tool, by their columns."""
    rows = query(connection, load("tables_by_columns"), tuple_row)
    tables = [(Table(schema, name, columns), hidden) for schema, name, columns, hidden in rows]
    every = [table for table, _ in tables]
    known = [one for one in others() if one.history]
    return [
        OtherHistory(layout, table, hidden)
        for table, hidden in tables
        for layout in known
        if layout.history and layout.history.owns(table, every)
    ]


def chosen(found: Sequence[OtherHistory], layout: Layout, table: str | None) -> OtherHistory | None:
    """The history of this layout; None if it does not exist.

    Args:
        found: those of the database.
        layout: of the files.
        table: the one that was asked for, with its schema; None for the only one.

    Raises:
        HistoryConflict: there is no such table, or there are several.
    """
    own = [one for one in found if one.layout.name == layout.name]
    if table is not None:
        own = [one for one in own if one.name == table]
        if not own:
            raise HistoryConflict(
                f"there is no history of {layout.name} in {table}",
                hint="its columns are not those that the tool makes, or it is not there: "
                "turnback adopt --dry-run shows what is found",
            )
    if len(own) > 1:
        raise HistoryConflict(
            f"the database has several histories of {layout.name}: "
            + ", ".join(one.name for one in own),
            hint=f"name one: turnback adopt --table {own[0].name}",
        )
    return own[0] if own else None


@own_statements()
def compare(
    connection: Connection, history: OtherHistory, project: Project, files: Files
) -> Comparison:
    """Each file of the project beside its row.

    Args:
        connection: with the database.
        history: the tool's table.
        project: its files, read in its layout.
        files: the same, as they are.

    Raises:
        HistoryConflict: row-level security may hide rows of the table.
    """
    if history.hidden:
        raise HistoryConflict(
            f"row-level security hides rows of {history.name} from this user",
            hint="adopt as its owner",
        )
    kept_by = history.layout.history
    assert kept_by is not None
    # Of a child of the table somebody else can be the owner.
    table = f"ONLY {identifier(history.table.schema)}.{identifier(history.table.name)}"
    rows = query(connection, kept_by.query(table, history.table.columns), dict_row)
    kept = kept_by.read(Recorded(rows, project.migrations, files))
    by_version = {migration.version: migration for migration in project.migrations}
    found = [(by_version.get(one.version), one) for one in kept.applied]
    recorded = {one.version for one in kept.applied}
    return Comparison(
        [(migration, one) for migration, one in found if migration],
        [one for one in project.migrations if one.version not in recorded],
        sum(one.same is not None for one in kept.applied),
        [
            _edited(history, migration) if migration else _gone(history, one)
            for migration, one in found
            if migration is None or one.same is False
        ],
        kept.refused,
    )


def _edited(history: OtherHistory, migration: Migration) -> ChecksumMismatch:
    return ChecksumMismatch(
        f"edited since {history.layout.name} applied it",
        file=migration.forward.path,
        version=migration.version,
        hint="restore the file as it was applied; or accept it: turnback adopt "
        "--accept-differences",
    )


def _gone(history: OtherHistory, row: Applied) -> MigrationMissing:
    return MigrationMissing(
        f"{row.version} is applied, as {history.name} says, but has no file",
        version=row.version,
        hint="restore the file from version control; or leave the row out: turnback adopt "
        "--accept-differences",
    )
