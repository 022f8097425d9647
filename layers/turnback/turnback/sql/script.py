"""A script made ready to run: what the server gets, and in which way."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from turnback.errors import InvalidMigration
from turnback.migrations.large import LargeScript
from turnback.migrations.model import Script
from turnback.migrations.psql import NO_END, SAME_LINE, Cut, cuts
from turnback.migrations.python import is_python
from turnback.sql.backfill import RangedStatement, read_python, read_ranged
from turnback.sql.bulk import BulkStatements, statements_of
from turnback.sql.enum_values import transaction_starts
from turnback.sql.parser import SqlSyntaxError
from turnback.sql.statements import Rows, Statement, json_value
from turnback.sql.swap import TableChange, read_swap
from turnback.sql.tree import strings, walk

_SAVEPOINTS = {"TRANS_STMT_SAVEPOINT", "TRANS_STMT_RELEASE", "TRANS_STMT_ROLLBACK_TO"}
_UNLOCK_ALL = "pg_advisory_unlock_all"
_BEGINS = {"TRANS_STMT_BEGIN", "TRANS_STMT_START"}


@dataclass(frozen=True, slots=True)
class Runnable:
    """A script and the way to run it.

    Attributes:
        script: the file.
        statements: its statements, or None where only the server's own parser can judge it.
        one_by_one: whether it runs statement by statement, outside a transaction.
        needs_begin: whether it runs after a BEGIN: it uses savepoints, which an implicit
            transaction does not have, or nothing is known about its statements.
        isolation: the level that its transaction needs, where it says one: by the directive or by
            SET TRANSACTION as its first statement.
        peeled: where an outer BEGIN and COMMIT are, which are not sent: offsets, each from and to.
        cuts: what is for psql alone, and is not sent; of a large script, nothing.
        starts: the indexes of the statements with which a second, third, … transaction begins,
            because they use values of enums that the script adds.
        ranged: of a backfill, what is run over ranges of keys.
        swap: what a table swap changes, in a copy of the table.
    """

    script: Script
    statements: Sequence[Statement] | None
    one_by_one: bool = False
    needs_begin: bool = False
    peeled: tuple[tuple[int, int], ...] = ()
    isolation: str | None = None
    cuts: Sequence[Cut] = ()
    starts: tuple[int, ...] = ()
    ranged: RangedStatement | None = None
    swap: TableChange | None = None

    @property
    def in_one_transaction(self) -> bool:
        """Whether all of it is kept or nothing."""
        return not (self.one_by_one or self.starts)

    def transactions(self, done: int = 0) -> list[Runnable]:
        """Its transactions, in order, as scripts with blanks in place of the rest.

        Settings that an earlier one makes are made in each.

        Args:
            done: how many statements are done already, and left out.
        """
        statements = self.statements or ()
        edges = [done, *(start for start in self.starts if start > done), len(statements)]
        return [self._part(first, end) for first, end in itertools.pairwise(edges)]

    def _part(self, first: int, end: int) -> Runnable:
        statements = list(self.statements or ())
        settings = [n for n in range(first) if statements[n].kind == "VariableSetStmt"]
        numbers = [*settings, *range(first, end)]
        offsets = [*(one.offset for one in statements), len(self.script.sql)]
        # With a statement goes what is behind it: the semicolon, and the rows of a COPY.
        kept = [(offsets[n], offsets[n + 1]) for n in numbers]
        ends = [0, *(span[1] for span in kept)]
        begins = [*(span[0] for span in kept), len(self.script.sql)]
        return replace(
            self,
            statements=[statements[n] for n in numbers],
            peeled=(*self.peeled, *zip(ends, begins, strict=True)),
            cuts=[cut for cut in self.cuts if any(a <= cut.start < b for a, b in kept)],
            starts=(),
        )

    @property
    def text(self) -> str:
        """Its SQL as the server gets it, without rows of COPY: see ``in_file``.

        An outer BEGIN and COMMIT are overwritten with blanks.
        """
        text = self.written
        for cut in reversed(self.cuts):
            text = text[: cut.start] + text[cut.end :]
        return text

    @property
    def written(self) -> str:
        """Its SQL as psql would get it, with the rows of COPY."""
        text = self.script.sql
        for start, end in self.peeled:
            text = text[:start] + " " * (end - start) + text[end:]
        return text

    @property
    def rows(self) -> list[Rows]:
        """The rows of each COPY … FROM stdin in its text, in order."""
        return [
            Rows(self.script, cut.start, (cut.start, cut.rows))
            for cut in self.cuts
            if cut.rows is not None
        ]

    def in_file(self, offset: int) -> int:
        """Where in the file a character of ``text`` is."""
        for cut in self.cuts:
            if offset < cut.start:
                break
            offset += cut.end - cut.start
        return offset

    def in_text(self, offset: int) -> int:
        """Where in ``text`` a character of the file is, which is not in a cut."""
        return offset - sum(cut.end - cut.start for cut in self.cuts if cut.end <= offset)

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both from 1."""
        return self.script.position(offset)


