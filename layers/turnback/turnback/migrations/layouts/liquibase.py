"""Liquibase's formatted SQL: changesets in files, each with its rollback in comments.

Source: FormattedSqlChangeLogParser and StringUtil of github.com/liquibase/liquibase (4.x), and
docs.liquibase.com. The checksum was compared with that of Liquibase 4.28.

A changeset is a migration: its version is ``author:id:file``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from turnback.errors import InvalidMigration
from turnback.migrations.checksums import digest
from turnback.migrations.files import Files
from turnback.migrations.layouts.layout import (
    Applied,
    Evidence,
    History,
    Kept,
    Layout,
    New,
    Recorded,
)
from turnback.migrations.layouts.names import author
from turnback.migrations.layouts.reading import Reading, outside
from turnback.migrations.layouts.sections import is_blank, with_semicolons
from turnback.migrations.model import Migration, Script
from turnback.migrations.text import decode

_FIRST = re.compile(r"\s*--\s*liquibase formatted sql\b([^\r\n]*)", re.IGNORECASE)
_CHANGESET = re.compile(r'\s*--\s*changeset\s+("[^"]+"|[^:]+):\s*("[^"]+"|\S+)(.*)', re.IGNORECASE)
_ATTRIBUTE = re.compile(r'(\w+):("[^"]*"|\S+)')
_ROLLBACK = re.compile(r"(\s*--\s*rollback\b[ \t]?)(.*)", re.IGNORECASE)
_BLOCK = re.compile(r"\s*/\*\s*liquibase\s+rollback\s*", re.IGNORECASE)
_OTHER = re.compile(
    r"\s*--\s*(comment|validchecksum|preconditions|precondition-[\w-]+|property|ignorelines|ignore"
    r"|tagdatabase|alternate\w*)\b(.*)",
    re.IGNORECASE,
)
_COMMENTS = ("comment", "validchecksum")
_CHANGELOG = re.compile(r".*\.(?:sql|xml|json|ya?ml)", re.IGNORECASE)
_INCLUDED = re.compile(r"""\bfile["']?\s*[:=]\s*["']?([^\s"',>}]+)""")
_PLACEHOLDER = re.compile(r"\$\{[^}\s]+\}")
_NUMBER = re.compile(r"([0-9]+)([-_.]?)")
_NOT_NEEDED = ("empty", "not required")
# What says nothing for a server, or the same as without it; None is any value.
_HARMLESS: Mapping[str, Sequence[str] | None] = {
    "splitstatements": None,
    "stripcomments": None,
    "rollbacksplitstatements": None,
    "objectquotingstrategy": None,
    "logicalfilepath": None,
    "created": None,
    "runintransaction": ("true", "false"),
    "runonchange": ("false",),
    "runalways": ("false",),
    "failonerror": ("true",),
    "ignore": ("true", "false"),
    "runwith": ("jdbc",),
    "rollbackenddelimiter": (";",),
}


@dataclass(slots=True)
class _Changeset:
    """A changeset of a file; its lines are numbered as in the file, from 0."""

    author: str
    id: str
    line: int
    said: Mapping[str, str]
    sql: dict[int, str] = field(default_factory=dict)
    rollback: dict[int, str] = field(default_factory=dict)
    valid: list[str] = field(default_factory=list)

    def checksum(self) -> str:
        """Its MD5 of version 9, as Liquibase keeps it."""
        text = "\n".join(self.sql.values())
        inner = hashlib.md5(
            re.sub(r"[ \t\r\n]", "", text).encode(), usedforsecurity=False
        ).hexdigest()
        return f"9:{hashlib.md5(f'9:{inner}:'.encode(), usedforsecurity=False).hexdigest()}"


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    logical: str
    changesets: Sequence[_Changeset]

    def version(self, changeset: _Changeset) -> str:
        """What the migration of a changeset has as its version."""
        return f"{changeset.author}:{changeset.id}:{self.path}"


def _parse(path: str, text: str) -> _File:
    """The changesets of a file.

    Raises:
        InvalidMigration: a line that is not obeyed.
    """
    first = _FIRST.match(text)
    said = _attributes(first[1]) if first else {}
    changesets: list[_Changeset] = []
    in_block = False
    for number, line in enumerate(text.split("\n")):
        if match := _CHANGESET.fullmatch(line.rstrip("\r")):
            name, identity = (part.strip().strip('"') for part in match.groups()[:2])
            found = _Changeset(name, identity, number + 1, _attributes(match[3]))
            _refuse_attributes(path, found)
            changesets.append(found)
            continue
        other = _OTHER.fullmatch(line.rstrip("\r"))
        if other and other[1].lower() not in _COMMENTS:
            raise InvalidMigration(
                f"'--{other[1]}' is not obeyed",
                file=path,
                line=number + 1,
                hint="delete it, where all databases have run it; or leave the file out by "
                "[ignore] in turnback.toml",
            )
        if not changesets:
            continue
        changeset = changesets[-1]
        if in_block:
            in_block = "*/" not in line
            changeset.rollback[number] = line.partition("*/")[0]
        elif match := _BLOCK.match(line):
            in_block = "*/" not in line
            changeset.rollback[number] = " " * match.end() + line[match.end() :].partition("*/")[0]
        elif match := _ROLLBACK.fullmatch(line):
            changeset.rollback[number] = " " * len(match[1]) + match[2]
        elif other:
            changeset.valid += [other[2].strip(": \r")] if other[1].lower() != "comment" else []
        else:
            changeset.sql[number] = line
    return _File(path, said.get("logicalfilepath", path), changesets)


def _attributes(text: str) -> dict[str, str]:
    return {match[1].lower(): match[2].strip('"') for match in _ATTRIBUTE.finditer(text)}


def _refuse_attributes(path: str, changeset: _Changeset) -> None:
    for name, value in changeset.said.items():
        known = name in _HARMLESS and (
            _HARMLESS[name] is None or value.lower() in (_HARMLESS[name] or ())
        )
        if known or name in ("dbms", "enddelimiter"):
            continue
        hint = "take the attribute away: it is not in the checksum"
        if name in ("runonchange", "runalways"):
            hint = (
                "move its SQL to turnback's folder repeatable/, and leave this file out by [ignore]"
            )
        raise InvalidMigration(
            f"'{name}:{value}' of the changeset {changeset.author}:{changeset.id} is not obeyed",
            file=path,
            line=changeset.line,
            hint=hint,
        )


def _is_for_postgresql(changeset: _Changeset) -> bool:
    wanted = [one.strip().lower() for one in changeset.said.get("dbms", "all").split(",")]
    if changeset.said.get("ignore", "").lower() == "true" or "!postgresql" in wanted:
        return False
    return "all" in wanted or "postgresql" in wanted or all(one[:1] == "!" for one in wanted)


def _recognise(files: Files) -> Evidence | None:
    try:
        paths = sorted(path for path in files.below("") if path.lower().endswith(".sql"))
    except OSError:
        return None
    for path in paths:
        if _FIRST.match(files.read(path).decode("utf-8-sig", errors="replace")):
            return Evidence(f"{path} begins with '--liquibase formatted sql'")
    return None


def _read(reading: Reading) -> list[Migration]:
    """In the order of the changelog, or of the paths of the files."""
    paths = reading.below("", lambda path: _CHANGELOG.fullmatch(path) is not None)
    scripts = [path for path in paths if path.lower().endswith(".sql")]
    found: list[Migration] = []
    for path in _included(reading, paths, scripts):
        read = reading.text(path)
        if read is None or not _FIRST.match(read[0]):
            continue
        text, reading.besides[path] = read
        try:
            file = _parse(path, text)
        except InvalidMigration as finding:
            reading.findings.append(finding)
            continue
        found += _migrations(reading, file)
    return found


def _included(reading: Reading, paths: Iterable[str], scripts: list[str]) -> list[str]:
    """The files in the order of a changelog that includes each; by their paths where none does."""
    listed: list[str] = []
    for path in paths:
        if path in scripts:
            continue
        text = reading.text(path)
        if text is None or "databaseChangeLog" not in text[0]:
            continue
        reading.besides[path] = text[1]
        if re.search(r"\bchangeSet\b", text[0]):
            reading.findings.append(
                InvalidMigration(
                    "this changelog has changesets that are not SQL",
                    file=path,
                    hint="write them as SQL: liquibase update-sql; or leave the file out by "
                    "[ignore] in turnback.toml",
                )
            )
        for name in _INCLUDED.findall(text[0]):
            listed += [one for one in scripts if _is_path(name, one) and one not in listed]
    return [*listed, *(one for one in scripts if one not in listed)]


def _is_path(recorded: str, path: str) -> bool:
    """Whether a path that Liquibase was given is that of a file below the project's folder."""
    return f"/{recorded.removeprefix('classpath:')}".endswith(f"/{path}") or path.endswith(
        f"/{recorded}"
    )


