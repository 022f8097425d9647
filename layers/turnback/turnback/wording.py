"""Text for people, everywhere the same: counts, lists, times, durations."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

# Unicode's categories of controls, formats, surrogates, private use, unassigned, line ends.
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Letters and marks by category, and yet nothing is seen of them.
_WITHOUT_WIDTH = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"


def unproven_extensions(stand_ins: Sequence[str]) -> str:
    """What to add to a verdict that was found with stand-ins of extensions; it may be nothing."""
    if not stand_ins:
        return ""
    return f", with stand-ins for {', '.join(stand_ins)}, whose results were not proven"


def counted(number: int, noun: str) -> str:
    """``1 migration``, ``2 migrations``, ``1,200 rows``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(items: Sequence[str], most: int, separator: str = ", ", *, of: int | None = None) -> str:
    """The first so many items, and how many more there are: ``a, b and 3 more``.

    Args:
        items: what to list.
        most: how many to show.
        separator: stands between two items.
        of: how many there are, where ``items`` itself was cut.
    """
    shown = separator.join(items[:most])
    more = (len(items) if of is None else of) - min(len(items), most)
    return f"{shown} and {more:,} more" if more > 0 else shown


def capped(items: Sequence[str], most: int, where: str = "") -> list[str]:
    """The first so many items, and a last one that counts the others: ``and 3 more``.

    Args:
        items: what to list.
        most: how many to show.
        where: follows the count, such as ``, in the run's plan``.
    """
    more = len(items) - most
    return [*items[:most], f"and {more:,} more{where}"] if more > 0 else list(items)


def duration(seconds: float) -> str:
    """``40 ms``, ``19.5 s``, ``1 min 12 s``, ``3 h 05 min``."""
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def clock(at: str | datetime) -> str:
    """A time in UTC: ``2026-11-22 15:04:05 UTC``. What is not a time with a zone is kept."""
    when = _moment(at)
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if when else str(at)


def local_clock(at: str | datetime) -> str:
    """The same in the zone of this machine, for a terminal: ``2026-11-22 16:04:05 CET``."""
    when = _moment(at)
    return f"{when.astimezone():%Y-%m-%d %H:%M:%S %Z}" if when else str(at)


def sentence(text: str) -> str:
    """The text with a capital at its begin and a full stop at its end."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "!", "?")) else ".")


def visible(text: str) -> str:
    """Text in which every character is seen: nothing moves a cursor, turns a line or hides.

    Control characters except for line ends and tabs, bidirectional marks, characters without
    width and parts of a pair become their code: ``\\u202e``. A name or an error of a database may
    have any of them, and whoever reads a message must see what is there.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character in "\n\t" or _is_visible(character) else _code(character)
        for character in text
    )


def one_line(name: str) -> str:
    """A name as it is printed: visible, and on one line, so that it passes for nothing else."""
    return visible(name).replace("\n", "\\n").replace("\t", "\\t")


def _is_visible(character: str) -> bool:
    return unicodedata.category(character) not in _INVISIBLE and character not in _WITHOUT_WIDTH


def _code(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def cut(text: str, length: int) -> str:
    """Text of at most this many characters; an ellipsis shows that it was longer."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _moment(at: str | datetime) -> datetime | None:
    try:
        when = datetime.fromisoformat(at) if isinstance(at, str) else at
    except ValueError:
        return None
    return when if when.tzinfo else None
