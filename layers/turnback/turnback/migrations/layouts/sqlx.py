"""sqlx: ``VERSION_description.sql``, or ``.up.sql`` and ``.down.sql``.

Source: sqlx-core/src/migrate and sqlx-postgres/src/migrate.rs of github.com/launchbadge/sqlx.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

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
from turnback.migrations.layouts.reading import Reading, outside
from turnback.migrations.model import Migration, Script

_NAME = re.compile(r"(?P<version>[0-9]{1,19})_(?P<name>.*?)(?:\.(?P<kind>up|down))?\.sql")
_OUTSIDE = "-- no-transaction"


def _recognise(files: Files) -> Evidence | None:
    found = None
    for path, text in listed(files, _NAME):
        if text.startswith(_OUTSIDE):
            return Evidence(f"{path} begins with '{_OUTSIDE}'")
        found = found or Evidence(f"{path} is named VERSION_description.sql", certain=False)
    return found


def _read(reading: Reading) -> list[Migration]:
    found = sorted(read_pairs(reading, _NAME), key=lambda migration: migration.number)
    return [
        replace(
            one,
            forward=_marked(one.forward),
            rollback=_marked(one.rollback) if one.rollback else None,
        )
        for one in found
    ]


def _new(new: New) -> dict[str, str]:
    return {
        f"{new.version}_{new.slug}.up.sql": new.forward(),
        f"{new.version}_{new.slug}.down.sql": new.rollback(),
    }


def _marked(script: Script) -> Script:
    return outside(script) if script.head.startswith(_OUTSIDE) else script


def _applied(kept: Recorded) -> Kept:
    """What is applied."""
    by_number = kept.by_number
    applied, refused = [], []
    for row in kept.rows:
        version, found = str(row["version"]), by_number.get(row["version"])
        if not row["success"]:
            refused.append(
                HistoryConflict(
                    f"sqlx has recorded that {version} did not succeed: what it has done is "
                    "not known",
                    version=version,
                    hint=f"look what of {version} is in the database, finish it or undo it by "
                    "hand; then set success in _sqlx_migrations, or delete the row",
                )
            )
        same = None
        if found:
            data = kept.data(found)
            same = hashlib.sha384(data).digest() == bytes(row["checksum"])
        applied.append(Applied.of(found, version, row["installed_on"], same=same, ms=row["ms"]))
    return Kept(applied, refused)


LAYOUT = Layout(
    name="sqlx",
    recognise=_recognise,
    read=_read,
    new=_new,
    # ``_sqlx_migrations``: one row a migration, with the SHA-384 of its forward script.
    history=History(
        columns={
            "version": "bigint",
            "success": "boolean",
            "checksum": "bytea",
            "description": "text",
            "installed_on": "",
            "execution_time": "bigint",
        },
        # The time is in nanoseconds.
        select="SELECT version, installed_on, success, checksum, execution_time / 1000000 AS ms "
        "FROM {table} ORDER BY installed_on, version",
        read=_applied,
    ),
)
