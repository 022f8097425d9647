"""The fingerprint sees every kind of object, and each difference as the one it is."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from turnback.engine.look.history import History
from turnback.engine.session.message import Connection
from turnback.errors import DatabaseRefused
from turnback.local.server import EmbeddedServer
from turnback.schema.compare import compare, verdict
from turnback.schema.follow import FollowedSchema
from turnback.schema.model import Fingerprint
from turnback.schema.read import fingerprint
from turnback.schema.suggest import suggest
from turnback.settings.ignore import Ignore

from tests.integration.everything import CASES, ROLES, SCHEMA, Case

SOFT = ("exact", "column_order")
# Names that SQL needs quotes for.
ODD = r"""
CREATE SCHEMA "My Schema";
CREATE TABLE "My Schema"."a.b ""c"" d" ("ON" integer PRIMARY KEY, "x, y" text, "Größe" text);
CREATE INDEX "i ON j" ON "My Schema"."a.b ""c"" d" ("x, y");
ALTER TABLE "My Schema"."a.b ""c"" d" ADD CONSTRAINT "it's" CHECK ("Größe" <> '') NOT VALID;
CREATE FUNCTION "My Schema"."F"("In" text) RETURNS text LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION "T"() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE TRIGGER "t ON" BEFORE INSERT ON "My Schema"."a.b ""c"" d" EXECUTE FUNCTION "T"();
COMMENT ON COLUMN "My Schema"."a.b ""c"" d"."x, y" IS 'it''s \\ odd';
"""


@pytest.fixture(scope="module")
def everything(server: EmbeddedServer, admin: psycopg.Connection) -> Iterator[Connection]:
    """A session with a database that has one of everything."""
    for role in ROLES:
        admin.execute(f"CREATE ROLE {role}".encode())
    admin.execute("CREATE DATABASE everything TEMPLATE template0")
    with psycopg.connect(server.url("everything"), autocommit=True) as connection:
        connection.execute(SCHEMA)
        yield connection
    admin.execute("DROP DATABASE everything")
    for role in ROLES:
        admin.execute(f"DROP ROLE {role}".encode())


@pytest.fixture(scope="module")
def whole(everything: Connection) -> Fingerprint:
    """Its fingerprint as it was made."""
    return fingerprint(everything)


@pytest.fixture
def changing(everything: Connection, whole: Fingerprint) -> Iterator[Connection]:
    """The session in a transaction, which is rolled back after the test."""
    everything.execute("BEGIN")
    yield everything
    everything.execute("ROLLBACK")
    assert fingerprint(everything) == whole


@pytest.fixture
def session(database: str) -> Iterator[Connection]:
    """A session with a database of its own."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sql[:60])
def test_a_change_is_seen_as_exactly_what_it_is(
    changing: Connection, whole: Fingerprint, case: Case
) -> None:
    changing.execute(case.sql.encode())
    differences = compare(whole, fingerprint(changing))
    assert [str(difference) for difference in differences] == list(case.seen)
    if case.mends:
        for difference in differences:
            if difference.softness not in ("column_order", "cosmetic"):
                changing.execute((suggest(difference, whole) or "").encode())
        assert verdict(compare(whole, fingerprint(changing))) in SOFT


def test_what_is_turnbacks_own_is_left_out(session: Connection) -> None:
    before = fingerprint(session)
    History(session, "public").create()
    assert fingerprint(session) == before
    History(session, "turnback").create()
    assert fingerprint(session, history_schema="turnback") != before
    session.execute("DROP VIEW public.migration_health; DROP TABLE migrations, migration_log")
    assert fingerprint(session, history_schema="turnback") == before
    session.execute("CREATE TABLE turnback.theirs (id integer)")
    assert "table turnback.theirs" in fingerprint(session, history_schema="turnback").objects


