"""Pieces of the statements that restore a schema: definitions, options, comments."""

from __future__ import annotations

from collections.abc import Mapping

from turnback.rehearsal.naming import IN_TABLE, last, split, without_last
from turnback.sql.quoting import literal

Attributes = Mapping[str, str]
Objects = Mapping[str, Attributes]
_CREATE_INDEX = ("CREATE UNIQUE INDEX ", "CREATE INDEX ")
_CREATE_TRIGGER = ("CREATE CONSTRAINT TRIGGER ", "CREATE TRIGGER ")


def comment(thing: str, text: str | None, objects: Objects) -> str:
    """The statement that comments on an object; None takes the comment away."""
    kind, name = split(thing)
    words = kind.upper()
    if kind in IN_TABLE and kind != "column":
        domain = "DOMAIN " if f"domain {without_last(name)}" in objects else ""
        name = f"{last(name)} ON {domain}{without_last(name)}"
    return f"COMMENT ON {words} {name} IS {literal(text)};"


def column_definition(column: Attributes) -> str:
    """What stands behind a column's name where it is made."""
    parts = [column["type"]]
    if "collation" in column:
        parts.append(f"COLLATE {column['collation']}")
    if "default" in column:
        parts.append(f"DEFAULT {column['default']}")
    for word in ("stored", "virtual"):
        if f"generated {word}" in column:
            parts.append(f"GENERATED ALWAYS AS ({column[f'generated {word}']}) {word.upper()}")
    if "identity" in column:
        parts.append(f"GENERATED {column['identity'].upper()} AS IDENTITY")
    if "not null name" in column:
        parts.append(f"CONSTRAINT {column['not null name']}")
    if "not null" in column:
        parts.append("NOT NULL")
    return " ".join(parts)


def constraint_definition(constraint: Attributes) -> str:
    """What stands behind ADD CONSTRAINT and the name."""
    unproven = " NOT VALID" if constraint.get("validated") == "no" else ""
    return constraint["definition"] + unproven


def named(definition: str, name: str) -> str:
    """The statement that makes an index or a trigger, with its name in its place."""
    for start in (*_CREATE_INDEX, *_CREATE_TRIGGER):
        if definition.startswith(start):
            return f"{start}{name} {definition.removeprefix(start)};"
    raise ValueError(f"not the definition of an index or trigger: {definition}")


def sequence_options(sequence: Attributes) -> str:
    """All options of a sequence."""
    cycle = "CYCLE" if "cycle" in sequence else "NO CYCLE"
    return (
        f"AS {sequence['type']} INCREMENT BY {sequence['increment']} "
        f"MINVALUE {sequence['minimum']} MAXVALUE {sequence['maximum']} "
        f"START WITH {sequence['start']} CACHE {sequence['cache']} {cycle}"
    )


def enabling(name: str, state: str) -> str:
    """The statement that enables or disables a trigger or rule of a table.

    Args:
        name: ``public.users.audit``.
        state: ``yes``, ``no``, ``always`` or ``replica``.
    """
    words = {"yes": "ENABLE", "no": "DISABLE", "always": "ENABLE ALWAYS"}
    how = words.get(state, "ENABLE REPLICA")
    return f"ALTER TABLE {without_last(name)} {how} TRIGGER {last(name)};"
