"""Writes the SQL that undoes a difference, where that follows from the difference alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from turnback.schema.create import (
    comment,
    constraint_definition,
    created,
    enabling,
    granting,
    named,
)
from turnback.schema.difference import Difference
from turnback.schema.model import (
    GRANTS_TO,
    IN_TABLE,
    Fingerprint,
    Objects,
    last,
    split,
    without_last,
)
from turnback.sql.quoting import literal

_RETURNS = re.compile(r"^ RETURNS .*$", re.MULTILINE)
_SEQUENCE_OPTIONS = {
    "type": "AS",
    "start": "START WITH",
    "increment": "INCREMENT BY",
    "minimum": "MINVALUE",
    "maximum": "MAXVALUE",
    "cache": "CACHE",
}
_TABLE_FLAGS = {
    ("persistence", "unlogged"): "SET UNLOGGED",
    ("persistence", None): "SET LOGGED",
    ("row security", "enabled"): "ENABLE ROW LEVEL SECURITY",
    ("row security", None): "DISABLE ROW LEVEL SECURITY",
    ("row security forced", "yes"): "FORCE ROW LEVEL SECURITY",
    ("row security forced", None): "NO FORCE ROW LEVEL SECURITY",
    ("replica identity", "full"): "REPLICA IDENTITY FULL",
    ("replica identity", "nothing"): "REPLICA IDENTITY NOTHING",
    ("replica identity", None): "REPLICA IDENTITY DEFAULT",
}


def altered(difference: Difference, objects: Objects) -> str | None:
    """SQL that sets the attribute back; None if there is no such statement.

    Args:
        difference: of the kind ``changed``.
        objects: all objects as they were.
    """
    thing, attribute = difference.object, difference.attribute or ""
    kind, name = split(thing)
    if attribute == "comment" and kind != "database":
        return comment(thing, difference.expected, objects)
    if attribute == "owner" and kind not in ("database", "default privileges"):
        return f"ALTER {kind.upper()} {name} OWNER TO {difference.expected};"
    if attribute.startswith(GRANTS_TO):
        role = attribute.removeprefix(GRANTS_TO)
        return granting(thing, role, difference.expected, difference.actual)
    alter = _ALTERS.get(kind)
    return alter(name, difference, objects) if alter else None


def _table(name: str, difference: Difference, _: Objects) -> str | None:
    key = (difference.attribute or "", difference.expected)
    if key in _TABLE_FLAGS:
        return f"ALTER TABLE {name} {_TABLE_FLAGS[key]};"
    if difference.attribute == "storage parameters":
        return _parameters("TABLE", name, difference)
    return None


def _parameters(word: str, name: str, difference: Difference) -> str:
    def parsed(text: str | None) -> dict[str, str]:
        return dict(part.split("=", 1) for part in (text or "").split(", ") if part)

    old, new = parsed(difference.expected), parsed(difference.actual)
    gone = ", ".join(key for key in new if key not in old)
    back = ", ".join(f"{key}={value}" for key, value in old.items() if new.get(key) != value)
    statements = [f"RESET ({gone})"] if gone else []
    statements += [f"SET ({back})"] if back else []
    return "\n".join(f"ALTER {word} {name} {statement};" for statement in statements)


def _column(name: str, difference: Difference, objects: Objects) -> str | None:
    table, column = without_last(name), last(name)
    attribute, old = difference.attribute, difference.expected
    change: str | None = None
    if attribute in ("type", "collation"):
        was = objects[difference.object]
        collation = f" COLLATE {was['collation']}" if "collation" in was else ""
        change = f"TYPE {was['type']}{collation} USING {column}::{was['type']}"
    elif attribute == "default":
        change = f"SET DEFAULT {old}" if old else "DROP DEFAULT"
    elif attribute == "not null":
        own = objects[difference.object].get("not null name")
        if old and own:
            late = " NOT VALID" if old.endswith("not valid") else ""
            return f"ALTER TABLE {table} ADD CONSTRAINT {own} NOT NULL {column}{late};"
        change = "SET NOT NULL" if old else "DROP NOT NULL"
    elif attribute == "identity":
        change = _identity(old, difference.actual)
    elif attribute == "statistics target":
        change = f"SET STATISTICS {old or -1}"
    elif attribute == "storage" and old:
        change = f"SET STORAGE {old.upper()}"
    elif attribute == "compression":
        change = f"SET COMPRESSION {old or 'default'}"
    elif attribute == "not null name":
        usual = f"{last(table)}_{column}_not_null"
        return (
            f"ALTER TABLE {table} RENAME CONSTRAINT {difference.actual or usual} TO {old or usual};"
        )
    if change is None:
        return None
    if f"type {table}" in objects:
        return f"ALTER TYPE {table} ALTER ATTRIBUTE {column} {change.partition(' USING')[0]};"
    word = "VIEW" if f"view {table}" in objects else "TABLE"
    return f"ALTER {word} {table} ALTER COLUMN {column} {change};"


def _identity(old: str | None, new: str | None) -> str:
    if old is None:
        return "DROP IDENTITY"
    if new is None:
        return f"ADD GENERATED {old.upper()} AS IDENTITY"
    return f"SET GENERATED {old.upper()}"


def _constraint(name: str, difference: Difference, objects: Objects) -> str | None:
    table, own = without_last(name), last(name)
    was = objects[difference.object]
    word = "DOMAIN" if "of a domain" in was else "TABLE"
    if difference.attribute == "name":
        return f"ALTER {word} {table} RENAME CONSTRAINT {difference.actual} TO {own};"
    if difference.attribute == "validated" and difference.expected == "yes":
        return f"ALTER {word} {table} VALIDATE CONSTRAINT {own};"
    if difference.attribute == "clustered":
        return _clustered(table, own, difference)
    if difference.attribute not in ("definition", "validated"):
        return None
    back = f"ADD CONSTRAINT {own} {constraint_definition(was)}"
    if word == "DOMAIN":
        return f"ALTER DOMAIN {table} DROP CONSTRAINT {own};\nALTER DOMAIN {table} {back};"
    return f"ALTER TABLE {table} DROP CONSTRAINT {own}, {back};"


def _clustered(table: str, index: str, difference: Difference) -> str:
    how = f"CLUSTER ON {index}" if difference.expected else "SET WITHOUT CLUSTER"
    return f"ALTER TABLE {table} {how};"


def _index(name: str, difference: Difference, objects: Objects) -> str | None:
    was = objects[difference.object]
    if difference.attribute == "name":
        return f"ALTER INDEX {without_last(name)}.{difference.actual} RENAME TO {last(name)};"
    if difference.attribute == "definition":
        return f"DROP INDEX {name};\n{named(was['definition'], last(name))}"
    if difference.attribute == "valid" and difference.expected == "yes":
        return f"REINDEX INDEX {name};"
    if difference.attribute == "clustered":
        return _clustered(was["table"], last(name), difference)
    if difference.attribute == "parent" and difference.expected:
        return f"ALTER INDEX {difference.expected} ATTACH PARTITION {name};"
    return None


def _trigger(name: str, difference: Difference, objects: Objects) -> str | None:
    table, own = without_last(name), last(name)
    if difference.attribute == "name":
        return f"ALTER TRIGGER {difference.actual} ON {table} RENAME TO {own};"
    if difference.attribute == "enabled" and difference.expected:
        return enabling(name, difference.expected)
    if difference.attribute == "definition":
        again = named(objects[difference.object]["definition"], own)
        return f"DROP TRIGGER {own} ON {table};\n{again}"
    return None


def _routine(name: str, difference: Difference, _: Objects) -> str | None:
    if difference.attribute != "definition":
        return None
    old, new = difference.expected or "", difference.actual or ""
    again = f"{old.rstrip()};"
    # CREATE OR REPLACE cannot change what a function returns.
    if _RETURNS.findall(old)[:1] == _RETURNS.findall(new)[:1]:
        return again
    return f"DROP FUNCTION {name};\n{again}"


def _view(name: str, difference: Difference, _: Objects) -> str | None:
    if difference.attribute == "storage parameters":
        return _parameters("VIEW", name, difference)
    if difference.attribute != "definition":
        return None
    return f"CREATE OR REPLACE VIEW {name} AS\n{difference.expected}"


def _materialized_view(name: str, difference: Difference, objects: Objects) -> str | None:
    if difference.attribute == "populated" and difference.expected == "yes":
        return f"REFRESH MATERIALIZED VIEW {name};"
    if difference.attribute != "definition":
        return None
    return f"DROP MATERIALIZED VIEW {name};\n{created(difference.object, objects)}"


def _sequence(name: str, difference: Difference, _: Objects) -> str | None:
    attribute, old = difference.attribute or "", difference.expected
    if attribute in _SEQUENCE_OPTIONS:
        return f"ALTER SEQUENCE {name} {_SEQUENCE_OPTIONS[attribute]} {old};"
    if attribute == "name":
        return f"ALTER SEQUENCE {without_last(name)}.{difference.actual} RENAME TO {last(name)};"
    if attribute == "owned by":
        return f"ALTER SEQUENCE {name} OWNED BY {old or 'NONE'};"
    if attribute == "cycle":
        return f"ALTER SEQUENCE {name} {'CYCLE' if old else 'NO CYCLE'};"
    return None


def _type(name: str, difference: Difference, _: Objects) -> str | None:
    if difference.attribute != "values":
        return None
    old, new = ((text or "").split(", ") for text in (difference.expected, difference.actual))
    if [value for value in old if value in new] != new:
        return None  # PostgreSQL cannot drop a value of an enum
    statements = []
    for place, value in enumerate(old):
        if value not in new:
            where = f" AFTER {old[place - 1]}" if place else f" BEFORE {new[0]}"
            statements.append(f"ALTER TYPE {name} ADD VALUE {value}{where};")
    return "\n".join(statements)


def _domain(name: str, difference: Difference, _: Objects) -> str | None:
    old = difference.expected
    if difference.attribute == "default":
        return f"ALTER DOMAIN {name} {f'SET DEFAULT {old}' if old else 'DROP DEFAULT'};"
    if difference.attribute == "not null":
        return f"ALTER DOMAIN {name} {'SET' if old else 'DROP'} NOT NULL;"
    return None


def _extension(name: str, difference: Difference, _: Objects) -> str | None:
    if difference.attribute == "version":
        return f"ALTER EXTENSION {name} UPDATE TO {literal(difference.expected)};"
    if difference.attribute == "schema":
        return f"ALTER EXTENSION {name} SET SCHEMA {difference.expected};"
    return None


def _recreated(name: str, difference: Difference, objects: Objects) -> str | None:
    """For kinds that are dropped and created again."""
    if difference.attribute == "enabled":
        return None
    kind, _ = split(difference.object)
    again = created(difference.object, objects)
    return f"DROP {kind.upper()} {last(name)} ON {without_last(name)};\n{again}" if again else None


_ALTERS: dict[str, Callable[[str, Difference, Objects], str | None]] = {
    "table": _table,
    "column": _column,
    "constraint": _constraint,
    "index": _index,
    "trigger": _trigger,
    "function": _routine,
    "procedure": _routine,
    "view": _view,
    "materialized view": _materialized_view,
    "sequence": _sequence,
    "type": _type,
    "domain": _domain,
    "extension": _extension,
    "policy": _recreated,
    "rule": _recreated,
}


# Kinds without a DROP statement.
_UNDROPPED = ("database", "default privileges", "setting")


def suggest(difference: Difference, expected: Fingerprint) -> str | None:
    """The SQL that would undo a difference; None if it does not follow from the difference.

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


