"""What a followed schema reads after a change is what the whole fingerprint reads.

The whole fingerprint is held to pg_dump in test_fingerprint_oracle.py.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import psycopg
import pytest
from turnback.migrations.discovery import load_project
from turnback.rehearsal.rows import NOTE_WRITTEN, FollowedRows, written
from turnback.schema.changed import report
from turnback.schema.follow import FollowedSchema
from turnback.schema.read import fingerprint

from tests.integration.everything import CASES, ROLES, SCHEMA
from tests.integration.test_corpora import CORPORA

# Changes that show in the text of what depends on the changed object, and what leaves few marks.
CHANGES = """
ALTER TABLE app.users RENAME TO people
ALTER TABLE app.people RENAME COLUMN name TO called
ALTER TABLE app.people RENAME CONSTRAINT users_name_key TO people_called_key
ALTER SCHEMA app RENAME TO shop
ALTER SCHEMA shop RENAME TO app
ALTER TYPE app.mood RENAME TO feeling
ALTER TYPE app.feeling RENAME VALUE 'ok' TO 'fine'
ALTER TYPE app.feeling ADD VALUE 'tired' BEFORE 'fine'
ALTER TABLE app.people ALTER COLUMN mood SET DEFAULT 'fine'
ALTER TYPE app.feeling RENAME VALUE 'fine' TO 'well'
ALTER TYPE app.address ADD ATTRIBUTE town text
ALTER DOMAIN app.email ADD CONSTRAINT short CHECK (length(VALUE) < 100) NOT VALID
ALTER DOMAIN app.email VALIDATE CONSTRAINT short
ALTER DOMAIN app.email DROP CONSTRAINT short
ALTER DOMAIN app.email RENAME TO mail
ALTER SEQUENCE app.orders_id_seq OWNED BY NONE
ALTER SEQUENCE app.orders_id_seq OWNED BY app.orders.id
ALTER SEQUENCE app.orders_id_seq RENAME TO orders_numbers
ALTER SEQUENCE app.orders_numbers INCREMENT 5
ALTER TABLE app.orders ALTER COLUMN id DROP DEFAULT
CREATE FUNCTION app.next_number() RETURNS int LANGUAGE sql AS 'SELECT 7'
ALTER TABLE app.orders ALTER COLUMN id SET DEFAULT app.next_number()
ALTER FUNCTION app.next_number() RENAME TO following
CREATE OR REPLACE FUNCTION app.following() RETURNS int LANGUAGE sql STABLE AS 'SELECT 8'
CREATE TABLE app.parts (id int PRIMARY KEY, user_id bigint REFERENCES app.people DEFERRABLE, z int)
ALTER TABLE app.parts ALTER CONSTRAINT parts_user_id_fkey INITIALLY DEFERRED
ALTER TABLE app.parts DISABLE TRIGGER ALL
ALTER TABLE app.parts DROP CONSTRAINT parts_user_id_fkey
CREATE INDEX parts_z ON app.parts ((z + 1))
ALTER INDEX app.parts_z ALTER COLUMN 1 SET STATISTICS 200
ALTER TABLE app.parts CLUSTER ON parts_pkey
ALTER TABLE app.parts SET WITHOUT CLUSTER
ALTER TABLE app.parts REPLICA IDENTITY USING INDEX parts_pkey
ALTER INDEX app.parts_pkey SET (fillfactor = 50)
ALTER TABLE app.parts ALTER COLUMN z SET (n_distinct = 5)
ALTER TABLE app.parts ALTER COLUMN z TYPE bigint
ALTER TABLE app.parts DROP COLUMN z
CREATE VIEW app.seen AS SELECT id AS number FROM app.parts
CREATE OR REPLACE VIEW app.seen AS SELECT id AS number, 1 AS one FROM app.parts
ALTER TABLE app.parts RENAME COLUMN id TO part
ALTER VIEW app.seen RENAME TO looked
COMMENT ON COLUMN app.looked.one IS 'one'
COMMENT ON COLUMN app.looked.one IS NULL
COMMENT ON TABLE app.parts IS 'parts'
GRANT SELECT (part) ON app.parts TO fingerprint_alice
REVOKE ALL (part) ON app.parts FROM fingerprint_alice
CREATE TABLE app.events_2025 PARTITION OF app.events DEFAULT
ALTER INDEX app.events_what RENAME TO events_what_renamed
ALTER TABLE app.events DETACH PARTITION app.events_2025
ALTER TABLE app.events RENAME TO happenings
ALTER COLLATION app.german RENAME TO swiss
ALTER ROLE fingerprint_bob RENAME TO fingerprint_bert
ALTER ROLE fingerprint_bert RENAME TO fingerprint_bob
CREATE EXTENSION hstore SCHEMA app
ALTER EXTENSION hstore DROP FUNCTION app.akeys(app.hstore)
ALTER EXTENSION hstore ADD FUNCTION app.akeys(app.hstore)
ALTER TABLE app.parts ADD COLUMN more app.hstore
ALTER EXTENSION hstore SET SCHEMA public
DROP EXTENSION hstore CASCADE
ALTER TABLE app.parts SET SCHEMA public
DROP TABLE public.parts CASCADE
DROP TYPE app.feeling CASCADE
DROP SCHEMA app CASCADE
"""


@pytest.fixture
def everything(database: str, admin: psycopg.Connection) -> Iterator[str]:
    """The address of a database with one of everything."""
    for role in ROLES:
        admin.execute(f"CREATE ROLE {role}".encode())
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(SCHEMA)
    yield database
    with psycopg.connect(database, autocommit=True) as connection:
        for role in ROLES:
            connection.execute(f"DROP OWNED BY {role} CASCADE".encode())
    for role in ROLES:
        admin.execute(f"DROP ROLE {role}".encode())


def differing(url: str, changes: list[str]) -> tuple[list[str], int]:
    """After which changes the two are not the same, and how many changes showed."""
    wrong, showed = [], 0
    with (
        psycopg.connect(url, autocommit=True) as changing,
        psycopg.connect(url, autocommit=True) as looking,
    ):
        followed, informed = FollowedSchema(looking), FollowedSchema(looking)
        before = followed.read()
        informed.read()
        for sql in changes:
            # An earlier change of a walk may have made it impossible.
            with contextlib.suppress(psycopg.Error):
                changing.execute(sql.encode())
            changing.execute(report(changing).encode())
            now, short = followed.read(), informed.read(reported=True)
            whole = fingerprint(changing)
            if any(one != whole or one.addresses != whole.addresses for one in (now, short)):
                wrong.append(sql)
            showed += now != before
            before = now
        if followed.read_since_first() != before:
            wrong.append("all that was new since the first look")
    return wrong, showed


def test_changes_that_others_show_are_all_read(everything: str) -> None:
    changes = CHANGES.strip().splitlines()
    wrong, showed = differing(everything, changes)
    assert wrong == []
    assert showed > len(changes) * 0.9


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3, 4))])
def test_a_walk_of_random_changes_is_read(seed: int, everything: str) -> None:
    walk = random.Random(seed).sample(CASES, len(CASES))
    changes = [case.sql for case in walk if "SUBSCRIPTION" not in case.sql]
    wrong, showed = differing(everything, changes)
    assert wrong == []
    assert showed > len(changes) / 3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gitness", "cratesio"])
def test_real_migrations_are_read_up_and_down(name: str, database: str) -> None:
    if not (CORPORA / name).is_dir():
        pytest.skip(f"the corpus '{name}' is not there: ../shared/corpora/{name}")
    changes = []
    for migration in load_project(CORPORA / name).migrations:
        scripts = [migration.forward, migration.rollback, migration.forward]
        changes += [script.sql for script in scripts if script]
    assert differing(database, changes)[0] == []


def test_rows_that_change_are_seen_and_the_others_are_not_read(database: str) -> None:
    changes = [
        ("INSERT INTO big SELECT n, n FROM generate_series(1, 3000) n", {"public.big": 3000}),
        ("INSERT INTO big VALUES (0, 0)", {"public.big": 3001}),
        ("DELETE FROM big WHERE id = 0", {"public.big": 3000}),
        ("UPDATE big SET value = 0 WHERE id = 7", {"public.big": 3000}),
        ("UPDATE big SET value = 7 WHERE id = 7", {"public.big": 3000}),
        ("ALTER TABLE big ADD COLUMN more int DEFAULT 5", {"public.big": 3000}),
        ("ALTER TABLE big DROP COLUMN more", {"public.big": 3000}),
        ("INSERT INTO child VALUES (1, 1)", {"public.big": 3000, "public.child": 1}),
        ("ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'", {"public.big": 3000, "public.child": 1}),
        ("TRUNCATE child", {"public.big": 3000}),
        ("ALTER TABLE big RENAME TO large", {"public.large": 3000}),
        ("DROP TABLE large CASCADE", {}),
    ]
    with (
        psycopg.connect(database, autocommit=True) as changing,
        psycopg.connect(database, autocommit=True) as looking,
    ):
        changing.execute("CREATE TYPE mood AS ENUM ('ok')")
        changing.execute("CREATE TABLE big (id int PRIMARY KEY, value int, mood mood DEFAULT 'ok')")
        changing.execute("CREATE TABLE child (LIKE big) INHERITS (big)")
        schema, followed = FollowedSchema(looking), FollowedRows(looking)
        schema.read()
        states = [followed.read()]
        for sql, counts in changes:
            with changing.transaction():
                changing.execute(sql.encode())
                changing.execute(NOTE_WRITTEN.encode())
            touched = written(changing)
            schema.read()
            now = followed.read(touched, schema.changed)
            # The judge: all rows of all tables, read by somebody who has seen none of them before.
            assert now == FollowedRows(looking).read(), sql
            assert {name: int(rows.split()[0]) for name, rows in now.items()} == counts, sql
            states.append(now)
    same = [n for n in range(len(changes)) if states[n] == states[n + 1]]
    assert [changes[n][0] for n in same] == []
    # What was deleted, changed and changed back is as it was.
    assert states[1] == states[3] == states[5]
    assert states[1] != states[4]


def test_what_is_read_anew_does_not_grow_with_the_schema(
    database: str,
) -> None:
    read = list[list[str]]()
    with psycopg.connect(database, autocommit=True) as connection:
        for size in (10, 100):
            for number in range(size):
                sql = f"CREATE TABLE t{size}_{number} (a int PRIMARY KEY, b text)"
                connection.execute(sql.encode())
            with psycopg.connect(database, autocommit=True) as looking:
                followed = FollowedSchema(looking)
                before = followed.read()
                connection.execute(f"ALTER TABLE t{size}_0 ADD COLUMN c int".encode())
                now = followed.read()
            same = before.objects
            read.append([name for name in now.objects if same.get(name) is not now.objects[name]])
    assert len(read[0]) == len(read[1]) < 10
