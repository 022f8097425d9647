"""What is made of an object, so that PostgreSQL refuses to drop it without CASCADE."""

from __future__ import annotations

from collections.abc import Iterator

from turnback.sql.definitions import calls
from turnback.sql.tables import Schema, Table
from turnback.sql.tree import Named

_ROUTINES = {"OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE"}
_TYPES = {"OBJECT_TYPE", "OBJECT_DOMAIN"}
_READ = {"OBJECT_TABLE", "OBJECT_FOREIGN_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW"}
_WORDS = {
    "OBJECT_COLUMN": "generated column",
    "OBJECT_DEFAULT": "default of",
    "OBJECT_DOMAIN": "domain",
    "OBJECT_FUNCTION": "function",
    "OBJECT_INDEX": "index",
    "OBJECT_POLICY": "policy",
    "OBJECT_TABCONSTRAINT": "constraint",
    "OBJECT_TABLE": "table",
    "OBJECT_TRIGGER": "trigger or rule",
    "OBJECT_TYPE": "column",
    "OBJECT_VIEW": "view",
}


def words(item: Named) -> str:
    """A dependent in words: ``the view people``."""
    return f"the {_WORDS[item.kind]} {item.name}"


def dependents(schema: Schema, item: Named) -> Iterator[Named]:
    """What needs an object, as far as the scripts tell; what goes with it by itself is left out.

    ``OBJECT_DEFAULT`` is the default of a column, ``OBJECT_TYPE`` a column of the type, and
    ``OBJECT_TRIGGER`` a rule as well.
    """
    if item.kind in _READ:
        yield from _of_relation(schema, item.name)
    elif item.kind == "OBJECT_COLUMN":
        table, _, column = item.name.rpartition(".")
        yield from readers(schema, table, column)
        yield from _pointing(schema, table, {column})
    elif item.kind in _ROUTINES:
        known = schema.functions.get(item.name)
        # The model does not tell one from another of the same name.
        if known and not known.overloaded:
            yield from _callers(schema, Named("OBJECT_FUNCTION", item.name))
    elif item.kind == "OBJECT_SEQUENCE":
        yield from _callers(schema, item)
    elif item.kind in _TYPES:
        yield from _of_type(schema, item.name)
    elif item.kind == "OBJECT_INDEX":
        yield from _constraint_of(schema, item.name)
    elif item.kind == "OBJECT_TABCONSTRAINT":
        yield from _of_constraint(schema, *item.name.rpartition(".")[::2])
    elif item.kind == "OBJECT_SCHEMA":
        yield from _inside(schema, f"{item.name}.")


def readers(schema: Schema, table: str, column: str) -> Iterator[Named]:
    """What reads a column, or a table: views, generated columns, triggers, rules and policies.

    Args:
        column: empty for the table.
    """
    for view in schema.readers(table, column):
        yield Named("OBJECT_VIEW", view.name)
    known = schema.find(table)
    for other in known.columns.values() if known else ():
        if column in other.computed_from:
            yield Named("OBJECT_COLUMN", f"{table}.{other.name}")
    for owner in _with_others(schema, table):
        for kind, parts in (("OBJECT_TRIGGER", owner.triggers), ("OBJECT_POLICY", owner.policies)):
            for name, reads in parts.items():
                if (table, column) in reads:
                    yield Named(kind, f"{owner.name}.{name}")


def _of_relation(schema: Schema, name: str) -> Iterator[Named]:
    # Its own go with it.
    yield from (item for item in readers(schema, name, "") if _owner(item) != name)
    for table in _with_others(schema, name):
        for item in table.constraints:
            if table.name != name and item.references == name:
                yield Named("OBJECT_TABCONSTRAINT", f"{table.name}.{item.name}")
    parent = schema.find(name)
    for child in schema.heirs.get(name, ()):
        # Partitions go with their table.
        if not (parent and parent.partitioned):
            yield Named("OBJECT_TABLE", child)


