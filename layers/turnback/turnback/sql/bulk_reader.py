"""The statements of a large script, found in passing: neither its text nor its trees are kept.

An INSERT of many rows is most of such a file, and a tree of each value would take twenty times its
text. So its rows of constants are recognised here and left out of what the parser gets: the tree
has the first row, and every row that is more than constants. Everything else is the parser's: it
gets pieces that end at a semicolon, and refuses a piece that ends too early.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from turnback.migrations.large import BLOCK_BYTES, LargeScript
from turnback.migrations.psql import NO_END, SAME_LINE, copy_end
from turnback.sql.parser import SqlSyntaxError, parse_tree
from turnback.sql.statements import Rows, split

_PIECE_BYTES = 64 * 1024
# What the parser says of a text that breaks off.
_BROKEN_OFF = re.compile(r"unterminated |.* at end of input$", re.DOTALL)
# Each group that a possessive quantifier repeats is atomic. Before Python 3.11.5, what another one
# has read when it fails stays in the match (github.com/python/cpython/issues/106052).
_SPACE = rb"(?:(?>[ \t\r\n\f\v]++|--[^\r\n]*+|/\*[^*/]*+\*/))*+"
_NAME = rb'(?:[a-zA-Z_\x80-\xff][\w$\x80-\xff]*+|"(?:(?>[^"]|""))++")'
_STRING = rb"(?:'[^']*+(?:(?>''[^']*+))*+'|[eE]'[^'\\]*+(?:(?>(?:''|\\[^uUxX0-7])[^'\\]*+))*+')"
_NUMBER = rb"[-+]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][-+]?\d++)?"
_CONSTANT = rb"(?:" + _STRING + rb"|" + _NUMBER + rb"|(?i:null|true|false|default)(?![\w$]))"
_BEFORE, _COMMA = _SPACE + rb"\(" + _SPACE, _SPACE + rb"," + _SPACE
_ROW = _BEFORE + _CONSTANT + rb"(?:(?>" + _COMMA + _CONSTANT + rb"))*+" + _SPACE + rb"\)"
# A part of a value: no comma, no parenthesis, no comment, nothing that a string may be hidden in.
_PLAIN = rb"(?:" + _STRING + rb"|\"[^\"]*+\"|[^()\[\],;'\"$\\/-]++|-(?!-)|/(?!\*))"
_NESTED = rb"[(\[](?:(?>" + _PLAIN + rb"|,|[(\[](?:(?>" + _PLAIN + rb"|,))*+[)\]]))*+[)\]]"
_VALUE = rb"(?:(?>" + _PLAIN + rb"|" + _NESTED + rb"))++"

_LEADING = re.compile(_SPACE)
# The next five take 5 ms to compile, which a command without a large script does not pay.
_HEAD = (
    rb"(?i:insert)" + _SPACE + rb"(?i:into)" + _SPACE + _NAME
    + rb"(?:" + _SPACE + rb"\." + _SPACE + _NAME + rb")?" + _SPACE
    + rb"(?:\(" + _SPACE + _NAME + rb"(?:(?>" + _COMMA + _NAME + rb"))*+" + _SPACE + rb"\)"
    + _SPACE + rb")?(?i:values)(?=" + _SPACE + rb"\()"
)  # fmt: skip
_ROWS = _ROW + rb"(?:(?>" + _SPACE + rb"," + _ROW + rb")){0,1000}+"
_CONSTANTS = b"constants"
# More of them than this are not kept.
_FORMS = 200
# A row that the window cuts off.
_CUT_OFF = _BEFORE + rb"(?:(?>" + _PLAIN + rb"|[,()\[\]]))*+(?:['\"][^'\"]*+|[-/])?\Z"
_ANY_ROW = _BEFORE + _VALUE + rb"(?:(?>" + _COMMA + _VALUE + rb"))*+" + _SPACE + rb"\)"
# What rows of one form may differ in.
_DIFFERS = re.compile(rb"(" + _STRING + rb")|(?<![\w$.])(\d++(?:\.\d++)?(?![\w$.]))")
# pg_dump writes such a line at each end of its output, for psql.
_RESTRICT = re.compile(rb"\\(?:un)?restrict[ \t]+[A-Za-z0-9]+[ \t]*(?=\r?(?:\n|\Z))")
_LAST_RESTRICT = re.compile(rb"\n\\unrestrict[ \t]+[A-Za-z0-9]+\s*\Z")
_REST_OF_LINE = re.compile(rb"[ \t\r]*(?:--[^\n]*)?(?:\n|\Z)")
_ROWS_END = b"\\."
_ROWS_END_LINE = re.compile(rb"\\\.\r?\n")
_BETWEEN = re.compile(_SPACE + rb",")
_TAIL = re.compile(rb"(?:(?>" + _PLAIN + rb"|[,()\[\]]|--[^\r\n]*+|/\*[^*/]*+\*/))*+")
# A semicolon that no comment to the end of the line can hide: one that ends its line, or has no
# "--" before it in its line. What else it may be inside of, the parser sees.
_ENDS_LINE = re.compile(rb";[ \t\r\f]*\n")
_BEFORE_INSERT = re.compile(rb";[ \t\r\f]*\n(?=" + _SPACE + rb"(?i:insert)\s)")


@dataclass(frozen=True, slots=True)
class Shape:
    """What INSERTs have in common that differ in constants only.

    Attributes:
        text: the statement without its other rows of constants.
    """

    text: str
    tree: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the file with statements that the parser reads when they are asked for."""

    start: int
    end: int
    first: int


