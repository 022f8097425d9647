"""The words of a SQL text, for what the parser's tree does not keep: spelling, length, layout."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Compiled when it is first used, as not every command reads SQL.
_TOKEN = r"""
    (?P<comment>--[^\n]*|/\*)
  | (?P<string>[eE]'(?:[^'\\]|\\.|'')*'|(?:[bBxXnN]|[uU]&)?'(?:[^']|'')*'
      |(?P<tag>\$(?:[A-Za-z_\x80-\U0010ffff][\w\x80-\U0010ffff]*)?\$).*?(?P=tag))
  | (?P<quoted>(?:[uU]&)?"(?:[^"]|"")*")
  | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
  | (?P<number>\d\w*(?:\.\d\w*)?)
  | (?P<space>\s+)
  | (?P<sign>.)
"""
_COMMENT_EDGE = re.compile(r"/\*|\*/")


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a sign, a string or a number; comments and blanks are left out.

    Attributes:
        kind: ``word``, ``quoted`` (a name in quotes), ``string``, ``number`` or ``sign``.
        text: as written.
        start: where it begins, in characters from 0.
    """

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + len(self.text)

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these keywords, given in capitals."""
        return self.kind == "word" and self.text.upper() in words


def tokens(sql: str, start: int = 0) -> Iterator[Token]:
    """The tokens of a text, from an offset on.

    A text that breaks off inside a string or a comment is cut into signs there.
    """
    token = re.compile(_TOKEN, re.VERBOSE | re.DOTALL)
    while match := token.match(sql, start):
        kind = match.lastgroup if match.lastgroup != "tag" else "string"
        start = match.end()
        if match[0] == "/*":
            start = _comment_end(sql, start)
        elif kind not in ("comment", "space") and kind:
            yield Token(kind, match[0], match.start())


def _comment_end(sql: str, start: int) -> int:
    """Where a comment ends; comments nest (manual, 4.1.5)."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(sql)
