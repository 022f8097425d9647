"""Reading the files of a project: scripts, and everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from turnback.errors import InvalidMigration, TurnbackError
from turnback.migrations.checksums import FILE, digest, parse_sums
from turnback.migrations.files import Files
from turnback.migrations.headers import read_directives
from turnback.migrations.large import LargeScript
from turnback.migrations.model import Script
from turnback.migrations.text import decode
from turnback.settings.ignore import Ignore
from turnback.settings.project import ProjectFile
from turnback.wording import one_line

# What the shadow database of a rehearsal gets before the first migration.
SHADOW = "shadow.sql"


_T = TypeVar("_T")


def outside(script: Script) -> Script:
    """The script, which was just read, as one that runs outside a transaction."""
    directives = replace(script.directives, no_transaction=True)
    object.__setattr__(script, "directives", directives)
    return script


@dataclass(slots=True)
class Reading:
    """The files of a project as they are read.

    Attributes:
        files: the folder.
        settings: what turnback.toml says.
        findings: everything wrong with the files.
        ignored: those that are left out, and would be read otherwise.
        besides: files that are no scripts, and that the layout is read from: path → checksum.
        left_over: of the findings, those of scripts whose forward script is not there.
    """

    files: Files
    settings: ProjectFile
    findings: list[TurnbackError] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    besides: dict[str, str] = field(default_factory=dict)
    left_over: list[TurnbackError] = field(default_factory=list)

    @property
    def ignore(self) -> Ignore:
        """What turnback.toml leaves out."""
        return self.settings.ignore

    def names(self, folder: str) -> Iterator[str]:
        """What is in a folder, sorted, without hidden files and those that are left out.

        A folder that does not exist has nothing in it.
        """
        try:
            names = sorted(self.files.names(folder))
        except FileNotFoundError:
            return
        except NotADirectoryError:
            self.findings.append(
                InvalidMigration("this is a file, and must be a folder", file=folder)
            )
            return
        for name in names:
            path = f"{folder}/{name}" if folder else name
            if name.startswith(".") or self.is_ignored(path):
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
            yield name

    def below(self, folder: str, wanted: Callable[[str], bool]) -> list[str]:
        """The paths of the wanted files below a folder, sorted, as ``names`` has those of one."""
        try:
            paths = sorted(self.files.below(folder))
        except OSError as exc:
            self.unreadable(folder, exc)
            return []
        # As git does, and the tools: nothing below a hidden folder.
        seen = [path for path in paths if not any(part[0] == "." for part in path.split("/"))]
        return [path for path in seen if wanted(path) and not self.is_ignored(path)]

    def no_forward(
        self, path: str, version: str | None = None, *, kind: str = "rollback", hint: str = ""
    ) -> None:
        """Note a script of a migration whose forward script is not there."""
        finding = InvalidMigration(
            f"there is no migration {version or ''}".rstrip() + f" for this {kind} script",
            file=path,
            version=version,
            hint=hint or "rename it to its migration's version, or delete it",
        )
        self.findings.append(finding)
        self.left_over.append(finding)

    def script(self, path: str, *, rollback: bool = False) -> Script | None:
        """A file that is one script; None, and a finding, where it cannot be read."""
        return self._try(path, lambda: self._script(path, rollback))

    def text(self, path: str) -> tuple[str, str] | None:
        """The text and the checksum of a file; None, and a finding, where it cannot be read."""

        def read() -> tuple[str, str]:
            data = self.files.read(path)
            return decode(path, data), digest(data)

        return self._try(path, read)

    def beside(self, path: str) -> str | None:
        """The text of a file that is no script; None if it does not exist."""
        if path.rpartition("/")[2] not in self.names(path.rpartition("/")[0]):
            return None
        read = self.text(path)
        if read is None:
            return None
        text, self.besides[path] = read
        return text

    def part(self, path: str, text: str, checksum: str, *, rollback: bool = False) -> Script | None:
        """A script that is a part of a file.

        Args:
            path: the file.
            text: the part, with an empty line for each line of the file before it, so that every
                line has its number of the file.
            checksum: of the whole file.
            rollback: whether it is the rollback script.

        Returns:
            None, and a finding, where its directives are wrong.
        """
        return self._try(
            path,
            lambda: Script(path, text, checksum, read_directives(path, text, rollback=rollback)),
        )

    def shadow(self) -> Script | None:
        """What the shadow database of a rehearsal gets first."""
        if SHADOW not in self.files.names("") or self.is_ignored(SHADOW):
            return None
        return self.script(SHADOW)

    def sums(self) -> dict[str, str] | None:
        """What SHA256SUMS says."""
        try:
            return parse_sums(decode(FILE, self.files.read(FILE)))
        except FileNotFoundError:
            return None
        except TurnbackError as finding:
            self.findings.append(finding)
            return None

    def is_ignored(self, path: str) -> bool:
        """Whether a file is left out, which is noted."""
        if not self.ignore.has_file(path):
            return False
        if path not in self.ignored:
            self.ignored.append(path)
        return True

    def unreadable(self, path: str, error: OSError) -> None:
        """Note that a file cannot be read."""
        self.findings.append(
            InvalidMigration(
                f"cannot be read: {error.strerror}",
                file=path,
                hint="check what it is, and its rights",
            )
        )

    def _script(self, path: str, rollback: bool) -> Script:
        found = self.files.open(path)
        if not isinstance(found, bytes):
            return LargeScript(path, found, rollback=rollback)
        sql = decode(path, found)
        return Script(path, sql, digest(found), read_directives(path, sql, rollback=rollback))

    def _try(self, path: str, read: Callable[[], _T]) -> _T | None:
        try:
            return read()
        except TurnbackError as finding:
            self.findings.append(finding)
        except OSError as exc:
            self.unreadable(path, exc)
        return None
