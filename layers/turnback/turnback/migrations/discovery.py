"""Reading a folder of migrations."""

from __future__ import annotations

import re
from pathlib import Path

from turnback.errors import DuplicateVersion, InvalidMigration, ProjectNotFound, TurnbackError
from turnback.migrations.checksums import FILE, digest, parse_sums
from turnback.migrations.files import Files, Folder
from turnback.migrations.headers import read_directives
from turnback.migrations.large import LargeScript
from turnback.migrations.model import Migration, Project, Script
from turnback.migrations.text import decode
from turnback.wording import counted, one_line

_NAME = re.compile(r"^([0-9]{1,20})_(.+)\.sql$")
# What the shadow database of a rehearsal gets before the first migration.
SHADOW = "shadow.sql"
# The columns of the history table: varchar(20) and varchar(255).
_LONGEST_NAME = 255


def load_project(folder: Path | Files) -> Project:
    """The migrations of a folder, or of a folder in a zip, oldest first.

    Raises:
        ProjectNotFound: no such folder, or no migrations in it.
        InvalidMigration, DuplicateVersion: the first thing wrong with its files.
    """
    project, findings = scan(folder)
    if findings:
        raise findings[0]
    if not project.migrations:
        raise ProjectNotFound(
            f"no migrations in {project.folder / 'sql'}",
            hint="write the first one: turnback generate NAME",
        )
    return project


def scan(folder: Path | Files) -> tuple[Project, list[TurnbackError]]:
    """The project as far as it can be read, and everything wrong with its files.

    Raises:
        ProjectNotFound: there is no such folder, or it has no folder ``sql``.
    """
    files = Folder(folder) if isinstance(folder, Path) else folder
    if not files.is_folder("sql"):
        what = "no folder 'sql' in" if files.is_folder("") else "no folder"
        raise ProjectNotFound(
            f"{what} {files.path}",
            hint="name the folder with --dir, or make one here: turnback init",
        )
    findings: list[TurnbackError] = []
    forward = _read_folder(files, "sql", findings)
    rollback = _pick(_read_folder(files, "rollback", findings), "rollback", forward, findings)
    verify = _pick(_read_folder(files, "verify", findings), "verify", forward, findings)
    migrations: dict[int, Migration] = {}
    for version, name, script in forward:
        number = int(version)
        if number in migrations:
            findings.append(
                DuplicateVersion(
                    f"version {version} is taken by {migrations[number].forward.path}",
                    file=script.path,
                    version=version,
                    hint="renumber the younger one, with its rollback script",
                )
            )
            continue
        migrations[number] = Migration(
            version, name, script, rollback.get(number), verify.get(number)
        )
    ordered = tuple(migrations[number] for number in sorted(migrations))
    shadow = _read_shadow(files, findings)
    return Project(files.path, ordered, _read_sums(files, findings), shadow), findings


_Found = list[tuple[str, str, Script]]


def _read_folder(files: Files, kind: str, findings: list[TurnbackError]) -> _Found:
    found: _Found = []
    try:
        names = sorted(files.names(kind))
    except FileNotFoundError:
        return found
    except NotADirectoryError:
        findings.append(InvalidMigration("this is a file, and must be a folder", file=kind))
        return found
    for filename in names:
        if filename.startswith("."):
            continue
        path = f"{kind}/{filename}"
        if one_line(path) != path:
            findings.append(
                InvalidMigration(
                    "the file's name has a character that nobody sees, or that ends a line",
                    file=path,
                    hint="rename it, with letters that everybody can read",
                )
            )
            continue
        if not filename.lower().endswith(".sql"):
            _refuse_scripts_below(files, path, findings)
            continue
        match = _NAME.match(filename)
        try:
            if not match or len(match[2]) > _LONGEST_NAME:
                raise InvalidMigration(
                    "the file's name is not VERSION_name.sql",
                    file=path,
                    hint="VERSION is 1 to 20 digits, for example 0002_user_preferences.sql",
                )
            found.append((match[1], match[2], _read_script(files, path)))
        except TurnbackError as finding:
            findings.append(finding)
        except OSError as exc:
            findings.append(InvalidMigration(f"cannot be read: {exc.strerror}", file=path))
    return found


def _read_script(files: Files, path: str) -> Script:
    found = files.open(path)
    if not isinstance(found, bytes):
        return LargeScript(path, found)
    sql = decode(path, found)
    return Script(path, sql, digest(found), read_directives(path, sql))


def _refuse_scripts_below(files: Files, path: str, findings: list[TurnbackError]) -> None:
    """Subfolders are not read: a script in one would never run, and nobody would notice."""
    if not files.is_folder(path):
        return
    try:
        below = sorted(filter(_is_script, files.below(path)))
    except OSError as exc:
        findings.append(InvalidMigration(f"cannot be read: {exc.strerror}", file=path))
        return
    if below:
        findings.append(
            InvalidMigration(
                f"{counted(len(below), 'SQL file')} in a subfolder, which turnback does not read",
                file=below[0],
                hint=f"move the scripts of {path}/ to {path.partition('/')[0]}/ itself, or move "
                "the folder elsewhere",
            )
        )


def _is_script(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.lower().endswith(".sql") and not name.startswith(".")


def _pick(
    found: _Found, kind: str, forward: _Found, findings: list[TurnbackError]
) -> dict[int, Script]:
    names = {int(version): name for version, name, _ in forward}
    picked: dict[int, Script] = {}
    for version, name, script in found:
        number = int(version)
        if number not in names:
            findings.append(
                InvalidMigration(
                    f"there is no migration {version} for this {kind} script",
                    file=script.path,
                    version=version,
                    hint="rename it to its migration's version, or delete it",
                )
            )
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


def _read_shadow(files: Files, findings: list[TurnbackError]) -> Script | None:
    if SHADOW not in files.names(""):
        return None
    try:
        return _read_script(files, SHADOW)
    except TurnbackError as finding:
        findings.append(finding)
        return None
    except OSError as exc:
        findings.append(InvalidMigration(f"cannot be read: {exc.strerror}", file=SHADOW))
        return None


def _read_sums(files: Files, findings: list[TurnbackError]) -> dict[str, str] | None:
    try:
        return parse_sums(decode(FILE, files.read(FILE)))
    except FileNotFoundError:
        return None
    except TurnbackError as finding:
        findings.append(finding)
        return None