def prepare(script: Script) -> Runnable:
    """Find out how a script must be run.

    Text that the bundled grammar does not know (of a PostgreSQL newer than it) is left to the
    server, after a BEGIN.

    Raises:
        InvalidMigration: psql commands, COPY TO stdout, COPY FROM stdin without the end of its
            rows, or a transaction of its own; Python without ``transform(rows)``.
    """
    if is_python(script.path):
        return Runnable(script, (), one_by_one=True, ranged=read_python(script))
    found = () if isinstance(script, LargeScript) else cuts(script.sql)
    for cut in found:
        if cut.fault:
            raise _no_rows(script, cut.copy, cut.fault)
    try:
        statements = statements_of(script)
    except SqlSyntaxError as error:
        _explain(script, error, found)
        if script.directives.backfill or script.directives.swap:
            raise syntax_error(script) or error from error
        level = script.directives.isolation
        return Runnable(script, None, needs_begin=True, isolation=level, cuts=found)
    ranged = read_ranged(script, statements) if script.directives.backfill else None
    swap = read_swap(script, statements) if script.directives.swap else None
    outside = script.directives.no_transaction or ranged is not None or swap is not None
    control = list[tuple[int, Statement]]()
    copies = unlocks = None
    # In one pass, because a large script reads its statements anew in each.
    for index, statement in enumerate(statements):
        copies = copies or _copies(script, statement)
        unlocks = unlocks or _unlocks(script, statement)
        outside = outside or statement.outside_transaction
        if statement.kind == "TransactionStmt":
            control.append((index, statement))
    if refusal := copies or unlocks:
        raise refusal
    ends = [one for one in control if one[1].tree.get("kind") not in _SAVEPOINTS]
    if ends:
        _refuse_transactions(script, ends, len(statements) - 1)
    savepoints = len(control) > len(ends)
    if outside:
        _refuse_inside(script, savepoints=savepoints, surrounded=bool(ends))
    if ends:
        statements = statements[1:-1]
    peeled = tuple((statement.offset, statement.end) for _, statement in ends)
    isolation = script.directives.isolation or _isolation(statements)
    alone = outside or isolation or isinstance(statements, BulkStatements)
    starts = () if alone else tuple(transaction_starts(statements))
    return Runnable(
        script, statements, outside, savepoints, peeled, isolation, found, starts, ranged, swap
    )


def _refuse_inside(script: Script, *, savepoints: bool, surrounded: bool) -> None:
    """Refuse what only a transaction has, in a script that runs outside of one."""
    message = hint = None
    if savepoints:
        message = "savepoints in a file that runs outside a transaction"
        hint = "put them in a file of their own"
    elif surrounded:
        message = "BEGIN … COMMIT around a statement that cannot run in a transaction"
        hint = "remove BEGIN and COMMIT"
    elif script.directives.isolation:
        message = "an isolation level in a file that runs outside a transaction"
        hint = "remove the directive isolation"
    if message and hint:
        raise _refused(script, 0, message, hint)


def _isolation(statements: Sequence[Statement]) -> str | None:
    """The level of a SET TRANSACTION ISOLATION LEVEL at the beginning of a script."""
    first = statements[0] if statements else None
    if first is None or first.kind != "VariableSetStmt" or first.tree.get("name") != "TRANSACTION":
        return None
    return next(
        (
            str(json_value(item["DefElem"]["arg"]))
            for item in first.tree.get("args", ())
            if item["DefElem"]["defname"] == "transaction_isolation"
        ),
        None,
    )


def _copies(script: Script, statement: Statement) -> InvalidMigration | None:
    """What is wrong with a COPY from or to the client."""
    if statement.kind != "CopyStmt" or statement.tree.get("filename"):
        return None
    if not statement.tree.get("is_from"):
        return _refused(
            script,
            statement.offset,
            "COPY TO stdout sends rows to the client, and a migration has none that reads them",
            "remove it: psql or turnback backup exports rows",
        )
    if any(
        item["DefElem"]["defname"] == "format" and json_value(item["DefElem"]["arg"]) == "binary"
        for item in statement.tree.get("options", ())
    ):
        return _refused(
            script,
            statement.offset,
            "COPY FROM stdin in the binary format: a file of SQL has text only",
            "write its rows in the format text or csv",
        )
    fault = statement.rows[0].fault if statement.rows else NO_END
    if fault:
        return _no_rows(script, statement.offset, fault)
    in_text = not any(
        item["DefElem"]["defname"] == "format" and json_value(item["DefElem"]["arg"]) != "text"
        for item in statement.tree.get("options", ())
    )
    line = _end_inside(statement.rows[0]) if in_text else None
    if line is None:
        return None
    return _refused(
        script,
        statement.rows[0].line_start(line),
        "this row of a COPY ends with \\., and PostgreSQL before 18 leaves out all rows behind it",
        "write a backslash as two: \\\\.",
    )