def renames_back(
    differences: Iterable[Difference], expected: Fingerprint, actual: Fingerprint
) -> dict[Difference, str]:
    """For each missing object that exists under another name or in another schema, the SQL for it.

    Args:
        differences: of ``actual`` to ``expected``.
        expected: the schema as it was.
        actual: the schema as it is, of the same database.
    """
    now = {actual.addresses[name]: name for name in actual.objects if name in actual.addresses}
    found = {}
    for difference in differences:
        address = expected.addresses.get(difference.object)
        new = now.get(address) if address and difference.kind == "missing" else None
        if new and (sql := _renamed_back(difference.object, new, actual.objects)):
            found[difference] = sql
    return found


def _renamed_back(old: str, new: str, objects: Objects) -> str | None:
    (kind, was), (kind_now, name) = split(old), split(new)
    if kind != kind_now or kind in ("function", "procedure", "aggregate", "operator", "cast"):
        return None
    if kind in IN_TABLE:
        table = without_last(name)
        if without_last(was) != table or kind != "column":
            return None
        word = "TYPE" if f"type {table}" in objects else "TABLE"
        part = "ATTRIBUTE" if word == "TYPE" else "COLUMN"
        return f"ALTER {word} {table} RENAME {part} {last(name)} TO {last(was)};"
    statements = []
    schema = without_last(was)
    if schema != without_last(name):
        statements.append(f"ALTER {kind.upper()} {name} SET SCHEMA {schema};")
        name = f"{schema}.{last(name)}"
    if last(was) != last(name):
        statements.append(f"ALTER {kind.upper()} {name} RENAME TO {last(was)};")
    return "\n".join(statements) or None


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
