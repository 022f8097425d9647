"""``SHA256SUMS``: what each file of the project must be, in the format of ``sha256sum -c``."""

from __future__ import annotations

import codecs
import hashlib
import os
import re
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from unicodedata import normalize

from turnback.errors import ChecksumMismatch, InvalidMigration, TurnbackError
from turnback.migrations.model import Migration, Project, Script

FILE = "SHA256SUMS"
_LINE = re.compile(r"^([0-9a-fA-F]{64}) [ *](.+)$")


def digest(data: bytes) -> str:
    """SHA-256, hex: the checksum of a file."""
    return hashlib.sha256(data).hexdigest()


def differs_in_line_ends(script: Script, checksum: str) -> bool:
    """Whether a file has this checksum once its line ends are LF, or CRLF.

    The checksum is of the bytes, of which a byte order mark is not in the script's text.
    """
    lf = script.sql.replace("\r\n", "\n").encode()
    texts = (lf, lf.replace(b"\n", b"\r\n"))
    marks = (b"", codecs.BOM_UTF8)
    return script.checksum != checksum and any(
        digest(mark + text) == checksum for text in texts for mark in marks
    )


def parse_sums(text: str, *, path: str = FILE) -> dict[str, str]:
    """Path → checksum.

    Raises:
        InvalidMigration: a line is not a checksum line, or a file is named twice.
    """
    sums: dict[str, str] = {}
    # Not by splitlines(), for which a name may have line ends that no file has.
    for number, ended in enumerate(text.split("\n"), 1):
        line = ended.removesuffix("\r")
        if not line.strip():
            continue
        match = _LINE.match(line)
        if not match:
            conflict = line.startswith(("<<<<<<<", "=======", ">>>>>>>"))
            raise InvalidMigration(
                "unresolved merge conflict" if conflict else "not a checksum line",
                file=path,
                line=number,
                hint="decide which migration comes first, renumber the other (turnback rebase), "
                "then: turnback check --fix"
                if conflict
                else "rewrite it: turnback check --fix",
            )
        name = match[2].removeprefix("./")
        if name in sums:
            raise InvalidMigration(
                f"{name} is named twice",
                file=path,
                line=number,
                hint="keep the line that is right",
            )
        sums[name] = match[1].lower()
    return sums


def format_sums(sums: Mapping[str, str]) -> str:
    """The file's text: one line a file, sorted, so that two branches conflict there."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))


def write_sums(folder: Path, sums: Mapping[str, str]) -> None:
    """Replace ``SHA256SUMS`` in one step: a reader sees the old file or the new one."""
    import tempfile

    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".sums-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(format_sums(sums))
        Path(temporary).chmod(0o644)
        Path(temporary).replace(folder / FILE)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def record_sums(
    project: Project, migrations: Iterable[Migration], *, write: bool = True
) -> Mapping[str, str] | None:
    """Bring ``SHA256SUMS`` up to date for some migrations, and return its contents.

    A project without the file stays without it.

    Args:
        project: the project.
        migrations: those whose files may have been edited, because they have not run anywhere.
        write: whether the file is changed.
    """
    if project.sums is None:
        return None
    chosen = Project(project.folder, tuple(migrations))
    sums = {**project.sums, **checksums_of(chosen), **project.besides}
    if write and sums != dict(project.sums):
        write_sums(project.folder, sums)
    return sums


def checksums_of(project: Project) -> dict[str, str]:
    """The checksum of each file of the project, by its path."""
    # A file of several migrations is among those besides: the checksum of each is of its part.
    return {**{one.path: one.checksum for one in scripts_of(project)}, **project.besides}


def scripts_of(project: Project) -> Iterable[Script]:
    """Every script of the project."""
    if project.shadow:
        yield project.shadow
    for migration in (*project.migrations, *project.repeatables):
        yield migration.forward
        if migration.rollback:
            yield migration.rollback
        if migration.verify:
            yield migration.verify


def rollbacks_of(migrations: Iterable[Migration]) -> list[str]:
    """The beginnings of the rollback scripts, in the same order."""
    return [one.rollback.code_head for one in migrations if one.rollback]


def compare(project: Project, *, unread: Container[str] = ()) -> list[TurnbackError]:
    """Where the files and SHA256SUMS differ; empty when they agree.

    Args:
        project: the files as far as they could be read.
        unread: files that are there, and could not: nothing is said of them.
    """
    if project.sums is None:
        return [
            ChecksumMismatch(
                f"there is no {FILE}", file=FILE, hint="write it: turnback check --fix"
            )
        ]
    actual = checksums_of(project)
    findings: list[TurnbackError] = []
    forms = {normalize("NFC", path): path for path in project.sums.keys() - actual.keys()}
    twins = {path: forms.pop(form) for path in actual if (form := normalize("NFC", path)) in forms}
    for path in sorted((actual.keys() | project.sums.keys()) - set(twins.values())):
        if path in twins:
            message = (
                f"{FILE} names this file in another form of Unicode: macOS writes NFD where others "
                "write NFC"
            )
        elif path not in project.sums:
            message = f"{FILE} does not know this file"
        elif path not in actual:
            if path in unread:
                continue
            ignored = path in project.ignored
            where = "[ignore] in turnback.toml leaves it out" if ignored else "it is not there"
            message = f"{FILE} names this file, but {where}"
        elif actual[path] != project.sums[path]:
            message = f"differs from {FILE}, which says {project.sums[path][:12]}…"
        else:
            continue
        findings.append(
            ChecksumMismatch(
                message, file=path, hint="if this is meant, record it: turnback check --fix"
            )
        )
    return findings
