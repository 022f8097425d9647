"""Files that hold a migration and its rollback, each below a line that begins it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from turnback.errors import InvalidMigration
from turnback.migrations.files import Files
from turnback.migrations.layouts.layout import Evidence, History, Layout, New, Scripts
from turnback.migrations.layouts.names import header, listed
from turnback.migrations.layouts.reading import Reading, outside
from turnback.migrations.model import Migration, Script
from turnback.migrations.psql import skip_comments, unquoted

Part = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Sections:
    """The sections of a file.

    Attributes:
        up, down: the parts of the file, in characters from and to; each begins with a line.
        up_outside, down_outside: whether the section runs outside a transaction.
    """

    up: Sequence[Part]
    down: Sequence[Part]
    up_outside: bool = False
    down_outside: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A file with its checksum, and what it is as a migration."""

    path: str
    version: str
    name: str
    text: str
    checksum: str

    def line(self, offset: int) -> int:
        """The number of the line of an offset in characters, from 1."""
        return self.text.count("\n", 0, offset) + 1


Marks = Iterator[tuple[str, re.Match[str]]]


def marked(file: Text, form: Format) -> Sections:
    """The sections of a file whose lines say where they begin.

    Raises:
        InvalidMigration: the tool could not read it.
    """
    parts: dict[str, list[Part]] = {"up": [], "down": []}
    outside = {"up": False, "down": False}
    section, start = "", 0
    begun: re.Match[str] | None = None
    for words, match in form.marks(file):
        word, _, option = words.partition(" ")
        if word == "outside":
            outside = dict.fromkeys(outside, True)
        elif word in parts:
            if form.once and (
                (word == "up") == bool(section) or parts["down"] or section == "down"
            ):
                raise _error(file, match, "this section is not where it belongs", _ORDER)
            if begun:
                raise _error(file, begun, _NO_END, "add it where the statement ends")
            if not section:
                _refuse_statements_before(file, match, form.up_line)
            parts[section or "up"].append((start, match.start()))
            section, start = word, after_line(file.text, match.start())
            outside[word] |= option == "outside"
        elif word in ("begin", "end") and (not section or (word == "begin") == bool(begun)):
            raise _error(file, match, "this line has no counterpart", "delete it, or add that")
        elif word in ("begin", "end"):
            begun = match if word == "begin" else None
    if not section and form.whole:
        return Sections([(0, len(file.text))], [])
    if not section:
        raise InvalidMigration(
            f"there is no line '{form.up_line}'",
            file=file.path,
            hint="write it above the statements; the tool reads no file without it",
        )
    if begun:
        raise _error(file, begun, _NO_END, "add it where the statement ends")
    parts[section].append((start, len(file.text)))
    return Sections(parts["up"], parts["down"], outside["up"], outside["down"])


_NO_END = "this statement has no line that ends it"
_ORDER = "a file has one section of the migration, and below it at most one of its rollback"


def _refuse_statements_before(file: Text, first: re.Match[str], up_line: str) -> None:
    for number, line in enumerate(file.text[: first.start()].split("\n"), 1):
        if line.strip() and not line.lstrip().startswith("--"):
            raise InvalidMigration(
                f"a statement precedes '{up_line}'",
                file=file.path,
                line=number,
                hint="move it below that line; the tool does not run it",
            )


def _error(file: Text, match: re.Match[str], message: str, hint: str) -> InvalidMigration:
    return InvalidMigration(message, file=file.path, line=file.line(match.start()), hint=hint)


@dataclass(frozen=True, slots=True)
class Format:
    """How a tool divides its files.

    Attributes:
        name: of a file, with the groups ``version`` and ``name``.
        marks: the lines in a file that are for the tool, each as ``up`` or ``down``, with
            `` outside`` behind it where the section runs outside a transaction; ``outside`` alone
            for both; ``begin`` and ``end`` of a statement.
        up_line, down_line: the lines that begin the sections, for messages.
        found: a line of the tool, by which its files are recognised.
        once: whether each section is there at most once, the migration first.
        whole: whether a file without any of these lines is a migration.
        order: what the migrations are sorted by; None for the names of their files.
        code: the names of migrations that are code, and its language.
        stem: the name of a new file, without ``.sql``, and its version.
    """

    name: re.Pattern[str]
    marks: Callable[[Text], Marks]
    up_line: str
    down_line: str
    found: re.Pattern[str]
    once: bool = True
    whole: bool = False
    order: Callable[[Migration], Any] | None = None
    code: tuple[re.Pattern[str], str] | None = None
    stem: Callable[[New], tuple[str, str]] = lambda new: (f"{new.version}_{new.slug}", new.version)


