"""Reading a folder of migrations."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from turnback.errors import DuplicateVersion, InvalidMigration, ProjectNotFound, TurnbackError
from turnback.migrations.checksums import FILE, digest, parse_sums
from turnback.migrations.files import Files, Folder
from turnback.migrations.headers import read_directives
from turnback.migrations.large import LargeScript
from turnback.migrations.model import Migration, Project, Script
from turnback.migrations.text import decode
from turnback.settings.ignore import Ignore
from turnback.settings.project import FILE as SETTINGS
from turnback.settings.project import ProjectFile
from turnback.wording import counted, one_line

NAME = re.compile(r"^([0-9]{1,20})_(.+)\.sql$")
# What the shadow database of a rehearsal gets before the first migration.
SHADOW = "shadow.sql"
# What `turnback rebase` has prepared and not yet moved into place.
PENDING_REBASE = ".turnback-rebase"
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
        ConfigurationError: turnback.toml is wrong.
    """
    files = Folder(folder) if isinstance(folder, Path) else folder
    settings = files.settings()
    project_file = ProjectFile.parse(settings, Path(SETTINGS)) if settings else ProjectFile()
    reading = _Reading(files, project_file.ignore)
    findings = reading.findings
    if not files.is_folder("sql"):
        what = "no folder 'sql' in" if files.is_folder("") else "no folder"
        raise ProjectNotFound(
            f"{what} {files.path}",
            hint="name the folder with --dir, or make one here: turnback init",
        )
    if files.is_folder(PENDING_REBASE):
        findings.append(
            InvalidMigration(
                "turnback rebase was interrupted",
                file=PENDING_REBASE,
                hint="finish it: turnback rebase",
            )
        )
    forward = reading.folder("sql")
    rollback = _pick(reading, "rollback", forward)
    verify = _pick(reading, "verify", forward)
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
    shadow = reading.shadow()
    sums = reading.sums()
    ignored = tuple(reading.ignored)
    return Project(files.path, ordered, sums, shadow, project_file, ignored), findings


_Found = list[tuple[str, str, Script]]


@dataclass(slots=True)
class _Reading:
    """The files of a project as they are read.

    Attributes:
        findings: everything wrong with them.
        ignored: those that are left out, and would be read otherwise.
    """

    files: Files
    ignore: Ignore
    findings: list[TurnbackError] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def folder(self, kind: str) -> _Found:
        """The scripts of ``sql``, ``rollback`` or ``verify``."""
        found: _Found = []
        try:
            names = sorted(self.files.names(kind))
        except FileNotFoundError:
            return found
        except NotADirectoryError:
            self.findings.append(
                InvalidMigration("this is a file, and must be a folder", file=kind)
            )
            return found
        for filename in names:
            path = f"{kind}/{filename}"
            if filename.startswith(".") or self._is_ignored(path):
                continue
            if one_line(path) != path:
                self.findings.append(
                    InvalidMigration(
                        "the file's name has a character that nobody sees, or that ends a line",
                        file=path,
                        hint="rename it, with letters that everybody can read",
                    )
                )
                continue
            if not filename.lower().endswith(".sql"):
                self._refuse_scripts_below(path)
                continue
            match = NAME.match(filename)
            try:
                if not match or len(match[2]) > _LONGEST_NAME:
                    raise InvalidMigration(
                        "the file's name is not VERSION_name.sql",
                        file=path,
                        hint="VERSION is 1 to 20 digits, for example 0002_user_preferences.sql; "
                        f"[ignore] in {SETTINGS} leaves files out",
                    )
                found.append((match[1], match[2], _read_script(self.files, path)))
            except TurnbackError as finding:
                self.findings.append(finding)
            except OSError as exc:
                self._unreadable(path, exc)
        return found

    def shadow(self) -> Script | None:
        """What the shadow database of a rehearsal gets first."""
        if SHADOW not in self.files.names("") or self._is_ignored(SHADOW):
            return None
        try:
            return _read_script(self.files, SHADOW)
        except TurnbackError as finding:
            self.findings.append(finding)
        except OSError as exc:
            self._unreadable(SHADOW, exc)
        return None

    def sums(self) -> dict[str, str] | None:
        """What SHA256SUMS says."""
        try:
            return parse_sums(decode(FILE, self.files.read(FILE)))
        except FileNotFoundError:
            return None
        except TurnbackError as finding:
            self.findings.append(finding)
            return None

    def _is_ignored(self, path: str) -> bool:
        if not self.ignore.has_file(path):
            return False
        self.ignored.append(path)
        return True

    def _unreadable(self, path: str, error: OSError) -> None:
        self.findings.append(
            InvalidMigration(
                f"cannot be read: {error.strerror}",
                file=path,
                hint="check what it is, and its rights",
            )
        )

    def _refuse_scripts_below(self, path: str) -> None:
        """Subfolders are not read: a script in one would never run, and nobody would notice."""
        if not self.files.is_folder(path):
            return
        try:
            below = sorted(filter(_is_script, self.files.below(path)))
        except OSError as exc:
            self._unreadable(path, exc)
            return
        below = [script for script in below if not self._is_ignored(script)]
        if below:
            self.findings.append(
                InvalidMigration(
                    f"{counted(len(below), 'SQL file')} in a subfolder, which turnback does not "
                    "read",
                    file=below[0],
                    hint=f"move the scripts of {path}/ to {path.partition('/')[0]}/ itself, move "
                    f"the folder elsewhere, or leave it out by [ignore] in {SETTINGS}",
                )
            )


def _read_script(files: Files, path: str) -> Script:
    found = files.open(path)
    if not isinstance(found, bytes):
        return LargeScript(path, found)
    sql = decode(path, found)
    return Script(path, sql, digest(found), read_directives(path, sql))


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


def _pick(reading: _Reading, kind: str, forward: _Found) -> dict[int, Script]:
    names = {int(version): name for version, name, _ in forward}
    unread = _forward(finding.file for finding in reading.findings)
    ignored = _forward(reading.ignored)
    findings = reading.findings
    picked: dict[int, Script] = {}
    for version, name, script in reading.folder(kind):
        number = int(version)
        if number not in names:
            if number in unread:
                # Its migration is there, and what is wrong with it is reported.
                continue
            hint = "rename it to its migration's version, or delete it"
            if number in ignored:
                hint = f"[ignore] in {SETTINGS} leaves out {ignored[number]}: add this file to it"
            findings.append(
                InvalidMigration(
                    f"there is no migration {version} for this {kind} script",
                    file=script.path,
                    version=version,
                    hint=hint,
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
