"""The SQL that would set a difference right, where that follows from the difference alone."""

from __future__ import annotations

from turnback.rehearsal.altering import altered
from turnback.rehearsal.clauses import Objects
from turnback.rehearsal.difference import Difference
from turnback.rehearsal.fingerprint import Fingerprint
from turnback.rehearsal.naming import IN_TABLE, last, split, without_last
from turnback.rehearsal.restoring import created

# What is not dropped by a statement of its own.
_UNDROPPED = ("database", "default privileges", "setting")


def suggest(difference: Difference, expected: Fingerprint) -> str | None:
    """The SQL that would restore what was; None where it takes a person to say.

    Args:
        difference: one that was found against ``expected``.
        expected: the schema as it was.
    """
    objects = expected.objects
    if difference.kind == "missing":
        return created(difference.object, objects)
    if difference.kind == "extra":
        return dropped(difference.object, objects)
    return altered(difference, objects)


def dropped(thing: str, objects: Objects) -> str | None:
    """The statement that drops an object.

    Args:
        thing: its name in the fingerprint.
        objects: all objects of the schema that it is not in.
    """
    kind, name = split(thing)
    if kind in _UNDROPPED:
        return None
    if kind in ("column", "constraint"):
        table, own = without_last(name), last(name)
        for word, part in (
            ("domain", kind.upper()),
            ("type", "ATTRIBUTE"),
            ("table", kind.upper()),
        ):
            if f"{word} {table}" in objects:
                return f"ALTER {word.upper()} {table} DROP {part} {own};"
        return f"ALTER TABLE {table} DROP {kind.upper()} {own};"
    if kind in IN_TABLE:
        return f"DROP {kind.upper()} {last(name)} ON {without_last(name)};"
    return f"DROP {kind.upper()} {name};"
