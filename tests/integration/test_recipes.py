"""Each recipe on a real server, with rows, while an application writes.

What its files promise is judged by PostgreSQL: no statement of the application fails or waits long,
the rehearsal brings schema and rows back, and lint has nothing to say.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from _pytest.mark import ParameterSet
from turnback.errors import ConfigurationError
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project
from turnback.rehearsal.proof import rehearse
from turnback.rehearsal.shadow import Shadow
from turnback.sql.lint.linter import lint
from turnback.sql.lint.model import Severity
from turnback.sql.recipes.book import RECIPES, example, write

from tests.conftest import ProjectFactory
from tests.integration.command_line import turnback
from tests.integration.test_engine import apply, query

TABLES = """
CREATE SCHEMA shop;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE users (
    id bigint PRIMARY KEY, email text NOT NULL, "Full Name" text NOT NULL, city text, age integer,
    mood mood NOT NULL DEFAULT 'ok', bio text, note integer NOT NULL
);
CREATE INDEX users_city_idx ON users (city);
CREATE TABLE shop.orders (id bigint PRIMARY KEY, user_id bigint NOT NULL, total integer);
CREATE TABLE events (id bigint, at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE tags (id bigint PRIMARY KEY, tag text);
"""
ROWS = """
INSERT INTO users SELECT i, 'e' || i, 'n', 'x', 3, 'ok', 'b', 5 FROM generate_series(1, 3000) i;
INSERT INTO shop.orders SELECT i, i, 5 FROM generate_series(1, 3000) i;
INSERT INTO events SELECT i, '2020-06-01' FROM generate_series(1, 100) i;
INSERT INTO tags VALUES (1, 'a');
"""
# The application of before the release; it goes on through all of its migrations.
APPLICATION = (
    """INSERT INTO users (id, email, "Full Name", city, age, mood, bio, note)
       VALUES (%(n)s, 'e', 'n', 'x', 3, 'ok', 'b', 5)""",
    """UPDATE users SET "Full Name" = 'm', bio = 'c', note = note + 1 WHERE id = %(n)s""",
    """SELECT id, email, "Full Name", city, age, mood, bio, note FROM users WHERE id = %(n)s""",
    "INSERT INTO shop.orders (id, user_id, total) VALUES (%(n)s, 1, 7)",
    "UPDATE shop.orders SET total = total + 1 WHERE id = %(n)s",
    "INSERT INTO events (id, at) VALUES (%(n)s, '2020-05-05')",
    "DELETE FROM shop.orders WHERE id = %(n)s",
    "INSERT INTO tags (id, tag) VALUES (%(n)s, 't')",
)
NEW = "SELECT count(*) FROM users WHERE {}"
# The recipe, its values, and a query with what it gives afterwards.
CASES: list[tuple[str, str, str, object]] = [
    (
        "add-not-null-column",
        "table=users column=plan type=text default='it''s free'",
        NEW.format("plan IS DISTINCT FROM 'it''s free'"),
        0,
    ),
    (
        "add-not-null-column",
        "table=shop.orders column=Token type=uuid default=gen_random_uuid()",
        "SELECT count(*) - count(DISTINCT token) FROM shop.orders",
        0,
    ),
    ("set-not-null", "table=users column=city", NEW.format("city IS NULL"), 0),
    (
        "rename-column",
        'table=users column="Full Name" to=full_name',
        NEW.format('full_name IS DISTINCT FROM "Full Name"'),
        0,
    ),
    (
        "change-type",
        "table=users column=note type=bigint",
        NEW.format("note IS NULL OR note <> note_old"),
        0,
    ),
    (
        "change-type",
        "table=shop.orders column=total type=numeric(10,2) using=total/100.0 back=total*100",
        "SELECT count(*) FROM shop.orders WHERE total > 1",
        0,
    ),
    (
        "add-foreign-key",
        "table=shop.orders column=user_id references=users on-delete=cascade",
        "SELECT count(*) FROM pg_constraint WHERE convalidated AND conname = 'orders_user_id_fkey'",
        1,
    ),
    (
        "add-check",
        "table=users name=adult check=age>0",
        "SELECT count(*) FROM pg_constraint WHERE convalidated AND conname = 'adult'",
        1,
    ),
    (
        "add-unique",
        "table=users columns=id,email",
        "SELECT count(*) FROM pg_constraint WHERE contype = 'u' AND conname = 'users_id_email_key'",
        1,
    ),
    (
        "add-index",
        "table=shop.orders columns=user_id,total",
        "SELECT count(*) FROM pg_index WHERE indrelid = 'shop.orders'::regclass AND indisvalid",
        2,
    ),
    (
        "add-index",
        "table=events columns=id",
        "SELECT count(*) FROM pg_indexes WHERE tablename IN ('events', 'events_1')",
        2,
    ),
    (
        "drop-index",
        "index=users_city_idx",
        "SELECT count(*) FROM pg_indexes WHERE indexname = 'users_city_idx'",
        0,
    ),
    (
        "rename-table",
        "table=shop.orders to=purchases",
        "SELECT count(*) FROM pg_class WHERE relname = 'purchases' AND relkind = 'r'",
        1,
    ),
    (
        "split-table",
        "table=users columns=bio,city to=profiles",
        "SELECT count(*) FROM users LEFT JOIN profiles USING (id)"
        " WHERE profiles.bio IS DISTINCT FROM users.bio",
        0,
    ),
    ("add-enum-value", "type=mood value=calm before=ok", "SELECT 'calm' < 'ok'::mood", True),
    (
        "remove-enum-value",
        "table=users column=mood value=sad",
        "SELECT count(*) FROM pg_constraint WHERE convalidated AND conname = 'users_mood_not_sad'",
        1,
    ),
    (
        "drop-column",
        "table=users column=note",
        "SELECT attnotnull FROM pg_attribute"
        " WHERE attrelid = 'users'::regclass AND attname = 'note'",
        False,
    ),
]
# The others in make slow: each applies and rehearses its files.
GATE = {"set-not-null", "rename-column", "change-type", "split-table", "add-enum-value"}
LATER = [case for case in CASES if case[0] in ("rename-column", "change-type", "rename-table")]
LATER += [("drop-table", "table=tags", "", None), CASES[-1]]


def written(folder: Path, recipe: str, values: str, release: int = 1) -> list[str]:
    """Write a recipe's files; their versions."""
    found = write(folder, recipe, split_words(values), release)
    return [version for version, _, _ in found.migrations]


def split_words(values: str) -> list[str]:
    """The values of a case: a word with ``=`` begins each."""
    found: list[str] = []
    for part in values.split(" "):
        if "=" in part and part.split("=")[0].replace("-", "").isalpha():
            found.append(part)
        else:
            found[-1] += f" {part}"
    return found


@pytest.fixture
def folder(project_factory: ProjectFactory) -> Path:
    return project_factory(
        {
            "sql/0001_tables.sql": TABLES,
            "rollback/0001_rollback.sql": "DROP TABLE users, shop.orders, events, tags;"
            "DROP TYPE mood; DROP SCHEMA shop;",
            "sql/0002_rows.sql": ROWS,
            "rollback/0002_rollback.sql": "TRUNCATE users, shop.orders, events, tags;",
        }
    )


def clean(folder: Path, versions: list[str]) -> None:
    found = [
        (one.rule.id, one.message)
        for one in lint(load_project(folder), versions).findings
        if one.level is not Severity.INFO
    ]
    assert found == []


def proven(folder: Path, versions: list[str], server: EmbeddedServer) -> list[str]:
    project = load_project(folder)
    chosen = [one for one in project.migrations if one.version in versions]
    verdicts = rehearse(project, chosen, Shadow(server.url())).migrations
    for verdict in verdicts:
        assert verdict.proven, (verdict.file, verdict.error, verdict.differences, verdict.rows)
    return [verdict.rollback for verdict in verdicts]


def marked(cases: list[tuple[str, str, str, object]], many: int) -> list[ParameterSet]:
    """The cases with so many of their values; those of the gate are not slow."""
    return [
        pytest.param(*case[:many], marks=[] if case[0] in GATE else [pytest.mark.slow])
        for case in cases
    ]


@pytest.mark.parametrize(("recipe", "values", "test", "wanted"), marked(CASES, 4))
def test_a_recipe_keeps_the_application_going_and_its_rollbacks_are_exact(
    recipe: str,
    values: str,
    test: str,
    wanted: object,
    folder: Path,
    database: str,
    server: EmbeddedServer,
) -> None:
    assert apply(database, folder).error is None
    versions = written(folder, recipe, values)
    clean(folder, versions)
    assert set(proven(folder, versions, server)) == {"exact"}
    with writing(database) as application:
        report = apply(database, folder)
    assert report.error is None
    assert application.errors == [] and application.rounds > 0
    assert query(database, test) == [(wanted,)]


@pytest.mark.parametrize(("recipe", "values"), marked(LATER, 2))
def test_the_second_release_of_a_recipe_is_proven_too(
    recipe: str, values: str, folder: Path, server: EmbeddedServer
) -> None:
    written(folder, recipe, values)
    versions = written(folder, recipe, values, release=2)
    clean(folder, versions)
    # A column that is made again is the last one of its table.
    assert set(proven(folder, versions, server)) <= {"exact", "column_order", "irreversible"}


def test_each_recipe_is_tried_and_its_example_is_a_command() -> None:
    assert {case[0] for case in [*CASES, *LATER]} == set(RECIPES)
    assert all(example(one).startswith("turnback generate --recipe ") for one in RECIPES.values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["set-not-nul", "table=users"], "did you mean set-not-null?"),
        (["set-not-null", "table=users"], "needs column="),
        (["set-not-null", "table=users", "column=city", "x=1"], "x=1 is no value of set-not-null"),
        (["set-not-null", "table=nobody", "column=city"], "no migration makes the table nobody"),
        (["set-not-null", "table=users", "column=nothing"], "users has no column nothing"),
        (["set-not-null", "table=users; DROP TABLE users", "column=city"], "cannot be read"),
        (
            ["add-check", "table=users", "name=c", "check=1); DROP TABLE a; --"],
            "cannot be read",
        ),
        (["rename-column", "table=users", "column=city", "to=town"], "used by users_city_idx"),
        (["drop-index", "index=nothing"], "no migration makes the index nothing"),
    ],
)
def test_a_recipe_with_wrong_values_writes_nothing(
    words: list[str], said: str, folder: Path
) -> None:
    before = sorted(folder.rglob("*"))
    with pytest.raises(ConfigurationError) as refused:
        write(folder, words[0], words[1:])
    assert said in f"{refused.value} {refused.value.hint}"
    assert sorted(folder.rglob("*")) == before


