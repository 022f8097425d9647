"""dbmate: ``VERSION_name.sql`` with a section ``migrate:up`` and a section ``migrate:down``.

Source: pkg/dbmate/migration.go and postgres.go of github.com/amacneil/dbmate (2.x).
"""

from __future__ import annotations

import re

from turnback.errors import InvalidMigration
from turnback.migrations.layouts.layout import Applied, History, Kept, Recorded
from turnback.migrations.layouts.sections import Format, Marks, Text, sections_layout

_NAME = re.compile(r"(?P<version>[0-9]{1,20})_?(?P<name>.*)\.sql")
_UP, _DOWN = (
    re.compile(rf"^--[ \t]*migrate:{word}(?=[ \t\r]|$)([^\r\n]*)", re.MULTILINE)
    for word in ("up", "down")
)
_UP_LINE, _DOWN_LINE = "-- migrate:up", "-- migrate:down"


def _marks(file: Text) -> Marks:
    # The first line of each counts.
    found = [match for match in (_UP.search(file.text), _DOWN.search(file.text)) if match]
    for match in sorted(found, key=lambda match: match.start()):
        word = "up" if match.re is _UP else "down"
        yield word + (" outside" if _runs_outside(file, match) else ""), match


def _runs_outside(file: Text, marker: re.Match[str]) -> bool:
    """Whether the options of a section say that it runs outside a transaction."""
    outside = False
    for option in marker[1].split():
        if option not in ("transaction:false", "transaction:true"):
            raise InvalidMigration(
                f"the option '{option}' is not known",
                file=file.path,
                line=file.line(marker.start()),
                hint="turnback obeys transaction:false; write what another option inserts into "
                "the file",
            )
        outside = option == "transaction:false"
    return outside


def _applied(kept: Recorded) -> Kept:
    """What is applied."""
    by_version = kept.by_version
    versions = [str(row["version"]) for row in kept.rows]
    return Kept([Applied.of(by_version.get(version), version) for version in versions])


_FORM = Format(_NAME, _marks, _UP_LINE, _DOWN_LINE, _UP)


LAYOUT = sections_layout(
    "dbmate",
    _FORM,
    # ``schema_migrations(version)``: one row for each migration that is applied.
    History(
        columns={"version": "character varying"},
        select="SELECT version FROM {table} ORDER BY version",
        read=_applied,
        not_beside="ar_internal_metadata",
    ),
)
