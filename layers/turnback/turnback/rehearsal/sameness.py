"""Texts that are not the same and mean the same."""

from __future__ import annotations

import re

# A view or a default that says 'now'::timestamp has the moment it was made in its text. Moments
# that people write down have no fractions of a second, or are not of our times.
_MADE_AT = re.compile(
    r"'(?:20\d\d-\d\d-\d\d )?\d\d:\d\d:\d\d\.\d{2,6}(?:[+-]\d\d(?::\d\d)?)?'"
    r"(?=::time(?:stamp)?(?:\(\d\))? with)"
)
_BODY = re.compile(r"(.*\nAS )(\$\w*\$)(.*)\2\s*", re.DOTALL)
# Languages in which white space, comments and the case of words say nothing.
_FREE_FORM = ("sql", "plpgsql")
_TOKEN = re.compile(
    r"""(?P<verbatim> (?<!\w)[eE]'(?:[^'\\]|\\.|'')*'
                    | '(?:[^']|'')*'
                    | "(?:[^"]|"")*"
                    | (?<!\w)\$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
      | (?P<nothing> --[^\n]* | /\*.*?\*/ | \s+ )
      | (?P<word> \w+ | . )""",
    re.DOTALL | re.VERBOSE,
)


def cosmetic(expected: str, actual: str, language: str | None = None) -> bool:
    """Whether two different definitions mean the same.

    Args:
        expected: a definition, as the server writes it.
        actual: another one.
        language: of the function that they define.
    """
    if _MADE_AT.sub("'now'", expected) == _MADE_AT.sub("'now'", actual):
        return True
    if language not in _FREE_FORM:
        return False
    before, after = _BODY.fullmatch(expected), _BODY.fullmatch(actual)
    if before is None or after is None or before[1] != after[1]:
        return False
    return _tokens(before[3]) == _tokens(after[3])


def _tokens(body: str) -> list[str]:
    return [
        match["verbatim"] or match["word"].lower()
        for match in _TOKEN.finditer(body)
        if match["nothing"] is None
    ]
