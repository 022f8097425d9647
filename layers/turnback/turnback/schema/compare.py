"""Comparing two schemas: what differs, object by object, and what it amounts to.

An index or a constraint under another name is not missing: a rollback that makes it again seldom
gives it the name it had, and what uses it finds it all the same.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

from turnback.schema.difference import COLUMN_ORDER, Difference, Softness
from turnback.schema.model import (
    GRANTS_TO,
    NOT_SHOWN,
    RELATIONS,
    Fingerprint,
    Objects,
    last,
    relation_of,
    split,
    without_last,
)
from turnback.sql.deparse import without_places
from turnback.sql.parser import SqlSyntaxError, parse_tree

TEXTS = ("definition", "default", "generated stored", "generated virtual", "using", "check")
_SEQUENCE_OPTIONS = (
    "type",
    "start",
    "increment",
    "minimum",
    "maximum",
    "cache",
    "cycle",
    "persistence",
)
# A view or a default that says 'now'::timestamp has the moment it was made in its text.
_MOMENT = re.compile(
    r"'((?:20\d\d-\d\d-\d\d )?\d\d:\d\d:\d\d\.(\d{1,6})(?:[+-]\d\d(?::\d\d)?)?)'"
    r"(?=::time(?:stamp)?(?:\(\d\))? with)"
)
# The clock of the server may differ from ours; a timestamp without a time zone is of any zone.
_CLOCKS_DIFFER = timedelta(minutes=10)
_ZONES_DIFFER = timedelta(days=1)
_TRIGGER = re.compile(r"CREATE (?:CONSTRAINT )?TRIGGER (BEFORE|AFTER|INSTEAD OF) (.*?) ON ")
_EVENT = re.compile(r"\b(?:INSERT|UPDATE|DELETE|TRUNCATE)\b")
_BODY = re.compile(r"(.*\nAS )(\$\w*\$)(.*)\2\s*", re.DOTALL)
# Languages in which white space, comments and the case of words have no meaning.
_FREE_FORM = ("sql", "plpgsql")
# PostgreSQL folds the case of these letters only (manual, 4.1.1).
_LETTERS = re.compile("[A-Z]+")
# A comment that begins with a plus sign is a hint to the planner (pg_hint_plan).
_TOKEN = re.compile(
    r"""(?P<verbatim> (?<!\w)[eE]'(?:[^'\\]|\\.|'')*'
                    | '(?:[^']|'')*'
                    | "(?:[^"]|"")*"
                    | (?<!\w)\$(?P<tag>\w*)\$.*?\$(?P=tag)\$
                    | /\*\+.*?\*/ )
      | (?P<nothing> --[^\n]* | /\*.*?\*/ | \s+ )
      | (?P<word> \w+ | (?: (?!--|/\*) [-+*/<>=~!@\#%^&|`?] )+ | . )""",
    re.DOTALL | re.VERBOSE,
)


def compare(
    expected: Fingerprint, actual: Fingerprint, *, since: datetime | None = None
) -> list[Difference]:
    """What is not as expected, sorted by object; the parts of a missing table are not listed.

    Args:
        expected: the schema as it was.
        actual: the schema as it is.
        since: when both were made at the earliest, with a time zone: only later moments in a text
            can come from ``now``. Without it, those with microseconds can.
    """
    before, after = expected.objects, actual.objects
    if before == after:
        return []
    missing = [thing for thing in before if thing not in after]
    extra = [thing for thing in after if thing not in before]
    pairs = renamed(missing, extra, before, after)
    new_names = set(pairs.values())
    names = OldNames(pairs)
    found = [
        *_one_sided("missing", (thing for thing in missing if thing not in pairs), before, after),
        *_one_sided("extra", (thing for thing in extra if thing not in new_names), after, before),
        *_column_order(before, after),
    ]
    for thing, attributes in before.items():
        other = pairs.get(thing, thing)
        if other in after and (other != thing or attributes != after[other]):
            if other != thing:
                own, new = (last(split(name)[1]) for name in (thing, other))
                softness: Softness = (
                    "hard" if _name_matters(thing, before, after, pairs) else "names"
                )
                found.append(Difference(thing, "changed", "name", own, new, softness))
            found += _changes(thing, attributes, after[other], names, since)
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


def _one_sided(
    kind: Literal["missing", "extra"], things: Iterable[str], here: Objects, there: Objects
) -> Iterator[Difference]:
    """Objects that only one side has, without the parts of a table that the other side lacks."""
    for thing in things:
        attributes = here[thing]
        if _always_exists(thing, attributes):
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


def _always_exists(thing: str, attributes: Mapping[str, str]) -> bool:
    """Whether the object exists on both sides, and is listed for its attributes only."""
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
    thing: str,
    before: Mapping[str, str],
    after: Mapping[str, str],
    names: OldNames,
    since: datetime | None,
) -> Iterator[Difference]:
    language = before.get("language")
    for attribute in sorted({*before, *after} - {"position"}):
        old, new = before.get(attribute), after.get(attribute)
        if old == new or (old and new and old == names.old(attribute, new)):
            continue
        if NOT_SHOWN in (old, new):
            continue  # kept by an earlier version, which did not compare it
        softness: Softness = "hard"
        if attribute == "not null name":
            if ("not null" in before) != ("not null" in after):
                continue
            softness = "names"
        elif attribute in TEXTS and old and new and cosmetic(old, new, language, since):
            softness = "cosmetic"
        elif _is_view(thing, attribute) and old and new:
            softness = _of_views(old, new)
        yield Difference(thing, "changed", attribute, old, new, softness)


def _is_view(thing: str, attribute: str) -> bool:
    return attribute == "definition" and thing.startswith(("view ", "materialized view "))


def _of_views(expected: str, actual: str) -> Softness:
    """How much it matters that two queries differ; the order of columns comes from SELECT *."""
    try:
        trees = [parse_tree(text) for text in (expected, actual)]
        queries = [without_places(tree[0]["stmt"].get("SelectStmt", {})) for tree in trees]
        old, new = ([json.dumps(one) for one in query.pop("targetList", [])] for query in queries)
        if queries[0] != queries[1] or sorted(old) != sorted(new):
            return "hard"
    except (SqlSyntaxError, RecursionError):
        # It is not text that the parser knows, or is nested too deeply.
        return "hard"
    return "cosmetic" if old == new else "column_order"


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


def renamed(
    missing: Iterable[str], extra: Iterable[str], before: Objects, after: Objects
) -> dict[str, str]:
    """Each missing object that exists under another name, with that name.

    Args:
        missing: objects of ``before`` that ``after`` does not have.
        extra: objects of ``after`` that ``before`` does not have.
        before: all objects as they were.
        after: all objects as they are.
    """
    candidates = defaultdict(list)
    for thing in sorted(extra):
        candidates[_identity_without_name(thing, after[thing])].append(thing)
    found = {}
    for thing in sorted(missing):
        essence = _identity_without_name(thing, before[thing])
        if essence and candidates[essence]:
            found[thing] = candidates[essence].pop(0)
    return found


def _identity_without_name(
    thing: str, attributes: Mapping[str, str]
) -> tuple[str | None, ...] | None:
    """An object apart from its name; None where only the name identifies it."""
    kind, name = split(thing)
    place = relation_of(thing, attributes)
    if kind in ("constraint", "index", "trigger") and "definition" in attributes:
        return (kind, place, attributes["definition"])
    if kind == "sequence" and place is not None:
        column = attributes.get("identity of") or attributes.get("owned by")
        options = (attributes.get(option) for option in _SEQUENCE_OPTIONS)
        return (kind, column, without_last(name), *options)
    return None


def _name_matters(thing: str, before: Objects, after: Objects, pairs: Mapping[str, str]) -> bool:
    """Whether the schema behaves otherwise with the new name of a trigger or constraint."""
    kind, name = split(thing)
    if kind == "trigger":
        # Triggers of one event fire in the order of their names (manual, CREATE TRIGGER).
        own = before[thing]["definition"]
        others = (
            (other, pairs.get(other, other))
            for other, attributes in before.items()
            if other.startswith(f"trigger {without_last(name)}.")
            and _fire_together(own, attributes.get("definition", ""))
        )
        return any(
            now in after and (thing < other) != (pairs[thing] < now) for other, now in others
        )
    if kind == "constraint":
        used = re.compile(rf"\bON\s+CONSTRAINT\s+{re.escape(last(name))}(?![\w$])", re.IGNORECASE)
        return any(
            used.search(attributes.get("definition", ""))
            for other, attributes in after.items()
            if other.startswith(("function ", "procedure ", "rule "))
        )
    return False


def _fire_together(definition: str, other: str) -> bool:
    """Whether two triggers can fire for the same event, before it or after it."""
    own, others = (_TRIGGER.match(text) for text in (definition, other))
    if own is None or others is None:
        return False
    events = (set(_EVENT.findall(match[2])) for match in (own, others))
    return own[1] == others[1] and bool(set.intersection(*events))


class OldNames:
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


def cosmetic(
    expected: str, actual: str, language: str | None = None, since: datetime | None = None
) -> bool:
    """Whether two definitions mean the same, though their texts differ.

    Args:
        expected: a definition, as the server writes it.
        actual: another one.
        language: of the function that they define.
        since: as of :func:`compare`.
    """
    if _MOMENT.sub("'now'", expected) == _MOMENT.sub("'now'", actual):
        moments = zip(_MOMENT.finditer(expected), _MOMENT.finditer(actual), strict=True)
        return all(
            old[1] == new[1] or (_is_now(old, since) and _is_now(new, since))
            for old, new in moments
        )
    if language not in _FREE_FORM:
        return False
    before, after = _BODY.fullmatch(expected), _BODY.fullmatch(actual)
    if before is None or after is None or before[1] != after[1]:
        return False
    return _tokens(before[3]) == _tokens(after[3])


def _is_now(moment: re.Match[str], since: datetime | None) -> bool:
    """Whether the server may have written this moment for ``now``, and no person did."""
    text, fraction = moment.groups()
    if since is None or " " not in text:
        # PostgreSQL writes microseconds. People write milliseconds, or the end of a day.
        return len(fraction) > 3 and set(fraction) != {"9"}
    made = datetime.fromisoformat(text)
    slack = _CLOCKS_DIFFER if made.tzinfo else _ZONES_DIFFER
    return (
        since - slack
        <= (made if made.tzinfo else made.replace(tzinfo=UTC))
        <= (datetime.now(UTC) + slack)
    )


def _tokens(body: str) -> list[str]:
    return [
        match["verbatim"] or _LETTERS.sub(lambda word: word[0].lower(), match["word"])
        for match in _TOKEN.finditer(body)
        if match["nothing"] is None
    ]
