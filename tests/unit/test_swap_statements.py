"""What a table swap may say, and what it changes."""

from __future__ import annotations

import pytest
from turnback.errors import InvalidMigration
from turnback.migrations.headers import read_directives
from turnback.migrations.model import Script
from turnback.sql.script import Runnable, prepare


def read(sql: str, directive: str = "swap table=users") -> Runnable:
    text = f"-- turnback: {directive}\n{sql}\n"
    return prepare(Script("a.sql", text, "", read_directives("a.sql", text)))


def test_the_statements_are_about_the_table_of_another_schema() -> None:
    change = read(
        "ALTER TABLE public.users ADD COLUMN domain text, ALTER COLUMN id TYPE bigint;\n"
        "CREATE UNIQUE INDEX by_domain ON users (domain);\n"
        "ALTER TABLE users RENAME COLUMN a TO b;"
    ).swap
    assert change
    assert [one.on("Beside", "users") for one in change.changes] == [
        'ALTER TABLE "Beside".users ADD COLUMN domain text, ALTER COLUMN id TYPE bigint',
        'CREATE UNIQUE INDEX by_domain ON "Beside".users USING btree (domain)',
        'ALTER TABLE "Beside".users RENAME COLUMN a TO b',
    ]
    assert not change.values


def test_update_and_using_say_what_a_column_gets() -> None:
    change = read(
        "ALTER TABLE users ALTER COLUMN price TYPE numeric USING price * 2;\n"
        "UPDATE users SET token = gen_random_uuid(), name = lower(name);"
    ).swap
    assert change
    assert change.values == {
        "price": "price * 2",
        "token": "gen_random_uuid()",
        "name": "lower(name)",
    }
    assert change.volatile == {"token"}
    assert len(change.changes) == 1


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("", "does not say how"),
        ("DROP TABLE users;", "not one that a swap can run"),
        ("ALTER TABLE users RENAME TO people;", "not one that a swap can run"),
        ("ALTER INDEX users RENAME TO people;", "not one that a swap can run"),
        ("CREATE TABLE users (id int);", "not one that a swap can run"),
        ("ALTER TABLE orders ADD x int;", "about orders, and the swap about users"),
        ("ALTER TABLE other.users ADD x int;", "and the swap about app.users"),
        ("CREATE INDEX CONCURRENTLY ON users (id);", "CONCURRENTLY"),
        ("UPDATE users SET a = 1 WHERE id = 1;", "SET alone"),
        ("UPDATE users SET a = b.x FROM b;", "SET alone"),
        ("UPDATE users SET a = 1 RETURNING id;", "SET alone"),
        ("UPDATE users SET (a, b) = (SELECT 1, 2);", "an expression of its own"),
        ("UPDATE users SET a = DEFAULT;", "an expression of its own"),
        ("UPDATE users SET a = 1;\nUPDATE users SET a = 2;", "given a value twice"),
        ("ALTER TABLE users INHERIT people;", "changes inheritance"),
        ("ALTER TABLE users OWNER TO me;", "changes its owner"),
        ("ALTER TABLE users DISABLE TRIGGER ALL;", "changes triggers"),
        ("ALTER TABLE users ADD FOREIGN KEY (a) REFERENCES b;", "a foreign key would be checked"),
        ("ALTER TABLE users ADD a int REFERENCES b;", "a foreign key would be checked"),
    ],
)
def test_what_a_copy_cannot_do_is_refused_with_its_line(sql: str, said: str) -> None:
    with pytest.raises(InvalidMigration, match=said) as caught:
        read(sql, "swap table=app.users" if "other" in sql else "swap table=users")
    assert caught.value.line == (1 if not sql else 1 + len(sql.splitlines()))


@pytest.mark.parametrize(
    ("directive", "said"),
    [
        ("swap", "needs table="),
        ("swap table=users sweep=yes", "has no option sweep="),
        ("swap table=users parallel=99", "parallel= needs a number"),
        ("swap users", "cannot be read"),
    ],
)
def test_a_wrong_option_is_refused(directive: str, said: str) -> None:
    with pytest.raises(InvalidMigration, match=said):
        read("ALTER TABLE users ADD a int;", directive)
