"""golang-migrate: ``VERSION_title.up.sql`` and ``VERSION_title.down.sql``.

Source: source/parse.go and database/postgres/postgres.go of github.com/golang-migrate/migrate (v4).
"""

from __future__ import annotations

import re

from turnback.errors import HistoryConflict
from turnback.migrations.files import Files
from turnback.migrations.layouts.layout import (
    Applied,
    Evidence,
    History,
    Kept,
    Layout,
    New,
    Recorded,
)
from turnback.migrations.layouts.names import listed
from turnback.migrations.layouts.pairs import read_pairs
from turnback.migrations.layouts.reading import Reading
from turnback.migrations.model import Migration

# The tool takes any extension.
_NAME = re.compile(r"(?P<version>[0-9]{1,20})_(?P<name>.*)\.(?P<kind>up|down)\.(?:.*)")


def _recognise(files: Files) -> Evidence | None:
    for path, _ in listed(files, _NAME):
        return Evidence(f"{path} is named VERSION_title.up.sql", certain=False)
    return None


def _read(reading: Reading) -> list[Migration]:
    return sorted(read_pairs(reading, _NAME), key=lambda migration: migration.number)


def _new(new: New) -> dict[str, str]:
    return {
        f"{new.version}_{new.slug}.up.sql": new.forward(),
        f"{new.version}_{new.slug}.down.sql": new.rollback(),
    }


def _applied(kept: Recorded) -> Kept:
    """Every file up to the version counts as applied."""
    if not kept.rows:
        return Kept([])
    at = int(kept.rows[0]["version"])
    applied = [
        Applied(migration.version, migration.name)
        for migration in kept.migrations
        if migration.number <= at
    ]
    if at >= 0 and not any(migration.number == at for migration in kept.migrations):
        applied.append(Applied(str(at), ""))
    if not kept.rows[0]["dirty"]:
        return Kept(applied)
    dirty = HistoryConflict(
        f"golang-migrate has marked version {at} as dirty: it failed, and what it has done of "
        "it is not known",
        version=str(at),
        hint=f"look what of {at} is in the database, undo it or finish it by hand, then: "
        f"migrate force VERSION, with {at} if it is whole, else with the version before it",
    )
    return Kept(applied, [dirty])


LAYOUT = Layout(
    name="golang-migrate",
    recognise=_recognise,
    read=_read,
    new=_new,
    # ``schema_migrations(version, dirty)``: one row, the version that the database is at.
    history=History(
        columns={"version": "bigint", "dirty": "boolean"},
        select="SELECT version, dirty FROM {table}",
        read=_applied,
    ),
)
