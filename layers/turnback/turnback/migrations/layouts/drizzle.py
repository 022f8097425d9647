"""Drizzle: ``0000_name.sql`` in the order of ``meta/_journal.json``, forward only.

Source: src/migrator.ts and src/pg-core/dialect.ts of github.com/drizzle-team/drizzle-orm (0.45).

Rollback scripts are in a folder ``rollback``, which the tool passes over.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Any

from turnback.errors import HistoryConflict, InvalidMigration
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
from turnback.migrations.layouts.pairs import read_with_folders
from turnback.migrations.layouts.reading import Reading
from turnback.migrations.model import Migration

_JOURNAL = "meta/_journal.json"
_NAME = re.compile(r"(?P<version>[0-9]{1,20})_(?P<name>.*)\.sql")
_FIX = "make it anew: drizzle-kit generate"


def _recognise(files: Files) -> Evidence | None:
    try:
        return Evidence(f"there is a {_JOURNAL}") if _entries(files.read(_JOURNAL)) else None
    except (OSError, ValueError):
        return None


def _entries(data: bytes) -> list[dict[str, Any]]:
    """The migrations that the journal lists. Raises ValueError."""
    try:
        entries = json.loads(data)["entries"]
        return [{**one, "tag": str(one["tag"]), "when": int(one["when"])} for one in entries]
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError(f"it has no entries with 'tag' and 'when': {exc}") from exc


def _read(reading: Reading) -> list[Migration]:
    """In the order of the journal."""
    journal = reading.beside(_JOURNAL)
    if journal is None:
        reading.findings.append(InvalidMigration("there is no journal", file=_JOURNAL, hint=_FIX))
        return []
    try:
        tags = [one["tag"] for one in _entries(journal.encode())]
    except ValueError as exc:
        reading.findings.append(
            InvalidMigration(f"the journal cannot be read: {exc}", file=_JOURNAL, hint=_FIX)
        )
        return []
    found = {
        one.forward.path.removesuffix(".sql"): one for one in read_with_folders(reading, _NAME)
    }
    unread = {finding.file for finding in reading.findings}
    for tag in tags:
        if tag not in found and f"{tag}.sql" not in {*unread, *reading.ignored}:
            reading.findings.append(
                InvalidMigration(
                    f"the journal lists {tag}, and there is no {tag}.sql named VERSION_name.sql",
                    file=_JOURNAL,
                    hint="restore the file, or correct the journal",
                )
            )
    for tag, one in found.items():
        if tag not in tags:
            reading.findings.append(
                InvalidMigration(
                    "the journal does not list this file, so the tool would never run it",
                    file=one.forward.path,
                    hint=f"add it to {_JOURNAL}, or delete it",
                )
            )
    return [found[tag] for tag in tags if tag in found]


def _new(new: New) -> dict[str, str]:
    journal = json.loads(new.files.read(_JOURNAL))
    entries = _entries(json.dumps(journal).encode())
    last = max((one["when"] for one in entries), default=0)
    tag = f"{new.version}_{new.slug}"
    journal["entries"].append(
        {
            "idx": len(entries),
            "version": str(journal.get("version", "7")),
            # A file runs only if its time is after that of all that ran.
            "when": max(last + 1, int(datetime.now(UTC).timestamp() * 1000)),
            "tag": tag,
            "breakpoints": True,
        }
    )
    return {
        f"{tag}.sql": new.forward(),
        f"rollback/{tag}.sql": new.rollback(),
        _JOURNAL: json.dumps(journal, indent=2, ensure_ascii=False),
    }


def _applied(kept: Recorded) -> Kept:
    """What is applied, by its hash; and what the tool will never run."""
    by_tag = {one.forward.path.removesuffix(".sql"): one for one in kept.migrations}
    listed = [(by_tag[one["tag"]], one["when"]) for one in _journal(kept) if one["tag"] in by_tag]
    hashes = {one.version: hashlib.sha256(kept.data(one)).hexdigest() for one, _ in listed}
    recorded = {row["hash"] for row in kept.rows}
    by_time = {when: one for one, when in listed}
    by_hash = {hashes[one.version]: one for one, _ in listed}
    applied = []
    for row in kept.rows:
        at = row["created_at"]
        found = by_time.get(at) or by_hash.get(row["hash"])
        same = hashes[found.version] == row["hash"] if found else None
        time = datetime.fromtimestamp(at / 1000, UTC) if at is not None else None
        applied.append(
            Applied.of(found, f"sha256:{row['hash']}", time, same=same, name=row["hash"])
        )
    newest = max((row["created_at"] or 0 for row in kept.rows), default=0)
    done = {one.version for one in applied}
    skipped = [
        one
        for one, when in listed
        if one.version not in done and when <= newest and hashes[one.version] not in recorded
    ]
    return Kept(applied, [_skipped(one) for one in skipped])


def _journal(kept: Recorded) -> list[dict[str, Any]]:
    try:
        return _entries(kept.files.read(_JOURNAL))
    except (OSError, ValueError):
        return []


def _skipped(migration: Migration) -> HistoryConflict:
    return HistoryConflict(
        f"Drizzle has never run {migration.forward.path}, and never will: a younger one had run "
        "when it was merged",
        version=migration.version,
        hint=f"give it a 'when' in {_JOURNAL} that is greater than all others, or delete it and "
        "generate it again",
    )


LAYOUT = Layout(
    name="drizzle",
    recognise=_recognise,
    read=_read,
    new=_new,
    # ``drizzle.__drizzle_migrations``: the SHA-256 of the file, and its time in the journal.
    history=History(
        columns=dict.fromkeys(("id", "hash", "created_at"), ""),
        select="SELECT hash, created_at FROM {table} ORDER BY id",
        read=_applied,
    ),
    by_time=False,
)
