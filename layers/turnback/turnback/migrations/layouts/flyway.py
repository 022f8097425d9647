"""Flyway: ``V1_2__name.sql``, its rollback ``U1_2__name.sql``, ``R__name.sql``; in subfolders too.

Source: flyway-core of github.com/flyway/flyway (resolver, MigrationVersion, ChecksumCalculator,
ParsingContext), and documentation.red-gate.com/fd.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from turnback.errors import HistoryConflict, InvalidMigration
from turnback.migrations.files import Files
from turnback.migrations.layouts.layout import (
    Applied,
    Evidence,
    History,
    Kept,
    Layout,
    New,
    Recorded,
    Row,
)
from turnback.migrations.layouts.reading import Reading, outside
from turnback.migrations.model import Migration, Script

_NAME = re.compile(
    r"(?P<kind>[VUB])(?P<version>[0-9]+(?:[._][0-9]+)*)(?:__(?P<name>.*))?\.sql"
    r"|(?P<repeatable>R)__(?P<text>.*)\.sql"
)
_CALLBACK = re.compile(
    r"(?:before|after)(?:Each|Repeatables|Clean|Info|Validate|Baseline|Repair|Undo|Connect|Migrate"
    r"|Versioned|Deploy|Prepare|Create)\w*(?:__.*)?\.sql|createSchema(?:__.*)?\.sql"
)
_PLACEHOLDER = re.compile(r"\$\{[^}\n]*\}")
_LINE_END = re.compile("\r\n|\r|\n")
_OUTSIDE, _FILLED = "executeInTransaction", "placeholderReplacement"
_TYPES = {"SQL": True, "BASELINE": True, "SQL_BASELINE": True, "UNDO_SQL": False, "DELETE": False}


@dataclass(frozen=True, slots=True)
class _File:
    """A script that Flyway runs: its path, and what its name and its configuration say."""

    path: str
    kind: str
    version: str
    name: str
    outside: bool = False
    filled: bool = True


def _recognise(files: Files) -> Evidence | None:
    try:
        paths = sorted(files.below(""))
    except OSError:
        return None
    for path in paths:
        match = _NAME.fullmatch(path.rpartition("/")[2])
        if match and match["kind"] == "V":
            return Evidence(f"{path} is named V<version>__name.sql")
    return None


def order(version: str) -> tuple[int, ...]:
    """What a version is compared by: its parts as numbers, without zeros at the end."""
    parts = [int(part) for part in version.split(".")]
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return tuple(parts)


def _read(reading: Reading) -> list[Migration]:
    """In the order of the versions."""
    files = list(_files(reading))
    rollbacks = {order(one.version): one for one in files if one.kind == "U"}
    found = []
    for one in sorted(
        (one for one in files if one.kind == "V"), key=lambda one: order(one.version)
    ):
        back = rollbacks.pop(order(one.version), None)
        forward = _script(reading, one)
        folder = one.path[: -len(one.path.rpartition("/")[2])]
        hint = f"write {folder}U{one.version}__{one.name}.sql"
        if forward:
            rollback = _script(reading, back, rollback=True) if back else None
            found.append(Migration(one.version, one.name, forward, rollback, write_rollback=hint))
    for back in rollbacks.values():
        reading.no_forward(back.path, back.version)
    for one in files:
        if one.kind == "R" and (script := _script(reading, one)):
            found.append(Migration(one.version, one.name, script, kind="repeatable"))
    return found


def _files(reading: Reading) -> Iterator[_File]:
    paths = reading.below("", lambda path: path.endswith((".sql", ".sql.conf")))
    for path in paths:
        match = _NAME.fullmatch(path.rpartition("/")[2])
        wanted = match or _CALLBACK.fullmatch(path.rpartition("/")[2])
        if not wanted:
            continue
        try:
            if match is None or match["kind"] == "B":
                raise _refused(path, match)
            # Of a repeatable the path is the version.
            kind = match["kind"] or "R"
            version = path if kind == "R" else match["version"].replace("_", ".")
            file = _File(path, kind, version, match["name"] or match["text"] or version)
            yield _configured(reading, file) if f"{path}.conf" in paths else file
        except InvalidMigration as finding:
            reading.findings.append(finding)


def _refused(path: str, match: re.Match[str] | None) -> InvalidMigration:
    if match is None:
        what, hint = "a callback", "write what it does into the migrations, or run it by hand"
    else:
        what, hint = "a baseline migration", "it is for new databases: write it as shadow.sql"
    return InvalidMigration(
        f"{what} of Flyway, which turnback does not run in this folder",
        file=path,
        hint=f"{hint}; or leave it out by [ignore] in turnback.toml",
    )


def _configured(reading: Reading, file: _File) -> _File:
    """The file with what its own configuration says.

    Raises:
        InvalidMigration: it says more than turnback obeys.
    """
    path = f"{file.path}.conf"
    for number, line in enumerate((reading.beside(path) or "").splitlines(), 1):
        key, _, value = (part.strip() for part in line.partition("="))
        if not key or key.startswith("#"):
            continue
        if key not in (_OUTSIDE, _FILLED) or value not in ("true", "false"):
            raise InvalidMigration(
                f"the setting '{key}={value}' is not obeyed",
                file=path,
                line=number,
                hint=f"turnback obeys {_OUTSIDE} and {_FILLED}",
            )
        if key == _OUTSIDE:
            file = replace(file, outside=value == "false")
        else:
            file = replace(file, filled=value == "true")
    return file


def _script(reading: Reading, file: _File, *, rollback: bool = False) -> Script | None:
    script = reading.script(file.path, rollback=rollback)
    if script is None:
        return None
    start = 0
    for block in script.blocks() if file.filled else ():
        if match := _PLACEHOLDER.search(block):
            line, column = script.position(start + match.start())
            reading.findings.append(
                InvalidMigration(
                    f"turnback does not fill in the placeholder {match[0]}",
                    file=file.path,
                    line=line,
                    column=column,
                    hint="write its value; where it is text that Flyway keeps, say so in "
                    f"{file.path.rpartition('/')[2]}.conf: {_FILLED}=false",
                )
            )
            return None
        start += len(block)
    return outside(script) if file.outside else script


def _new(new: New) -> dict[str, str]:
    last = new.migrations[-1].version if new.migrations else "0"
    before, dot, number = last.rpartition(".")
    version = new.version if len(number) >= 14 else f"{before}{dot}{int(number) + 1}"
    return {
        f"V{version}__{new.slug}.sql": new.forward(version),
        f"U{version}__{new.slug}.sql": new.rollback(version),
    }


def checksum(data: bytes) -> int:
    """What Flyway keeps of a file: the CRC-32 of its lines without their ends, signed."""
    text = data.decode("utf-8", errors="replace").removeprefix("\ufeff")
    found = 0
    for line in _LINE_END.split(text):
        found = zlib.crc32(line.encode(), found)
    return found - (1 << 32) if found >= 1 << 31 else found


def _applied(kept: Recorded) -> Kept:
    """What is applied, compared with the checksums; what failed is refused."""
    by_order = {order(one.version): one for one in kept.migrations}
    applied: dict[tuple[int, ...], Applied] = {}
    refused = []
    for row in kept.rows:
        version = row["version"]
        if not row["success"]:
            refused.append(_failed(row))
        elif version is None:
            # The schema that it made, or a repeatable migration.
            continue
        elif row["type"] not in _TYPES:
            refused.append(_code(row))
        elif not _TYPES[row["type"]]:
            applied.pop(order(version), None)
        elif "BASELINE" in row["type"]:
            for one in kept.migrations:
                if order(one.version) <= order(version):
                    applied[order(one.version)] = Applied.of(one, version, row["installed_on"])
        else:
            found = by_order.get(order(version))
            same = None
            if found and row["checksum"] is not None:
                same = checksum(kept.data(found)) == row["checksum"]
            applied[order(version)] = Applied.of(
                found,
                version,
                row["installed_on"],
                name=row["description"],
                same=same,
                ms=row["execution_time"],
            )
    return Kept(list(applied.values()), refused)


def _failed(row: Row) -> HistoryConflict:
    return HistoryConflict(
        f"{row['script']} has failed: what it has done is not known",
        version=row["version"],
        hint="look what of it is in the database, and undo it or finish it by hand; then: flyway "
        "repair",
    )


def _code(row: Row) -> HistoryConflict:
    return HistoryConflict(
        f"{row['script']} is of the type {row['type']}, which is code and not SQL",
        version=row["version"],
        hint="write a file V<version>__name.sql with what it did, and its row as of the type SQL",
    )


LAYOUT = Layout(
    name="flyway",
    recognise=_recognise,
    read=_read,
    new=_new,
    # ``flyway_schema_history``: a row for each thing that was done, in order.
    history=History(
        columns=dict.fromkeys(
            ("installed_rank", "version", "description", "type", "script", "checksum", "success"),
            "",
        ),
        select="SELECT version, description, type, script, checksum, installed_on, execution_time, "
        "success FROM {table} ORDER BY installed_rank",
        read=_applied,
        optional=None,
    ),
)
