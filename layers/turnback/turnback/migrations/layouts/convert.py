"""The migrations of another layout as files of turnback's own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from turnback.errors import ConfigurationError
from turnback.migrations.checksums import checksums_of, digest, write_sums
from turnback.migrations.files import Files
from turnback.migrations.headers import read_directives
from turnback.migrations.layouts.turnback import NAME
from turnback.migrations.model import Migration, Project, Script

MAP = "map.json"
_OUTSIDE = "-- turnback: no-transaction\n"


@dataclass(frozen=True, slots=True)
class Move:
    """Where a script was, and where it is now.

    Attributes:
        version: of the migration, as its tool has it.
        old, new: the files, each below its folder.
        lines: what is added to a line's number in the new file to get that in the old one.
    """

    version: str
    old: str
    new: str
    lines: int


@dataclass(frozen=True, slots=True)
class Converted:
    """Files in turnback's own layout.

    Attributes:
        files: path → contents.
        moves: of each script.
        versions: the version until now → the version from now on, and the forward script's path.
    """

    files: Mapping[str, bytes]
    moves: tuple[Move, ...]
    versions: Mapping[str, tuple[str, str]]

    def checksum(self, version: str) -> str:
        """The checksum of the forward script of a migration, by the version until now."""
        return digest(self.files[self.versions[version][1]])

    def write(self, folder: Path, *, write: bool = True) -> bool:
        """Write the files, SHA256SUMS and map.json; False if all of it is there already.

        Args:
            folder: where they are written.
            write: whether they are written; False only finds out what would stop it.

        Raises:
            ConfigurationError: the folder has other files already.
        """
        for path, data in self.files.items():
            place = folder / path
            if place.exists() and place.read_bytes() != data:
                raise ConfigurationError(
                    f"{place} is there already, with other contents",
                    hint="name an empty folder, or one that does not exist",
                )
        if all((folder / path).exists() for path in [*self.files, MAP]):
            return False
        if not write:
            return True
        for path, data in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        write_sums(folder, {path: digest(data) for path, data in self.files.items()})
        moves = [
            {"version": one.version, "from": one.old, "to": one.new, "lines": one.lines}
            for one in self.moves
        ]
        text = json.dumps(moves, indent=1, ensure_ascii=False) + "\n"
        (folder / MAP).write_text(text, encoding="utf-8")
        return True


def convert(project: Project, files: Files) -> Converted:
    """The same migrations in turnback's own layout. Writes nothing.

    Versions that are no numbers, or are not in ascending order, become 0001, 0002, ….

    Args:
        project: in the layout of its tool.
        files: its files.
    """
    contents: dict[str, bytes] = {}
    moves = []
    versions = {}
    sums = checksums_of(project)
    for migration, version in _numbered(project):
        name = re.sub(r"[/\\\s]+", "_", migration.name) or "migration"
        paths = {
            f"sql/{version}_{name}.sql": migration.forward,
            f"rollback/{version}_rollback.sql": migration.rollback,
            f"verify/{version}_verify.sql": migration.verify,
        }
        for path, script in paths.items():
            if script:
                contents[path], lines = _contents(script, path, files, sums)
                moves.append(Move(migration.version, script.path, path, lines))
        versions[migration.version] = version, f"sql/{version}_{name}.sql"
    return Converted(contents, tuple(moves), versions)


def _numbered(project: Project) -> Iterator[tuple[Migration, str]]:
    versions = [migration.version for migration in project.migrations]
    fits = all(NAME.match(f"{version}_a.sql") for version in versions)
    if not fits or any(int(one) >= int(other) for one, other in pairwise(versions)):
        width = max(len(str(len(versions))), 4)
        versions = [str(number).zfill(width) for number in range(1, len(versions) + 1)]
    return zip(project.migrations, versions, strict=True)


def _contents(
    script: Script, path: str, files: Files, sums: Mapping[str, str]
) -> tuple[bytes, int]:
    """A script as a file of its own, and how many lines before it are cut off."""
    data = files.read(script.path)
    cut = 0
    if digest(data) != sums[script.path]:
        raise ConfigurationError("it was changed meanwhile", file=script.path, hint="run it again")
    whole = "".join(script.blocks())
    if data.decode("utf-8-sig") != whole:
        # A section of the file.
        text = whole.lstrip("\n")
        cut = len(whole) - len(text)
        data = text.encode()
    own = read_directives(path, whole, rollback=path.startswith("rollback/"))
    if script.directives.no_transaction and not own.no_transaction:
        return _OUTSIDE.encode() + data.removeprefix(b"\xef\xbb\xbf"), cut - 1
    return data, cut
