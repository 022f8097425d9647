"""sql-migrate: ``NAME.sql`` with ``-- +migrate Up`` and ``-- +migrate Down``.

Source: sqlparse/sqlparse.go and migrate.go of github.com/rubenv/sql-migrate.

A migration's version is the name of its file, as in the tool's table.
"""

from __future__ import annotations

import re

from turnback.errors import InvalidMigration
from turnback.migrations.layouts.layout import Applied, History, Kept, New, Recorded
from turnback.migrations.layouts.sections import Format, Marks, Text, sections_layout
from turnback.migrations.model import Migration

_NAME = re.compile(r"(?P<version>[0-9]*[-_ ]*(?P<name>.*))\.sql")
_MARK = re.compile(r"^-- \+migrate ([^\r\n]*?)[ \t]*\r?$", re.MULTILINE)
_WORDS = {"Up": "up", "Down": "down", "StatementBegin": "begin", "StatementEnd": "end"}


def _order(migration: Migration) -> tuple[bool, int, str]:
    """By the number that the name begins with; names without one come last."""
    digits = re.match("[0-9]*", migration.version)
    number = digits[0] if digits else ""
    return not number, int(number or 0), migration.version


def _marks(file: Text) -> Marks:
    for match in _MARK.finditer(file.text):
        word, *options = match[1].split() or [""]
        outside = options == ["notransaction"] and word in ("Up", "Down")
        if word not in _WORDS or (options and not outside):
            raise InvalidMigration(
                f"the mark '+migrate {match[1]}' is not obeyed",
                file=file.path,
                line=file.line(match.start()),
                hint="correct it, or delete it",
            )
        yield _WORDS[word] + (" outside" if outside else ""), match


def _applied(kept: Recorded) -> Kept:
    """What is applied."""
    by_path = {migration.forward.path: migration for migration in kept.migrations}
    applied = []
    for row in kept.rows:
        found = by_path.get(row["id"])
        same = found.forward.checksum == row["checksum"] if found and row["checksum"] else None
        version = str(row["id"]).removesuffix(".sql")
        applied.append(Applied.of(found, version, row["applied_at"], same=same))
    return Kept(applied)


def _stem(new: New) -> tuple[str, str]:
    version = f"{new.version}-{new.slug}"
    return version, version


_FORM = Format(
    _NAME,
    _marks,
    "-- +migrate Up",
    "-- +migrate Down",
    _MARK,
    once=False,
    order=_order,
    stem=_stem,
)


LAYOUT = sections_layout(
    "sql-migrate",
    _FORM,
    # ``gorp_migrations(id, applied_at)``: one row for each file that is applied.
    History(
        columns={"id": "text", "applied_at": "timestamp with time zone"},
        select="SELECT id, applied_at, {checksum} AS checksum FROM {table} ORDER BY applied_at, id",
        read=_applied,
        optional=("checksum",),
    ),
)
