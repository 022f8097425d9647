"""Plain folders with names for up and down, and maragudk/migrate, which reads them so.

The version of a migration is its whole name: numbers at its beginning may repeat.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

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
from turnback.migrations.layouts.reading import Reading
from turnback.migrations.model import Migration, Script

_NAME = re.compile(r"(?P<version>.+?)[._-](?P<kind>up|down)\.sql", re.IGNORECASE)
_REST = re.compile(r"[0-9]+[-_. ]+(.+)")
_FOLDERS = ("up", "down")
_SQL = re.compile(r"(.+)\.sql", re.IGNORECASE)


def _recognise(files: Files) -> Evidence | None:
    for path, _ in listed(files, _NAME):
        return Evidence(f"{path} has 'up' or 'down' in its name", certain=False)
    for path, _ in listed(files, _SQL, "up"):
        return Evidence(f"{path} is in a folder 'up'", certain=False)
    return None


def _read(reading: Reading) -> list[Migration]:
    """Numbers in names are compared as numbers."""
    return sorted(_migrations(reading), key=lambda migration: _order(migration.version))


def _new(new: New) -> dict[str, str]:
    """Named as the last one: ``_up.sql`` or ``.up.sql``, or in the folders ``up`` and ``down``."""
    last = new.migrations[-1].forward.path if new.migrations else ""
    stem = f"{new.version}_{new.slug}"
    match = _NAME.fullmatch(last.rpartition("/")[2])
    before = last[match.end("version") : match.start("kind")] if match and "/" not in last else "."
    up, down = f"{stem}{before}up.sql", f"{stem}{before}down.sql"
    if last.startswith("up/"):
        up, down = f"up/{stem}.sql", f"down/{stem}.sql"
    return {
        up: new.forward(),
        down: new.rollback(),
    }


def _order(version: str) -> list[tuple[int, str]]:
    parts = re.split("([0-9]+)", version)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts if part]


def _files(reading: Reading) -> Iterator[tuple[str, str, str]]:
    """Each file: its version, its kind, its path."""
    for filename in reading.names(""):
        if match := _NAME.fullmatch(filename):
            yield match["version"], match["kind"].lower(), filename
    for folder in _FOLDERS:
        if reading.files.is_folder(folder):
            for filename in reading.names(folder):
                if match := _SQL.fullmatch(filename):
                    # up/0001_a.sql and down/0001_a.sql, or each with its kind in its name.
                    inner = _NAME.fullmatch(filename)
                    yield inner["version"] if inner else match[1], folder, f"{folder}/{filename}"


def _migrations(reading: Reading) -> Iterator[Migration]:
    scripts: dict[str, dict[str, Script | None]] = {"up": {}, "down": {}}
    places: dict[str, str] = {}
    for version, kind, path in _files(reading):
        scripts[kind][version] = reading.script(path, rollback=kind == "down")
        places.setdefault(version, path)
    for version, script in scripts["up"].items():
        if script is None:
            continue
        rest = _REST.fullmatch(version)
        other = re.sub(r"(?<![^/._-])up(?=[/.])", "down", script.path)
        yield Migration(
            version,
            rest[1] if rest else version,
            script,
            scripts["down"].get(version),
            write_rollback=f"write {other}",
        )
    for version in scripts["down"].keys() - scripts["up"].keys():
        reading.no_forward(places[version], version)


def _applied(kept: Recorded) -> Kept:
    """Every file up to the version counts as applied."""
    if not kept.rows or not kept.rows[0]["version"]:
        return Kept([])
    at = str(kept.rows[0]["version"])
    applied = [Applied.of(one, one.version) for one in kept.migrations if one.version <= at]
    if at not in {migration.version for migration in kept.migrations}:
        applied.append(Applied(at, at))
    return Kept(applied)


LAYOUT = Layout(
    name="plain",
    recognise=_recognise,
    read=_read,
    new=_new,
    # maragudk/migrate: ``migrations(version)``, one row, the name that the database is at.
    history=History(
        columns={"version": "text"},
        select="SELECT version FROM {table}",
        read=_applied,
    ),
    by_time=False,
)
