"""Writes the SQL that creates an object, from its attributes in the fingerprint."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from turnback.schema.model import (
    GRANTABLE,
    GRANTS_TO,
    IN_TABLE,
    REVOKED,
    Attributes,
    Objects,
    last,
    relation_of,
    split,
    without_last,
)
from turnback.sql.quoting import literal

# Kinds that are made as "CREATE KIND name (definition)", and those without the parentheses.
_IN_PARENTHESES = ("aggregate", "collation", "text search dictionary", "text search parser")
_BEHIND = ("cast", "conversion", "event trigger", "access method")


def created(thing: str, objects: Objects) -> str | None:
    """SQL that creates an object with all its parts; None if the fingerprint knows too little.

    Args:
        thing: its name in the fingerprint.
        objects: all objects of the schema that it was in.
    """
    kind, name = split(thing)
    made = _MAKERS.get(kind)
    if made is not None:
        statements = made(name, objects[thing], objects)
    elif kind in _IN_PARENTHESES:
        statements = [f"CREATE {kind.upper()} {name} ({objects[thing]['definition']});"]
    elif kind in _BEHIND:
        statements = [f"CREATE {kind.upper()} {name} {objects[thing]['definition']};"]
    else:
        return None
    if not statements:
        return None
    if "comment" in objects[thing]:
        statements.append(comment(thing, objects[thing]["comment"], objects))
    for attribute, privileges in objects[thing].items():
        if attribute.startswith(GRANTS_TO):
            role = attribute.removeprefix(GRANTS_TO)
            statements.append(granting(thing, role, privileges, None) or "")
    return "\n".join(filter(None, statements))


def _parts(relation: str, kind: str, objects: Objects) -> Iterator[tuple[str, Attributes]]:
    """The parts of a table of one kind, columns by place and the others by name."""
    found = [
        (split(thing)[1], attributes)
        for thing, attributes in objects.items()
        if thing.startswith(f"{kind} ") and relation_of(thing, attributes) == relation
    ]
    yield from sorted(found, key=lambda part: (int(part[1].get("position", 0)), part[0]))


def _table(name: str, table: Attributes, objects: Objects) -> list[str]:
    if "inherits" in table or "of type" in table:
        return []
    words = "CREATE UNLOGGED TABLE" if table.get("persistence") == "unlogged" else "CREATE TABLE"
    sequences = [part for part in _parts(name, "sequence", objects) if "owned by" in part[1]]
    statements = [f"CREATE SEQUENCE {own} {sequence_options(each)};" for own, each in sequences]
    if "partition of" in table:
        body = f"PARTITION OF {table['partition of']} {table['partition bounds']}"
    else:
        columns = [
            f"    {last(column)} {column_definition(attributes)}"
            for column, attributes in _parts(name, "column", objects)
        ]
        body = "(\n" + ",\n".join(columns) + "\n)"
    if "partition key" in table:
        body += f" PARTITION BY {table['partition key']}"
    if "storage parameters" in table:
        body += f" WITH ({table['storage parameters']})"
    statements.append(f"{words} {name} {body};")
    statements += (f"ALTER SEQUENCE {own} OWNED BY {each['owned by']};" for own, each in sequences)
    constraints = [
        part
        for part in _parts(name, "constraint", objects)
        if "inherited" not in part[1] and "parent" not in part[1]
    ]
    # A foreign key within the table needs its primary key first.
    for part, attributes in sorted(
        constraints, key=lambda each: each[1]["definition"].startswith("FOREIGN KEY")
    ):
        statements += _constraint(part, attributes, objects)
    return statements + _indexes_and_comments(name, objects)


def _indexes_and_comments(name: str, objects: Objects) -> list[str]:
    """Indexes, triggers and comments on columns, of a table or materialized view."""
    statements = []
    for part, attributes in _parts(name, "index", objects):
        if "parent" not in attributes:
            statements.append(named(attributes["definition"], last(part)))
    for part, attributes in _parts(name, "trigger", objects):
        statements += _trigger(part, attributes, objects)
    for part, attributes in _parts(name, "column", objects):
        if "comment" in attributes:
            statements.append(comment(f"column {part}", attributes["comment"], objects))
    return statements


def _column(name: str, column: Attributes, objects: Objects) -> list[str]:
    table = without_last(name)
    if "type" not in column:
        return []
    word = "TYPE" if f"type {table}" in objects else "TABLE"
    attribute = "ATTRIBUTE" if word == "TYPE" else "COLUMN"
    sequences = [
        (own, each)
        for own, each in _parts(table, "sequence", objects)
        if each.get("owned by") == name
    ]
    return [
        *(f"CREATE SEQUENCE {own} {sequence_options(each)};" for own, each in sequences),
        f"ALTER {word} {table} ADD {attribute} {last(name)} {column_definition(column)};",
        *(f"ALTER SEQUENCE {own} OWNED BY {name};" for own, _ in sequences),
    ]


def _constraint(name: str, constraint: Attributes, _: Objects) -> list[str]:
    word = "DOMAIN" if "of a domain" in constraint else "TABLE"
    definition = constraint_definition(constraint)
    return [f"ALTER {word} {without_last(name)} ADD CONSTRAINT {last(name)} {definition};"]


def _index(name: str, index: Attributes, _: Objects) -> list[str]:
    return [named(index["definition"], last(name))]


def _trigger(name: str, trigger: Attributes, _: Objects) -> list[str]:
    statements = [named(trigger["definition"], last(name))]
    if trigger["enabled"] != "yes":
        statements.append(enabling(name, trigger["enabled"]))
    return statements


def _sequence(name: str, sequence: Attributes, _: Objects) -> list[str]:
    if "identity of" in sequence:
        return []
    statements = [f"CREATE SEQUENCE {name} {sequence_options(sequence)};"]
    if "owned by" in sequence:
        statements.append(f"ALTER SEQUENCE {name} OWNED BY {sequence['owned by']};")
    return statements


def _view(name: str, view: Attributes, objects: Objects) -> list[str]:
    word = "MATERIALIZED VIEW" if "populated" in view else "VIEW"
    options = f" WITH ({view['storage parameters']})" if "storage parameters" in view else ""
    return [
        f"CREATE {word} {name}{options} AS\n{view['definition']}",
        *_indexes_and_comments(name, objects),
    ]


def _defined(_: str, thing: Attributes, __: Objects) -> list[str]:
    return [f"{thing['definition'].rstrip().removesuffix(';')};"]


def _policy(name: str, policy: Attributes, _: Objects) -> list[str]:
    using = f" USING ({policy['using']})" if "using" in policy else ""
    check = f" WITH CHECK ({policy['check']})" if "check" in policy else ""
    return [
        f"CREATE POLICY {last(name)} ON {without_last(name)} AS {policy['kind'].upper()} "
        f"FOR {policy['command'].upper()} TO {policy['roles']}{using}{check};"
    ]


def _type(name: str, kind: Attributes, objects: Objects) -> list[str]:
    if kind["kind"] == "enum":
        return [f"CREATE TYPE {name} AS ENUM ({kind.get('values', '')});"]
    if kind["kind"] == "range":
        return [f"CREATE TYPE {name} AS RANGE ({kind['definition']});"]
    if kind["kind"] == "composite":
        columns = _parts(name, "column", objects)
        parts = ", ".join(f"{last(column)} {column_definition(each)}" for column, each in columns)
        return [f"CREATE TYPE {name} AS ({parts});"]
    return []


def _domain(name: str, domain: Attributes, objects: Objects) -> list[str]:
    constraints = _parts(name, "constraint", objects)
    return [
        f"CREATE DOMAIN {name} AS {column_definition(domain)};",
        *(sql for part, each in constraints for sql in _constraint(part, each, objects)),
    ]


def _extension(name: str, extension: Attributes, _: Objects) -> list[str]:
    version = literal(extension["version"])
    return [f"CREATE EXTENSION {name} WITH SCHEMA {extension['schema']} VERSION {version};"]


def _schema(name: str, _: Attributes, __: Objects) -> list[str]:
    return [f"CREATE SCHEMA {name};"]


# Another operator, with the types of its arguments.
_OF_OPERATOR = re.compile(r"((?:COMMUTATOR|NEGATOR) = )(\S+?)\([^()]*\)")


def _operator(name: str, operator: Attributes, _: Objects) -> list[str]:
    definition = _OF_OPERATOR.sub(r"\1OPERATOR(\2)", operator["definition"])
    return [f"CREATE OPERATOR {name.partition(' (')[0]} ({definition});"]


def _publication(name: str, publication: Attributes, _: Objects) -> list[str]:
    what = [
        f"{words} {publication[attribute]}"
        for attribute, words in (("tables", "TABLE"), ("schemas", "TABLES IN SCHEMA"))
        if attribute in publication
    ]
    if "all tables" in publication:
        what = ["ALL TABLES"]
    target = f" FOR {', '.join(what)}" if what else ""
    publish = literal(publication["operations"])
    return [f"CREATE PUBLICATION {name}{target} WITH (publish = {publish});"]


_MAKERS: dict[str, Callable[[str, Attributes, Objects], list[str]]] = {
    "table": _table,
    "column": _column,
    "constraint": _constraint,
    "index": _index,
    "trigger": _trigger,
    "rule": _defined,
    "policy": _policy,
    "sequence": _sequence,
    "view": _view,
    "materialized view": _view,
    "function": _defined,
    "procedure": _defined,
    "statistics": _defined,
    "type": _type,
    "domain": _domain,
    "extension": _extension,
    "schema": _schema,
    "operator": _operator,
    "publication": _publication,
}


_CREATE_INDEX = ("CREATE UNIQUE INDEX ", "CREATE INDEX ")
_CREATE_TRIGGER = ("CREATE CONSTRAINT TRIGGER ", "CREATE TRIGGER ")


def comment(thing: str, text: str | None, objects: Objects) -> str:
    """The statement that comments on an object; None removes the comment."""
    kind, name = split(thing)
    words = kind.upper()
    if kind in IN_TABLE and kind != "column":
        domain = "DOMAIN " if f"domain {without_last(name)}" in objects else ""
        name = f"{last(name)} ON {domain}{without_last(name)}"
    return f"COMMENT ON {words} {name} IS {literal(text)};"


def column_definition(column: Attributes) -> str:
    """What follows a column's name in its definition."""
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
    """What follows ADD CONSTRAINT and the name."""
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