def _migrations(reading: Reading, file: _File) -> Iterator[Migration]:
    for changeset in file.changesets:
        if not _is_for_postgresql(changeset):
            continue
        whole = "\n".join([*changeset.sql.values(), *changeset.rollback.values()])
        checksum = digest(whole.encode())
        placeholder = next(
            (n for n, line in changeset.sql.items() if _PLACEHOLDER.search(line)), None
        )
        if placeholder is not None:
            reading.findings.append(
                InvalidMigration(
                    "turnback does not fill in properties",
                    file=file.path,
                    line=placeholder + 1,
                    hint="write the value, and '--validCheckSum: any' below the changeset",
                )
            )
            continue
        forward = _script(reading, file, changeset, changeset.sql, checksum)
        back = " ".join(changeset.rollback.values()).strip()
        rollback = None
        if back.lower().startswith("changesetid:"):
            reading.findings.append(
                InvalidMigration(
                    "a rollback that names another changeset is not obeyed",
                    file=file.path,
                    line=min(changeset.rollback) + 1,
                    hint="write its SQL in its place",
                )
            )
        elif forward and back.lower().rstrip(";") in _NOT_NEEDED:
            said = replace(forward.directives, irreversible=f"the changeset says: rollback {back}")
            forward = replace(forward, directives=said)
        elif not is_blank(back):
            rollback = _script(
                reading, file, changeset, changeset.rollback, checksum, rollback=True
            )
        if forward is None:
            continue
        yield Migration(
            file.version(changeset),
            changeset.id,
            forward,
            rollback,
            write_rollback=f"write it as '--rollback SQL' below the changeset in {file.path}",
        )


