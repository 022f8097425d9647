"""Prisma Migrate: ``VERSION_name/migration.sql``, forward only.

Source: the schema engine in github.com/prisma/prisma-engines. The rollback script of a migration is
``down.sql`` beside it, as Prisma's guide on down migrations names it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

from turnback.errors import HistoryConflict, InvalidMigration
from turnback.migrations.files import Files
from turnback.migrations.large import LargeScript
from turnback.migrations.layouts.layout import (
    Applied,
    Evidence,
    History,
    Kept,
    Layout,
    New,
    Recorded,
)
from turnback.migrations.layouts.pairs import read_folders
from turnback.migrations.layouts.reading import Reading
from turnback.migrations.model import Migration, Script

_NAME = re.compile(r"(?P<version>[0-9]{1,20})_(?P<name>.*)|(?P<whole>.+)")
_FORWARD, _ROLLBACK = "migration.sql", "down.sql"
_LOCK = "migration_lock.toml"
_PROVIDER = re.compile(r'^\s*provider\s*=\s*"([^"]*)"', re.MULTILINE)
_SHA256_LENGTH = 64
_ENUM = re.compile(
    r"^(-- AlterEnum\s*?\r?\n)(BEGIN;)(\s*?\n(?:(?!--|COMMIT;).*\n)+)(COMMIT;)", re.MULTILINE
)


def _recognise(files: Files) -> Evidence | None:
    names = sorted(files.names(""))
    if _LOCK in names:
        return Evidence(f"there is a {_LOCK}")
    for name in names:
        if files.is_folder(name) and _FORWARD in files.names(name):
            return Evidence(f"{name}/ has a {_FORWARD}")
    return None


def _read(reading: Reading) -> list[Migration]:
    """In the order of the names of the folders."""
    lock = reading.beside(_LOCK)
    provider = _PROVIDER.search(lock or "")
    if provider and provider[1] not in ("postgresql", "cockroachdb"):
        reading.findings.append(
            InvalidMigration(
                f"these migrations are for {provider[1]}",
                file=_LOCK,
                hint="turnback runs migrations of PostgreSQL",
            )
        )
    found = read_folders(reading, _NAME, _FORWARD, _ROLLBACK)
    return [replace(one, forward=_in_one_transaction(one.forward)) for one in found]


def _in_one_transaction(script: Script) -> Script:
    """The script with blanks in place of Prisma's BEGIN and COMMIT around the change of an enum.

    The file is one transaction already, and they would cut it in two or three.
    """
    if isinstance(script, LargeScript) or not _ENUM.search(script.sql):
        return script
    return replace(script, sql=_ENUM.sub(_without_transaction, script.sql))


def _without_transaction(found: re.Match[str]) -> str:
    return f"{found[1]}{' ' * len(found[2])}{found[3]}{' ' * len(found[4])}"


def _new(new: New) -> dict[str, str]:
    return {
        f"{new.version}_{new.slug}/{_FORWARD}": new.forward(),
        f"{new.version}_{new.slug}/{_ROLLBACK}": new.rollback(),
    }


def _applied(kept: Recorded) -> Kept:
    """Applied is what has ended and was not marked as rolled back."""
    by_name = {one.forward.path.partition("/")[0]: one for one in kept.migrations}
    applied: dict[str, Applied] = {}
    refused = []
    for row in kept.rows:
        name = str(row["migration_name"])
        if row["rolled_back_at"] is not None:
            continue
        found = by_name.get(name)
        match = _NAME.fullmatch(name)
        version = found.version if found else (match and match["version"]) or name
        if row["finished_at"] is None:
            refused.append(_unfinished(name, version))
            continue
        same = _is_same(kept.data(found), row["checksum"]) if found else None
        applied[name] = Applied.of(
            found, version, row["finished_at"], same=same, ms=row["ms"], name=name
        )
    return Kept(list(applied.values()), refused)


def _unfinished(name: str, version: str) -> HistoryConflict:
    return HistoryConflict(
        f"Prisma has begun {name} and not finished it: what it has done is not known",
        version=version,
        hint="look what of it is in the database, and undo it or finish it by hand; then: prisma "
        f"migrate resolve --rolled-back {name}, or --applied {name}",
    )


def _is_same(data: bytes, checksum: str) -> bool | None:
    """Whether a file is what was applied, in any form of its line ends, as Prisma compares."""
    if len(checksum) != _SHA256_LENGTH:
        # Of an early version, which wrote the bytes without their leading zeros.
        return None
    lf = data.replace(b"\r\n", b"\n")
    forms = (data, lf, lf.replace(b"\n", b"\r\n"))
    return checksum in {hashlib.sha256(form).hexdigest() for form in forms}


LAYOUT = Layout(
    name="prisma",
    recognise=_recognise,
    read=_read,
    new=_new,
    verify="{folder}/verify.sql",
    # ``_prisma_migrations``: a row for each attempt, with the SHA-256 of the file.
    history=History(
        columns=dict.fromkeys(
            (
                "id",
                "checksum",
                "finished_at",
                "migration_name",
                "logs",
                "rolled_back_at",
                "started_at",
                "applied_steps_count",
            ),
            "",
        ),
        select="SELECT migration_name, checksum, finished_at, rolled_back_at, "
        "(extract(epoch FROM finished_at - started_at) * 1000)::bigint AS ms "
        "FROM {table} ORDER BY started_at",
        read=_applied,
    ),
)
