"""Recipes for constraints and indexes."""

from __future__ import annotations

from collections.abc import Sequence

from turnback.errors import ConfigurationError
from turnback.sql.lint.writing import name
from turnback.sql.recipes.model import BUILD, INSTANT, Pair, Recipe, Values
from turnback.sql.recipes.parts import not_null, validated

Releases = Sequence[Sequence[Pair]]


def _set_not_null(values: Values) -> Releases:
    values.known_column()
    return [not_null(values, values.column())]


def _foreign_key(values: Values) -> Releases:
    column = values.column()
    table = values.known()
    served = any(key[:1] == (column,) for key in table.leading([column]))
    index = [] if served else [_index(values, [column])]
    action = f" ON DELETE {values.text('on-delete').upper()}" if values.text("on-delete") else ""
    if action.removeprefix(" ON DELETE ") not in ("", "CASCADE", "RESTRICT", "SET NULL"):
        raise ConfigurationError(
            f"on-delete={values.text('on-delete')} is none of cascade, restrict and set null",
            hint="leave it out, and a row that is pointed at cannot be deleted",
        )
    definition = f"FOREIGN KEY ({name(column)}) REFERENCES {values.relation('references')}{action}"
    called = name(values.called(column, "fkey"))
    return [[*index, *validated(values, f"{values.plain} {column} fkey", called, definition)]]


def _check(values: Values) -> Releases:
    called, test = values.column("name"), values.expression("check")
    return [validated(values, called, name(called), f"CHECK ({test})")]


def _index(values: Values, columns: Sequence[str], *, unique: bool = False) -> Pair:
    called = values.called(*columns, "key" if unique else "idx")
    shown = ", ".join(map(name, columns))
    word = "UNIQUE INDEX" if unique else "INDEX"
    partitioned = values.known().partitioned
    # PostgreSQL drops no index of a partitioned table CONCURRENTLY.
    how = "" if partitioned else "CONCURRENTLY "
    return Pair(
        called,
        f"CREATE {word} CONCURRENTLY {name(called)} ON {values.table} ({shown});",
        f"DROP INDEX {how}{values.own(*columns, 'key' if unique else 'idx')};",
        BUILD,
    )


def _add_index(values: Values) -> Releases:
    return [[_index(values, values.columns())]]


def _unique(values: Values) -> Releases:
    columns = values.columns()
    index = _index(values, columns, unique=True)
    called, shown = name(index.name), ", ".join(map(name, columns))
    return [
        [
            index,
            Pair(
                f"{index.name} constraint",
                f"ALTER TABLE {values.table} ADD CONSTRAINT {called} UNIQUE USING INDEX {called};",
                f"ALTER TABLE {values.table} DROP CONSTRAINT {called};\n"
                f"CREATE UNIQUE INDEX {called} ON {values.table} ({shown});",
                INSTANT,
            ),
        ]
    ]


def _drop_index(values: Values) -> Releases:
    parts = values.parts("index")
    made = values.index_made(parts[-1])
    if made is None:
        raise ConfigurationError(
            f"no migration makes the index {parts[-1]}",
            hint="write its CREATE INDEX into the rollback script yourself: turnback generate NAME",
        )
    table, sql = made
    known = values.schema.find(table)
    how = "" if known and known.partitioned else "CONCURRENTLY "
    forward = f"DROP INDEX {how}{values.relation('index')};"
    return [[Pair(f"drop {parts[-1]}", forward, f"{sql};", INSTANT)]]


RECIPES = (
    Recipe(
        "set-not-null",
        "make a column NOT NULL",
        {"table": "users", "column": "city"},
        _set_not_null,
    ),
    Recipe(
        "add-foreign-key",
        "a foreign key, with the index that it needs",
        {"table": "orders", "column": "user_id", "references": "users"},
        _foreign_key,
        {"on-delete": "cascade, restrict or 'set null'"},
    ),
    Recipe(
        "add-check",
        "a CHECK",
        {"table": "users", "name": "users_age_check", "check": "'age > 0'"},
        _check,
    ),
    Recipe(
        "add-unique",
        "a UNIQUE constraint",
        {"table": "users", "columns": "email"},
        _unique,
    ),
    Recipe(
        "add-index",
        "an index, of a partitioned table as well",
        {"table": "users", "columns": "city,age"},
        _add_index,
    ),
    Recipe("drop-index", "drop an index", {"index": "users_city_idx"}, _drop_index),
)
