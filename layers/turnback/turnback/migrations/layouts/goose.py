"""goose: ``VERSION_name.sql`` with ``-- +goose Up`` and ``-- +goose Down``.

Source: internal/sqlparser/parser.go and database/dialect/postgres.go of
github.com/pressly/goose (v3).
"""

from __future__ import annotations

import re

from turnback.errors import InvalidMigration
from turnback.migrations.layouts.layout import Applied, History, Kept, Recorded, Row
from turnback.migrations.layouts.sections import Format, Marks, Text, sections_layout

_NAME = re.compile(r"(?P<version>[0-9]{1,20})_(?P<name>.*)\.sql")
_CODE = re.compile(r"[0-9]+_.*(?<!_test)\.go")
# A mark is the whole line, and begins it.
_MARK = re.compile(r"^--[ \t]*\+goose\b[ \t]*([^\r\n]*?)[ \t]*\r?$", re.MULTILINE)
_WORDS = {
    "Up": "up",
    "Down": "down",
    "StatementBegin": "begin",
    "StatementEnd": "end",
    "NO TRANSACTION": "outside",
    "ENVSUBST OFF": "",
}


def _marks(file: Text) -> Marks:
    for match in _MARK.finditer(file.text):
        if match[1] not in _WORDS:
            hint = "turnback and goose read it as a comment: correct it, or delete it"
            if match[1].startswith("ENVSUBST"):
                hint = "write the values of the variables into the file, and delete this line"
            raise InvalidMigration(
                f"the mark '+goose {match[1]}' is not obeyed",
                file=file.path,
                line=file.line(match.start()),
                hint=hint,
            )
        yield _WORDS[match[1]], match


def _applied(kept: Recorded) -> Kept:
    """What is applied."""
    by_number = kept.by_number
    newest: dict[int, Row] = {}
    for row in kept.rows:
        newest.pop(row["version_id"], None)
        newest[row["version_id"]] = row
    return Kept(
        [
            Applied.of(by_number.get(number), str(number), row["tstamp"])
            for number, row in newest.items()
            if number and row["is_applied"]
        ]
    )


_FORM = Format(
    _NAME,
    _marks,
    "-- +goose Up",
    "-- +goose Down",
    _MARK,
    order=lambda migration: migration.number,
    code=(_CODE, "Go code"),
)


LAYOUT = sections_layout(
    "goose",
    _FORM,
    # ``goose_db_version``: the newest row of a version decides; 0 is the row of the table.
    History(
        columns=dict.fromkeys(("id", "version_id", "is_applied", "tstamp"), ""),
        select="SELECT version_id, is_applied, tstamp FROM {table} ORDER BY id",
        read=_applied,
    ),
)
