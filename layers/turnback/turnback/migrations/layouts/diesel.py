"""diesel: ``VERSION_name/up.sql`` and ``down.sql``, with ``metadata.toml``.

Source: diesel_migrations of github.com/diesel-rs/diesel (2.x).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace

from turnback.errors import InvalidMigration
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
from turnback.migrations.layouts.pairs import read_folders
from turnback.migrations.layouts.reading import Reading, outside
from turnback.migrations.model import Migration

_NAME = re.compile(r"(?P<version>[^_]*[0-9][^_]*)_(?P<name>.*)|(?P<whole>.+)")
_FORWARD, _ROLLBACK, _METADATA = "up.sql", "down.sql", "metadata.toml"


def _recognise(files: Files) -> Evidence | None:
    for name in sorted(files.names("")):
        if files.is_folder(name) and _FORWARD in files.names(name):
            return Evidence(f"{name}/ has an {_FORWARD}")
    return None


def _read(reading: Reading) -> list[Migration]:
    return sorted(_migrations(reading), key=lambda migration: migration.version)


def _new(new: New) -> dict[str, str]:
    stamp = re.sub(r"(\d{4})(\d\d)(\d\d)(\d{6})", r"\1-\2-\3-\4", new.version)
    return {
        f"{stamp}_{new.slug}/{_FORWARD}": new.forward(),
        f"{stamp}_{new.slug}/{_ROLLBACK}": new.rollback(),
    }


def _migrations(reading: Reading) -> Iterator[Migration]:
    for one in read_folders(reading, _NAME, _FORWARD, _ROLLBACK):
        folder = one.forward.path.rpartition("/")[0]
        if not one.forward.size:
            reading.findings.append(
                InvalidMigration(
                    "the file is empty, which diesel refuses",
                    file=one.forward.path,
                    version=one.version,
                    hint="write its SQL; if it should do nothing, say so in a comment",
                )
            )
        # diesel keeps 2024-01-31-120000 without its dashes.
        migration = replace(one, version=one.version.replace("-", ""))
        if _runs_outside(reading, f"{folder}/{_METADATA}"):
            rollback = outside(one.rollback) if one.rollback else None
            migration = replace(migration, forward=outside(one.forward), rollback=rollback)
        yield migration


def _runs_outside(reading: Reading, path: str) -> bool:
    """What the metadata say; where they say nothing of it, diesel takes that for a no."""
    text = reading.beside(path)
    if text is None:
        return False
    try:
        return tomllib.loads(text).get("run_in_transaction", False) is not True
    except tomllib.TOMLDecodeError as error:
        reading.findings.append(
            InvalidMigration(f"it is not valid TOML: {error}", file=path, hint="correct it")
        )
        return False


def _applied(kept: Recorded) -> Kept:
    """What is applied."""
    by_version = kept.by_version
    return Kept(
        [
            Applied.of(by_version.get(row["version"]), row["version"], row["run_on"])
            for row in kept.rows
        ]
    )


LAYOUT = Layout(
    name="diesel",
    recognise=_recognise,
    read=_read,
    new=_new,
    verify="{folder}/verify.sql",
    # ``__diesel_schema_migrations(version, run_on)``.
    history=History(
        columns={"version": "character varying", "run_on": "timestamp without time zone"},
        select="SELECT version, run_on FROM {table} ORDER BY run_on, version",
        read=_applied,
    ),
)
