"""The migrations of this branch beside those of the branch that it is merged into."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from turnback.errors import (
    ChecksumMismatch,
    ConfigurationError,
    DuplicateVersion,
    InvalidMigration,
    MigrationMissing,
    OutOfOrder,
    TurnbackError,
)
from turnback.migrations.checksums import FILE, digest, format_sums, parse_sums
from turnback.migrations.discovery import PENDING_REBASE
from turnback.migrations.git import GitFolder
from turnback.migrations.headers import read_fields
from turnback.migrations.layouts.names import next_version
from turnback.migrations.layouts.reading import SHADOW
from turnback.migrations.layouts.turnback import NAME, REPEATABLE
from turnback.settings.ignore import Ignore
from turnback.settings.project import OWN, ProjectFile

_KINDS = ("sql", "rollback", "verify")
# The header of a file is in its first bytes.
_HEAD_BYTES = 65536
_REMOVED = "removed"
_BEFORE_THE_MERGE = "renumber before the merge: git merge --abort, turnback rebase, git merge"
_VERSION = re.compile(rb"(version:[ \t]*)[0-9]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _File:
    """A script by its path: ``sql/0002_add.sql`` is number 2, named ``add``."""

    path: str
    kind: str
    version: str
    name: str

    @property
    def number(self) -> int:
        return int(self.version)

    def with_version(self, version: str) -> str:
        return f"{self.kind}/{version}_{self.path.partition('_')[2]}"


@dataclass(frozen=True, slots=True)
class Renumbering:
    """A migration that gets another version.

    Attributes:
        old, new: its version.
        name: its name, which it keeps.
        files: its files, the path until now → the path from now on.
    """

    old: str
    new: str
    name: str
    files: Mapping[str, str]


class Branch:
    """The migrations of this branch, with work that is not committed, beside those of a base.

    New is what neither the base has nor the commit at which the two part: what the base has
    removed or renamed since is not new here.

    Attributes:
        base: the name of the base.
    """

    def __init__(self, folder: Path, base: str | None, settings: ProjectFile) -> None:
        """Read both.

        Args:
            folder: the project's folder, in a checkout.
            base: a branch or a commit, such as ``origin/main``; None for the main one of origin.
            settings: what turnback.toml says; files that it leaves out are so on both sides.

        Raises:
            ConfigurationError: no repository, no git, no such branch, or too shallow a clone; or
                the files are in the layout of another tool.
        """
        if settings.layout != OWN:
            raise ConfigurationError(
                f"only turnback's own layout is renumbered, and this is {settings.layout}'s",
                hint="give the new ones later versions by hand: turnback check --base names them",
            )
        ignore = settings.ignore
        self._git = GitFolder(folder)
        self._place = f"{folder.as_posix()}/"
        self.base = base or self._git.usual_base()
        commit = self._git.commit(self.base)
        self._theirs = self._git.files(commit)
        self._before = self._git.files(self._git.merge_base(commit))
        self._here = {path: found for path in _paths(folder) if (found := _file(path, ignore))}
        self._hashes = self._git.hashes(list(self._here))
        on_base = (found for path in self._theirs if (found := _file(path, ignore)))
        self._on_base = sorted((found for found in on_base if found.kind == "sql"), key=_order)
        self._gone = [
            found
            for found in self._on_base
            if found.path in self._before and found.path not in self._here
        ]
        forward = [found for found in self._here.values() if found.kind == "sql"]
        by_hash = {
            self._hashes[found.path]: found.path
            for found in forward
            if found.path not in self._theirs
        }
        # The path on the base → the path here.
        self._renamed = {
            found.path: by_hash[self._theirs[found.path]]
            for found in self._gone
            if self._theirs[found.path] in by_hash
        }
        known = {*self._before, *self._renamed.values()}
        known |= {path for path in self._theirs if self._theirs[path] == self._hashes.get(path)}
        self._new = sorted((one for one in forward if one.path not in known), key=_order)
        self._old = [found for found in forward if found.path in known]

    def findings(self) -> list[TurnbackError]:
        """Why the two cannot be merged as they are."""
        return [*self._changed(), *self._too_low()]

    def notes(self) -> list[str]:
        """What else a reviewer should know: the rollback and verify scripts that are edited."""
        edited = (path for path in self._edited() if self._here[path].kind != "sql")
        return [f"{path} is edited; {self.base} has it already" for path in edited]

    def _edited(self) -> list[str]:
        numbers = {found.number for found in self._new}
        return [
            path
            for path, found in self._hashes.items()
            if path in self._theirs
            and found not in (self._theirs[path], self._before.get(path))
            # Where both have added it, it belongs to a migration that is renumbered.
            and (path in self._before or self._here[path].number not in numbers)
        ]

    def _changed(self) -> Iterable[TurnbackError]:
        for found in self._gone:
            now, path = self._renamed.get(found.path), f"{self._place}{found.path}"
            yield MigrationMissing(
                f"{self.base} has this migration, and here it is "
                + (f"renamed to {now}" if now else "deleted"),
                file=now or found.path,
                version=found.version,
                hint=f"rename it back: git mv {self._place}{now} {path}"
                if now
                else f"restore it: git checkout {self.base} -- {path}",
            )
        for path in self._edited():
            if self._here[path].kind == "sql":
                yield ChecksumMismatch(
                    f"{self.base} has this migration already, and here it is edited",
                    file=path,
                    version=self._here[path].version,
                    hint="write the change as a new migration, and restore this one: "
                    f"git checkout {self.base} -- {self._place}{path}",
                )

    def _too_low(self) -> Iterable[TurnbackError]:
        taken = {found.number: found.path for found in self._on_base}
        hint = f"renumber it: turnback rebase --base {self.base}"
        for found in self._new:
            version, file = found.version, found.path
            if found.number in taken:
                message = f"version {version} is taken on {self.base}, by {taken[found.number]}"
                yield DuplicateVersion(message, file=file, version=version, hint=hint)
            elif self._on_base and found.number < self._on_base[-1].number:
                highest = self._on_base[-1].version
                message = f"version {version} is below {highest}, which {self.base} has already"
                yield OutOfOrder(message, file=file, version=version, hint=hint)

    def renumbered(self) -> list[Renumbering]:
        """What has to be renumbered, in the order in which it runs. Changes nothing.

        Raises:
            DuplicateVersion: a file can belong to this migration, and to another one.
            InvalidMigration: a file is in conflict, in a merge that has not ended.
        """
        plan: list[Renumbering] = []
        last = max([*self._on_base, *self._old], key=_order, default=None)
        version = last.version if last else ""
        for found in self._new:
            if version and found.number <= int(version):
                version = next_version([version])
                files = {one.path: one.with_version(version) for one in self._scripts_of(found)}
                plan.append(Renumbering(found.version, version, found.name, files))
            else:
                version = found.version
        for path in sorted(self._git.unmerged() & {path for one in plan for path in one.files}):
            raise InvalidMigration("unresolved merge conflict", file=path, hint=_BEFORE_THE_MERGE)
        return plan

    def _scripts_of(self, forward: _File) -> Iterable[_File]:
        """The forward script, and the rollback and verify scripts that belong to it."""
        yield forward
        same = [found for found in self._here.values() if found.number == forward.number]
        others = [found for found in same if found.kind == "sql" and found != forward]
        for found in same:
            if found.kind == "sql" or found.name not in (found.kind, forward.name):
                continue
            if others and (found.name == found.kind or others[0].name == forward.name):
                if self._theirs.get(found.path) == self._hashes[found.path]:
                    continue
                raise DuplicateVersion(
                    f"this script can be of {forward.path} and of {others[0].path}",
                    file=found.path,
                    version=forward.version,
                    hint=f"{_BEFORE_THE_MERGE}; or name it after its migration: "
                    f"{found.kind}/{forward.version}_NAME.sql",
                )
            yield found


def _order(found: _File) -> tuple[int, str]:
    return found.number, found.path


def _paths(folder: Path) -> Iterable[str]:
    for kind in _KINDS:
        if (folder / kind).is_dir():
            with os.scandir(folder / kind) as entries:
                yield from sorted(f"{kind}/{entry.name}" for entry in entries if entry.is_file())


def _repeatables(folder: Path) -> Iterable[str]:
    for kind in (REPEATABLE, f"rollback/{REPEATABLE}"):
        for file in sorted((folder / kind).rglob("*")):
            if file.suffix.lower() == ".sql" and not file.name.startswith("."):
                yield file.relative_to(folder).as_posix()


def _file(path: str, ignore: Ignore) -> _File | None:
    kind, _, name = path.partition("/")
    match = NAME.match(name) if kind in _KINDS and not ignore.has_file(path) else None
    return _File(path, kind, match[1], match[2]) if match else None


def renumber(folder: Path, renumbered: Sequence[Renumbering], ignore: Ignore) -> list[str]:
    """Rename the files, with the versions in their headers, and bring ``SHA256SUMS`` up to date.

    All files are written beside first, in a folder that gets its name at last. From then on what
    is killed is finished by ``finish_rebase``; until then nothing was changed. A ``SHA256SUMS``
    with the marks of a merge conflict is written anew, from the files.

    Returns:
        What was written, relative to the folder.

    Raises:
        InvalidMigration: a file has a name already that another one would get.
    """
    moves = {old: new for one in renumbered for old, new in one.files.items()}
    present = set(_paths(folder))
    for old, new in moves.items():
        if new in present and new not in moves:
            raise InvalidMigration(
                f"there is a file {new} already", file=old, hint="delete it, or rename it"
            )
    contents = {
        new: _with_version((folder / old).read_bytes(), one.old, one.new)
        for one in renumbered
        for old, new in one.files.items()
    }
    sums = _sums(folder, moves, contents, ignore)
    if sums is not None:
        contents[FILE] = sums
    if not contents:
        return []
    prepared = folder / f"{PENDING_REBASE}.new"
    shutil.rmtree(prepared, ignore_errors=True)
    for path, data in contents.items():
        (prepared / path).parent.mkdir(parents=True, exist_ok=True)
        (prepared / path).write_bytes(data)
    removed = "\n".join(sorted(moves.keys() - contents.keys()))
    (prepared / _REMOVED).write_text(removed, encoding="utf-8")
    prepared.rename(folder / PENDING_REBASE)
    finish_rebase(folder)
    return sorted(contents)


def finish_rebase(folder: Path) -> bool:
    """Do what is left of a rebase that was interrupted; False if there is none."""
    pending = folder / PENDING_REBASE
    if not pending.is_dir():
        return False
    removed = pending / _REMOVED
    for path in [p for p in pending.rglob("*") if p.is_file() and p != removed]:
        path.replace(folder / path.relative_to(pending))
    if removed.exists():
        for name in removed.read_text(encoding="utf-8").splitlines():
            (folder / name).unlink(missing_ok=True)
    shutil.rmtree(pending)
    return True


def _with_version(data: bytes, old: str, new: str) -> bytes:
    """A file with another version in its header, if the header names its version."""
    head = data[:_HEAD_BYTES].decode("utf-8-sig", errors="ignore")
    value, line = read_fields(head).get("version", ("", 0))
    if not value.isdecimal() or int(value) != int(old):
        return data
    lines = data.split(b"\n", line)
    lines[line - 1] = _VERSION.sub(rb"\g<1>" + new.encode(), lines[line - 1], count=1)
    return b"\n".join(lines)


def _sums(
    folder: Path, moves: Mapping[str, str], contents: Mapping[str, bytes], ignore: Ignore
) -> bytes | None:
    """The new ``SHA256SUMS``; None if it is right, or if there is none."""
    try:
        text = (folder / FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        sums = {path: found for path, found in parse_sums(text).items() if path not in moves}
    except InvalidMigration:
        kept = [path for path in _paths(folder) if path not in moves and _file(path, ignore)]
        kept += [path for path in _repeatables(folder) if not ignore.has_file(path)]
        kept += [SHADOW] if (folder / SHADOW).is_file() and not ignore.has_file(SHADOW) else []
        sums = {path: digest((folder / path).read_bytes()) for path in kept}
    else:
        if not moves:
            return None
    sums |= {path: digest(data) for path, data in contents.items()}
    return format_sums(sums).encode()
