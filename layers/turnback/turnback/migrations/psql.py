"""What a script has that is for psql, not for the server: rows under COPY … FROM stdin.

pg_dump writes them. psql sends the statement, then the lines that follow it up to a line ``\\.``
(manual, COPY and psql), in every format. pg_dump also writes ``\\restrict`` and ``\\unrestrict``,
which forbid psql to run commands in between; here none is ever run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_COMMENT = re.compile(r"\s+|--[^\n]*|/\*")
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_QUOTED = (
    r"(?P<comment>--[^\n]*)|(?P<block>/\*)|\b[eE]'(?>[^'\\]|\\.|'')*+'|'(?>[^']|'')*+'"
    r'|"(?>[^"]|"")*+"|(?<![\w$])(?P<dollar>\$(?:[^\W\d]\w*)?\$)'
)
# What may have a line in it that only looks like a comment.
_QUOTES = re.compile(_QUOTED, re.DOTALL)
_PARTS = re.compile(
    _QUOTED + r"""|(?P<open>['"])|(?P<end>;)|(?P<from>\bfrom\b)""", re.DOTALL | re.IGNORECASE
)
_COPY, _STDIN = (re.compile(rf"{word}\b", re.IGNORECASE) for word in ("copy", "stdin"))
_RESTRICT = re.compile(r"\\(?:un)?restrict[ \t]+[A-Za-z0-9]+[ \t]*(?=\r?(?:\n|\Z))")
_REST_OF_LINE = re.compile(r"[ \t\r]*(?:--[^\n]*)?(?:\n|\Z)")
_AFTER_END = re.compile(r"\r?(?:\n|\Z)")


@dataclass(frozen=True, slots=True)
class Cut:
    """A part of a script that the server must not get as SQL; offsets in characters from 0.

    Attributes:
        start, end: from and to.
        rows: where the rows of a COPY end; None for a line that is psql's alone.
        fault: what is wrong with the rows; None where they are complete.
        copy: where their statement begins.
    """

    start: int
    end: int
    rows: int | None = None
    fault: str | None = None
    copy: int = 0


NO_END = "the rows of this COPY have no end"
SAME_LINE = "something follows COPY … FROM stdin in its line"


def cuts(text: str) -> list[Cut]:
    """What is for psql in a script, in order."""
    return list(_cuts(text, 0)) if _may_have_some(text) else []


def without_cuts(text: str, found: list[Cut] | None = None) -> str:
    """The text with blanks in place of what is for psql: every offset and line is as it was.

    Args:
        text: of a script.
        found: its ``cuts``, where they are known.
    """
    parts, at = [], 0
    for cut in cuts(text) if found is None else found:
        blanks = (" " * len(line) for line in text[cut.start : cut.end].split("\n"))
        parts += [text[at : cut.start], "\n".join(blanks)]
        at = cut.end
    return "".join([*parts, text[at:]]) if parts else text


def directive_cuts(text: str, in_rows: bool) -> tuple[list[Cut], bool]:
    """The cuts of a block of a script, whose first line may be one of rows.

    Args:
        text: a block of whole lines.
        in_rows: whether the block before ended within rows.

    Returns:
        The cuts, and whether this block ends within rows.
    """
    found, at = list[Cut](), 0
    if in_rows:
        end = rows_end(text, 0)
        found.append(Cut(0, len(text)) if end is None else Cut(0, end + 2))
        at = found[0].end
        if end is None:
            return found, True
    if _may_have_some(text):
        found += _cuts(text, at)
    return found, bool(found) and found[-1].fault == NO_END


def copy_end(text: str, start: int = 0) -> int | None:
    """Where the first COPY … FROM stdin ends, behind its semicolon; None if it does not exist.

    Args:
        text: SQL, which may break off.
        start: where a statement begins in it.
    """
    return _next(text, start)[2] if _may_have_some(text) else None


def rows_end(text: str, start: int) -> int | None:
    """Where the line ``\\.`` begins that ends rows; None where it is not in the text.

    Args:
        text: of a script.
        start: where a line begins in it.
    """
    at = start
    while at >= 0:
        if text.startswith("\\.", at) and _AFTER_END.match(text, at + 2):
            return at
        at = text.find("\n\\.", at) + 1 or -1
    return None


def _may_have_some(text: str) -> bool:
    # Much faster than an expression that ignores case.
    return "stdin" in text.lower() or "restrict " in text


def _cuts(text: str, at: int) -> Iterator[Cut]:
    while True:
        lines, copy, end = _next(text, at)
        yield from (Cut(*line) for line in lines)
        if end is None:
            return
        line = _REST_OF_LINE.match(text, end)
        if line is None:
            yield Cut(end, end, end, SAME_LINE, copy)
            return
        close = rows_end(text, line.end())
        if close is None:
            yield Cut(line.end(), len(text), len(text), NO_END, copy)
            return
        at = close + 2
        yield Cut(line.end(), at, close, copy=copy)


def _next(text: str, at: int) -> tuple[list[tuple[int, int]], int, int | None]:
    """The lines of psql up to the first COPY … FROM stdin, and where that one begins and ends."""
    lines = []
    while True:
        at = skip_comments(text, at)
        if restrict := _RESTRICT.match(text, at):
            lines.append(restrict.span())
            at = restrict.end()
            continue
        copy = _COPY.match(text, at)
        # The rows of a query in parentheses go to the client.
        reads = copy is not None and not text.startswith("(", skip_comments(text, copy.end()))
        end, from_stdin = _statement(text, copy.end() if copy else at)
        if end is None or (reads and from_stdin):
            return lines, at, end
        at = end


def _statement(text: str, at: int) -> tuple[int | None, bool]:
    """Where a statement ends, None where the text breaks off; whether it has FROM stdin in it."""
    from_stdin = False
    while part := _PARTS.search(text, at):
        at = _quoted_end(text, part)
        if part["open"]:
            return None, from_stdin
        if part["end"]:
            return at, from_stdin
        if part["from"]:
            from_stdin |= _STDIN.match(text, skip_comments(text, at)) is not None
    return None, from_stdin


def is_quoted(text: str, offset: int) -> bool:
    """Whether what looks like a comment line is inside a string, a name or a block comment."""
    at = 0
    while (found := _QUOTES.search(text, at)) and found.start() < offset:
        at = _quoted_end(text, found)
        if at > offset and not found["comment"]:
            return True
    return False


def unquoted(text: str, word: str) -> list[int]:
    """Where a word is that is not in a string, a name or a comment."""
    found, at = list[int](), text.find(word)
    start = 0
    while at >= 0:
        while (part := _QUOTES.search(text, start)) and part.start() < at:
            start = _quoted_end(text, part)
        if start <= at:
            found.append(at)
        at = text.find(word, max(at + len(word), start))
    return found


def _quoted_end(text: str, found: re.Match[str]) -> int:
    """Where a comment, a string or a name ends that begins with this match."""
    if found["block"]:
        return _block_end(text, found.start())
    if found["dollar"]:
        close = text.find(found["dollar"], found.end())
        return len(text) if close < 0 else close + len(found["dollar"])
    return found.end()


def skip_comments(text: str, start: int = 0) -> int:
    """Where blanks and comments end that begin here; the length of a text that has nothing else."""
    while found := _COMMENT.match(text, start):
        start = _block_end(text, start) if found[0] == "/*" else found.end()
    return start


def _block_end(text: str, start: int) -> int:
    """Where a block comment ends; they can be nested (manual, 4.1.5)."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(text, start):
        depth += 1 if edge[0] == "/*" else -1
        if not depth:
            return edge.end()
    return len(text)