def _with_others(schema: Schema, name: str) -> Iterator[Table]:
    """A table, and those whose foreign keys, triggers and policies name it."""
    for one in (name, *schema.named_by.get(name, ())):
        if table := schema.find(one):
            yield table


def _owner(item: Named) -> str:
    return item.name if item.kind == "OBJECT_VIEW" else item.name.rpartition(".")[0]


def _pointing(schema: Schema, name: str, columns: set[str]) -> Iterator[Named]:
    """The foreign keys that point at one of these columns of a table."""
    target = schema.find(name)
    primary = {c for item in _keys(schema, name, "primary") for c in item}
    for table in _with_others(schema, name):
        for item in table.constraints:
            at = set(item.target_columns) or primary
            if target and item.references == name and at & columns:
                yield Named("OBJECT_TABCONSTRAINT", f"{table.name}.{item.name}")


def _keys(schema: Schema, name: str, kind: str) -> list[tuple[str, ...]]:
    table = schema.find(name)
    return [item.columns for item in table.constraints if item.kind == kind] if table else []


def _of_constraint(schema: Schema, name: str, constraint: str) -> Iterator[Named]:
    """The foreign keys that need a key; where another one has its columns, they may need that."""
    table = schema.find(name)
    for item in table.constraints if table else ():
        if item.name == constraint and item.kind in ("primary", "unique") and table:
            same = [key for key in table.unique_keys() if set(key) == set(item.columns)]
            for found in _pointing(schema, name, set(item.columns)) if len(same) == 1 else ():
                owner, _, key = found.name.rpartition(".")
                at = next(c for c in schema.tables[owner].constraints if c.name == key)
                implied = not at.target_columns and item.kind == "primary"
                if implied or set(at.target_columns) == set(item.columns):
                    yield found


def _callers(schema: Schema, item: Named) -> Iterator[Named]:
    """What calls a function, takes from a sequence, or names a type in an expression."""
    for view in schema.views.values():
        if item in view.needs:
            yield Named("OBJECT_VIEW", view.name)
    for table in schema.tables.values():
        for column in table.columns.values():
            if item in column.needs:
                kind = "OBJECT_COLUMN" if column.computed_from else "OBJECT_DEFAULT"
                yield Named(kind, f"{table.name}.{column.name}")
        for name, called in table.called.items():
            if item in called:
                kind = "OBJECT_POLICY" if name in table.policies else "OBJECT_TRIGGER"
                yield Named(kind, f"{table.name}.{name}")
        for index in table.indexes:
            if item in index.needs:
                yield Named("OBJECT_INDEX", index.name)
        for check in table.constraints:
            if check.node and item in calls(check.node):
                yield Named("OBJECT_TABCONSTRAINT", f"{table.name}.{check.name}")


def _of_type(schema: Schema, name: str) -> Iterator[Named]:
    for table in schema.tables.values():
        for column in table.columns.values():
            if column.type.name == name:
                yield Named("OBJECT_TYPE", f"{table.name}.{column.name}")
    for domain in schema.domains.values():
        if domain.type.name == name:
            yield Named("OBJECT_DOMAIN", domain.name)
    yield from _callers(schema, Named("OBJECT_TYPE", name))


def _constraint_of(schema: Schema, index: str) -> Iterator[Named]:
    table = schema.owner_of_index(index)
    for item in table.constraints if table else ():
        is_key = item.kind in ("primary", "unique", "exclusion")
        if is_key and table and item.name == index.rpartition(".")[2]:
            yield Named("OBJECT_TABCONSTRAINT", f"{table.name}.{item.name}")


def _inside(schema: Schema, prefix: str) -> Iterator[Named]:
    for kind, names in (
        ("OBJECT_TABLE", schema.tables),
        ("OBJECT_VIEW", schema.views),
        ("OBJECT_FUNCTION", schema.functions),
        ("OBJECT_DOMAIN", schema.domains),
    ):
        yield from (Named(kind, name) for name in names if name.startswith(prefix))
