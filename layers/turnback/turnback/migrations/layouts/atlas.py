"""Atlas: ``VERSION_name.sql`` beside ``atlas.sum``, forward only.

Source: sql/migrate/dir.go, lex.go and migrate.go, and cmd/atlas/internal/migrate of
github.com/ariga/atlas.

Rollback scripts are in a folder ``rollback``, which the tool passes over.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from turnback.errors import HistoryConflict, InvalidMigration
from turnback.migrations.files import Files
from turnback.migrations.large import LargeScript
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
from turnback.migrations.layouts.pairs import read_with_folders
from turnback.migrations.layouts.reading import Reading, outside
from turnback.migrations.layouts.sections import with_semicolons
from turnback.migrations.model import Migration

_SUMS = "atlas.sum"
_NAME = re.compile(r"(?P<version>[^_]+?)(?:_(?P<name>.*))?\.sql")
_DIRECTIVE = re.compile(r"^--[ \t]*atlas:(\w+)[ \t]*([^\r\n]*?)[ \t]*\r?$", re.MULTILINE)
_HEADER = re.compile(r"(?:--[^\n]*\n|[ \t]*\r?\n)*")
_IGNORED_SUM = re.compile(rb"[ -~]*atlas:sum +ignore")
_HARMLESS = ("nolint", "sum")
_BASELINE = 1


def _recognise(files: Files) -> Evidence | None:
    return Evidence(f"there is an {_SUMS}") if _SUMS in files.names("") else None


def _read(reading: Reading) -> list[Migration]:
    """In the order of the names of the files."""
    reading.beside(_SUMS)
    return list(_obeyed(reading))


def _obeyed(reading: Reading) -> Iterator[Migration]:
    for one in read_with_folders(reading, _NAME):
        try:
            yield _with_directives(one)
        except InvalidMigration as finding:
            reading.findings.append(finding)


def _with_directives(migration: Migration) -> Migration:
    """The migration as the directives in the header of its file ask for.

    Raises:
        InvalidMigration: turnback does not obey one.
    """
    script = migration.forward
    end = match.end() if (match := _HEADER.match(script.head)) else 0
    for found in _DIRECTIVE.finditer(script.head, 0, end):
        name, value = found.groups()
        if name == "txmode" and value in ("none", "file", "all"):
            script = outside(script) if value == "none" else script
        elif name == "delimiter" and value and not isinstance(script, LargeScript):
            delimiter = value.replace(r"\n", "\n").replace(r"\r", "\r").replace(r"\t", "\t")
            sql = script.sql
            body = with_semicolons(sql[found.end() :], delimiter)
            script = replace(script, sql=sql[: found.end()] + body)
        elif name not in _HARMLESS:
            raise InvalidMigration(
                f"the directive 'atlas:{name} {value}' is not obeyed",
                file=script.path,
                line=script.position(found.start())[0],
                hint="write what it does as SQL, and delete it; or leave the file out by [ignore] "
                "in turnback.toml",
            )
    return replace(migration, forward=script)


def _new(new: New) -> dict[str, str]:
    name = f"{new.version}_{new.slug}.sql"
    text = new.forward()
    data = [
        *((one.forward.path, new.files.read(one.forward.path)) for one in new.migrations),
        (name, text.encode()),
    ]
    return {
        name: text,
        f"rollback/{name}": new.rollback(),
        _SUMS: _sum_file(sorted(data)),
    }


def _sum_file(data: Iterable[tuple[str, bytes]]) -> str:
    """``atlas.sum`` of these files."""
    state, total = hashlib.sha256(), hashlib.sha256()
    lines = []
    for name, content in data:
        _add(state, name, content)
        if _IGNORED_SUM.match(content):
            continue
        text = base64.b64encode(state.digest()).decode()
        total.update(name.encode() + text.encode())
        lines.append(f"{name} h1:{text}\n")
    return f"h1:{base64.b64encode(total.digest()).decode()}\n{''.join(lines)}"


def _add(state: hashlib._Hash, name: str, content: bytes) -> None:
    state.update(name.encode())
    if not _IGNORED_SUM.match(content):
        state.update(content)


def _applied(kept: Recorded) -> Kept:
    """What is applied, compared with the hashes; what was half done is refused."""
    by_version = kept.by_version
    # Those that begin with a dot are the tool's own.
    rows = [row for row in kept.rows if not row["version"].startswith(".")]
    refused = [_half_done(row) for row in rows if row["applied"] < row["total"] or row["error"]]
    recorded = {row["version"] for row in rows}
    baseline = max((row["version"] for row in rows if row["type"] == _BASELINE), default="")
    before = [
        Applied.of(one, one.version)
        for one in kept.migrations
        if one.version <= baseline and one.version not in recorded
    ]
    same = _compare(kept, rows)
    return Kept(
        [
            *before,
            *(
                Applied.of(
                    by_version.get(row["version"]),
                    row["version"],
                    row["executed_at"],
                    name=row["description"],
                    same=same.get(row["version"]),
                    ms=row["execution_time"] // 1_000_000,
                )
                for row in rows
            ),
        ],
        refused,
    )


def _compare(kept: Recorded, rows: Sequence[Row]) -> dict[str, bool]:
    """Whether files are what was applied, as far as that can be known.

    The hash of a file is of all files up to it, so after an edited one nothing is known of those
    that follow. A file that was merged below others is in the hashes of what ran after it.
    """
    known: dict[str, bool] = {}
    by_version = kept.by_version
    files = {
        row["version"]: (one.forward.path, kept.data(one))
        for row in rows
        if (one := by_version.get(row["version"]))
    }
    every, newest = hashlib.sha256(), None
    for row in rows:
        version = row["version"]
        if version not in files or not row["hash"]:
            continue
        state = every
        _add(every, *files[version])
        if newest and row["executed_at"] < newest:
            state = hashlib.sha256()
            for other in rows:
                ran = other["executed_at"] <= row["executed_at"] and other["version"] <= version
                if ran and other["version"] in files:
                    _add(state, *files[other["version"]])
        else:
            newest = row["executed_at"]
        known[version] = row["hash"] == base64.b64encode(state.digest()).decode()
        if not known[version]:
            break
    return known


def _half_done(row: Row) -> HistoryConflict:
    return HistoryConflict(
        f"Atlas has run {row['applied']} of {row['total']} statements of {row['version']}",
        version=row["version"],
        hint="finish it with the tool (atlas migrate apply), or undo it by hand and take it out "
        "(atlas migrate set)",
    )


LAYOUT = Layout(
    name="atlas",
    recognise=_recognise,
    read=_read,
    new=_new,
    # ``atlas_schema_revisions``: with a hash of the file and of all before it.
    history=History(
        columns=dict.fromkeys(
            ("version", "type", "applied", "total", "hash", "executed_at", "operator_version"), ""
        ),
        select="SELECT version, description, type, applied, total, executed_at, execution_time, "
        "error, hash FROM {table} ORDER BY version",
        read=_applied,
        optional=None,
    ),
)
