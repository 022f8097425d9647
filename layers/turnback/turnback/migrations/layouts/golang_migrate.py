"""golang-migrate: ``VERSION_title.up.sql`` and ``VERSION_title.down.sql``.

Source: source/parse.go and database/postgres/postgres.go of github.com/golang-migrate/migrate (v4).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from turnback.errors import HistoryConflict
from turnback.migrations.files import Files
from turnback.migrations.layouts.layout import Applied, Kept, Row, Table
from turnback.migrations.layouts.names import header, listed
from turnback.migrations.layouts.pairs import read_pairs
from turnback.migrations.layouts.reading import Reading
from turnback.migrations.model import Migration

# The tool takes any extension.
_NAME = re.compile(r"(?P<version>[0-9]{1,20})_(?P<name>.*)\.(?P<kind>up|down)\.(?:.*)")


class GolangMigrate:
    """See Layout."""

    name = "golang-migrate"
    by_time = True

    def __init__(self) -> None:
        self.history = _History()

    def recognise(self, files: Files) -> str | None:
        """See Layout."""
        for path, _ in listed(files, _NAME):
            return f"{path} is named VERSION_title.up.sql"
        return None

    def read(self, reading: Reading) -> list[Migration]:
        """See Layout."""
        return sorted(read_pairs(reading, _NAME), key=lambda migration: migration.number)

    def new(self, version: str, slug: str) -> dict[str, str]:
        """See Layout."""
        return {
            f"{version}_{slug}.up.sql": header(slug, version),
            f"{version}_{slug}.down.sql": header(f"{slug} (rollback)", version),
        }


class _History:
    """``schema_migrations(version, dirty)``: one row, the version that the database is at."""

    def owns(self, table: Table, beside: Collection[Table]) -> bool:  # noqa: ARG002
        """See History."""
        return dict(table.columns) == {"version": "bigint", "dirty": "boolean"}

    def query(self, table: str, columns: Collection[str]) -> str:  # noqa: ARG002
        """See History."""
        return f"SELECT version, dirty FROM {table}"

    def read(
        self,
        rows: Sequence[Row],
        migrations: Sequence[Migration],
        files: Files,  # noqa: ARG002
    ) -> Kept:
        """See History. Every file up to the version counts as applied."""
        if not rows:
            return Kept([])
        at = int(rows[0]["version"])
        applied = [
            Applied(migration.version, migration.name)
            for migration in migrations
            if migration.number <= at
        ]
        if at >= 0 and not any(migration.number == at for migration in migrations):
            applied.append(Applied(str(at), ""))
        if not rows[0]["dirty"]:
            return Kept(applied)
        dirty = HistoryConflict(
            f"golang-migrate has marked version {at} as dirty: it failed, and what it has done of "
            "it is not known",
            version=str(at),
            hint=f"look what of {at} is in the database, undo it or finish it by hand, then: "
            f"migrate force VERSION, with {at} if it is whole, else with the version before it",
        )
        return Kept(applied, [dirty])


LAYOUT = GolangMigrate()
