"""Objects that are there under another name.

A rollback that makes a constraint again seldom gives it the name it had. Everything that uses it
finds it all the same, so this is told apart from an object that is missing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from turnback.rehearsal.naming import relation_of, split, without_last

_OPTIONS = ("type", "start", "increment", "minimum", "maximum", "cache", "cycle", "persistence")
Objects = Mapping[str, Mapping[str, str]]


def renamed(
    missing: Iterable[str], extra: Iterable[str], before: Objects, after: Objects
) -> dict[str, str]:
    """The missing objects that are there under another name, with that name.

    Args:
        missing: objects of ``before`` that ``after`` has not.
        extra: objects of ``after`` that ``before`` has not.
        before: all objects as they were.
        after: all objects as they are.
    """
    candidates = defaultdict(list)
    for thing in sorted(extra):
        candidates[_essence(thing, after[thing])].append(thing)
    found = {}
    for thing in sorted(missing):
        essence = _essence(thing, before[thing])
        if essence and candidates[essence]:
            found[thing] = candidates[essence].pop(0)
    return found


def _essence(thing: str, attributes: Mapping[str, str]) -> tuple[str | None, ...] | None:
    """What an object is apart from its name; None where the name is all that tells it."""
    kind, name = split(thing)
    place = relation_of(thing, attributes)
    if kind in ("constraint", "index", "trigger") and "definition" in attributes:
        return (kind, place, attributes["definition"])
    if kind == "sequence" and place is not None:
        column = attributes.get("identity of") or attributes.get("owned by")
        options = (attributes.get(option) for option in _OPTIONS)
        return (kind, column, without_last(name), *options)
    return None


class Names:
    """The old names of renamed objects, for texts that mention them."""

    def __init__(self, pairs: Mapping[str, str]) -> None:
        """Remember the pairs that :func:`renamed` found."""
        self._old = {_relation(new): _relation(old) for old, new in pairs.items()}

    def old(self, attribute: str, text: str) -> str:
        """The text of an attribute as it would read under the old names."""
        if attribute == "parent":
            return self._old.get(text, text)
        if "::regclass" in text:
            for new, old in self._old.items():
                text = text.replace(f"{_literal(new)}::regclass", f"{_literal(old)}::regclass")
        return text


def _relation(thing: str) -> str:
    """The name of the index or sequence; a constraint's index has the constraint's name."""
    kind, name = split(thing)
    if kind != "constraint":
        return name
    table = without_last(name)
    return f"{without_last(table)}{name[len(table) :]}"


def _literal(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"