def _script(
    reading: Reading,
    file: _File,
    changeset: _Changeset,
    lines: Mapping[int, str],
    checksum: str,
    *,
    rollback: bool = False,
) -> Script | None:
    """The lines as a script, each with the number that it has in the file."""
    first = min(lines, default=0)
    own = (lines.get(number, "") for number in range(first, max(lines, default=0) + 1))
    text = "\n" * first + "\n".join(own)
    delimiter = changeset.said.get("enddelimiter", ";")
    if delimiter != ";" and not rollback:
        text = with_semicolons(text, delimiter.replace(r"\n", "\n"))
    script = reading.part(file.path, text, checksum, rollback=rollback)
    alone = changeset.said.get("runintransaction", "true").lower() == "false"
    return outside(script) if script and alone else script


def _new(new: New) -> dict[str, str]:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", author()[0]).strip("-") or "turnback"
    last = new.migrations[-1].forward.path if new.migrations else ""
    folder, _, filename = last.rpartition("/")
    match = _NUMBER.match(filename)
    number, mark = (match[1], match[2] or "-") if match else ("0", "-")
    if len(number) < 14 and (match or not last):
        number = str(int(number) + 1).zfill(max(len(number), 3))
    else:
        number = new.version
    path = f"{folder}/{number}{mark}{new.slug}.sql".lstrip("/")
    # Liquibase itself would divide a function at its semicolons.
    whole = " splitStatements:false" if new.scripts else ""
    text = f"--liquibase formatted sql\n\n--changeset {name}:{new.slug}{whole}\n"
    text += new.forward(f"{name}:{new.slug}:{path}")
    if new.scripts and new.scripts.rollback:
        text += "".join(f"--rollback {line}\n" for line in new.scripts.rollback.splitlines())
    return {path: text}


def _applied(kept: Recorded) -> Kept:
    """What is applied, compared with the checksums of version 9."""
    parsed: dict[str, tuple[_File, dict[str, _Changeset]]] = {}
    changesets: dict[tuple[str, str], list[tuple[Migration, _File, _Changeset]]] = {}
    for migration in kept.migrations:
        path = migration.forward.path
        if path not in parsed:
            file = _parse(path, decode(path, kept.files.read(path)))
            parsed[path] = file, {file.version(one): one for one in file.changesets}
        file, by_version = parsed[path]
        one = by_version[migration.version]
        changesets.setdefault((one.author, one.id), []).append((migration, file, one))
    applied = []
    for row in kept.rows:
        fitting = [
            found
            for found in changesets.get((row["author"], row["id"]), ())
            if _is_path(row["filename"], found[1].logical)
            or row["filename"] == found[2].said.get("logicalfilepath")
        ]
        version = f"{row['author']}:{row['id']}:{row['filename']}"
        # The one whose path is the longest that fits.
        found = max(fitting, key=lambda one: len(one[1].path), default=None)
        same = None
        if found and str(row["md5sum"] or "").startswith("9:"):
            valid = {one.lower() for one in found[2].valid}
            same = row["md5sum"] in {found[2].checksum(), *valid} or bool(valid & {"any", "1:any"})
        applied.append(
            Applied.of(
                found[0] if found else None,
                version,
                row["dateexecuted"],
                name=row["id"],
                same=same,
            )
        )
    return Kept(applied)


LAYOUT = Layout(
    name="liquibase",
    recognise=_recognise,
    read=_read,
    new=_new,
    # ``databasechangelog``: the key is the id, the author and the path together.
    history=History(
        columns=dict.fromkeys(
            ("id", "author", "filename", "dateexecuted", "orderexecuted", "exectype", "md5sum"), ""
        ),
        select="SELECT id, author, filename, dateexecuted, md5sum FROM {table} "
        "ORDER BY orderexecuted, dateexecuted",
        read=_applied,
        optional=None,
    ),
)
