"""graphile-migrate: ``committed/000001-name.sql`` with a chain of hashes, forward only.

Source: src/migration.ts and src/hash.ts of github.com/graphile/migrate (1.4).

Rollback scripts are in a folder ``rollback``, which the tool passes over. ``current.sql`` is not a
migration yet.
"""

from __future__ import annotations

import hashlib
import re
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
from turnback.migrations.layouts.names import listed
from turnback.migrations.layouts.pairs import read_with_folders
from turnback.migrations.layouts.reading import Reading, outside
from turnback.migrations.model import Migration
from turnback.migrations.psql import unquoted
from turnback.migrations.text import decode

_FOLDER = "committed"
_NAME = re.compile(r"(?P<version>[0-9]{1,20})(?:-(?P<name>[-_a-zA-Z0-9]*))?\.sql")
_HEADER = re.compile(r"--! ([A-Z][a-zA-Z0-9_]*)(?::([^\r\n]*))?\n")
_OUTSIDE = re.compile(r"--!\s*no-transaction\b")
_PLACEHOLDER = re.compile(r"(?<!:):[A-Z][A-Z0-9_]*\b")
# Not in a line that is a comment.
_BUILT_IN = re.compile(r"^(?![ \t]*--).*?(:DATABASE_(?:NAME|OWNER))\b", re.MULTILINE)
# What JavaScript's trim() removes.
_BLANKS = "\t\n\v\f\r \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
_BLANKS += "\u2028\u2029\u202f\u205f\u3000\ufeff"


def _parts(text: str) -> tuple[dict[str, str], str]:
    """The header of a file, and its body as the tool trims it."""
    found, at = {}, 0
    while match := _HEADER.match(text, at):
        found[match[1]] = (match[2] or "").strip(_BLANKS)
        at = match.end()
    return found, text[at:].strip(_BLANKS)


def _hash(previous: str, body: str) -> str:
    text = f"{previous}\n{body}".strip(_BLANKS) + "\n"
    return f"sha1:{hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()}"


def _recognise(files: Files) -> Evidence | None:
    for path, text in listed(files, _NAME, _FOLDER):
        if "Hash" in _parts(text)[0]:
            return Evidence(f"{path} has a line '--! Hash: …'")
    return None


def _read(reading: Reading) -> list[Migration]:
    return list(_checked(reading))


def _checked(reading: Reading) -> Iterator[Migration]:
    """The migrations, each after the one that it names."""
    last = ""
    for one in sorted(
        read_with_folders(reading, _NAME, _FOLDER), key=lambda migration: migration.version
    ):
        found, body = _parts(one.forward.sql)
        previous = found.get("Previous", "")
        if not previous or not found.get("Hash"):
            reading.findings.append(
                InvalidMigration(
                    "the header has no line '--! Previous: …' or no line '--! Hash: …'",
                    file=one.forward.path,
                    line=1,
                    hint="commit it with the tool: graphile-migrate commit",
                )
            )
            continue
        if previous.removeprefix("-") != last:
            reading.findings.append(
                InvalidMigration(
                    f"it follows {previous}, and the file before it is {last or 'not there'}",
                    file=one.forward.path,
                    line=1,
                    hint="uncommit and commit again what was merged: graphile-migrate uncommit",
                )
            )
        last = found["Hash"]
        _refuse_placeholders(reading, one)
        runs_outside = _OUTSIDE.match(body) is not None
        yield replace(one, forward=outside(one.forward)) if runs_outside else one


def _refuse_placeholders(reading: Reading, migration: Migration) -> None:
    script = migration.forward
    # Which there are, .gmrc says; in a string only the tool's own can be told from text.
    own = _BUILT_IN.search(script.sql)
    words = sorted(set(_PLACEHOLDER.findall(script.sql)))
    places = [own.start(1)] if own else [at for word in words for at in unquoted(script.sql, word)]
    places = [at for at in places if script.sql[at - 1 : at] != ":"]
    if places:
        match = _PLACEHOLDER.match(script.sql, min(places))
        line, column = script.position(min(places))
        reading.findings.append(
            InvalidMigration(
                f"turnback does not fill in the placeholder {match[0] if match else ''}",
                file=script.path,
                line=line,
                column=column,
                hint="write current_database() or the value in its place, and the header "
                "'--! AllowInvalidHash'",
            )
        )


def _new(new: New) -> dict[str, str]:
    previous = "-"
    if new.migrations:
        last = new.migrations[-1].forward
        previous = _parts(last.sql)[0].get("Hash", "-")
    body = new.forward()
    # The hash is of the empty body: the tool runs the file because of AllowInvalidHash.
    found = {
        "Previous": previous,
        "Hash": _hash(previous.removeprefix("-"), ""),
        "Message": new.slug,
    }
    lines = [f"--! {key}: {value}\n" for key, value in found.items()]
    filename = f"{new.version.zfill(6)}-{new.slug}.sql"
    return {
        f"{_FOLDER}/{filename}": f"{''.join(lines)}--! AllowInvalidHash\n\n{body}",
        f"rollback/{filename}": new.rollback(),
    }


def _applied(kept: Recorded) -> Kept:
    """What is applied, compared with the hashes."""
    by_version = kept.by_version
    applied = []
    for row in kept.rows:
        version = row["filename"].removesuffix(".sql")
        found, same = by_version.get(version), None
        if found:
            text = decode(found.forward.path, kept.data(found))
            marks, body = _parts(text)
            known = row["hash"] == marks.get("Hash")
            same = known and (
                "AllowInvalidHash" in marks
                or row["hash"] == _hash(row["previous_hash"] or "", body)
            )
        applied.append(Applied.of(found, version, row["date"], name=version, same=same))
    return Kept(applied)


LAYOUT = Layout(
    name="graphile-migrate",
    recognise=_recognise,
    read=_read,
    new=_new,
    # ``graphile_migrate.migrations``: with the hash of the file and of the one before it.
    history=History(
        columns=dict.fromkeys(("hash", "previous_hash", "filename", "date"), ""),
        select="SELECT hash, previous_hash, filename, date FROM {table} ORDER BY filename",
        read=_applied,
    ),
    by_time=False,
)
