"""turnback's own layout: forward, rollback and verify scripts in a folder each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from turnback.errors import DuplicateVersion, InvalidMigration
from turnback.migrations.files import Files
from turnback.migrations.layouts.layout import (
    Evidence,
    Layout,
    New,
)
from turnback.migrations.layouts.reading import Reading
from turnback.migrations.model import Migration, Script
from turnback.migrations.python import is_python
from turnback.settings.project import FILE as SETTINGS
from turnback.wording import counted

NAME = re.compile(r"^([0-9]{1,20})_(.+)\.(?:sql|py)$")
# The column of the history table: varchar(255).
_LONGEST_NAME = 255

REPEATABLE = "repeatable"
_REPEATABLE_ROLLBACK = f"rollback/{REPEATABLE}"

_Found = list[tuple[str, str, Script]]


def _recognise(files: Files) -> Evidence | None:
    return Evidence("there is a folder sql") if files.is_folder("sql") else None


def _read(reading: Reading) -> list[Migration]:
    forward = _folder(reading, "sql")
    rollback = _pick(reading, "rollback", forward)
    verify = _pick(reading, "verify", forward)
    found = [
        Migration(version, name, script, rollback.get(int(version)), verify.get(int(version)))
        for version, name, script in forward
    ]
    found.sort(key=lambda migration: migration.number)
    return [*found, *_repeatables(reading)]


def _new(new: New) -> dict[str, str]:
    return {
        f"sql/{new.version}_{new.slug}.sql": new.forward(),
        f"rollback/{new.version}_rollback.sql": new.rollback(),
    }


def _folder(reading: Reading, kind: str) -> _Found:
    """The scripts of ``sql``, ``rollback`` or ``verify``."""
    found: _Found = []
    for filename in reading.names(kind):
        path = f"{kind}/{filename}"
        match = NAME.match(filename)
        if not match and not filename.lower().endswith(".sql"):
            if path != _REPEATABLE_ROLLBACK:
                _refuse_scripts_below(reading, path)
            continue
        if not match or len(match[2]) > _LONGEST_NAME:
            reading.findings.append(
                InvalidMigration(
                    "the file's name is not VERSION_name.sql",
                    file=path,
                    hint="VERSION is 1 to 20 digits, for example 0002_user_preferences.sql; "
                    f"[ignore] in {SETTINGS} leaves files out",
                )
            )
        elif kind == "verify" and is_python(path):
            reading.findings.append(InvalidMigration("a verify script is SQL", file=path))
        elif script := reading.script(path, rollback=kind == "rollback"):
            found.append((match[1], match[2], script))
    return found


def _repeatables(reading: Reading) -> list[Migration]:
    """The files of ``repeatable`` and its subfolders, with rollback scripts of their own."""
    rollbacks = {
        path: script
        for path in _below(reading, _REPEATABLE_ROLLBACK)
        if (script := reading.script(path, rollback=True))
    }
    found = []
    for path in _below(reading, REPEATABLE):
        own = rollbacks.pop(f"rollback/{path}", None)
        if script := reading.script(path):
            name = PurePosixPath(path).stem
            found.append(Migration(path, name, script, own, kind="repeatable"))
    reading.findings += [
        InvalidMigration(
            f"there is no {path.removeprefix('rollback/')} for this rollback script",
            file=path,
            hint="name it as the repeatable, or delete it",
        )
        for path in rollbacks
    ]
    return found


def _below(reading: Reading, folder: str) -> list[str]:
    """The scripts of a folder and its subfolders, sorted."""
    if not reading.files.is_folder(folder):
        return []
    return reading.below(folder, _is_script)


def _refuse_scripts_below(reading: Reading, path: str) -> None:
    """Subfolders are not read: a script in one would never run, and nobody would notice."""
    if not reading.files.is_folder(path):
        return
    try:
        below = sorted(filter(_is_script, reading.files.below(path)))
    except OSError as exc:
        reading.unreadable(path, exc)
        return
    below = [script for script in below if not reading.is_ignored(script)]
    if below:
        reading.findings.append(
            InvalidMigration(
                f"{counted(len(below), 'SQL file')} in a subfolder, which turnback does not read",
                file=below[0],
                hint=f"move the scripts of {path}/ to {path.partition('/')[0]}/ itself, move "
                f"the folder elsewhere, or leave it out by [ignore] in {SETTINGS}",
            )
        )


def _is_script(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.lower().endswith(".sql") and not name.startswith(".")


def _forward(paths: Iterable[str | None]) -> dict[int, str]:
    """The forward scripts among these files, by the number of their version."""
    found = {}
    for path in paths:
        folder, _, filename = (path or "").partition("/")
        if path and folder == "sql" and (match := NAME.match(filename)):
            found[int(match[1])] = path
    return found


def _pick(reading: Reading, kind: str, forward: _Found) -> dict[int, Script]:
    names = {int(version): name for version, name, _ in forward}
    unread = _forward(finding.file for finding in reading.findings)
    ignored = _forward(reading.ignored)
    findings = reading.findings
    picked: dict[int, Script] = {}
    for version, name, script in _folder(reading, kind):
        number = int(version)
        if number not in names:
            if number in unread:
                # Its migration is there, and what is wrong with it is reported.
                continue
            hint = ""
            if number in ignored:
                hint = f"[ignore] in {SETTINGS} leaves out {ignored[number]}: add this file to it"
            reading.no_forward(script.path, version, kind=kind, hint=hint)
        elif name not in (kind, names[number]):
            findings.append(
                InvalidMigration(
                    f"the name fits no migration: {version} is '{names[number]}'",
                    file=script.path,
                    version=version,
                    hint=f"name it {kind}/{version}_{kind}.sql",
                )
            )
        elif number in picked:
            findings.append(
                DuplicateVersion(
                    f"version {version} has a {kind} script already: {picked[number].path}",
                    file=script.path,
                    version=version,
                    hint="keep one of the two",
                )
            )
        else:
            picked[number] = script
    return picked


LAYOUT = Layout(
    name="turnback",
    recognise=_recognise,
    read=_read,
    new=_new,
    verify="verify/{version}_verify.sql",
    by_time=False,
)
