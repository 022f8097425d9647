"""One difference between two schemas, and how it is shown: long texts are cut to what differs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import Literal

from turnback.schema.model import GRANTS_TO
from turnback.sql.quoting import printed

Kind = Literal["missing", "extra", "changed"]
Softness = Literal["hard", "column_order", "names", "cosmetic"]
COLUMN_ORDER = "column order"
_SHORT = 60
_LONGEST = 160


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was.

    Attributes:
        object: its name in the fingerprint, such as ``column public.users.theme``.
        kind: the object is missing, or it is extra, or it has changed.
        attribute: what of it has changed; None for a missing or an extra one.
        expected: what the attribute was; None for its default.
        actual: what it is.
        softness: ``hard``, or why it matters less: only columns' order, only names, nothing at all.
    """

    object: str
    kind: Kind
    attribute: str | None = None
    expected: str | None = None
    actual: str | None = None
    softness: Softness = "hard"

    def __str__(self) -> str:
        name = printed(self.object)
        if self.kind == "missing":
            return f"{name}: missing after rollback"
        if self.kind == "extra":
            return f"{name}: left over after rollback"
        attribute = self.attribute or ""
        unset = "as usual" if attribute.startswith(GRANTS_TO) else "none"
        before, after = excerpts(self.expected, self.actual)
        if attribute == COLUMN_ORDER and self.expected and self.actual:
            before, after = moves(self.expected.split(", "), self.actual.split(", "))
        return f"{name}: {printed(attribute)} {before or unset} ≠ {after or unset}"

    def to_dict(self) -> dict[str, str | None]:
        """The same as a JSON-able dict."""
        return {**asdict(self), "object": printed(self.object)}


def excerpts(before: str | None, after: str | None) -> tuple[str, str]:
    """The texts themselves when they are short, else their first difference; absent ones are empty.

    Args:
        before: one text.
        after: the other.
    """
    old, new = before or "", after or ""
    if max(len(old), len(new)) <= _SHORT and "\n" not in old + new:
        return old, new
    if not (old and new):
        return _clipped(old), _clipped(new)
    if "\n" in old + new:
        return _first_lines(old.splitlines(), new.splitlines())
    return _middle(old.split(" "), new.split(" "))


def moves(before: list[str], after: list[str]) -> tuple[str, str]:
    """Two orders of the same names, as the names that moved and what each came after.

    Args:
        before: the names in one order.
        after: the names in the other.
    """
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    moved = set(before).difference(*(before[at : at + size] for at, _, size in blocks))

    def shown(order: list[str]) -> str:
        places = [
            f"{name} after {order[place - 1]}" if place else f"{name} first"
            for place, name in enumerate(order)
            if name in moved
        ]
        return _clipped(", ".join(places))

    return shown(before), shown(after)


def _first_lines(old: list[str], new: list[str]) -> tuple[str, str]:
    old, new = [line.strip() for line in old], [line.strip() for line in new]
    for how, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if how != "equal":
            return _clipped(" ".join(old[i:j])), _clipped(" ".join(new[k:m]))
    return "these lines", "the same lines, indented otherwise"


def _middle(old: list[str], new: list[str]) -> tuple[str, str]:
    """Without the words that they begin with and end with in common."""
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    first = max(start - 1, 0)

    def cut(parts: list[str]) -> str:
        middle = " ".join(parts[first : len(parts) - max(end - 1, 0)])
        return f"{'… ' if first else ''}{_clipped(middle)}{' …' if end > 1 else ''}"

    return cut(old), cut(new)


def _clipped(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST else f"{flat[: _LONGEST - 1]}…"
