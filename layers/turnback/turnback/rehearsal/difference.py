"""The differences of two fingerprints, object by object, and what they amount to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from turnback.rehearsal.excerpt import excerpts, moves
from turnback.rehearsal.fingerprint import Fingerprint
from turnback.rehearsal.grants import GRANTS_TO
from turnback.rehearsal.naming import RELATIONS, last, relation_of, split
from turnback.rehearsal.renames import Names, Objects, renamed
from turnback.rehearsal.sameness import cosmetic

Kind = Literal["missing", "extra", "changed"]
Softness = Literal["hard", "column_order", "names", "cosmetic"]
COLUMN_ORDER = "column order"
_TEXTS = ("definition", "default", "generated stored", "generated virtual", "using", "check")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was.

    Attributes:
        object: its name in the fingerprint, such as ``column public.users.theme``.
        kind: the object is missing, or it is extra, or it has changed.
        attribute: what of it has changed; None for a missing or an extra one.
        expected: what the attribute was; None where it was as usual.
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
        if self.kind == "missing":
            return f"{self.object}: missing after rollback"
        if self.kind == "extra":
            return f"{self.object}: left over after rollback"
        attribute = self.attribute or ""
        unset = "as usual" if attribute.startswith(GRANTS_TO) else "none"
        before, after = excerpts(self.expected, self.actual)
        if attribute == COLUMN_ORDER and self.expected and self.actual:
            before, after = moves(self.expected.split(", "), self.actual.split(", "))
        return f"{self.object}: {attribute} {before or unset} ≠ {after or unset}"

    def to_dict(self) -> dict[str, str | None]:
        """The same as a JSON-able dict."""
        return asdict(self)


def compare(expected: Fingerprint, actual: Fingerprint) -> list[Difference]:
    """What is not as expected, sorted by object; the parts of a missing table are not told.

    Args:
        expected: the schema as it was.
        actual: the schema as it is.
    """
    before, after = expected.objects, actual.objects
    if before == after:
        return []
    missing = [thing for thing in before if thing not in after]
    extra = [thing for thing in after if thing not in before]
    pairs = renamed(missing, extra, before, after)
    new_names = set(pairs.values())
    names = Names(pairs)
    found = [
        *_alone("missing", (thing for thing in missing if thing not in pairs), before, after),
        *_alone("extra", (thing for thing in extra if thing not in new_names), after, before),
        *_column_order(before, after),
    ]
    for thing, attributes in before.items():
        other = pairs.get(thing, thing)
        if other in after and (other != thing or attributes != after[other]):
            if other != thing:
                own, new = (last(split(name)[1]) for name in (thing, other))
                found.append(Difference(thing, "changed", "name", own, new, "names"))
            found += _changes(thing, attributes, after[other], names)
    return sorted(found, key=lambda one: (one.object, one.kind, one.attribute or ""))


def verdict(
    differences: Iterable[Difference],
) -> Literal["exact", "column_order", "names", "differs"]:
    """What the differences amount to: the hardest of them; cosmetic ones alone are exact."""
    found = {difference.softness for difference in differences}
    if "hard" in found:
        return "differs"
    if "names" in found:
        return "names"
    return "column_order" if "column_order" in found else "exact"


def _alone(
    kind: Literal["missing", "extra"], things: Iterable[str], here: Objects, there: Objects
) -> Iterator[Difference]:
    """Objects that one side has, but for the parts of a table that the other side has not."""
    for thing in things:
        attributes = here[thing]
        if _is_remark(thing, attributes):
            for name, value in attributes.items():
                old, new = (value, None) if kind == "missing" else (None, value)
                yield Difference(thing, "changed", name, old, new)
            continue
        relation = relation_of(thing, attributes)
        if relation is not None and _kind(relation, here) != _kind(relation, there):
            continue
        identity = attributes.get("identity of")
        if identity and here[f"column {identity}"] != there.get(f"column {identity}"):
            continue
        yield Difference(thing, kind)


def _is_remark(thing: str, attributes: Mapping[str, str]) -> bool:
    """Whether the object is there in any case, and listed for what is said of it."""
    kind, _ = split(thing)
    return (
        (kind == "column" and "type" not in attributes)
        or (kind == "trigger" and "definition" not in attributes)
        or kind == "database"
        or all(name.startswith(GRANTS_TO) for name in attributes)
    )


def _kind(relation: str, objects: Objects) -> str | None:
    return next((kind for kind in RELATIONS if f"{kind} {relation}" in objects), None)


def _changes(
    thing: str, before: Mapping[str, str], after: Mapping[str, str], names: Names
) -> Iterator[Difference]:
    for attribute in sorted({*before, *after} - {"position"}):
        old, new = before.get(attribute), after.get(attribute)
        if old == new or (old and new and old == names.old(attribute, new)):
            continue
        softness: Softness = "hard"
        if attribute == "not null name":
            if ("not null" in before) != ("not null" in after):
                continue
            softness = "names"
        elif attribute in _TEXTS and old and new and cosmetic(old, new, before.get("language")):
            softness = "cosmetic"
        yield Difference(thing, "changed", attribute, old, new, softness)


def _column_order(before: Objects, after: Objects) -> Iterator[Difference]:
    """Relations whose columns have another order, counting only those that are on both sides."""
    common = [thing for thing, attributes in before.items() if "position" in attributes]
    common = [thing for thing in common if "position" in after.get(thing, {})]
    moved = {
        relation_of(thing, before[thing])
        for thing in common
        if before[thing]["position"] != after[thing]["position"]
    }
    common = [thing for thing in common if moved and relation_of(thing, before[thing]) in moved]
    for relation in sorted(filter(None, moved)):
        columns = [thing for thing in common if relation_of(thing, before[thing]) == relation]
        old, new = (_in_order(columns, objects) for objects in (before, after))
        if old != new:
            kind = _kind(relation, before) or "table"
            # A row of a composite type is written by the places of its parts.
            softness: Softness = "hard" if kind == "type" else "column_order"
            was, now = (", ".join(last(split(thing)[1]) for thing in order) for order in (old, new))
            yield Difference(f"{kind} {relation}", "changed", COLUMN_ORDER, was, now, softness)


def _in_order(columns: Iterable[str], objects: Objects) -> list[str]:
    return sorted(columns, key=lambda thing: int(objects[thing]["position"]))
