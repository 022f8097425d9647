"""Recipes for columns."""

from __future__ import annotations

from collections.abc import Sequence

from turnback.errors import ConfigurationError
from turnback.sql.lint.writing import name, type_sql
from turnback.sql.recipes.model import INSTANT, SCAN, Pair, Recipe, Values
from turnback.sql.recipes.parts import backfill, emptied, in_step, not_null

Releases = Sequence[Sequence[Pair]]


def _add_not_null(values: Values) -> Releases:
    table, column = values.table, values.column()
    shown, slug = name(column), f"{values.plain} {column}"
    type_, default = values.type(), values.expression("default")
    drop = f"ALTER TABLE {table} DROP COLUMN {shown};"
    if values.is_constant("default"):
        add = f"ALTER TABLE {table} ADD COLUMN {shown} {type_} NOT NULL DEFAULT {default};"
        return [[Pair(slug, add, drop, INSTANT)]]
    # Each row has a value of its own: the old ones get theirs in batches.
    add = (
        f"ALTER TABLE {table} ADD COLUMN {shown} {type_};\n"
        f"ALTER TABLE {table} ALTER COLUMN {shown} SET DEFAULT {default};"
    )
    filled = backfill(
        values,
        f"{slug} backfill",
        f"{shown} = {default}",
        f"{shown} IS NULL",
        emptied(values, column),
    )
    return [[Pair(slug, add, drop, INSTANT), filled, *not_null(values, column)]]


def _free(values: Values) -> None:
    """Refuse a column that indexes, constraints or views need: they would have to move with it."""
    table, column = values.known(), values.column()
    used = [index.name for index in table.indexes if column in index.all_columns]
    used += [item.name for item in table.constraints if column in item.columns]
    used += [view.name for view in values.schema.readers(table.name, column)]
    if used:
        raise ConfigurationError(
            f"{values.table}.{column} is used by {', '.join(used)}",
            hint="drop these in a migration before, and make them for the new column after it",
        )


def _rename(values: Values) -> Releases:
    table, old, new = values.table, values.column(), values.column("to")
    column = values.known_column()
    _free(values)
    a, b, slug = name(old), name(new), f"{values.plain} {old} {new}"
    make, drop = in_step(
        values,
        f"{old}_{new}",
        (f"TG_OP = 'INSERT' AND NEW.{b} IS NULL", f"NEW.{b} := NEW.{a}"),
        (f"TG_OP = 'INSERT' OR NEW.{b} IS DISTINCT FROM OLD.{b}", f"NEW.{a} := NEW.{b}"),
        (f"NEW.{a} IS DISTINCT FROM OLD.{a}", f"NEW.{b} := NEW.{a}"),
    )
    typed = type_sql(column.type)
    add = f"ALTER TABLE {table} ADD COLUMN {b} {typed};\n{make}"
    first = [
        Pair(slug, add, f"{drop}\nALTER TABLE {table} DROP COLUMN {b};", INSTANT),
        backfill(
            values,
            f"{slug} backfill",
            f"{b} = {a}",
            f"{b} IS NULL AND {a} IS NOT NULL",
            emptied(values, new, name(values.called(f"{old}_{new}"))),
        ),
        *(not_null(values, new) if column.not_null else ()),
    ]
    required = " NOT NULL" if column.not_null else ""
    last = Pair(
        f"{values.plain} drop {old}",
        f"-- turnback: waive TB401 because the application uses {new}\n{drop}\n"
        f"ALTER TABLE {table} DROP COLUMN {a};",
        f"ALTER TABLE {table} ADD COLUMN {a} {typed};\nUPDATE {table} SET {a} = {b};\n"
        + (f"ALTER TABLE {table} ALTER COLUMN {a} SET{required};\n" if required else "")
        + make,
        INSTANT,
    )
    return [first, [last]]


