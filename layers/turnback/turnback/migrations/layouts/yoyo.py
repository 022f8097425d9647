"""yoyo: ``ID.sql`` and ``ID.rollback.sql``, in the order of what each depends on.

Source: yoyo/migrations.py of hg.sr.ht/~olly/yoyo (9.0).
"""

from __future__ import annotations

import heapq
import re
import secrets
import string
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from graphlib import CycleError, TopologicalSorter

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
from turnback.migrations.layouts.pairs import read_pairs
from turnback.migrations.layouts.reading import Reading, outside
from turnback.migrations.model import Migration

_NAME = re.compile(r"(?!post-apply)(?P<version>.+?)(?P<name>)(?:\.(?P<kind>rollback))?\.sql")
_HOOK = re.compile(r"post-apply.*\.(?:sql|py)")
# What the tool puts before the name of a migration.
_NUMBER = re.compile(r"(?P<date>[0-9]{8}_)?(?P<number>[0-9]+)(?P<random>_[A-Za-z0-9]{5})?[-._]")
_DIRECTIVE = re.compile(r"^[ \t]*--\s*(transactional|depends)\s*:\s*([^\r\n]*)", re.MULTILINE)
_HEADER = re.compile(r"(?:[ \t]*(?:--[^\r\n]*)?(?:\r\n|\r|\n))*")


def _directives(text: str) -> Mapping[str, str]:
    """What the comments at the beginning of a file say to the tool."""
    found: dict[str, str] = {}
    end = match.end() if (match := _HEADER.match(text)) else 0
    for match in _DIRECTIVE.finditer(text, 0, end):
        found[match[1]] = f"{found.get(match[1], '')} {match[2]}".strip()
    return found


def _recognise(files: Files) -> Evidence | None:
    certain = None
    for path, text in listed(files, _NAME):
        if path.endswith(".rollback.sql"):
            certain = certain or Evidence(f"{path} is named ID.rollback.sql", certain=False)
        elif "depends" in _directives(text):
            return Evidence(f"{path} has a line '-- depends: …'")
    return certain


def _read(reading: Reading) -> list[Migration]:
    for filename in reading.names(""):
        hook = _HOOK.fullmatch(filename)
        if hook or filename.endswith(".py"):
            what = "a hook, which turnback does not run" if hook else "Python, which it cannot run"
            reading.findings.append(
                InvalidMigration(
                    f"this file of yoyo is {what}",
                    file=filename,
                    hint="write its SQL in a migration, or leave it out by [ignore] in "
                    "turnback.toml",
                )
            )
    found = {}
    needs = {}
    for one in read_pairs(reading, _NAME, "rollback"):
        said = _directives(one.forward.head)
        wanted = said.get("transactional", "true").lower()
        if wanted not in ("true", "false"):
            reading.findings.append(_invalid(one, f"'transactional: {wanted}' is neither"))
        rollback = one.rollback
        if wanted == "false":
            one = replace(
                one, forward=outside(one.forward), rollback=rollback and outside(rollback)
            )
        name = _NUMBER.sub("", one.version, count=1) or one.version
        found[one.version] = replace(one, name=name)
        needs[one.version] = said.get("depends", "").split()
    for version, wanted_ones in needs.items():
        for gone in (one for one in wanted_ones if one not in found):
            reading.findings.append(
                _invalid(found[version], f"it depends on {gone}, which is not here")
            )
    graph = {version: [one for one in needs[version] if one in found] for version in found}
    try:
        return [found[version] for version in _sorted(graph)]
    except CycleError as error:
        circle = " → ".join(error.args[1])
        reading.findings.append(
            _invalid(found[error.args[1][0]], f"it depends on itself: {circle}")
        )
        return list(found.values())


def _invalid(migration: Migration, message: str) -> InvalidMigration:
    return InvalidMigration(
        message, file=migration.forward.path, hint="correct the comments at its beginning"
    )


def _sorted(graph: Mapping[str, list[str]]) -> Iterator[str]:
    """By name, each after what it depends on.

    Raises:
        CycleError: one depends on itself.
    """
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    ready: list[str] = []
    while sorter.is_active():
        for version in sorter.get_ready():
            heapq.heappush(ready, version)
        version = heapq.heappop(ready)
        yield version
        sorter.done(version)


def _new(new: New) -> dict[str, str]:
    last = new.migrations[-1].version if new.migrations else ""
    match = _NUMBER.match(last)
    slug = new.slug.replace("_", "-")
    if match and not match["random"]:
        number = match["number"]
        version = f"{int(number) + 1:0{len(number)}}{last[match.end() - 1]}{slug}"
    else:
        chosen = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(5))
        today = f"{datetime.now(UTC):%Y%m%d}_"
        number = int(match["number"]) + 1 if match and match["date"] == today else 1
        version = f"{today}{number:02}_{chosen}-{slug}"
    depends = f"-- depends: {last}\n" if last else ""
    return {
        f"{version}.sql": new.forward(version, above=depends),
        f"{version}.rollback.sql": new.rollback(version),
    }


def _applied(kept: Recorded) -> Kept:
    """What is applied; the hash in a row is only of its name."""
    by_version = kept.by_version
    return Kept(
        [
            Applied.of(
                by_version.get(row["migration_id"]), row["migration_id"], row["applied_at_utc"]
            )
            for row in kept.rows
        ]
    )


LAYOUT = Layout(
    name="yoyo",
    recognise=_recognise,
    read=_read,
    new=_new,
    # ``_yoyo_migration``.
    history=History(
        columns=dict.fromkeys(("migration_hash", "migration_id", "applied_at_utc"), ""),
        select="SELECT migration_id, applied_at_utc FROM {table} ORDER BY applied_at_utc",
        read=_applied,
    ),
)
