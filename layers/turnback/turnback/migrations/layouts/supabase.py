"""Supabase: ``VERSION_name.sql`` in supabase/migrations, forward only.

Source: pkg/migration of github.com/supabase/cli.

Rollback scripts are in a folder ``rollback``, which the tool passes over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

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
from turnback.migrations.layouts.pairs import read_with_folders
from turnback.migrations.layouts.reading import Reading, outside
from turnback.migrations.model import Migration
from turnback.migrations.psql import skip_comments
from turnback.migrations.text import decode

_NAME = re.compile(r"(?P<version>[0-9]{1,20})_(?P<name>.*)\.sql")
_OUTSIDE = re.compile(r"^--[ \t]*pg-delta:[ \t]*transaction=false\b", re.MULTILINE)
_BETWEEN = re.compile(r"[\s;]*")


def _recognise(files: Files) -> Evidence | None:
    config = files.path.resolve().parent / "config.toml"
    for path, text in listed(files, _NAME):
        if _OUTSIDE.search(text, 0, skip_comments(text)):
            return Evidence(f"{path} has a line '-- pg-delta: …'")
        if config.is_file() and re.search(r"(?m)^\s*project_id\s*=", config.read_text("utf-8")):
            return Evidence("config.toml beside the folder has a project_id")
        return Evidence(f"{path} is named VERSION_name.sql", certain=False)
    return None


def _read(reading: Reading) -> list[Migration]:
    return [
        replace(one, forward=outside(one.forward))
        if _OUTSIDE.search(one.forward.head, 0, skip_comments(one.forward.head))
        else one
        for one in read_with_folders(reading, _NAME)
    ]


def _new(new: New) -> dict[str, str]:
    return {
        f"{new.version}_{new.slug}.sql": new.forward(),
        f"rollback/{new.version}_{new.slug}.sql": new.rollback(),
    }


def _applied(kept: Recorded) -> Kept:
    """What is applied."""
    by_version = kept.by_version
    applied = []
    for row in kept.rows:
        found, same = by_version.get(row["version"]), None
        if found and row["statements"] is not None:
            path = found.forward.path
            same = _is_same(decode(path, kept.files.read(path)), row["statements"])
        applied.append(Applied.of(found, row["version"], same=same, name=row["name"]))
    return Kept(applied)


def _is_same(text: str, statements: Sequence[str]) -> bool:
    """Whether a file has these statements, and besides them only blanks and comments."""
    text, at = text.replace("\r\n", "\n"), 0
    for statement in (one.replace("\r\n", "\n") for one in statements):
        start = text.find(statement, at)
        if start < 0 or not _is_nothing(text[at:start]):
            return False
        at = start + len(statement)
    return _is_nothing(text[at:])


def _is_nothing(text: str) -> bool:
    at = 0
    while at < len(text):
        match = _BETWEEN.match(text, at)
        after = skip_comments(text, match.end() if match else at)
        if after == at:
            return False
        at = after
    return True


LAYOUT = Layout(
    name="supabase",
    recognise=_recognise,
    read=_read,
    new=_new,
    # ``supabase_migrations.schema_migrations``: with the statements that were run.
    history=History(
        columns={"version": "text", "statements": "text[]", "name": "text"},
        select="SELECT version, name, statements FROM {table} ORDER BY version",
        read=_applied,
        optional=None,
    ),
)
