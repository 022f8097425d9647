"""The SQL inside a PL/pgSQL body: which statements it runs, and which functions it calls.

libpg_query parses PL/pgSQL as well, but it refuses variables of a type in another schema, and its
JSON is broken for triggers. So a body is cut into statements here; each goes to the SQL parser.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from turnback.sql.parser import SqlSyntaxError
from turnback.sql.statements import Statement, split
from turnback.sql.tokens import Token, tokens
from turnback.sql.tree import text_options

# The first words of the SQL statements that PL/pgSQL passes on to the server.
_COMMANDS = """
ALTER ANALYZE CALL CLUSTER COMMENT COPY CREATE DELETE DISCARD DO DROP EXPLAIN GRANT IMPORT INSERT
LOCK MERGE NOTIFY PREPARE REASSIGN REFRESH REINDEX RESET REVOKE SECURITY SELECT SET TABLE TRUNCATE
UPDATE VALUES WITH
"""
# Words before a parenthesis that call nothing.
_OPERATORS = """
ALL AND ANY ARRAY AS BETWEEN BIT BY CASE CAST CHAR CHARACTER CHECK CLOSE COALESCE CURSOR DECIMAL
DISTINCT ELSE ELSEIF ELSIF END EXISTS EXTRACT FETCH FILTER FLOAT FOR FOREACH FROM GREATEST GROUP
HAVING IF IN INTERVAL INTO IS JOIN LEAST LIKE LIMIT MOVE NOT NULLIF NUMERIC OF ON OPEN OR ORDER OVER
OVERLAY PARTITION POSITION RAISE RETURN ROW SELECT SETOF SOME SUBSTRING THEN TIME TIMESTAMP
TIMESTAMPTZ TRIM UNION USING VALUES VARCHAR VARYING WHEN WHERE WHILE WITH WITHIN XMLELEMENT
XMLFOREST
"""
_SQL = frozenset(_COMMANDS.split())
_NOT_CALLED = frozenset(_OPERATORS.split())
_OPENING = ("BEGIN", "DECLARE", "ELSE", "EXCEPTION", "LOOP")
# What is between these words and THEN or LOOP is an expression.
_CONDITIONS = ("CASE", "ELSEIF", "ELSIF", "IF", "WHEN", "WHILE")


@dataclass(frozen=True, slots=True)
class Embedded:
    """A part of a body that the server is asked to run.

    Attributes:
        kind: ``sql`` (a statement), ``dynamic`` (the expression of an EXECUTE), ``call`` (the
            name of a function in an expression) or ``condition`` (one with a query in it, as a
            SELECT).
        text: the statement without INTO and its targets; the expression; or the name.
        offset: where it begins in the body, in characters from 0.
        branch: the branches, loops and handlers it is in, by numbers of their own; empty for what
            always runs.
    """

    kind: str
    text: str
    offset: int
    branch: tuple[int, ...] = ()


@lru_cache(maxsize=256)
def embedded(body: str) -> tuple[Embedded, ...]:
    """What a PL/pgSQL body runs, in the order in which it is written."""
    return tuple(_Body(body).read())


def line_of_block(block: Statement, line: int) -> int:
    """Where a line of a DO block begins in its script, behind blanks, in characters.

    Args:
        block: the statement.
        line: counted from 1, which is the line with the opening quote, as PL/pgSQL counts.
    """
    body = next(
        item["DefElem"] for item in block.tree["args"] if item["DefElem"]["defname"] == "as"
    )
    at = block.place(body.get("location", 0)) - block.offset
    if line == 1 or block.sql.startswith(("e", "E"), at):
        # The line ends of an escape string may be written as \\n.
        return block.offset
    for _ in range(line - 1):
        at = block.sql.find("\n", at) + 1
        if not at:
            return block.offset
    return block.offset + at + len(block.sql[at:]) - len(block.sql[at:].lstrip())


def body_of(statement: Statement) -> tuple[str, int]:
    """The body of a DO block in PL/pgSQL, and its offset in the script; empty without one."""
    options = text_options(statement.tree.get("args", ())) if statement.kind == "DoStmt" else {}
    if options.get("language", "plpgsql") != "plpgsql":
        return "", 0
    body = options.get("as", "")
    return body, statement.offset + max(statement.sql.find(body), 0)


def statements_in(body: str, offset: int = 0) -> Iterator[tuple[Embedded, Statement]]:
    """The statements of a PL/pgSQL body, and those that it executes as a text.

    What cannot be read, and what is put together when it runs, is left out.

    Args:
        offset: of the body in its script.
    """
    for part in embedded(body):
        text = part.text if part.kind in ("sql", "condition") else None
        if part.kind == "dynamic":
            text = literal_of(part.text)
        try:
            for statement in split(text) if text else ():
                yield part, replace(statement, offset=offset + part.offset + statement.offset)
        except SqlSyntaxError:
            continue


def literal_of(expression: str) -> str | None:
    """The text of an expression that is one string; None if it is anything else."""
    try:
        [statement] = split(f"SELECT {expression}")
        [target] = statement.tree["targetList"]
    except (SqlSyntaxError, ValueError, KeyError):
        return None
    value = target["ResTarget"]["val"].get("A_Const", {}).get("sval")
    return str(value.get("sval", "")) if value is not None else None


class _Body:
    """A body, read from its first token to its last."""

    def __init__(self, body: str) -> None:
        self._body = body
        self._tokens = list(tokens(body))
        self._at = 0
        # What is not closed yet: the number of its branch; 0 for a block, which always runs.
        self._open: list[int] = []
        self._numbers = itertools.count(1)

    def read(self) -> Iterator[Embedded]:
        while self._at < len(self._tokens):
            first = self._tokens[self._at]
            if first.text == "<":
                self._at = self._find(self._at, ">") + 2
            elif first.is_word(*_OPENING):
                self._opens(first)
                self._at += 1
            elif first.is_word(*_CONDITIONS):
                self._opens(first)
                end = self._find(self._at + 1, "THEN", "LOOP")
                yield from self._calls(self._at + 1, end)
                if any(self._is_word(place, "SELECT") for place in range(self._at + 1, end)):
                    yield self._part("condition", f"SELECT {self._text(self._at + 1, end)}", first)
                self._at = end + 1
            elif first.is_word("FOR", "FOREACH"):
                yield from self._loop()
            elif first.is_word("RETURN") and self._is_word(self._at + 1, "QUERY"):
                self._at += 2
            elif first.is_word("OPEN"):
                # OPEN cursor FOR query; a cursor that was declared has its query already.
                self._at = self._find(self._at, "FOR") + 1
            else:
                if first.is_word("END") and self._open:
                    self._open.pop()
                end = self._find(self._at, ";")
                yield from self._statement(self._at, end)
                self._at = end + 1

    def _opens(self, first: Token) -> None:
        word = first.text.upper()
        if word in ("ELSE", "ELSEIF", "ELSIF", "EXCEPTION", "WHEN") and self._open:
            self._open[-1] = next(self._numbers)
        elif word in ("BEGIN", "CASE", "FOR", "FOREACH", "IF", "LOOP", "WHILE"):
            self._open.append(0 if word == "BEGIN" else next(self._numbers))

    def _part(self, kind: str, text: str, first: Token) -> Embedded:
        return Embedded(kind, text, first.start, tuple(filter(None, self._open)))

    def _is_word(self, place: int, *words: str) -> bool:
        return place < len(self._tokens) and self._tokens[place].is_word(*words)

    def _find(self, start: int, *stops: str) -> int:
        """The first of these words or signs outside parentheses and CASE; the end if none."""
        depth = 0
        for place in range(start, len(self._tokens)):
            token = self._tokens[place]
            if token.text in ("(", "[") or token.is_word("CASE"):
                depth += 1
            elif token.text in (")", "]") or (depth and token.is_word("END")):
                depth -= 1
            elif token.text == ";" or (depth <= 0 and self._is_stop(token, stops)):
                return place
        return len(self._tokens)

    @staticmethod
    def _is_stop(token: Token, stops: tuple[str, ...]) -> bool:
        return token.kind in ("word", "sign") and token.text.upper() in stops

    def _loop(self) -> Iterator[Embedded]:
        end = self._find(self._at, "LOOP")
        start = self._find(self._at, "IN") + 1
        if start <= end:
            yield from self._statement(start, end)
        self._opens(self._tokens[self._at])
        self._at = end + 1

    def _statement(self, start: int, end: int) -> Iterator[Embedded]:
        if start >= end:
            return
        first = self._tokens[start]
        # A variable may be called like a command.
        assigns = start + 1 < end and self._tokens[start + 1].text in (":", "=", ".", "[")
        if first.kind != "word" or assigns:
            yield from self._calls(start, end)
        elif first.is_word("EXECUTE"):
            stop = min(self._find(start, "INTO", "USING"), end)
            yield self._part("dynamic", self._text(start + 1, stop), first)
            yield from self._calls(start + 1, end)
        elif first.is_word("PERFORM"):
            yield self._part("sql", f"SELECT {self._text(start + 1, end)}", first)
        elif first.text.upper() in _SQL:
            yield self._part("sql", self._without_into(start, end), first)
        else:
            yield from self._calls(start, end)

    def _text(self, start: int, end: int) -> str:
        if start >= end:
            return ""
        return self._body[self._tokens[start].start : self._tokens[end - 1].end]

    def _calls(self, start: int, end: int) -> Iterator[Embedded]:
        """The functions that an expression calls: each name before a parenthesis."""
        for place in range(start, min(end, len(self._tokens) - 1)):
            token = self._tokens[place]
            named = token.kind == "quoted" or (
                token.kind == "word" and token.text.upper() not in _NOT_CALLED
            )
            if named and self._tokens[place + 1].text == "(":
                first = place
                while (
                    first >= start + 2
                    and self._tokens[first - 1].text == "."
                    and self._tokens[first - 2].kind in ("word", "quoted")
                ):
                    first -= 2
                yield self._part("call", self._text(first, place + 1), self._tokens[first])

    def _without_into(self, start: int, end: int) -> str:
        """The statement without ``INTO [STRICT] target, …``, which only PL/pgSQL knows."""
        into = start
        while (into := self._find(into + 1, "INTO")) < end:
            if not self._is_word(into - 1, "INSERT", "MERGE"):
                break
        if into >= end:
            return self._text(start, end)
        after = into + (2 if self._is_word(into + 1, "STRICT") else 1)
        while after < end:
            after += 1
            while after < end and self._tokens[after].text == ".":
                after += 2
            if after < end and self._tokens[after].text == "[":
                after = self._find(after + 1, "]") + 1
            if after >= end or self._tokens[after].text != ",":
                break
            after += 1
        rest = self._text(after, end)
        return f"{self._text(start, into)} {rest}".strip()
