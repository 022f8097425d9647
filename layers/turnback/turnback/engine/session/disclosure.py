"""What may leave the database of what its server says: names of objects, never values of rows.

Errors go to the history, to logs, topics, chats and reports, which more people read than may read
the database. The server repeats values in DETAIL, in CONTEXT, in the messages of data exceptions,
and wherever a function of a user writes a message of its own. ``public`` leaves out all of these,
and is the only way from a server's error into a message of turnback. The rest goes into ``detail``
of the error, which a terminal shows with ``--verbose``.
"""

from __future__ import annotations

import re
from typing import Protocol

# Classes of SQLSTATE (PostgreSQL manual, appendix A) whose messages name objects, not values.
_ABOUT_OBJECTS = {
    *("00", "01", "02", "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "20", "21", "23"),
    *("24", "25", "26", "27", "28", "2B", "2D", "2F", "34", "3B", "3D", "3F", "40", "42", "44"),
    *("53", "54", "55", "57", "58", "72", "F0", "P0"),
}
# And those whose messages may have values, in quotes.
_WITH_VALUES = {"22", "XX"}
# Classes whose DETAIL is about objects and never about rows: a feature, a dependency, a database or
# schema, a rule about names and types, an object that is not in the right state.
_DETAIL_OF_OBJECTS = {"0A", "2B", "3D", "3F", "42", "55"}
# The lookup of a name or of another text that may be a value: 'ada'::regclass, to_tsquery('ada').
_LOOKUPS = {"42601", "42602", "42703", "42704", "42883", "42P01", "3F000", "3D000"}
_RAISED = {"P0001", "P0004"}
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_BYTES = re.compile(r"0x[0-9a-fA-F]{2}")
# The first line of a CONTEXT; others quote a line of a file, a value or a statement.
_PLACE_IN_CODE = re.compile(
    r'(?:PL/\w+|SQL) function "?[\w$.]+"?(?:\([^)]*\))?'
    r"(?: line \d+ at [\w ]+| statement \d+| during \w+)?"
)
_AUTHORED = re.compile(r" at (?:RAISE|ASSERT)$")
_DYNAMIC = re.compile(r"(?m) at EXECUTE\b.*$")
_RAISE = re.compile(
    r"\b(?:RAISE(?:\s+(?:DEBUG|LOG|INFO|NOTICE|WARNING|EXCEPTION))?|ASSERT\b[^;]*?,)"
    r"\s*'((?:[^']|'')*)'",
    re.IGNORECASE,
)
_HIDDEN = "…"
_UNKNOWN_TEXT = "code of the database raised an error whose text may have values of rows"
# In what pg_dump and pg_restore print, which has no SQLSTATE, and a severity in any language.
_SAID = re.compile(r"(?s)(?P<before>.*?(?P<severity>[^\s:]+):  )(?P<said>.*)")
_SEVERITIES = {"ERROR", "FATAL", "PANIC"}
_VALUE_IN_TEXT = re.compile(r"""(?<=[:] )"(?:[^"]|"")*"|(?<=\bvalue )"(?:[^"]|"")*\"""")
_OTHER_LANGUAGE = re.compile(r"PL/(?!pgSQL)\w+ ")


class Said(Protocol):
    """An error, or a notice, as the server sends it."""

    @property
    def sqlstate(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def detail(self) -> str | None: ...
    @property
    def context(self) -> str | None: ...
    @property
    def hint(self) -> str | None: ...
    @property
    def parsed(self) -> bool:
        """Whether it has a place in a text that was parsed: what it quotes stands there."""


def public(said: Said, source: str = "") -> str:
    """What the server says, without values of rows.

    Args:
        said: the error.
        source: the script that was run: the texts of its RAISE are shown, without what the server
            has put in place of their ``%``.
    """
    kind, context = said.sqlstate[:2], said.context or ""
    place = context.splitlines()[0] if context else ""
    if _is_authored(said):
        message = _as_written(said.message, source) or _UNKNOWN_TEXT
    elif kind in _ABOUT_OBJECTS and not _may_quote_values(said):
        message = said.message
    else:
        message = _without_values(said.message, source)
    if said.detail and kind in _DETAIL_OF_OBJECTS and message == said.message:
        message += f" ({said.detail})"
    return f"{message} [{place}]" if _PLACE_IN_CODE.fullmatch(place) else message


def public_hint(said: Said) -> str | None:
    """The server's hint, where it has no values of rows."""
    about_objects = said.sqlstate[:2] in _ABOUT_OBJECTS
    return said.hint if about_objects and not _is_authored(said) else None


def hidden(said: Said, source: str = "") -> str | None:
    """All that the server says, where ``public`` does not say all of it; see TurnbackError."""
    texts = [said.message, said.detail, (said.context or "").partition("\n")[0]]
    if public_hint(said) != said.hint:
        texts.append(said.hint)
    shown = public(said, source)
    known = [text for text in texts if text]
    return None if all(text in shown for text in known) else "; ".join(known)


def public_output(complaint: str) -> str:
    """An error in the output of pg_dump or pg_restore, without values of rows.

    What they print of the server's error is its text alone. DETAIL, CONTEXT and the command that
    failed are left out, and what stands where a message has a value.
    """
    found = _SAID.fullmatch(complaint)
    if found is None:
        return complaint.partition("\n")[0]
    before, said = found["before"].rpartition("\n")[2], found["said"]
    lines = said.splitlines()
    if found["severity"] not in _SEVERITIES:
        return f"{before}{_HIDDEN} (the server's words are not English, and may have values)"
    if any(_AUTHORED.search(line) or _OTHER_LANGUAGE.search(line) for line in lines[1:]):
        return before + _UNKNOWN_TEXT
    if _DYNAMIC.search(said):
        return before + _QUOTED.sub(f'"{_HIDDEN}"', lines[0])
    return before + _VALUE_IN_TEXT.sub(f'"{_HIDDEN}"', lines[0])


def _is_authored(said: Said) -> bool:
    """Whether the message was written by a function of a user, and may have anything in it."""
    kind, place = said.sqlstate[:2], (said.context or "").partition("\n")[0]
    known = kind in _ABOUT_OBJECTS or kind in _WITH_VALUES
    return said.sqlstate in _RAISED or bool(_AUTHORED.search(place)) or not known


def _may_quote_values(said: Said) -> bool:
    if _DYNAMIC.search(said.context or ""):
        return True
    return said.sqlstate in _LOOKUPS and not said.parsed


def _without_values(message: str, source: str) -> str:
    """Without what it quotes, unless that stands in the script."""

    def shown(quoted: re.Match[str]) -> str:
        return quoted[0] if len(quoted[0]) > 2 and quoted[0][1:-1] in source else f'"{_HIDDEN}"'

    return _BYTES.sub(f"0x{_HIDDEN}", _QUOTED.sub(shown, message))


def _as_written(message: str, source: str) -> str | None:
    """The text of the RAISE of the script that gives this message; None where none does."""
    for found in _RAISE.finditer(source):
        parts = found[1].replace("''", "'").replace("%%", "\0").split("%")
        parts = [part.replace("\0", "%") for part in parts]
        if re.fullmatch("(?s:.*)".join(re.escape(part) for part in parts), message):
            return _HIDDEN.join(parts)
    return None
