"""A project in another tool's layout beside the branch that its branch is merged into."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from turnback.errors import (
    ChecksumMismatch,
    DuplicateVersion,
    MigrationMissing,
    OutOfOrder,
    TurnbackError,
)
from turnback.migrations import large
from turnback.migrations.discovery import read
from turnback.migrations.files import Folder
from turnback.migrations.git import GitFolder
from turnback.migrations.model import Migration, Project


class LayoutBranch:
    """The migrations of this branch, with work that is not committed, beside those of a base.

    Both are read in their layout: as versions, whatever the files are called.

    Attributes:
        base: the name of the base.
    """

    def __init__(self, folder: Path, base: str | None, project: Project) -> None:
        """Read both.

        Args:
            folder: the project's folder, in a checkout.
            base: a branch or a commit; None for the main one of origin.
            project: as it is in the folder.

        Raises:
            ConfigurationError: no repository, no git, no such branch, or too shallow a clone.
        """
        git = GitFolder(folder)
        self._here = project
        self._place = f"{folder.as_posix()}/"
        self.base = base or git.usual_base()
        commit = git.commit(self.base)
        hashes = git.files(commit)
        earlier = git.files(git.merge_base(commit))
        contents = git.contents({*hashes.values(), *earlier.values()})
        theirs = {path: contents[found] for path, found in hashes.items()}
        self._theirs = self._read(theirs)
        self._before = self._read({path: contents[found] for path, found in earlier.items()})
        here = Folder(folder)
        own = {path: here.read(path) for path in here.below("")}
        gone = earlier.keys() - own.keys()
        both = {path: data for path, data in theirs.items() if path not in gone} | own
        self._merged = self._read(both)
        paths = [path for path in {one.forward.path for one in project.migrations} if path in own]
        # git compares without the line ends that it has changed itself.
        self._same = {
            path for path, found in git.hashes(paths).items() if hashes.get(path) == found
        }

    def _read(self, contents: Mapping[str, bytes]) -> Project:
        return read(_Contents(self._here.folder, contents), self._here.settings)[0]

    def findings(self) -> list[TurnbackError]:
        """Why the two cannot be merged as they are."""
        return [*self._changed(), *self._too_low()]

    def notes(self) -> list[str]:
        """What else a reviewer should know: the rollback and verify scripts that are edited."""
        found = []
        for one in self._theirs.migrations:
            own, was = self._here.find(one.version), self._before.find(one.version)
            for kind in ("rollback", "verify"):
                script, there = (getattr(each, kind, None) for each in (own, one))
                before = getattr(was, kind, None)
                if (
                    script
                    and script.path not in (one.forward.path, *self._same)
                    and script.checksum
                    not in {each.checksum for each in (there, before) if each is not None}
                ):
                    found.append(f"{script.path} is edited; {self.base} has it already")
        return found

    def _changed(self) -> Iterable[TurnbackError]:
        for one in self._theirs.migrations:
            own, was = self._here.find(one.version), self._before.find(one.version)
            path = one.forward.path
            if own is None and was is not None:
                yield MigrationMissing(
                    f"{self.base} has this migration, and here it is deleted",
                    file=path,
                    version=one.version,
                    hint=f"restore it: git checkout {self.base} -- {self._place}{path}",
                )
            elif own is None or _is_one(own, one) or own.forward.path in self._same:
                continue
            elif was is None:
                yield DuplicateVersion(
                    f"version {own.version} is taken on {self.base}, by {path}",
                    file=own.forward.path,
                    version=own.version,
                    hint="give this one a later version: rename its files",
                )
            elif not _is_one(own, was):
                yield ChecksumMismatch(
                    f"{self.base} has this migration already, and here it is edited",
                    file=own.forward.path,
                    version=own.version,
                    hint="write the change as a new migration, and restore this one: "
                    f"git checkout {self.base} -- {self._place}{path}",
                )

    def _too_low(self) -> Iterable[TurnbackError]:
        places = [self._merged.place(one.version) for one in self._theirs.migrations]
        last = max((place for place in places if place is not None), default=-1)
        for one in self._here.migrations:
            if self._theirs.find(one.version) or self._before.find(one.version):
                continue
            place = self._merged.place(one.version)
            if place is not None and place < last:
                highest = self._merged.migrations[last].version
                yield OutOfOrder(
                    f"{one.version} comes before {highest}, which {self.base} has already",
                    file=one.forward.path,
                    version=one.version,
                    hint="give it a later version: rename its files",
                )


def _is_one(one: Migration, other: Migration) -> bool:
    return one.forward.checksum == other.forward.checksum


class _Contents:
    """Files in memory; see Files."""

    def __init__(self, path: Path, contents: Mapping[str, bytes]) -> None:
        self.path = path
        self._contents = contents

    def is_folder(self, path: str) -> bool:
        return not path or any(name.startswith(f"{path}/") for name in self._contents)

    def names(self, folder: str) -> list[str]:
        if not self.is_folder(folder):
            raise FileNotFoundError(folder)
        inside = f"{folder}/" if folder else ""
        return list(
            {
                name.removeprefix(inside).partition("/")[0]
                for name in self._contents
                if name.startswith(inside)
            }
        )

    def below(self, folder: str) -> Iterator[str]:
        inside = f"{folder}/" if folder else ""
        return (name for name in self._contents if name.startswith(inside))

    def read(self, path: str) -> bytes:
        if path not in self._contents:
            raise FileNotFoundError(path)
        return self._contents[path]

    def settings(self) -> bytes | None:
        return None

    def open(self, path: str) -> bytes | large.FileText:
        return self.read(path)