def _change_type(values: Values) -> Releases:
    table, column = values.table, values.column()
    known = values.known_column()
    _free(values)
    if known.filled:
        raise ConfigurationError(
            f"{table}.{column} has a default or is computed",
            hint="drop the default in a migration before, and set it in one after it",
        )
    new, old = f"{column}_new", f"{column}_old"
    a, n, o = name(column), name(new), name(old)
    # In the second release the old column has its later name already.
    before = type_sql((values.known().column(old) or known).type)
    type_, slug = values.type(), f"{values.plain} {column} type"
    using, of_new = f"{a}::{type_}", f"NEW.{a}::{type_}"
    back_value, of_back = f"{a}::{before}", f"NEW.{a}::{before}"
    if values.text("using") or values.text("back"):
        using, of_new = values.expression("using"), values.of_new_row("using")
        back_value, of_back = values.expression("back"), values.of_new_row("back")
    make, drop = in_step(
        values,
        f"{column}_type",
        (f"TG_OP = 'INSERT' OR NEW.{a} IS DISTINCT FROM OLD.{a}", f"NEW.{n} := {of_new}"),
    )
    back, drop_back = in_step(
        values,
        f"{column}_back",
        (f"TG_OP = 'INSERT' OR NEW.{a} IS DISTINCT FROM OLD.{a}", f"NEW.{o} := {of_back}"),
    )
    waiver = f"-- turnback: waive TB402 because {column} goes on under its name\n"
    optional = f"ALTER TABLE {table} ALTER COLUMN {a} DROP NOT NULL;\n" if known.not_null else ""
    required = f"ALTER TABLE {table} ALTER COLUMN {a} SET NOT NULL;\n" if known.not_null else ""
    switch = Pair(
        f"{slug} switch",
        f"{waiver}{drop}\n{optional}ALTER TABLE {table} RENAME COLUMN {a} TO {o};\n"
        f"ALTER TABLE {table} RENAME COLUMN {n} TO {a};\n{back}",
        f"{drop_back}\nALTER TABLE {table} RENAME COLUMN {a} TO {n};\n"
        f"ALTER TABLE {table} RENAME COLUMN {o} TO {a};\n{required}{make}",
        INSTANT,
    )
    first = [
        Pair(
            slug,
            f"ALTER TABLE {table} ADD COLUMN {n} {type_};\n{make}",
            f"{drop}\nALTER TABLE {table} DROP COLUMN {n};",
            INSTANT,
        ),
        backfill(
            values,
            f"{slug} backfill",
            f"{n} = {using}",
            f"{n} IS NULL AND {a} IS NOT NULL",
            emptied(values, new, name(values.called(f"{column}_type"))),
        ),
        *(not_null(values, new) if known.not_null else ()),
        switch,
    ]
    last = Pair(
        f"{slug} drop old",
        f"-- turnback: waive TB401 because nothing reads {old}\n{drop_back}\n"
        f"ALTER TABLE {table} DROP COLUMN {o};",
        f"ALTER TABLE {table} ADD COLUMN {o} {before};\n"
        f"UPDATE {table} SET {o} = {back_value};\n{back}",
        INSTANT,
    )
    return [first, [last]]


def _drop(values: Values) -> Releases:
    table, column = values.table, values.column()
    known = values.known_column()
    _free(values)
    shown, slug = name(column), f"{values.plain} {column}"
    if known.filled:
        raise ConfigurationError(
            f"{table}.{column} has a default or is computed",
            hint="drop the default in a migration before",
        )
    first = []
    if known.not_null:
        alter = f"ALTER TABLE {table} ALTER COLUMN {shown}"
        first = [
            Pair(f"{slug} unused", f"{alter} DROP NOT NULL;", f"{alter} SET NOT NULL;", INSTANT)
        ]
    key, kept = values.key(), values.own(column, "dropped")
    copy = Pair(
        f"{slug} kept",
        f"CREATE TABLE {kept} AS SELECT {key}, {shown} FROM {table};",
        f"DROP TABLE {kept};",
        SCAN,
    )
    last = Pair(
        f"{values.plain} drop {column}",
        f"-- turnback: waive TB401 because no application uses {column} any more\n"
        f"ALTER TABLE {table} DROP COLUMN {shown};",
        f"ALTER TABLE {table} ADD COLUMN {shown} {type_sql(known.type)};\n"
        f"UPDATE {table} SET {shown} = kept.{shown} FROM {kept} AS kept\n"
        f"WHERE kept.{key} = {name(values.plain)}.{key};",
        INSTANT,
    )
    return [first, [copy, last]]


RECIPES = (
    Recipe(
        "add-not-null-column",
        "a new NOT NULL column with a default",
        {"table": "users", "column": "plan", "type": "text", "default": "\"'free'\""},
        _add_not_null,
        {"key": "the column of a unique key, if no migration makes one"},
    ),
    Recipe(
        "rename-column",
        "a new name for a column",
        {"table": "users", "column": "name", "to": "full_name"},
        _rename,
        {"key": "as above"},
    ),
    Recipe(
        "change-type",
        "another type for a column",
        {"table": "orders", "column": "total", "type": "bigint"},
        _change_type,
        {
            "using": "the new value, an expression of the column; with back=",
            "back": "the old value, an expression of the column once it has the new type",
            "key": "as above",
        },
    ),
    Recipe(
        "drop-column",
        "drop a column, and keep its values in a table for a rollback",
        {"table": "users", "column": "city"},
        _drop,
        {"key": "as above"},
    ),
)
