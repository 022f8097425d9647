"""goose: ``VERSION_name.sql`` with ``-- +goose Up`` and ``-- +goose Down``.

Source: internal/sqlparser/parser.go and database/dialect/postgres.go of
github.com/pressly/goose (v3).
"""

from __future__ import annotations

import re

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
    Row,
)
from turnback.migrations.layouts.reading import Reading
from turnback.migrations.layouts.sections import (
    Format,
    Marks,
    Text,
    new_file,
    read_sections,
    recognise_mark,
)
from turnback.migrations.model import Migration

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


_FORM = Format(_NAME, _marks, "-- +goose Up", "-- +goose Down")


def _recognise(files: Files) -> Evidence | None:
    return recognise_mark(files, _FORM, _MARK)


def _read(reading: Reading) -> list[Migration]:
    for filename in reading.names(""):
        if _CODE.fullmatch(filename):
            reading.findings.append(
                InvalidMigration(
                    "this migration is Go code, which turnback cannot run",
                    file=filename,
                    hint="write its SQL in its place, or leave it out by [ignore] in turnback.toml",
                )
            )
    return sorted(read_sections(reading, _FORM), key=lambda migration: migration.number)


def _new(new: New) -> dict[str, str]:
    return new_file(_FORM, f"{new.version}_{new.slug}.sql", new)


LAYOUT = Layout(
    name="goose",
    recognise=_recognise,
    read=_read,
    new=_new,
    # ``goose_db_version``: the newest row of a version decides; 0 is the row of the table.
    history=History(
        columns=dict.fromkeys(("id", "version_id", "is_applied", "tstamp"), ""),
        select="SELECT version_id, is_applied, tstamp FROM {table} ORDER BY id",
        read=_applied,
    ),
)
