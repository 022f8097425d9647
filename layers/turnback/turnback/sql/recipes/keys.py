"""Recipes for a key that grows, and a table that is divided."""

from __future__ import annotations

from collections.abc import Sequence

from turnback.errors import ConfigurationError
from turnback.sql.lint.writing import dotted_name, name, type_sql
from turnback.sql.quoting import literal
from turnback.sql.recipes.model import BUILD, INSTANT, Pair, Recipe, Values
from turnback.sql.recipes.parts import backfill, emptied, in_step, not_null, validated
from turnback.sql.tree import joined

Releases = Sequence[Sequence[Pair]]
# The most that an integer holds (manual, 8.1.1).
_MOST = {"int4": 2147483647, "int2": 32767}


def _pointing(values: Values) -> list[str]:
    """The foreign keys of other tables that point at the table."""
    called = values.known().name
    others = map(values.schema.find, values.schema.named_by.get(called, ()))
    return [
        f"{table.name}.{item.name}"
        for table in others
        if table
        for item in table.constraints
        if item.references == called
    ]


def _bigint(values: Values) -> Releases:
    table, column, known = values.table, values.column(), values.known()
    new, old = f"{column}_new", f"{column}_old"
    # In the second release the old column has its later name already.
    own = known.column(old) or values.known_column()
    key = next((item for item in known.constraints if item.kind == "primary"), None)
    if key is None or key.columns != (column,) or own.type.name not in _MOST:
        raise ConfigurationError(
            f"{table}.{column} is no primary key of the type integer",
            hint="another column: turnback generate --recipe change-type",
        )
    used = [one.name for one in known.indexes if column in one.all_columns]
    used += [i.name for i in known.constraints if column in i.columns and i is not key]
    used += [view.name for view in values.schema.readers(known.name, column)]
    if used := [*used, *_pointing(values)]:
        raise ConfigurationError(
            f"{table}.{column} is used by {', '.join(used)}",
            hint="drop these in a migration before, and make them again after it",
        )
    a, n, o, slug = name(column), name(new), name(old), f"{values.plain} {column} bigint"
    before = type_sql(own.type)
    make, drop = in_step(values, f"{column}_bigint", ("true", f"NEW.{n} := NEW.{a}"))
    fits = f"NEW.{o} := CASE WHEN NEW.{a} <= {_MOST[own.type.name]} THEN NEW.{a}::{before} END"
    back, drop_back = in_step(values, f"{column}_back", ("true", fits))
    index = name(values.called(column, "bigint"))
    alter, constraint = f"ALTER TABLE {table}", name(key.name)
    off, on, on_again = _filler(values, column)
    waiver = f"-- turnback: waive TB402 because {column} goes on under its name\n"
    optional = f"{alter} {off}ALTER COLUMN {a} DROP NOT NULL;\n"
    unfilled = f"{alter} {off.removesuffix(', ')};\n" if off else ""
    switch = Pair(
        f"{slug} switch",
        f"{waiver}{drop}\n{alter} DROP CONSTRAINT {constraint};\n{optional}"
        f"{alter} RENAME COLUMN {a} TO {o};\n{alter} RENAME COLUMN {n} TO {a};\n"
        f"{alter} ADD CONSTRAINT {constraint} PRIMARY KEY USING INDEX {index};\n{on}{back}",
        f"{drop_back}\n{alter} DROP CONSTRAINT {constraint};\n{unfilled}"
        f"{alter} RENAME COLUMN {a} TO {n};\n{alter} RENAME COLUMN {o} TO {a};\n"
        f"{alter} ADD CONSTRAINT {constraint} PRIMARY KEY ({a});\n{on_again}"
        f"CREATE UNIQUE INDEX {index} ON {table} ({n});\n{make}",
        INSTANT,
    )
    first = [
        Pair(
            slug,
            f"{alter} ADD COLUMN {n} bigint;\n{make}",
            f"{drop}\n{alter} DROP COLUMN {n};",
            INSTANT,
        ),
        backfill(
            values,
            f"{slug} backfill",
            f"{n} = {a}",
            f"{n} IS NULL",
            emptied(values, new, name(values.called(f"{column}_bigint"))),
        ),
        *not_null(values, new),
        Pair(
            f"{slug} index",
            f"CREATE UNIQUE INDEX CONCURRENTLY {index} ON {table} ({n});",
            f"DROP INDEX CONCURRENTLY {values.own(column, 'bigint')};",
            BUILD,
        ),
        switch,
    ]
    last = Pair(
        f"{slug} drop old",
        f"-- turnback: waive TB401 because nothing reads {old}\n{drop_back}\n"
        f"{alter} DROP COLUMN {o};",
        f"{alter} ADD COLUMN {o} {before};\n"
        f"UPDATE {table} SET {o} = CASE WHEN {a} <= {_MOST[own.type.name]} THEN {a} END;\n{back}",
        INSTANT,
    )
    return [first, [last]]


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
    used = [*_pointing(values), *known.triggers, *known.policies, *known.parents, *numbered]
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
        values, f"{plain} bounds", called, f"CHECK ({shown} IS NOT NULL AND {shown} < {end})"
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
        INSTANT,
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
