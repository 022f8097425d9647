"""The statements of a large script as a sequence, each read from the file when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from turnback.errors import ChecksumMismatch
from turnback.migrations.large import BLOCK_BYTES, LargeScript
from turnback.migrations.model import Script
from turnback.migrations.psql import cuts
from turnback.migrations.python import is_python
from turnback.sql.bulk_reader import Piece, Places, Reader, Shape
from turnback.sql.parser import SqlSyntaxError
from turnback.sql.statements import Rows, Statement, split, with_rows


def statements_of(script: Script) -> Sequence[Statement]:
    """The statements of a script.

    Those of a large one come without a copy of their text: they are found once, and read again
    from the file as needed.

    Raises:
        SqlSyntaxError: the text is not SQL.
    """
    if is_python(script.path):
        return ()
    if not isinstance(script, LargeScript):
        for_psql = cuts(script.sql)
        return with_rows(split(script.as_sql(script.sql, for_psql)), script, for_psql)
    if script.reading is None:
        table = Places()
        found: BulkStatements | SqlSyntaxError
        try:
            Reader(script, table).read()
            found = BulkStatements(script, table, range(len(table.starts)))
        except SqlSyntaxError as error:
            # Its traceback would keep the reader, with all that it has read.
            found = error.with_traceback(None)
        object.__setattr__(script, "reading", found)
    if isinstance(script.reading, SqlSyntaxError):
        raise script.reading
    assert isinstance(script.reading, BulkStatements)
    return script.reading


class BulkStatement(Statement):
    """A statement whose text is in the file."""

    __slots__ = ("_rows", "_script", "length", "span")
    _rows: Shape
    _script: LargeScript
    length: int
    span: tuple[int, int]

    def __init__(
        self, script: LargeScript, span: tuple[int, int], place: tuple[int, int], found: Shape
    ) -> None:
        # The places of a tree count from its own text's beginning.
        offset, length = place
        attributes = {
            "offset": offset,
            "kind": "InsertStmt",
            "tree": found.tree,
            "first": 0,
            "rows": (),
        }
        more = {"_script": script, "span": span, "length": length, "_rows": found}
        for name, value in {**attributes, **more}.items():
            object.__setattr__(self, name, value)

    @property
    def sql(self) -> str:
        return self._script.read(*self.span)

    @property
    def outline(self) -> str:
        return self._rows.text

    @property
    def end(self) -> int:
        return self.offset + self.length


@dataclass(slots=True)
class Message:
    """Some statements of a script, as they are sent together.

    Attributes:
        first: the number of the first of them, from 0.
        offset: where they begin in the script, in characters.
        length: how long they are, in characters.
        last: whether the script ends with them.
        rows: of the last of them, if that is a COPY … FROM stdin.
    """

    first: int
    offset: int
    length: int
    last: bool
    _text: bytes
    rows: Sequence[Iterable[bytes]] = ()

    def take(self, suffix: str) -> bytes:
        """Its text in UTF-8, which it then has no longer, with something after it."""
        parts = [self._text, suffix.encode("utf-8")]
        self._text = b""
        return b"".join(parts) if suffix else parts[0]


class BulkStatements(Sequence[Statement]):
    """Statements of a large script that are read from its file when they are asked for."""

    def __init__(self, script: LargeScript, table: Places, numbers: range) -> None:
        self._script = script
        self._table = table
        self._numbers = numbers
        self._last: tuple[Piece, list[Statement]] | None = None

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Statement]:
        return map(self._get, self._numbers)

    @overload
    def __getitem__(self, index: int) -> Statement: ...
    @overload
    def __getitem__(self, index: slice) -> BulkStatements: ...
    def __getitem__(self, index: int | slice) -> Statement | BulkStatements:
        found = self._numbers[index]
        if isinstance(found, int):
            return self._get(found)
        return BulkStatements(self._script, self._table, found)

    def messages(self) -> Iterator[Message]:
        """The statements in messages of about a megabyte, or of one statement that is longer.

        Raises:
            ChecksumMismatch: the file is not what it was when the script was read; before the last
                message is returned.
        """
        table, file = self._table, _HashedFile(self._script)
        first = 0
        while first < len(self):
            start, after = table.starts[self._numbers[first]], first + 1
            while (
                after < len(self)
                and self._numbers[after - 1] not in table.rows
                and table.ends[self._numbers[after]] - start < BLOCK_BYTES
            ):
                after += 1
            end_number, last = self._numbers[after - 1], after == len(self)
            file.pass_to(start)
            text = file.read(table.ends[end_number])
            rows = table.rows.get(end_number)
            if last and rows is None:
                file.check()
            offset = table.offsets[self._numbers[first]]
            length = table.offsets[end_number] + table.lengths[end_number] - offset
            of_rows = [file.rows(rows, last=last)] if rows else []
            message = Message(first, offset, length, last, text, of_rows)
            del text
            yield message
            first = after

    def _get(self, number: int) -> Statement:
        table = self._table
        found = table.found[table.kinds[number]]
        if isinstance(found, Shape):
            span = table.starts[number], table.ends[number]
            place = table.offsets[number], table.lengths[number]
            return BulkStatement(self._script, span, place, found)
        if self._last is None or self._last[0] is not found:
            self._last = found, split(self._script.read(found.start, found.end))
        one = self._last[1][number - found.first]
        rows = (table.rows[number],) if number in table.rows else ()
        return Statement(one.sql, table.offsets[number], one.kind, one.tree, one.first, rows)


class _HashedFile:
    """A script's file, read from its beginning to its end, with the checksum of what was read."""

    def __init__(self, script: LargeScript) -> None:
        self._script = script
        self._at = 0
        self._digest = script.hash()

    def read(self, end: int) -> bytes:
        """The bytes from where it is up to this place."""
        data = self._script.read_bytes(self._at, end)
        self._digest.update(data)
        self._at = end
        return data

    def pass_to(self, end: int) -> None:
        """Read up to this place."""
        while self._at < end:
            self.read(min(self._at + BLOCK_BYTES, end))

    def rows(self, rows: Rows, *, last: bool) -> Iterator[bytes]:
        """The rows in blocks; where nothing runs after them, the file is checked before their end.

        Raises as ``check`` does.
        """
        start, end = rows.span
        self.pass_to(start)
        while self._at < end:
            yield self.read(min(self._at + BLOCK_BYTES, end))
        if last:
            self.check()

    def check(self) -> None:
        """Read the rest of it.

        Raises:
            ChecksumMismatch: it is not what it was when the script was read.
        """
        self.pass_to(self._script.length)
        if self._digest.hexdigest() != self._script.checksum:
            raise ChecksumMismatch(
                "the file was changed while it was run",
                file=self._script.path,
                hint="nothing of it was kept; run it again",
            )
