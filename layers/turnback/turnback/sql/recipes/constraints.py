"""Recipes for constraints and indexes."""

from __future__ import annotations

from collections.abc import Sequence

from turnback.errors import ConfigurationError
from turnback.sql.deparse import deparse
from turnback.sql.lint.writing import name
from turnback.sql.recipes.carried import unique_pairs
from turnback.sql.recipes.model import Duration, Pair, Recipe, Releases, Values
from turnback.sql.recipes.parts import not_null, validated
from turnback.sql.tables import Table
from turnback.sql.tree import table_name


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
    return [[*index, *validated(values.table, f"{values.plain} {column} fkey", called, definition)]]


def _check(values: Values) -> Releases:
    called, test = values.column("name"), values.expression("check")
    return [validated(values.table, called, name(called), f"CHECK ({test})")]


def _index(values: Values, columns: Sequence[str]) -> Pair:
    called = values.called(*columns, "idx")
    shown = ", ".join(map(name, columns))
    return Pair(
        called,
        f"CREATE INDEX CONCURRENTLY {name(called)} ON {values.table} ({shown});",
        f"DROP INDEX {_how(values.known())}{values.own(*columns, 'idx')};",
        Duration.BUILD,
    )


def _how(table: Table | None) -> str:
    """PostgreSQL drops no index of a partitioned table CONCURRENTLY."""
    return "" if table and table.partitioned else "CONCURRENTLY "


def _add_index(values: Values) -> Releases:
    return [[_index(values, values.columns())]]


def _unique(values: Values) -> Releases:
    columns = values.columns()
    drop = f"DROP INDEX {_how(values.known())}{values.own(*columns, 'key')};"
    shown = ", ".join(map(name, columns))
    return [unique_pairs(values, values.called(*columns, "key"), shown, drop)]


def _drop_index(values: Values) -> Releases:
    parts = values.parts("index")
    tree = values.index_tree(parts[-1])
    if tree is None:
        raise ConfigurationError(
            f"no migration makes the index {parts[-1]}",
            hint="write its CREATE INDEX into the rollback script yourself: turnback generate NAME",
        )
    how = _how(values.schema.find(table_name(tree["relation"])))
    forward = f"DROP INDEX {how}{values.relation('index')};"
    back = f"{deparse('IndexStmt', {**tree, 'concurrent': True})};"
    return [[Pair(f"drop {parts[-1]}", forward, back, Duration.INSTANT)]]


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