# GRANT … ON names tables, views and their like without a word for their kind.
_PLAIN = ("table", "view", "materialized view", "foreign table", "column")
_WORDS = {"server": "FOREIGN SERVER", "domain": "DOMAIN", "aggregate": "FUNCTION"}

# What PUBLIC may do with a new object.
_USUAL = {
    "function": "EXECUTE",
    "procedure": "EXECUTE",
    "aggregate": "EXECUTE",
    "type": "USAGE",
    "domain": "USAGE",
    "language": "USAGE",
}


def granting(thing: str, role: str, before: str | None, now: str | None) -> str | None:
    """SQL that gives a role back its privileges on an object.

    Args:
        thing: the object's name in the fingerprint.
        role: who has them, as SQL names it.
        before: the privileges it had, as in the fingerprint; None for the default ones.
        now: those it has.
    """
    kind, name = split(thing)
    # They were granted by a role other than the owner, or the object has another name elsewhere.
    if " by " in role or kind in ("database", "default privileges"):
        return None
    column = f" ({last(name)})" if kind == "column" else ""
    target = without_last(name) if kind == "column" else name
    if kind not in _PLAIN:
        target = f"{_WORDS.get(kind, kind.upper())} {target}"
    statements = []
    if now not in (None, REVOKED):
        statements.append(f"REVOKE ALL{column} ON {target} FROM {role};")
    if before == REVOKED:
        return f"REVOKE ALL{column} ON {target} FROM {role};"
    usual = _USUAL.get(kind, "") if role == "PUBLIC" else ""
    granted = (before or usual).split(", ") if before or usual else []
    for ending, option in (("", ""), (GRANTABLE, " WITH GRANT OPTION")):
        some = [
            privilege.removesuffix(GRANTABLE) + column
            for privilege in granted
            if privilege.endswith(GRANTABLE) == bool(ending)
        ]
        if some:
            statements.append(f"GRANT {', '.join(some)} ON {target} TO {role}{option};")
    return "\n".join(statements) or None