def test_what_the_project_leaves_out_is_left_out_with_all_that_belongs_to_it(
    session: Connection,
) -> None:
    """The judge is the fingerprint from before any of it was made."""
    before = fingerprint(session)
    session.execute(
        ODD + "CREATE TABLE log_1 (id serial PRIMARY KEY, at date UNIQUE);"
        "CREATE INDEX by_date ON log_1 (at); CREATE VIEW log_2 AS SELECT 1 AS one;"
        'ALTER DEFAULT PRIVILEGES IN SCHEMA "My Schema" GRANT SELECT ON TABLES TO PUBLIC;'
        "COMMENT ON TABLE log_1 IS 'x'; CREATE TYPE log_3 AS ENUM ('a')"
    )
    ignore = Ignore((), ("My*",), ("public.log_?", "*.T"))
    left_out = set[str]()
    assert fingerprint(session, ignore=ignore, left_out=left_out) == before
    followed = set[str]()
    assert FollowedSchema(session, ignore=ignore, left_out=followed).read() == before
    assert (
        left_out
        == followed
        >= {
            "table public.log_1",
            "view public.log_2",
            "type public.log_3",
            'function public."T"()',
            'schema "My Schema"',
            'table "My Schema"."a.b ""c"" d"',
        }
    )
    assert not any(name.startswith(("index public", "column public")) for name in left_out)
    session.execute("CREATE TABLE log_22 (id integer)")
    assert "table public.log_22" in fingerprint(session, ignore=ignore).objects


def test_an_extension_is_described_by_its_version_and_temporary_objects_not_at_all(
    session: Connection,
) -> None:
    before = fingerprint(session)
    session.execute("CREATE EXTENSION hstore; CREATE TEMP TABLE passing (id serial)")
    (difference,) = compare(before, fingerprint(session))
    assert str(difference) == "extension hstore: left over after rollback"
    session.execute("ALTER EXTENSION hstore DROP FUNCTION akeys(hstore)")
    assert "function public.akeys(public.hstore)" in fingerprint(session).objects


@pytest.mark.parametrize(
    "setting",
    [
        "SET search_path = app, public",
        "SET DateStyle = 'German'",
        "SET TimeZone = 'Asia/Tokyo'",
        "SET IntervalStyle = 'iso_8601'",
        "SET quote_all_identifiers = on",
        "SET bytea_output = 'escape'",
        "SET extra_float_digits = 0",
        "SET default_transaction_isolation = 'serializable'",
    ],
)
def test_the_sessions_settings_have_no_part_in_it(
    everything: Connection, whole: Fingerprint, setting: str
) -> None:
    name = setting.split()[1]
    everything.execute(setting.encode())
    was = everything.execute(f"SHOW {name}".encode()).fetchone()
    try:
        assert fingerprint(everything) == whole
        assert everything.execute(f"SHOW {name}".encode()).fetchone() == was
    finally:
        everything.execute("RESET ALL")


def test_a_second_database_of_the_same_statements_is_the_same(
    server: EmbeddedServer, admin: psycopg.Connection, whole: Fingerprint
) -> None:
    admin.execute("CREATE DATABASE twin TEMPLATE template0")
    try:
        with psycopg.connect(server.url("twin"), autocommit=True) as connection:
            connection.execute(SCHEMA)
            twin = fingerprint(connection)
    finally:
        admin.execute("DROP DATABASE twin")
    assert compare(whole, twin) == []
    assert twin.digest == whole.digest


def test_it_comes_back_from_its_json(whole: Fingerprint) -> None:
    text = whole.to_json()
    again = Fingerprint.from_json(text)
    assert (again, again.digest, again.to_json()) == (whole, whole.digest, text)
    with pytest.raises(ValueError, match="format 1"):
        Fingerprint.from_json('{"format": 2}')


