"""Recipes for tables and types."""

from __future__ import annotations

from turnback.errors import ConfigurationError
from turnback.sql.lint.suggest.rows import still_to_do
from turnback.sql.lint.writing import dotted_name, name, type_sql
from turnback.sql.quoting import literal
from turnback.sql.recipes.model import Duration, Pair, Recipe, Releases, Values
from turnback.sql.recipes.parts import directive, validated
from turnback.sql.tree import joined


def _renamed(values: Values, new: str) -> tuple[str, str, str]:
    """The table under another name, back again, and its new name as SQL."""
    *schema, old = values.parts("table")
    there = dotted_name(joined([*schema, new]))
    return (
        f"ALTER TABLE {values.table} RENAME TO {name(new)};",
        f"ALTER TABLE {there} RENAME TO {name(old)};",
        there,
    )


def _rename(values: Values) -> Releases:
    new = values.column("to")
    forward, backward, there = _renamed(values, new)
    view = f"CREATE VIEW {values.table} AS SELECT * FROM {there};"
    drop = f"DROP VIEW {values.table};"
    slug = f"{values.plain} {new}"
    first = Pair(slug, f"{forward}\n{view}", f"{drop}\n{backward}", Duration.INSTANT)
    waiver = f"-- turnback: waive TB401 because nothing uses the name {values.plain} any more\n"
    return [[first], [Pair(f"{slug} view", waiver + drop, view, Duration.INSTANT)]]


def _drop(values: Values) -> Releases:
    new = f"{values.plain}_dropped"
    forward, backward, there = _renamed(values, new)
    *schema, _ = values.parts("table")
    if values.schema.find(joined([*schema, new])) is None:
        values.known()
    waiver = f"-- turnback: waive TB402 because no application uses {values.plain} any more\n"
    hidden = Pair(f"{values.plain} out of use", waiver + forward, backward, Duration.INSTANT)
    gone = Pair(
        f"drop {values.plain}",
        f"-- turnback: irreversible because its rows were out of use for a release\n"
        f"-- turnback: waive TB401 because nobody missed {values.plain} for a release\n"
        f"DROP TABLE {there};",
        "",
        Duration.INSTANT,
    )
    return [[hidden], [gone]]


def _split(values: Values) -> Releases:
    table, key, new = values.table, values.key(), values.relation("to")
    known = values.known()
    columns = values.columns()
    missing = [column for column in columns if known.column(column) is None]
    if missing:
        raise ConfigurationError(
            f"{table} has no column {', '.join(missing)}", hint="check the names"
        )
    types = {column: type_sql(known.columns[column].type) for column in columns}
    key_type = type_sql(known.columns[key.strip('"')].type)
    listed = ", ".join(map(name, columns))
    of_new = ", ".join(f"NEW.{name(column)}" for column in columns)
    excluded = ", ".join(f"{name(column)} = excluded.{name(column)}" for column in columns)
    function, trigger = values.own("split"), name(values.called("split"))
    body = "".join(f"    {name(column)} {types[column]},\n" for column in columns)
    make = (
        f"CREATE TABLE {new} (\n{body}"
        f"    {key} {key_type} PRIMARY KEY REFERENCES {table} ON DELETE CASCADE\n);\n"
        f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n"
        f"    INSERT INTO {new} ({key}, {listed}) VALUES (NEW.{key}, {of_new})\n"
        f"    ON CONFLICT ({key}) DO UPDATE SET {excluded};\n    RETURN NULL;\nEND\n$$;\n"
        f"CREATE TRIGGER {trigger} AFTER INSERT OR UPDATE OF {listed} ON {table}\n"
        f"    FOR EACH ROW EXECUTE FUNCTION {function}();"
    )
    undo = f"DROP TRIGGER {trigger} ON {table};\nDROP FUNCTION {function}();\nDROP TABLE {new};"
    slug = f"{values.plain} split"
    fill = Pair(
        f"{slug} backfill",
        f"{directive(values)}\nINSERT INTO {new} ({key}, {listed}) SELECT {key}, {listed}"
        f" FROM {table}\nWHERE {{batch}} ON CONFLICT ({key}) DO NOTHING;",
        "-- turnback: keep-rows because their table goes with the rollback of the migration before",
        Duration.BATCHES,
        still_to_do(
            f"{table} AS old",
            f"NOT EXISTS (SELECT FROM {new} AS new WHERE new.{key} = old.{key})",
        ),
    )
    return [[Pair(slug, make, undo, Duration.INSTANT), fill]]


def _enum(values: Values) -> str:
    return dotted_name(joined(values.parts("type")))


def _add_value(values: Values) -> Releases:
    """The rollback makes the type anew: PostgreSQL removes no value of an enum."""
    enum, plain = _enum(values), values.parts("type")
    value, called = values.text("value"), joined(plain)
    before = values.enum_values(called)
    near = ""
    for word in ("before", "after"):
        if values.text(word):
            near = f" {word.upper()} {literal(values.text(word))}"
    old = dotted_name(joined([*plain[:-1], f"{plain[-1]}_with_{len(before) + 1}"]))
    listed = ", ".join(map(literal, before))
    lines = [
        f"ALTER TYPE {enum} RENAME TO {name(old.rpartition('.')[2].strip(chr(34)))};",
        f"CREATE TYPE {enum} AS ENUM ({listed});",
    ]
    for table in values.schema.with_type(called):
        for column in table.columns.values():
            if column.type.name != called:
                continue
            alter = f"ALTER TABLE {dotted_name(table.name)} ALTER COLUMN {name(column.name)}"
            default = values.default_of(table.name, column.name)
            array = "[]" if column.type.array else ""
            lines += [f"{alter} DROP DEFAULT;"] if default else []
            lines.append(
                f"{alter} TYPE {enum}{array} USING {name(column.name)}::text{array}::{enum}{array};"
            )
            lines += [f"{alter} SET DEFAULT {default};"] if default else []
    lines.append(f"DROP TYPE {old};")
    forward = f"ALTER TYPE {enum} ADD VALUE {literal(value)}{near};"
    return [[Pair(f"{plain[-1]} {value}", forward, "\n".join(lines), Duration.INSTANT)]]


def _remove_value(values: Values) -> Releases:
    """PostgreSQL removes no value of an enum: a check keeps it out of a column."""
    column, value = values.column(), values.text("value")
    called = values.called(column, "not", "".join(c if c.isalnum() else "_" for c in value))
    test = f"CHECK ({name(column)} <> {literal(value)})"
    return [validated(values.table, called, name(called), test)]


RECIPES = (
    Recipe(
        "rename-table",
        "a new name for a table",
        {"table": "users", "to": "clients"},
        _rename,
    ),
    Recipe(
        "drop-table",
        "drop a table",
        {"table": "old_users"},
        _drop,
    ),
    Recipe(
        "split-table",
        "some columns in a table of their own",
        {"table": "users", "columns": "bio,avatar", "to": "profiles"},
        _split,
        {"key": "the primary key, if no migration makes it"},
    ),
    Recipe(
        "add-enum-value",
        "a new value of an enum",
        {"type": "mood", "value": "calm"},
        _add_value,
        {"before": "the value that follows it", "after": "the value that it follows"},
    ),
    Recipe(
        "remove-enum-value",
        "keep a value of an enum out of a column",
        {"table": "users", "column": "mood", "value": "sad"},
        _remove_value,
    ),
)