_END_OF_LINE = re.compile(rb"(\\+)\.\r?\n")


def _end_inside(rows: Rows) -> int | None:
    """The line of the first row that ends with the mark of the end; None without one."""
    lines, before = 1, b""
    for block in rows:
        data = before + block
        if b"\\." in data:
            for found in _END_OF_LINE.finditer(data):
                if len(found[1]) % 2:
                    return lines + data.count(b"\n", 0, found.start())
        # A line that goes on in the next block; of a very long one, more than any mark has.
        cut = max(data.rfind(b"\n") + 1, len(data) - 65536)
        lines += data.count(b"\n", 0, cut)
        before = data[cut:]
    return None


def _no_rows(script: Script, offset: int, fault: str) -> InvalidMigration:
    hint = "the rows begin on the line after the statement and end before a line with only \\."
    if fault == SAME_LINE:
        hint = "move it to a line of its own, behind the rows"
    return _refused(script, offset, fault, hint)


def _unlocks(script: Script, statement: Statement) -> InvalidMigration | None:
    """What is wrong with releasing every lock of the session, the run's own among them."""
    what = None
    if statement.kind == "DiscardStmt" and statement.tree.get("target") == "DISCARD_ALL":
        what = "DISCARD ALL"
    elif _UNLOCK_ALL in statement.outline.lower() and _calls_unlock_all(statement):
        what = f"{_UNLOCK_ALL}()"
    if what is None:
        return None
    return _refused(
        script,
        statement.offset,
        f"{what} releases the lock of the run, and another run could begin",
        "remove it: turnback resets the session before each file; release a lock of your "
        "own with pg_advisory_unlock(NUMBER)",
    )


def _calls_unlock_all(statement: Statement) -> bool:
    if statement.kind == "DoStmt":
        return True
    return any(
        kind == "FuncCall" and strings(node["funcname"])[-1] == _UNLOCK_ALL
        for kind, node in walk(statement.tree)
    )


def syntax_error(script: Script) -> InvalidMigration | None:
    """What the grammar has against this script, or None."""
    try:
        statements_of(script)
    except SqlSyntaxError as error:
        line, column = script.position(error.offset)
        return InvalidMigration(error.message, file=script.path, line=line, column=column)
    return None


def _refuse_transactions(script: Script, ends: Sequence[tuple[int, Statement]], last: int) -> None:
    """Refuse what begins or ends a transaction, but for one BEGIN and COMMIT around all."""
    if [index for index, _ in ends] == [0, last] and last > 0:
        (_, begin), (_, commit) = ends
        pair = begin.tree.get("kind") in _BEGINS and commit.tree.get("kind") == "TRANS_STMT_COMMIT"
        if pair and not begin.tree.get("options") and not commit.tree.get("chain"):
            return
    _, culprit = next((end for end in ends if 0 < end[0] < last), ends[0])
    word = culprit.sql.split(None, 1)[0].upper()
    raise _refused(
        script,
        culprit.offset,
        f"{word} in the file would end the transaction that makes it safe",
        "remove it: every file runs in a transaction of its own; split the file where the "
        "transaction must end",
    )


def _explain(script: Script, error: SqlSyntaxError, found: Sequence[Cut]) -> None:
    """Say kindly what only psql understands; anything else is the server's to refuse."""
    # psql of every version ends the rows there; PostgreSQL 18 does not where it reads a file.
    for cut in found:
        if cut.rows is not None and cut.end <= error.offset and _ends_in_quotes(script, cut):
            raise _refused(
                script,
                cut.rows,
                "the rows of this COPY end here, in a quoted value, as they do in psql",
                "write this row in the format text, where a backslash is two: \\\\.",
            ) from error
    line = _rest_of_line(script, error.offset)
    if line.startswith("\\"):
        command = line.split(None, 1)[0]
        raise _refused(
            script,
            error.offset,
            f"'{command}' is a command of psql, not SQL",
            "write the rows under COPY … FROM stdin, and end them with a line that has only \\."
            if command == "\\copy"
            else "remove it: the server does not know psql's commands",
        )


def _ends_in_quotes(script: Script, cut: Cut) -> bool:
    statement = script.sql[cut.copy : cut.start].lower()
    return "csv" in statement and script.sql[cut.start : cut.rows].count('"') % 2 == 1


def _rest_of_line(script: Script, offset: int) -> str:
    """The text from an offset to the end of its line, or of the block that it is in."""
    for block in script.blocks():
        if offset < len(block):
            return block[offset:].partition("\n")[0]
        offset -= len(block)
    return ""


def _refused(script: Script, offset: int, message: str, hint: str) -> InvalidMigration:
    line, column = script.position(offset)
    return InvalidMigration(message, file=script.path, line=line, column=column, hint=hint)