def test_the_command_writes_a_recipe_and_lists_all_of_them(folder: Path) -> None:
    words = ("table=shop.orders", "to=purchases")
    answer = turnback("generate", "--recipe", "rename-table", *words, folder=folder)
    assert answer.code == 0 and "--release 2" in answer.out
    assert "CREATE VIEW shop.orders" in (folder / "sql/0003_orders_purchases.sql").read_text()
    assert turnback("check", folder=folder).code == 0
    answer = turnback(
        "generate", "--recipe", "rename-table", *words, "--release", "3", folder=folder
    )
    assert answer.code == 2 and "has 2 releases" in answer.err
    listed = turnback("generate", "--list", folder=folder).out
    assert all(f"--recipe {called} " in listed for called in RECIPES)


class Application(threading.Thread):
    """Repeats the statements of an application, as fast as the server answers."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.errors: list[str] = []
        self.rounds = 0
        self.stop = threading.Event()

    def run(self) -> None:
        number = 1_000_000
        # A statement that is prepared fails once where the type of what it reads changes.
        with psycopg.connect(self.url, autocommit=True, prepare_threshold=None) as connection:
            # Whoever waits longer than this for a migration is an error.
            connection.execute("SET lock_timeout = '5s'")
            while not self.stop.is_set():
                number += 1
                for statement in APPLICATION:
                    try:
                        connection.execute(statement, {"n": number})
                    except psycopg.Error as error:
                        self.errors.append(str(error))
                        return
                self.rounds += 1


@contextmanager
def writing(url: str) -> Iterator[Application]:
    application = Application(url)
    application.start()
    try:
        yield application
    finally:
        application.stop.set()
        application.join()
