"""Recipes for columns."""

from __future__ import annotations

from turnback.errors import ConfigurationError
from turnback.sql.lint.writing import name, type_sql
from turnback.sql.recipes.carried import Carried, new_name, old_name, same
from turnback.sql.recipes.model import Duration, Pair, Recipe, Releases, Values
from turnback.sql.recipes.parts import (
    backfill,
    directive,
    filled_again,
    in_step,
    kept_empty,
    not_null,
    nullable,
)
from turnback.sql.recipes.trees import default_on
from turnback.sql.tables import Column


def _add_not_null(values: Values) -> Releases:
    table, column = values.table, values.column()
    shown, slug = name(column), f"{values.plain} {column}"
    type_, default = values.type(), values.expression("default")
    drop = f"ALTER TABLE {table} DROP COLUMN {shown};"
    if values.is_constant("default"):
        add = f"ALTER TABLE {table} ADD COLUMN {shown} {type_} NOT NULL DEFAULT {default};"
        return [[Pair(slug, add, drop, Duration.INSTANT)]]
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
        column,
    )
    return [[Pair(slug, add, drop, Duration.INSTANT), filled, *not_null(values, column)]]


def _computed(values: Values, column: Column, *, kept: bool) -> None:
    """Refuse a column that PostgreSQL fills by itself.

    Args:
        kept: whether a plain default is carried over.
    """
    how = values.numbered(values.known().name, column.name)
    if column.computed_from:
        how = "GENERATED"
    if column.filled and not how and not (kept and values.default_of(*_of(values, column))):
        how = "DEFAULT"
    if how:
        raise ConfigurationError(
            f"{values.table}.{column.name} is {how}, which cannot be carried over",
            hint="of a key: turnback generate --recipe bigint-primary-key; else drop it in a "
            "migration before, and set it again in one after",
        )


def _of(values: Values, column: Column) -> tuple[str, str]:
    return values.known().name, column.name


def _rename(values: Values) -> Releases:
    table, old, new = values.table, values.column(), values.column("to")
    column = values.known_column()
    _computed(values, column, kept=True)
    carried = Carried.of(values, old)
    carried.require(carried.replaceable_views)
    a, b, slug = name(old), name(new), f"{values.plain} {old} {new}"
    make, drop = in_step(
        values,
        f"{old}_{new}",
        (f"TG_OP = 'INSERT' AND NEW.{b} IS NULL", f"NEW.{b} := NEW.{a}"),
        (f"TG_OP = 'INSERT' OR NEW.{b} IS DISTINCT FROM OLD.{b}", f"NEW.{a} := NEW.{b}"),
        (f"NEW.{a} IS DISTINCT FROM OLD.{a}", f"NEW.{b} := NEW.{a}"),
    )
    alter, typed = f"ALTER TABLE {table}", type_sql(column.type)
    first = [
        Pair(
            slug,
            f"{alter} ADD COLUMN {b} {typed};\n{make}",
            f"{drop}\n{alter} DROP COLUMN {b};",
            Duration.INSTANT,
        ),
        backfill(values, f"{slug} backfill", f"{b} = {a}", f"{b} IS NULL AND {a} IS NOT NULL", new),
        *(not_null(values, new) if column.not_null else ()),
        *carried.pairs(new, lambda called: _under(called, old, new)),
        *carried.views_on(new),
    ]
    default = values.default_of(*_of(values, column))
    there = f"{alter} ALTER COLUMN {b} SET DEFAULT {default};\n" if default else ""
    again = f"{alter} ALTER COLUMN {a} SET DEFAULT {default};\n" if default else ""
    gone = f"{alter} ALTER COLUMN {b} DROP DEFAULT;\n" if default else ""
    last = Pair(
        f"{values.plain} drop {old}",
        f"-- turnback: waive TB401 because the application uses {new}\n{drop}\n{there}"
        f"{alter} DROP COLUMN {a};",
        f"{kept_empty(old)}{alter} ADD COLUMN {a} {typed};\n{again}{gone}{make}",
        Duration.INSTANT,
    )
    return [
        first,
        [
            *([nullable(values, old)] if column.not_null else ()),
            *carried.removal(old, same),
            filled_again(
                values, old, f"SET {a} = {b} WHERE {a} IS DISTINCT FROM {b} AND {{batch}}"
            ),
            last,
        ],
    ]


def _under(called: str, old: str, new: str) -> str:
    """The name of an index or a constraint of a column, for one of another name."""
    return called.replace(old, new) if old in called else f"{called}_{new}"