def sections_layout(name: str, form: Format, history: History) -> Layout:
    """The layout of a tool whose files have two sections."""

    def recognise(files: Files) -> Evidence | None:
        for path, text in listed(files, form.name):
            if match := form.found.search(text):
                return Evidence(f"{path} has a line '{match[0].strip()}'")
        return None

    def read(reading: Reading) -> list[Migration]:
        if form.code:
            _refuse_code(reading, *form.code)
        migrations = list(_read_sections(reading, form))
        return sorted(migrations, key=form.order) if form.order else migrations

    def write(new: New) -> dict[str, str]:
        stem, version = form.stem(new)
        scripts = new.scripts or Scripts("\n", "")
        parts = (form.up_line, scripts.forward, form.down_line, scripts.rollback)
        text = "\n".join([header(new.slug, version), *parts, ""])
        return {f"{stem}.sql": text}

    return Layout(name=name, recognise=recognise, read=read, new=write, history=history)


def _refuse_code(reading: Reading, names: re.Pattern[str], language: str) -> None:
    for filename in reading.names(""):
        if names.fullmatch(filename):
            reading.findings.append(
                InvalidMigration(
                    f"this migration is {language}, which turnback cannot run",
                    file=filename,
                    hint="write its SQL in its place, in a file of the same name with .sql, or "
                    "leave it out by [ignore] in turnback.toml",
                )
            )


def _read_sections(reading: Reading, form: Format) -> Iterator[Migration]:
    """The migrations of a folder whose files have two sections, in the order of their names.

    A section without a statement is no rollback script.
    """
    for filename in reading.names(""):
        match = form.name.fullmatch(filename)
        if not match or (read := reading.text(filename)) is None:
            continue
        version = match["version"]
        file = Text(filename, version, match["name"] or version, *read)
        try:
            found = marked(file, form)
        except InvalidMigration as finding:
            reading.findings.append(finding)
            continue
        forward = _script(reading, file, found.up, runs_outside=found.up_outside)
        rollback = None
        if not is_blank(only(file.text, found.down)):
            outside_too = found.down_outside
            rollback = _script(reading, file, found.down, runs_outside=outside_too, rollback=True)
        if forward:
            hint = f"write it below '{form.down_line}' in {filename}"
            yield Migration(version, file.name, forward, rollback, write_rollback=hint)


def _script(
    reading: Reading,
    file: Text,
    parts: Sequence[Part],
    *,
    runs_outside: bool,
    rollback: bool = False,
) -> Script | None:
    text = only(file.text, parts)
    script = reading.part(file.path, text, file.checksum, rollback=rollback)
    return outside(script) if script and runs_outside else script


def only(text: str, parts: Sequence[Part]) -> str:
    """Parts of a text, each line with the number that it has in the whole."""
    found, at = [], 0
    for start, end in parts:
        found += ["\n" * text.count("\n", at, start), text[start:end]]
        at = end
    return "".join(found)


def is_blank(sql: str) -> bool:
    """Whether a text has nothing but comments, and nothing in them for turnback."""
    return skip_comments(sql) == len(sql) and "turnback:" not in sql


def after_line(text: str, at: int) -> int:
    """Where the next line begins."""
    return text.find("\n", at) + 1 or len(text)


def with_semicolons(sql: str, delimiter: str) -> str:
    """The text with semicolons in place of a delimiter, each line with its number."""
    # In the line of the statement, which may end with a comment.
    cut = "\n;" + "\n" * (delimiter.count("\n") - 1) if "\n" in delimiter else ";"
    found, start = [], 0
    for at in unquoted(sql, delimiter):
        found += [sql[start:at], cut]
        start = at + len(delimiter)
    return "".join([*found, sql[start:]])
