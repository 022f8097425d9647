"""node-pg-migrate: ``VERSION_name.sql`` with ``-- Up Migration`` and ``-- Down Migration``.

Source: src/sqlMigration.ts and src/utils of github.com/salsita/node-pg-migrate (9.0).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from turnback.errors import InvalidMigration
from turnback.migrations.layouts.layout import Applied, History, Kept, New, Recorded
from turnback.migrations.layouts.sections import Format, Marks, Text, sections_layout
from turnback.migrations.model import Migration

# The tool takes whatever follows the number for the name.
_NAME = re.compile(r"(?P<version>[0-9]{1,20})[_-]?(?P<name>.*)\.sql", re.IGNORECASE)
_CODE = re.compile(r"[0-9].*\.(?:[cm]?[jt]s)")
_MARK = re.compile(r"^\s*--[\s-]*(up|down)\s+migration", re.IGNORECASE | re.MULTILINE)
_UP_LINE, _DOWN_LINE = "-- Up Migration", "-- Down Migration"
_EPOCH_DIGITS, _UTC_DIGITS = 13, 17


def _marks(file: Text) -> Marks:
    # The first line of each counts, in any order.
    first: dict[str, re.Match[str]] = {}
    for match in _MARK.finditer(file.text):
        first.setdefault(match[1].lower(), match)
    if "up" not in first and "down" in first:
        raise InvalidMigration(
            f"there is '{_DOWN_LINE}', and no line '{_UP_LINE}'",
            file=file.path,
            line=file.line(first["down"].start(1)),
            hint=f"write '{_UP_LINE}' above the statements: without it the tool runs the whole "
            "file, the rollback with it",
        )
    yield from sorted(first.items(), key=lambda item: item[1].start())


def _order(migration: Migration) -> int:
    """As the tool compares: the time in milliseconds, which 17 digits have as a date."""
    version = migration.version
    if len(version) != _UTC_DIGITS:
        return int(version)
    try:
        seconds = datetime.strptime(version[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return int(version)
    return int(seconds) * 1000 + int(version[14:])


def _stem(new: New) -> tuple[str, str]:
    now = datetime.now(UTC)
    last = new.migrations[-1].version if new.migrations else ""
    version = new.version
    if len(last) == _UTC_DIGITS:
        version = max(f"{now:%Y%m%d%H%M%S%f}"[:_UTC_DIGITS], str(int(last) + 1))
    elif len(last) in (0, _EPOCH_DIGITS):
        version = str(max(int(now.timestamp() * 1000), int(last or 0) + 1))
    return f"{version}_{new.slug}", version


def _applied(kept: Recorded) -> Kept:
    """What is applied: the names of the files, without ``.sql``."""
    by_name = {one.forward.path.rpartition(".")[0]: one for one in kept.migrations}
    applied = []
    for row in kept.rows:
        match = _NAME.fullmatch(f"{row['name']}.sql")
        version, name = (match["version"], match["name"]) if match else (row["name"], row["name"])
        found = by_name.get(row["name"])
        applied.append(Applied.of(found, version, row["run_on"], name=name))
    return Kept(applied)


_FORM = Format(
    _NAME,
    _marks,
    _UP_LINE,
    _DOWN_LINE,
    _MARK,
    once=False,
    whole=True,
    order=_order,
    code=(_CODE, "JavaScript"),
    stem=_stem,
)
LAYOUT = sections_layout(
    "node-pg-migrate",
    _FORM,
    # ``pgmigrations``.
    History(
        columns=dict.fromkeys(("id", "name", "run_on"), ""),
        select="SELECT name, run_on FROM {table} ORDER BY run_on, id",
        read=_applied,
    ),
)
