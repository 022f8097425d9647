"""Forward and rollback scripts in files of their own: side by side, or in folders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from turnback.errors import DuplicateVersion, InvalidMigration
from turnback.migrations.layouts.layout import Layout
from turnback.migrations.layouts.reading import Reading
from turnback.migrations.model import Migration, Script
from turnback.migrations.versions import key


def read_pairs(reading: Reading, name: re.Pattern[str], word: str = "down") -> Iterator[Migration]:
    """The migrations of a folder whose files are in pairs, in the order of their names.

    Args:
        reading: the project.
        name: of a file, with the groups ``version``, ``name`` and ``kind``, which is ``up``, or the
            word of a rollback script; a file without a kind is a forward script.
        word: that word.
    """
    forward: list[tuple[re.Match[str], Script]] = []
    backward: dict[str, Script] = {}
    unread: set[str] = set()
    for filename in reading.names(""):
        match = name.fullmatch(filename)
        if not match:
            continue
        version, down = key(match["version"]), match["kind"] == word
        script = reading.script(filename, rollback=down)
        if script is None:
            unread.add(version)
        elif not down:
            forward.append((match, script))
        elif version in backward:
            reading.findings.append(
                DuplicateVersion(
                    f"version {match['version']} has a rollback script already: "
                    f"{backward[version].path}",
                    file=filename,
                    version=match["version"],
                    hint="keep one of the two",
                )
            )
        else:
            backward[version] = script
    for match, script in forward:
        version = key(match["version"])
        other = re.sub(r"(?:\.up)?(\.[^.]*)$", rf".{word}\1", script.path)
        yield Migration(
            match["version"],
            match["name"],
            script,
            backward.get(version),
            write_rollback=f"write {other}",
        )
    for version in backward.keys() - unread - {key(match["version"]) for match, _ in forward}:
        reading.no_forward(backward[version].path)


def read_with_folders(
    reading: Reading, name: re.Pattern[str], folder: str = ""
) -> Iterator[Migration]:
    """The migrations of a folder with forward scripts only, in the order of their names.

    Rollback scripts are in a folder ``rollback``, each named as its forward script.

    Args:
        reading: the project.
        name: of a file, with the groups ``version`` and ``name``.
        folder: of the forward scripts, below that of the project.
    """
    backward = _scripts(reading, "rollback")
    for filename in reading.names(folder):
        match = name.fullmatch(filename)
        rollback = backward.pop(filename, None)
        if match and (script := reading.script(f"{folder}/{filename}" if folder else filename)):
            yield Migration(
                match["version"],
                match["name"] or match["version"],
                script,
                rollback,
                write_rollback=f"write rollback/{filename}",
            )
    _refuse_left(reading, "rollback", backward)


def with_verify(reading: Reading, found: Iterable[Migration]) -> Iterator[Migration]:
    """The migrations with their verify scripts, which no other tool has, from a folder ``verify``.

    Each is named as its forward script, without a word for the direction, or by the version.
    """
    scripts = _scripts(reading, "verify")
    for one in found:
        names = (f"{_stem(one.forward.path)}.sql", f"{one.version}_verify.sql")
        verify = next((script for name in names if (script := scripts.pop(name, None))), None)
        yield replace(one, verify=verify) if verify else one
    _refuse_left(reading, "verify", scripts)


def verify_path(used: Layout, made: Migration) -> str:
    """Where the verify script of a migration belongs."""
    stem, folder = _stem(made.forward.path), made.forward.path.rpartition("/")[0]
    # Flyway takes a file for a migration that has its name, in any folder.
    by_version = re.fullmatch(r"[\w.-]+", made.version)
    path = used.verify or ("verify/{version}_verify.sql" if by_version else "verify/{stem}.sql")
    return path.format(folder=folder, stem=stem, version=made.version)


def _stem(path: str) -> str:
    name = path.rpartition("/")[2]
    return re.sub(r"(?i)(?:[._-]up)?\.[^.]*$", "", name)


def _refuse_left(reading: Reading, kind: str, scripts: Mapping[str, Script | None]) -> None:
    for path in (script.path for script in scripts.values() if script):
        reading.no_forward(path, kind=kind, hint="name it as its forward script, or delete it")


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
