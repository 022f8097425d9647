"""What recipes share: a constraint in two steps, columns in step, and backfills."""

from __future__ import annotations

from turnback.sql.lint.suggest.rows import loop
from turnback.sql.lint.writing import name
from turnback.sql.recipes.model import BATCHES, INSTANT, SCAN, Pair, Values


def validated(values: Values, slug: str, constraint: str, definition: str) -> list[Pair]:
    """A constraint that binds new rows first, and is validated in a migration of its own.

    Args:
        constraint: its name, as SQL.
        definition: its text after the name.
    """
    table = values.table
    add = f"ADD CONSTRAINT {constraint} {definition} NOT VALID"
    return [
        Pair(
            f"{slug} not valid",
            f"ALTER TABLE {table} {add};",
            f"ALTER TABLE {table} DROP CONSTRAINT {constraint};",
            INSTANT,
        ),
        Pair(
            f"{slug} validate",
            f"ALTER TABLE {table} VALIDATE CONSTRAINT {constraint};",
            f"ALTER TABLE {table} DROP CONSTRAINT {constraint}, {add};",
            SCAN,
        ),
    ]


def not_null(values: Values, column: str) -> list[Pair]:
    """A column NOT NULL, proven by a check before."""
    table, shown = values.table, name(column)
    check = name(values.called(column, "filled"))
    test = f"CHECK ({shown} IS NOT NULL)"
    return [
        *validated(values, f"{values.plain} {column} filled", check, test),
        Pair(
            f"{values.plain} {column} not null",
            f"ALTER TABLE {table} ALTER COLUMN {shown} SET NOT NULL;\n"
            f"ALTER TABLE {table} DROP CONSTRAINT {check};",
            f"ALTER TABLE {table} ADD CONSTRAINT {check} {test} NOT VALID;\n"
            f"ALTER TABLE {table} VALIDATE CONSTRAINT {check};\n"
            f"ALTER TABLE {table} ALTER COLUMN {shown} DROP NOT NULL;",
            INSTANT,
        ),
    ]


def backfill(values: Values, slug: str, change: str, todo: str, undo: str) -> Pair:
    """A migration that changes all rows, in batches.

    Args:
        change: what UPDATE sets.
        todo: the condition of the rows that are still to do.
        undo: the rollback script.
    """
    table, key = values.table, values.key()
    return Pair(
        slug,
        f"-- turnback: backfill table={table} key={key}\n"
        f"UPDATE {table} SET {change} WHERE {todo} AND {{batch}};",
        undo,
        BATCHES,
    )


def emptied(values: Values, column: str, trigger: str = "") -> str:
    """The rollback of a backfill: the column empty again, while no trigger fills it.

    Args:
        trigger: its name, as SQL.
    """
    table, key = values.table, values.key()
    shown = name(column)
    [outside, *block] = loop(
        table,
        key,
        f"UPDATE {table} SET {shown} = NULL"
        f" WHERE {shown} IS NOT NULL AND {key} BETWEEN first_key AND last_key",
    )
    off = [f"ALTER TABLE {table} DISABLE TRIGGER {trigger};"] if trigger else []
    on = [f"ALTER TABLE {table} ENABLE TRIGGER {trigger};"] if trigger else []
    return "\n".join([outside, *off, *block, *on])


def loop_over(values: Values, table: str, statement: str) -> str:
    """A script that runs a statement over ranges of a table's keys, and commits after each.

    Args:
        table: as SQL.
        statement: with ``first_key`` and ``last_key``.
    """
    return "\n".join(loop(table, values.key(), statement))


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
