"""Files in pairs, forward and rollback, side by side in one folder."""

from __future__ import annotations

import re
from collections.abc import Iterator

from turnback.errors import InvalidMigration
from turnback.migrations.layouts.reading import Reading
from turnback.migrations.model import Migration, Script


def read_pairs(reading: Reading, name: re.Pattern[str]) -> Iterator[Migration]:
    """The migrations of a folder whose files are in pairs, in the order of their names.

    Args:
        reading: the project.
        name: of a file, with the groups ``version``, ``name`` and ``kind``, which is ``up`` or
            ``down``; a file without a kind is a forward script.
    """
    forward: dict[str, tuple[re.Match[str], Script]] = {}
    backward: dict[str, Script] = {}
    unread: set[str] = set()
    for filename in reading.names(""):
        match = name.fullmatch(filename)
        if not match:
            continue
        down = match["kind"] == "down"
        script = reading.script(filename, rollback=down)
        if script is None:
            unread.add(match["version"])
        elif down:
            backward[match["version"]] = script
        else:
            forward[filename] = match, script
    versions = {match["version"] for match, _ in forward.values()}
    for version, script in backward.items():
        if version not in versions | unread:
            reading.findings.append(
                InvalidMigration(
                    f"there is no migration {version} for this rollback script",
                    file=script.path,
                    version=version,
                    hint="rename it to its migration's version, or delete it",
                )
            )
    for match, script in forward.values():
        version = match["version"]
        write = f"write {script.path.replace('.up.', '.down.')}"
        yield Migration(
            version,
            match["name"],
            script,
            backward.get(version),
            write_rollback=write,
        )
