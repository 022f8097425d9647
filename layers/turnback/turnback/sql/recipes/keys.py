"""Recipes for a key that grows, and a table that is divided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from turnback.errors import ConfigurationError
from turnback.sql.lint.writing import dotted_name, name, type_sql
from turnback.sql.quoting import literal
from turnback.sql.recipes.carried import Carried, new_name, old_name
from turnback.sql.recipes.model import Duration, Pair, Recipe, Releases, Values
from turnback.sql.recipes.parts import (
    backfill,
    filled_again,
    in_step,
    kept_empty,
    not_null,
    validated,
)
from turnback.sql.recipes.trees import constraint_text
from turnback.sql.tables import Constraint, Table
from turnback.sql.tree import joined

# The most that an integer holds (manual, 8.1.1).
_MOST = {"int4": 2147483647, "int2": 32767}


def _pointing(values: Values) -> list[tuple[Table, Constraint]]:
    """The foreign keys that point at the table, each with the table that has it."""
    called = values.known().name
    others = map(values.schema.find, values.schema.named_by.get(called, ()))
    own = values.known()
    return [
        (table, item)
        for table in (*(other for other in others if other), own)
        for item in table.constraints
        if item.references == called
    ]


@dataclass(frozen=True, slots=True)
class _Reference:
    """A foreign key to the column, and how it comes to point at the one in its place.

    Attributes:
        pairs: the migrations that make it.
        away: the statement that drops the one before.
        renamed: the statement that gives it the name of the one before.
        both: the statements that make both again, where the column has its first name.
        new_away: the statement that drops it, under the name of the one before.
    """

    pairs: list[Pair]
    away: str
    renamed: str
    both: Sequence[str]
    new_away: str

    @classmethod
    def of(cls, values: Values, table: Table, key: Constraint, new: str) -> _Reference:
        """The foreign key, if its own column is wide enough."""
        [column] = key.columns
        typed = table.columns[column].type.name if column in table.columns else ""
        if typed != "int8" or not key.validated or not key.node:
            raise ConfigurationError(
                f"the foreign key {key.name} of {table.name} points at {values.table} with a "
                f"column that is {typed or 'unknown'}, not bigint",
                hint=f"first: turnback generate --recipe change-type table={table.name} "
                f"column={column} type=bigint",
            )
        shown, called = dotted_name(table.name), name(key.name)
        other = name(f"{key.name}_new")
        node = {**dict(key.node), "pk_attrs": [{"String": {"sval": new}}]}
        text = constraint_text(values, node, {column: column})
        old_node = {**node, "pk_attrs": [{"String": {"sval": values.column()}}]}
        old_text = constraint_text(values, old_node, {column: column})
        return cls(
            validated(shown, f"{key.name} bigint", other, text),
            f"ALTER TABLE {shown} DROP CONSTRAINT {called};",
            f"ALTER TABLE {shown} RENAME CONSTRAINT {other} TO {called};",
            [
                f"ALTER TABLE {shown} ADD CONSTRAINT {called} {old_text};",
                f"ALTER TABLE {shown} ADD CONSTRAINT {other} {text};",
            ],
            f"ALTER TABLE {shown} DROP CONSTRAINT {called};",
        )


def _bigint(values: Values) -> Releases:
    table, column, known = values.table, values.column(), values.known()
    new, old = f"{column}_new", f"{column}_old"
    own = values.known_column()
    key = next((item for item in known.constraints if item.kind == "primary"), None)
    if key is None or key.columns != (column,) or own.type.name not in _MOST:
        raise ConfigurationError(
            f"{table}.{column} is no primary key of the type integer",
            hint="another column: turnback generate --recipe change-type",
        )
    pointing = _pointing(values)
    besides = [key.name, *(one.name for _, one in pointing)]
    carried = Carried.of(values, column, besides)
    carried.require(carried.plain_views)
    references = [_Reference.of(values, other, one, new) for other, one in pointing]
    a, n, o, slug = name(column), name(new), name(old), f"{values.plain} {column} bigint"
    before = type_sql(own.type)
    make, drop = in_step(values, f"{column}_bigint", ("true", f"NEW.{n} := NEW.{a}"))
    value = f"CASE WHEN {a} <= {_MOST[own.type.name]} THEN {a}::{before} END"
    fits = f"NEW.{o} := CASE WHEN NEW.{a} <= {_MOST[own.type.name]} THEN NEW.{a}::{before} END"
    back, drop_back = in_step(values, f"{column}_back", ("true", fits))
    index = name(values.called(column, "bigint"))
    alter, constraint = f"ALTER TABLE {table}", name(key.name)
    off, on, on_again = _filler(values, column)
    waiver = f"-- turnback: waive TB402 because {column} goes on under its name\n"
    unfilled = [f"{alter} {off.removesuffix(', ')};"] if off else []
    switch = Pair(
        f"{slug} switch",
        waiver
        + "\n".join(
            [
                drop,
                *carried.without_views(),
                *(one.away for one in references),
                f"{alter} DROP CONSTRAINT {constraint};",
                f"{alter} {off}ALTER COLUMN {a} DROP NOT NULL;",
                f"{alter} RENAME COLUMN {a} TO {o};",
                f"{alter} RENAME COLUMN {n} TO {a};",
                f"{alter} ADD CONSTRAINT {constraint} PRIMARY KEY USING INDEX {index};",
                *(one.renamed for one in references),
                *carried.renamed(old_name),
                *carried.back(new_name),
                f"{on}{back}",
                *carried.with_views(),
            ]
        ),
        "\n".join(
            [
                drop_back,
                *carried.without_views(),
                *(one.new_away for one in references),
                f"{alter} DROP CONSTRAINT {constraint};",
                *unfilled,
                f"{alter} RENAME COLUMN {a} TO {n};",
                f"{alter} RENAME COLUMN {o} TO {a};",
                *carried.renamed(new_name),
                *carried.back(old_name),
                f"{alter} ADD CONSTRAINT {constraint} PRIMARY KEY ({a});",
                f"{on_again}CREATE UNIQUE INDEX {index} ON {table} ({n});",
                *(line for one in references for line in one.both),
                make,
                *carried.with_views(),
            ]
        ),
        Duration.INSTANT,
    )
    first = [
        Pair(
            slug,
            f"{alter} ADD COLUMN {n} bigint;\n{make}",
            f"{drop}\n{alter} DROP COLUMN {n};",
            Duration.INSTANT,
        ),
        backfill(values, f"{slug} backfill", f"{n} = {a}", f"{n} IS NULL", new),
        *not_null(values, new),
        Pair(
            f"{slug} index",
            f"CREATE UNIQUE INDEX CONCURRENTLY {index} ON {table} ({n});",
            f"DROP INDEX CONCURRENTLY {values.own(column, 'bigint')};",
            Duration.BUILD,
        ),
        *carried.pairs(new, new_name),
        *(pair for one in references for pair in one.pairs),
        switch,
    ]
    last = Pair(
        f"{slug} drop old",
        f"-- turnback: waive TB401 because nothing reads {old}\n{drop_back}\n"
        f"{alter} DROP COLUMN {o};",
        f"{kept_empty(old)}{alter} ADD COLUMN {o} {before};\n{back}",
        Duration.INSTANT,
    )
    again = f"SET {o} = {value} WHERE {o} IS DISTINCT FROM {value} AND {{batch}}"
    removal = carried.removal(old, old_name)
    return [first, [*removal, filled_again(values, old, again), last]]


def _filler(values: Values, column: str) -> tuple[str, str, str]:
    """What takes the numbers from a key, gives them to it in bigint, and again as they were."""
    table, shown = values.table, name(column)
    how = values.numbered(values.known().name, column)
    alter = f"ALTER TABLE {table} ALTER COLUMN {shown}"
    if not how:
        return "", "", ""
    if how.endswith("IDENTITY"):
        given = literal(table), literal(column)
        counted = (
            f"SELECT setval(pg_get_serial_sequence({given[0]}, {given[1]}),\n"
            f"    (SELECT coalesce(max({shown}), 0) + 1 FROM {table}), false);\n"
        )
        on = f"{alter} ADD {how};\n{counted}"
        return f"ALTER COLUMN {shown} DROP IDENTITY, ", on, on
    sequence = values.own(column, "seq")
    owned = f"ALTER SEQUENCE {sequence} OWNED BY {table}.{shown};\n"
    default = f"{alter} SET DEFAULT nextval({literal(sequence)});\n"
    before = type_sql(values.known_column().type)
    return (
        f"ALTER COLUMN {shown} DROP DEFAULT, ",
        f"{owned}ALTER SEQUENCE {sequence} AS bigint;\n{default}",
        f"{owned}ALTER SEQUENCE {sequence} AS {before};\n{default}",
    )


def _partition(values: Values) -> Releases:
    table, known, column = values.table, values.known(), values.column()
    values.known_column()
    numbered = [c for c in known.columns if values.numbered(known.name, c).endswith("IDENTITY")]
    used = [f"{other.name}.{item.name}" for other, item in _pointing(values)]
    used += [*known.triggers, *known.policies, *known.parents, *numbered]
    used += [view.name for view in values.schema.readers(known.name)]
    if used or known.partitioned:
        raise ConfigurationError(
            f"{table} has {', '.join(used) or 'partitions already'}",
            hint="foreign keys, triggers, policies, identities and views would stay with the first "
            "partition: drop them before, and make them for the new table after it",
        )
    if not values.is_constant("until"):
        raise ConfigurationError("until= is no constant", hint="such as until=\"'2030-01-01'\"")
    end, shown = values.expression("until"), name(column)
    *schema, plain = values.parts("table")
    first, second = f"{plain}_p0", f"{plain}_p1"
    there, next_one = (dotted_name(joined([*schema, part])) for part in (first, second))
    called = name(values.called("bounds"))
    check = validated(
        table, f"{plain} bounds", called, f"CHECK ({shown} IS NOT NULL AND {shown} < {end})"
    )
    switch = Pair(
        f"{plain} partitioned",
        f"-- turnback: waive TB402 because {plain} goes on under its name\n"
        f"ALTER TABLE {table} RENAME TO {name(first)};\n"
        f"CREATE TABLE {table} (LIKE {there} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)\n"
        f"    PARTITION BY RANGE ({shown});\n"
        f"ALTER TABLE {table} DROP CONSTRAINT {called};\n"
        f"ALTER TABLE {table} ATTACH PARTITION {there}\n"
        f"    FOR VALUES FROM (MINVALUE) TO ({end});\n"
        f"CREATE TABLE {next_one} PARTITION OF {table}\n"
        f"    FOR VALUES FROM ({end}) TO (MAXVALUE);",
        f"ALTER TABLE {table} DETACH PARTITION {there};\n"
        f"ALTER TABLE {there} DROP CONSTRAINT {called};\n"
        f"INSERT INTO {there} SELECT * FROM {next_one};\n"
        f"DROP TABLE {table};\n"
        f"ALTER TABLE {there} RENAME TO {name(plain)};\n"
        f"ALTER TABLE {table} ADD CONSTRAINT {called}\n"
        f"    CHECK ({shown} IS NOT NULL AND {shown} < {end}) NOT VALID;\n"
        f"ALTER TABLE {table} VALIDATE CONSTRAINT {called};",
        Duration.INSTANT,
    )
    return [[*check, switch]]


RECIPES = (
    Recipe(
        "bigint-primary-key",
        "bigint in place of integer for a primary key",
        {"table": "users", "column": "id"},
        _bigint,
    ),
    Recipe(
        "partition-table",
        "a table becomes the first partition of one of its name",
        {"table": "events", "column": "at", "until": "\"'2030-01-01'\""},
        _partition,
    ),
)
