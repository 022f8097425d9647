"""What recipes share: a constraint in two steps, columns in step, and backfills."""

from __future__ import annotations

from collections.abc import Sequence

from turnback.sql.lint.suggest.rows import still_to_do
from turnback.sql.lint.writing import OUTSIDE, name
from turnback.sql.recipes.model import Duration, Pair, Values

# A migration whose rollback script is what it is for.
_NOTHING = (
    "-- Its rollback script changes rows, in batches; forward there is nothing to do.\nSELECT 1;"
)


def validated(table: str, slug: str, constraint: str, definition: str) -> list[Pair]:
    """A constraint that binds new rows first, and is validated in a migration of its own.

    Args:
        table: as SQL.
        constraint: its name, as SQL.
        definition: its text after the name.
    """
    add = f"ADD CONSTRAINT {constraint} {definition} NOT VALID"
    return [
        Pair(
            f"{slug} not valid",
            f"ALTER TABLE {table} {add};",
            f"ALTER TABLE {table} DROP CONSTRAINT {constraint};",
            Duration.INSTANT,
        ),
        Pair(
            f"{slug} validate",
            f"ALTER TABLE {table} VALIDATE CONSTRAINT {constraint};",
            f"ALTER TABLE {table} DROP CONSTRAINT {constraint}, {add};",
            Duration.SCAN,
        ),
    ]


def not_null(values: Values, column: str) -> list[Pair]:
    """A column NOT NULL, proven by a check before."""
    table, shown = values.table, name(column)
    check = name(values.called(column, "filled"))
    test = f"CHECK ({shown} IS NOT NULL)"
    return [
        *validated(table, f"{values.plain} {column} filled", check, test),
        Pair(
            f"{values.plain} {column} not null",
            f"ALTER TABLE {table} ALTER COLUMN {shown} SET NOT NULL;\n"
            f"ALTER TABLE {table} DROP CONSTRAINT {check};",
            # Each in a transaction of its own: nobody waits while the rows are read.
            f"{OUTSIDE}\n"
            f"ALTER TABLE {table} ADD CONSTRAINT {check} {test} NOT VALID;\n"
            f"ALTER TABLE {table} VALIDATE CONSTRAINT {check};\n"
            f"ALTER TABLE {table} ALTER COLUMN {shown} DROP NOT NULL;",
            Duration.INSTANT,
        ),
    ]


def nullable(values: Values, column: str) -> Pair:
    """A column no longer NOT NULL; its rollback script proves the rows by a check before."""
    table, shown = values.table, name(column)
    check = name(values.called(column, "filled"))
    return Pair(
        f"{values.plain} {column} nullable",
        f"ALTER TABLE {table} ALTER COLUMN {shown} DROP NOT NULL;",
        f"{OUTSIDE}\n"
        f"ALTER TABLE {table} ADD CONSTRAINT {check} CHECK ({shown} IS NOT NULL) NOT VALID;\n"
        f"ALTER TABLE {table} VALIDATE CONSTRAINT {check};\n"
        f"ALTER TABLE {table} ALTER COLUMN {shown} SET NOT NULL;\n"
        f"ALTER TABLE {table} DROP CONSTRAINT {check};",
        Duration.INSTANT,
    )


def removed(pairs: Sequence[Pair]) -> list[Pair]:
    """The migrations that undo these, and whose rollback scripts do them again."""
    return [
        Pair(f"no {pair.name}", pair.rollback, pair.forward, Duration.INSTANT)
        for pair in reversed(pairs)
    ]


def directive(values: Values) -> str:
    """The directive of a backfill over the table."""
    return f"-- turnback: backfill table={values.table} key={values.key()}"


def backfill(values: Values, slug: str, change: str, todo: str, column: str) -> Pair:
    """A migration that gives a new column its values, in batches.

    Its rollback script keeps them: the column goes with that of the migration before.

    Args:
        change: what UPDATE sets.
        todo: the condition of the rows that are still to do.
    """
    table = values.table
    return Pair(
        slug,
        f"{directive(values)}\nUPDATE {table} SET {change} WHERE {todo} AND {{batch}};",
        f"-- turnback: keep-rows because {column} goes with the rollback of the migration before",
        Duration.BATCHES,
        still_to_do(table, todo),
    )


def filled_again(values: Values, column: str, change: str) -> Pair:
    """A migration whose rollback script fills a column that the next one's makes again.

    Args:
        change: what comes after UPDATE and the table, with ``{batch}``.
    """
    return Pair(
        f"{values.plain} {column} values",
        _NOTHING,
        f"{directive(values)}\nUPDATE {values.table} {change};",
        Duration.INSTANT,
    )


def kept_empty(column: str) -> str:
    """The directive of a rollback script that makes a column which the next one fills."""
    return f"-- turnback: keep-rows because the rollback of the migration before fills {column}\n"


def in_step(values: Values, called: str, *branches: tuple[str, str]) -> tuple[str, str]:
    """A trigger that keeps columns in step, and the statements that drop it.

    Args:
        called: the end of its name.
        branches: a test, and what is done where it is the first that is true.
    """
    table, function, trigger = values.table, values.own(called), name(values.called(called))
    tests = [
        f"    {'ELS' if number else ''}IF {test} THEN\n        {done};\n"
        for number, (test, done) in enumerate(branches)
    ]
    make = (
        f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        f"BEGIN\n{''.join(tests)}    END IF;\n    RETURN NEW;\nEND\n$$;\n"
        f"CREATE TRIGGER {trigger} BEFORE INSERT OR UPDATE ON {table}\n"
        f"    FOR EACH ROW EXECUTE FUNCTION {function}();"
    )
    return make, f"DROP TRIGGER {trigger} ON {table};\nDROP FUNCTION {function}();"