class Places:
    """The places of a script's statements, and what they are read from."""

    def __init__(self) -> None:
        self.starts, self.ends = array("Q"), array("Q")
        self.offsets, self.lengths = array("Q"), array("Q")
        self.kinds = array("L")
        self.found: list[Shape | Piece] = []
        self.rows: dict[int, Rows] = {}

    def add_found(self, found: Shape | Piece) -> int:
        """Note what statements are read from; returns its number, for ``add``."""
        self.found.append(found)
        return len(self.found) - 1

    def add(self, kind: int, span: tuple[int, int], place: tuple[int, int]) -> None:
        """Note a statement.

        Args:
            kind: as ``add_found`` says.
            span: its bytes, from and to.
            place: its offset and its length, in characters.
        """
        self.starts.append(span[0])
        self.ends.append(span[1])
        self.offsets.append(place[0])
        self.lengths.append(place[1])
        self.kinds.append(kind)


class Reader:
    """Goes through a script once, with a window on its bytes."""

    def __init__(self, script: LargeScript, into: Places) -> None:
        self._script = script
        self._into = into
        # The window, the place in it, and where it begins in the file.
        self._data = b""
        self._at = 0
        self._start = 0
        # Characters of the file before this place in the window.
        self._characters = 0
        self._counted = 0
        self._known: dict[bytes, int] = {}
        self._head, self._constant_rows, self._first = map(re.compile, (_HEAD, _ROWS, _ROW))
        self._any_row, self._cut_off = map(re.compile, (_ANY_ROW, _CUT_OFF))

    def read(self) -> None:
        """Find every statement.

        Raises:
            SqlSyntaxError: the text is not SQL.
        """
        while self._skip_space():
            if not self._insert():
                self._piece()

    def _more(self) -> bool:
        """Move the window on; whether there was more."""
        self._count()
        self._data = self._data[self._at :]
        self._start += self._at
        self._at = self._counted = 0
        end = self._start + len(self._data)
        data = self._script.read_bytes(end, end + max(BLOCK_BYTES, len(self._data)))
        self._data += data
        return bool(data)

    def _count(self) -> int:
        """The place in the file, in characters."""
        passed = self._data[self._counted : self._at]
        self._characters += len(passed) if passed.isascii() else len(passed.decode("utf-8"))
        self._counted = self._at
        return self._characters

    def _ensure(self, size: int) -> None:
        """Have so many bytes in the window, unless the file ends before."""
        while len(self._data) - self._at < size and self._more():
            pass

    def _skip_space(self) -> bool:
        """Go to what is not a blank or a plain comment; whether there is anything."""
        while True:
            self._ensure(_PIECE_BYTES)
            found = _LEADING.match(self._data, self._at)
            end = found.end() if found else self._at
            # A comment that the window cuts off goes on behind it.
            if end == len(self._data) and self._more():
                continue
            self._at = end
            if self._data.startswith(b";", self._at):
                self._at += 1
            elif restrict := _RESTRICT.match(self._data, self._at):
                self._at = restrict.end()
            else:
                return self._at < len(self._data)

    def _skip(self, pattern: re.Pattern[bytes]) -> bool:
        found = pattern.match(self._data, self._at)
        self._at = found.end() if found else self._at
        return found is not None

    def _insert(self) -> bool:
        """Read an INSERT of rows; whether it is one."""
        head = self._head.match(self._data, self._at)
        if head is None:
            return False
        start, offset = self._start + self._at, self._count()
        self._at = head.end()
        rows: dict[bytes, bytes] = {}
        places: list[int] = []
        more = True
        while more:
            if not self._rows(rows, places):
                self._refuse(start, head[0] + b"".join(row + b"," for row in rows.values()))
                return self._back(start, offset)
            self._ensure(_PIECE_BYTES)
            more = self._skip(_BETWEEN)
        places.append(self._count())
        tail = self._tail()
        if tail is None:
            self._refuse(start, head[0] + b",".join(rows.values()))
            return self._back(start, offset)
        blank = len(tail) - len(tail.rstrip())
        span = start, self._start + self._at - blank
        try:
            kind = self._read_as(span, head[0], rows, tail)
        except SqlSyntaxError as error:
            self._refuse_part(error, head[0], [*rows.values(), tail], places)
            return self._back(start, offset)
        self._into.add(kind, span, (offset, self._count() - blank - offset))
        return True

    def _rows(self, kept: dict[bytes, bytes], places: list[int]) -> bool:
        """Pass rows of constants, or one row that is more; keep the first one of each form.

        Args:
            kept: form → the row.
            places: where each of these rows begins, in characters.
        """
        while True:
            if rows := self._constant_rows.match(self._data, self._at):
                if _CONSTANTS not in kept and (first := self._first.match(self._data, self._at)):
                    kept[_CONSTANTS] = first[0]
                    places.append(self._count())
                self._at = rows.end()
                return True
            if row := self._any_row.match(self._data, self._at):
                if (form := _form(row[0])) not in kept:
                    kept[form] = row[0]
                    places.append(self._count())
                self._at = row.end()
                return True
            short = len(self._data) - self._at < _PIECE_BYTES
            if not (short or self._cut_off.match(self._data, self._at)) or not self._more():
                return False

    def _refuse(self, start: int, before: bytes) -> None:
        """Raise the error of the grammar at this place, if there is one in what follows soon.

        The rows before it are passed, and need no memory of the parser: a row of each form is
        enough to come to the same state of the grammar.

        Args:
            start: where the INSERT begins. A short one is given to the parser as a whole.
            before: its head and these rows.
        """
        if self._start + self._at - start < BLOCK_BYTES or len(before) > _PIECE_BYTES:
            return
        self._ensure(_PIECE_BYTES)
        # The last character may be cut.
        after = self._data[self._at : self._at + _PIECE_BYTES].decode("utf-8", "ignore")
        text = before.decode("utf-8")
        try:
            parse_tree(text + after)
        except SqlSyntaxError as error:
            inside = error.offset - len(text)
            # Behind a semicolon it is another statement, or rows of COPY.
            ours = inside >= 0 and ";" not in after[:inside]
            if ours and not _BROKEN_OFF.match(error.message):
                offset = self._count() + inside
                raise SqlSyntaxError(error.message, offset, "") from None

    @staticmethod
    def _refuse_part(
        error: SqlSyntaxError, head: bytes, parts: Sequence[bytes], places: Sequence[int]
    ) -> None:
        """Raise the error in an INSERT that was read as its head and these parts, if it is in one.

        Args:
            error: of the text of these parts.
            head: what is before them.
            parts: the first row of each form, and what follows the rows.
            places: where each of them begins in the script, in characters.
        """
        if _BROKEN_OFF.match(error.message):
            return
        begin = len(head.decode("utf-8"))
        for part, place in zip(parts, places, strict=True):
            length = len(part.decode("utf-8"))
            if begin <= error.offset < begin + length:
                inside = place + error.offset - begin
                raise SqlSyntaxError(error.message, inside, "") from None
            # Behind each row but the last one is a comma.
            begin += length + (part is not parts[-2])

    def _tail(self) -> bytes | None:
        """What follows the rows; None where it is not certain where it ends."""
        while True:
            found = _TAIL.match(self._data, self._at)
            end = found.end() if found else self._at
            if end < len(self._data):
                break
            if not self._more():
                break
        if end < len(self._data) and self._data[end] != ord(";"):
            return None
        tail = self._data[self._at : end]
        self._at = end
        return tail

    def _back(self, start: int, characters: int) -> bool:
        if start < self._start:
            self._data, self._start = b"", start
        self._at = self._counted = start - self._start
        self._characters = characters
        self._ensure(_PIECE_BYTES)
        return False

    def _read_as(
        self, span: tuple[int, int], head: bytes, rows: dict[bytes, bytes], tail: bytes
    ) -> int:
        known = b"\0".join((head, *rows, tail))
        if known not in self._known:
            if len(rows) > _FORMS or len(self._known) > _FORMS:
                return self._into.add_found(Piece(*span, len(self._into.starts)))
            text = head + b",".join(rows.values()) + tail
            [found] = split(text.decode("utf-8"))
            self._known[known] = self._into.add_found(Shape(found.sql, found.tree))
        return self._known[known]

    def _piece(self) -> None:
        """Read one statement or some, as many as the parser takes at once."""
        size = _PIECE_BYTES
        while True:
            self._ensure(size)
            whole = len(self._data) - self._at < size
            copy = self._copy_end(size)
            end = copy or (self._file_end() if whole else self._cut(size))
            try:
                if end is not None:
                    self._parse(end)
                    if copy:
                        self._pass_rows()
                    return
            except SqlSyntaxError as error:
                if whole or not _BROKEN_OFF.match(error.message):
                    offset = self._count() + error.offset
                    raise SqlSyntaxError(error.message, offset, error.before) from None
            size *= 2

    def _copy_end(self, size: int) -> int | None:
        """Where the first COPY … FROM stdin of so many bytes ends; None if it does not exist."""
        text = self._data[self._at : self._at + size]
        if b"stdin" not in text.lower():
            return None
        decoded = text.decode("utf-8", errors="ignore")
        end = copy_end(decoded)
        return None if end is None else self._at + len(decoded[:end].encode("utf-8"))

    def _file_end(self) -> int:
        restrict = _LAST_RESTRICT.search(self._data, self._at)
        return restrict.start() if restrict else len(self._data)

    def _pass_rows(self) -> None:
        """Go to the end of the rows of the COPY that was read last, and note where they are."""
        number = len(self._into.starts) - 1
        while not (line := self._data.find(b"\n", self._at) + 1) and self._more():
            pass
        follows = _REST_OF_LINE.match(self._data, self._at) is None
        self._at = line or len(self._data)
        start, offset = self._start + self._at, self._count()
        ended = self._find_rows_end()
        span = start, self._start + self._at
        fault = SAME_LINE if follows else None if ended else NO_END
        self._into.rows[number] = Rows(self._script, offset, span, fault)
        self._at += len(_ROWS_END)

    def _find_rows_end(self) -> bool:
        """Go to the line that ends rows, from the beginning of a line; whether there is one."""
        while True:
            at = self._at
            while at >= 0:
                if _ROWS_END_LINE.match(self._data, at):
                    self._at = at
                    return True
                at = self._data.find(b"\n" + _ROWS_END, at) + 1 or -1
            self._at = max(self._data.rfind(b"\n") + 1, self._at)
            if not self._more():
                return self._data[self._at :].rstrip(b"\r") == _ROWS_END

    def _cut(self, size: int) -> int | None:
        """Where the text can be cut: behind a semicolon that no comment hides."""
        end = self._at + size
        if size == _PIECE_BYTES and (found := _BEFORE_INSERT.search(self._data, self._at, end)):
            return found.end()
        while (end := self._data.rfind(b";", self._at, end)) >= 0:
            line = self._data.rfind(b"\n", self._at, end) + 1
            if b"--" not in self._data[max(line, self._at) : end]:
                return end + 1
            if found := _ENDS_LINE.match(self._data, end):
                return found.end()
        return None

    def _parse(self, end: int) -> None:
        data = self._data[self._at : end]
        statements = split(data.decode("utf-8"))
        start, offset = self._start + self._at, self._count()
        kind = self._into.add_found(Piece(start, start + len(data), len(self._into.starts)))
        for one in statements:
            length = len(one.sql) if one.sql.isascii() else len(one.sql.encode())
            first = start + one.first
            self._into.add(kind, (first, first + length), (offset + one.offset, len(one.sql)))
        self._at = end


def _form(row: bytes) -> bytes:
    """A row without its constants: the parser says the same of rows that differ in these alone."""
    return _DIFFERS.sub(lambda found: b"''" if found[1] else b"0", row)
