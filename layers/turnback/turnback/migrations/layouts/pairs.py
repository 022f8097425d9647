"""Forward and rollback scripts in files of their own: side by side, or in folders."""

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
        name: of a file, with the groups ``version``, ``name`` and ``kind``, which is ``up``, or the
            word of a rollback script; a file without a kind is a forward script.
    """
    forward: dict[str, tuple[re.Match[str], Script]] = {}
    backward: dict[str, Script] = {}
    unread: set[str] = set()
    for filename in reading.names(""):
        match = name.fullmatch(filename)
        if not match:
            continue
        down = match["kind"] not in ("up", "", None)
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


def read_with_folders(
    reading: Reading, name: re.Pattern[str], folder: str = ""
) -> Iterator[Migration]:
    """The migrations of a folder with forward scripts only, in the order of their names.

    Rollback and verify scripts are in folders of these names, each named as its forward script.

    Args:
        reading: the project.
        name: of a file, with the groups ``version`` and ``name``.
        folder: of the forward scripts, below that of the project.
    """
    beside = {kind: _scripts(reading, kind) for kind in ("rollback", "verify")}
    for filename in reading.names(folder):
        match = name.fullmatch(filename)
        found = {kind: scripts.pop(filename, None) for kind, scripts in beside.items()}
        if match and (script := reading.script(f"{folder}/{filename}" if folder else filename)):
            yield Migration(
                match["version"],
                match["name"] or match["version"],
                script,
                found["rollback"],
                found["verify"],
                write_rollback=f"write rollback/{filename}",
            )
    for kind, scripts in beside.items():
        for path in (script.path for script in scripts.values() if script):
            reading.findings.append(
                InvalidMigration(
                    f"there is no migration for this {kind} script",
                    file=path,
                    hint="name it as its forward script, or delete it",
                )
            )


def _scripts(reading: Reading, kind: str) -> dict[str, Script | None]:
    if not reading.files.is_folder(kind):
        return {}
    return {
        filename: reading.script(f"{kind}/{filename}", rollback=kind == "rollback")
        for filename in reading.names(kind)
        if filename.lower().endswith(".sql")
    }


def read_folders(
    reading: Reading, name: re.Pattern[str], forward: str, rollback: str
) -> Iterator[Migration]:
    """The migrations of a folder with a folder for each, in the order of their names.

    Args:
        reading: the project.
        name: of a folder, with the groups ``version`` and ``name``, or ``whole``, which is both.
        forward, rollback: the names of its files; a verify script is ``verify.sql``.
    """
    for folder in reading.names(""):
        if not reading.files.is_folder(folder):
            continue
        inside = set(reading.names(folder))
        match = name.fullmatch(folder)
        if forward not in inside or match is None:
            if any(filename.lower().endswith(".sql") for filename in inside):
                reading.findings.append(
                    InvalidMigration(
                        f"there is no {forward} in this folder",
                        file=folder,
                        hint="write it, or leave the folder out by [ignore] in turnback.toml",
                    )
                )
            continue
        script = reading.script(f"{folder}/{forward}")
        back = reading.script(f"{folder}/{rollback}", rollback=True) if rollback in inside else None
        verify = reading.script(f"{folder}/{_VERIFY}") if _VERIFY in inside else None
        if script:
            yield Migration(
                match["version"] or match["whole"],
                match["name"] or match["whole"],
                script,
                back,
                verify,
                write_rollback=f"write {folder}/{rollback}",
            )


_VERIFY = "verify.sql"