def test_no_secret_is_in_it(session: Connection, whole: Fingerprint) -> None:
    assert "hunter2" not in whole.to_json()
    (name,) = session.execute("SELECT current_database()").fetchone() or ("",)
    before = fingerprint(session)
    session.execute(f"ALTER DATABASE {name} SET app.jwt_secret = 'hunter2'".encode())
    session.execute(f"ALTER DATABASE {name} SET work_mem = '8MB'".encode())
    after = fingerprint(session)
    assert "hunter2" not in after.to_json()
    assert [str(difference) for difference in compare(before, after)] == [
        "setting app.jwt_secret: left over after rollback",
        "setting work_mem: left over after rollback",
    ]


def test_places_of_dropped_columns_do_not_count(session: Connection) -> None:
    session.execute("CREATE TABLE users (id integer, gone text, email text)")
    session.execute("ALTER TABLE users DROP COLUMN gone")
    gapped = fingerprint(session)
    session.execute("DROP TABLE users; CREATE TABLE users (id integer, email text)")
    assert fingerprint(session).digest == gapped.digest


def test_the_moment_that_a_text_was_made_at_is_cosmetic(session: Connection) -> None:
    make = (
        "CREATE VIEW recent AS SELECT 1 AS one WHERE now() > 'now'::timestamptz;"
        "CREATE TABLE log (at timestamp DEFAULT 'now'::timestamp, day date DEFAULT '2024-01-01')"
    )
    session.execute(make.encode())
    before = fingerprint(session)
    session.execute(f"DROP VIEW recent; DROP TABLE log; SELECT pg_sleep(0.01); {make}".encode())
    differences = compare(before, fingerprint(session))
    assert {difference.softness for difference in differences} == {"cosmetic"}
    assert {difference.object for difference in differences} == {
        "view public.recent",
        "column public.log.at",
    }
    assert verdict(differences) == "exact"
    session.execute("ALTER TABLE log ALTER day SET DEFAULT '2024-01-02'")
    assert verdict(compare(before, fingerprint(session))) == "differs"


def test_a_user_without_privileges_can_read_it(changing: Connection, whole: Fingerprint) -> None:
    changing.execute(f"SET LOCAL ROLE {ROLES[0]}".encode())
    assert fingerprint(changing).objects.keys() == whole.objects.keys()


def test_a_session_that_was_made_to_forget_its_statements_is_asked_again(
    session: Connection,
) -> None:
    before = fingerprint(session)
    session.execute("DISCARD ALL")
    assert fingerprint(session) == before
    with session.transaction():
        session.execute("DEALLOCATE ALL")
        session.execute("CREATE TABLE here (id integer)")
        assert "table public.here" in fingerprint(session).objects
    assert "table public.here" in fingerprint(session).objects


def test_a_lock_that_is_not_to_be_had_leaves_the_session_as_it_was(
    database: str, session: Connection
) -> None:
    session.execute("CREATE TABLE t (id integer); CREATE VIEW v AS SELECT * FROM t")
    before = fingerprint(session)
    session.execute("SET lock_timeout = '20ms'")
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE t")
        with pytest.raises(DatabaseRefused, match="lock timeout"):
            fingerprint(session)
        with session.transaction():
            session.execute("SET LOCAL search_path = app")
            with pytest.raises(DatabaseRefused, match="lock timeout"):
                fingerprint(session)
            assert session.execute("SHOW search_path").fetchone() == ("app",)
    assert fingerprint(session) == before


def test_names_that_need_quotes_are_found_and_restored(session: Connection) -> None:
    session.execute(ODD)
    before = fingerprint(session)
    session.execute('DROP TABLE "My Schema"."a.b ""c"" d"; DROP FUNCTION "My Schema"."F"')
    differences = compare(before, fingerprint(session))
    assert [str(difference) for difference in differences] == [
        'function "My Schema"."F"(text): missing after rollback',
        'table "My Schema"."a.b ""c"" d": missing after rollback',
    ]
    for difference in differences:
        session.execute((suggest(difference, before) or "").encode())
    assert compare(before, fingerprint(session)) == []