def _change_type(values: Values) -> Releases:
    table, column = values.table, values.column()
    known = values.known_column()
    _computed(values, known, kept=True)
    carried = Carried.of(values, column)
    carried.require(carried.plain_views)
    new, old = f"{column}_new", f"{column}_old"
    a, n, o = name(column), name(new), name(old)
    before = type_sql(known.type)
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
    alter = f"ALTER TABLE {table}"
    own = values.default_of(*_of(values, known))
    default = default_on(values, column, values.text("using"))
    moved = [f"{alter} ALTER COLUMN {a} SET DEFAULT {default};"] if own else []
    unmoved = [f"{alter} ALTER COLUMN {n} DROP DEFAULT;"] if own else []
    switch = Pair(
        f"{slug} switch",
        waiver
        + "\n".join(
            [
                drop,
                *carried.without_views(),
                f"{alter} RENAME COLUMN {a} TO {o};",
                f"{alter} RENAME COLUMN {n} TO {a};",
                *carried.renamed(old_name),
                *carried.back(new_name),
                *moved,
                *carried.with_views(),
                back,
            ]
        ),
        "\n".join(
            [
                drop_back,
                *carried.without_views(),
                f"{alter} RENAME COLUMN {a} TO {n};",
                f"{alter} RENAME COLUMN {o} TO {a};",
                *carried.renamed(new_name),
                *carried.back(old_name),
                *unmoved,
                *carried.with_views(),
                make,
            ]
        ),
        Duration.INSTANT,
    )
    first = [
        Pair(
            slug,
            f"{alter} ADD COLUMN {n} {type_};\n{make}",
            f"{drop}\n{alter} DROP COLUMN {n};",
            Duration.INSTANT,
        ),
        backfill(
            values,
            f"{slug} backfill",
            f"{n} = {using}",
            f"{n} IS NULL AND {_there(values, using, a)} IS NOT NULL",
            new,
        ),
        *(not_null(values, new) if known.not_null else ()),
        *carried.pairs(new, new_name),
        switch,
    ]
    again = f"{alter} ALTER COLUMN {o} SET DEFAULT {own};\n" if own else ""
    last = Pair(
        f"{slug} drop old",
        f"-- turnback: waive TB401 because nothing reads {old}\n{drop_back}\n"
        f"{alter} DROP COLUMN {o};",
        f"{kept_empty(old)}{alter} ADD COLUMN {o} {before};\n{again}{back}",
        Duration.INSTANT,
    )
    from_new = f"SET {o} = {back_value} WHERE {o} IS DISTINCT FROM ({back_value}) AND {{batch}}"
    return [
        first,
        [
            *([nullable(values, old)] if known.not_null else ()),
            *carried.removal(old, old_name),
            filled_again(values, old, from_new),
            last,
        ],
    ]


def _there(values: Values, using: str, column: str) -> str:
    """What has a value where the new column is to have one."""
    return f"({using})" if values.text("using") else column


def _drop(values: Values) -> Releases:
    table, column = values.table, values.column()
    known = values.known_column()
    _computed(values, known, kept=True)
    carried = Carried.of(values, column).require((), alone=True)
    shown, key, kept = name(column), values.key(), values.own(column, "dropped")
    slug, alter = f"{values.plain} {column}", f"ALTER TABLE {table}"
    typed, key_type = type_sql(known.type), type_sql(values.known().columns[key.strip('"')].type)
    copy = Pair(
        f"{slug} kept",
        f"CREATE TABLE {kept} (\n    {key} {key_type} PRIMARY KEY,\n    {shown} {typed}\n);",
        f"DROP TABLE {kept};",
        Duration.INSTANT,
    )
    fill = Pair(
        f"{slug} kept backfill",
        f"{directive(values)}\nINSERT INTO {kept} ({key}, {shown}) SELECT {key}, {shown}"
        f" FROM {table}\nWHERE {shown} IS NOT NULL AND {{batch}} ON CONFLICT ({key}) DO NOTHING;",
        "-- turnback: keep-rows because their table goes with the rollback of the migration before",
        Duration.BATCHES,
    )
    default = values.default_of(*_of(values, known))
    again = f"\n{alter} ALTER COLUMN {shown} SET DEFAULT {default};" if default else ""
    last = Pair(
        f"{values.plain} drop {column}",
        f"-- turnback: waive TB401 because no application uses {column} any more\n"
        f"{alter} DROP COLUMN {shown};",
        f"{kept_empty(column)}{alter} ADD COLUMN {shown} {typed};{again}",
        Duration.INSTANT,
    )
    from_copy = (
        f"SET {shown} = kept.{shown} FROM {kept} AS kept\n"
        f"WHERE kept.{key} = {name(values.plain)}.{key} AND {{batch}}"
    )
    first = [nullable(values, column)] if known.not_null else []
    return [
        first,
        [
            *carried.removal(column, same),
            copy,
            fill,
            filled_again(values, column, from_copy),
            last,
        ],
    ]


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
