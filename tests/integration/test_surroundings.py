"""What a shadow database gets of the target before the first migration, and what it does not."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import psycopg
import pytest
from turnback.engine.session.connection import connect
from turnback.engine.session.events import Options
from turnback.errors import ConfigurationError, OutOfSpace, SnapshotFailed
from turnback.local.scratch import POSTGRES, scratch
from turnback.local.server import EmbeddedServer
from turnback.migrations.checksums import rollbacks_of, scripts_of
from turnback.migrations.discovery import load_project
from turnback.recovery.dumps.schemas import dump_schemas
from turnback.recovery.endpoint import Endpoint
from turnback.rehearsal.proof import rehearse
from turnback.rehearsal.rights import AUTHENTICATION
from turnback.rehearsal.shadow import PREFIX, Shadow, refuse_full_disk
from turnback.rehearsal.surroundings import Surroundings, read_surroundings
from turnback.rehearsal.verdict import Rehearsed

from tests.conftest import ProjectFactory
from tests.integration.command_line import turnback
from tests.integration.releases import Deploy

# What Supabase makes in a new database, as far as migrations refer to it.
SUPABASE = """
CREATE SCHEMA extensions; CREATE EXTENSION citext SCHEMA extensions;
CREATE SCHEMA auth;
CREATE TYPE auth.factor AS ENUM ('totp', 'phone');
CREATE TABLE auth.users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email extensions.citext UNIQUE,
    factor auth.factor);
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE
    AS $$ SELECT nullif(current_setting('request.jwt.claim.sub', true), '')::uuid $$;
INSERT INTO auth.users (email) VALUES ('somebody@example.com');
CREATE SCHEMA storage;
CREATE TABLE storage.buckets (
    id text PRIMARY KEY, owner uuid REFERENCES auth.users, size int NOT NULL);
CREATE TABLE storage.objects (id uuid PRIMARY KEY, bucket text REFERENCES storage.buckets);
ALTER TABLE storage.objects ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_of_it ON storage.objects TO service_role USING (true);
GRANT USAGE ON SCHEMA auth, storage TO anon; GRANT SELECT ON storage.buckets TO anon;
CREATE SCHEMA unnamed; CREATE TABLE unnamed.t ();
"""
PROFILES = {
    "sql/0001_profiles.sql": "CREATE TABLE profiles (id uuid PRIMARY KEY REFERENCES auth.users);"
    "ALTER TABLE profiles ENABLE ROW LEVEL SECURITY;"
    "CREATE POLICY own ON profiles TO authenticated USING (auth.uid() = id);",
    "rollback/0001_rollback.sql": "DROP TABLE profiles;",
    "sql/0002_hooks.sql": "ALTER TABLE auth.users ADD COLUMN team int;"
    "CREATE FUNCTION greet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';"
    "CREATE TRIGGER greet AFTER INSERT ON auth.users FOR EACH ROW EXECUTE FUNCTION greet();"
    "CREATE POLICY seen ON storage.objects FOR SELECT TO anon USING (bucket = 'public');"
    "CREATE INDEX by_bucket ON storage.objects (bucket);"
    "CREATE TABLE storage.mine (a int CONSTRAINT few CHECK (a < 9));"
    "ALTER TABLE storage.mine ADD CONSTRAINT positive CHECK (a > 0);",
    "rollback/0002_rollback.sql": "DROP TABLE storage.mine; DROP INDEX storage.by_bucket;"
    "DROP POLICY seen ON storage.objects; DROP TRIGGER greet ON auth.users; DROP FUNCTION greet();"
    "ALTER TABLE auth.users DROP COLUMN team;",
}
GRANT = {
    "sql/0001_notes.sql": "CREATE TABLE notes (a text); GRANT SELECT ON notes TO near_reporting;\n",
    "rollback/0001_rollback.sql": "DROP TABLE notes;\n",
}


@pytest.fixture
def target(database: str, admin: psycopg.Connection) -> Iterator[str]:
    """A database as somebody has set it up, with roles that no migration makes."""
    admin.execute("CREATE ROLE near_reporting; CREATE ROLE near_team IN ROLE near_reporting;")
    admin.execute("CREATE ROLE near_made; CREATE ROLE near_elsewhere IN ROLE near_reporting;")
    with psycopg.connect(database, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute("CREATE SCHEMA extra; CREATE EXTENSION citext SCHEMA extra;")
        connection.execute("CREATE EXTENSION hstore; CREATE EXTENSION pg_trgm;")
        connection.execute(
            f"ALTER DATABASE {name} SET search_path = app, public, extra;"  # type: ignore[arg-type]
            f"ALTER DATABASE {name} SET timezone = 'Europe/Rome';"
            f"ALTER DATABASE {name} SET work_mem = '7MB';"
        )
    yield database
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP OWNED BY near_reporting")
    for role in ("near_team", "near_elsewhere", "near_made", "near_reporting"):
        admin.execute(f"DROP ROLE {role}".encode())


@pytest.fixture
def supabase(database: str, admin: psycopg.Connection) -> Iterator[str]:
    """A database with the roles and schemas of a platform, which no migration makes."""
    roles = ("anon", "authenticated", "service_role")
    for role in roles:
        admin.execute(f"CREATE ROLE {role} NOLOGIN".encode())
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(SUPABASE.encode())
    yield database
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP OWNED BY anon, authenticated, service_role")
    for role in roles:
        admin.execute(f"DROP ROLE {role}".encode())


@pytest.fixture(scope="module")
def shadow() -> Iterator[Shadow]:
    with (
        scratch("near") as folder,
        EmbeddedServer.start(folder / POSTGRES, fast=True, authentication=AUTHENTICATION) as found,
    ):
        yield Shadow.on_throw_away(found.url())


# What it takes away from the platform, and its rollback makes again.
TAKES = {
    "sql/0001_take.sql": "DROP POLICY all_of_it ON storage.objects;"
    "ALTER TABLE auth.users DROP COLUMN factor; ALTER TABLE auth.users RENAME email TO mail;"
    "DROP FUNCTION auth.uid(); REVOKE SELECT ON storage.buckets FROM anon;",
    "rollback/0001_rollback.sql": "GRANT SELECT ON storage.buckets TO anon;"
    "CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS "
    "$$ SELECT nullif(current_setting('request.jwt.claim.sub', true), '')::uuid $$;"
    "ALTER TABLE auth.users RENAME mail TO email;"
    "ALTER TABLE auth.users ADD COLUMN factor auth.factor;"
    "CREATE POLICY all_of_it ON storage.objects TO service_role USING (true);",
}


def surroundings(database: str, folder: Path, *, applied: bool = False) -> Surroundings:
    """What a target has for these migrations, of which all are applied there, or none."""
    project = load_project(folder)
    with connect(database, application_name="test", options=Options()) as connection:
        scripts = (one.sql for one in scripts_of(project))
        rollbacks = rollbacks_of(project.migrations)
        return read_surroundings(
            connection,
            scripts,
            partial(dump_schemas, Endpoint.from_url(database)),
            rollbacks=rollbacks,
            applied=rollbacks if applied else (),
        )


def rehearsed(folder: Path, shadow: Shadow, target: Surroundings | None) -> Rehearsed:
    project = load_project(folder)
    shadow.surroundings = target
    try:
        return rehearse(project, project.migrations, shadow)
    finally:
        shadow.surroundings = None


def test_what_the_scripts_name_and_do_not_make_is_read(
    target: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(
        {
            "sql/0001_a.sql": "CREATE ROLE near_made; GRANT near_reporting TO near_team;"
            "CREATE EXTENSION IF NOT EXISTS pg_trgm;",
            "rollback/0001_rollback.sql": "DROP ROLE near_made;",
        }
    )
    found = surroundings(target, folder)
    assert found.roles == ("near_reporting", "near_team")
    assert found.members == (("near_reporting", "near_team"),)
    assert found.extensions == {"citext": "extra", "hstore": "public"}
    assert found.settings["search_path"] == "app, public, extra"
    assert found.settings["TimeZone"] == "Europe/Rome"
    assert "work_mem" not in found.settings


def test_the_user_in_the_search_path_is_the_one_of_the_target(
    database: str, project_factory: ProjectFactory
) -> None:
    assert surroundings(database, project_factory(GRANT)).settings["search_path"] == (
        '"postgres", public'
    )


def test_migrations_find_what_they_need_of_the_target(
    target: str, shadow: Shadow, project_factory: ProjectFactory
) -> None:
    folder = project_factory(
        {
            "sql/0001_app.sql": "CREATE SCHEMA app;",
            "rollback/0001_rollback.sql": "DROP SCHEMA app;",
            # In the schema app, with a type of the schema extra, for a role of the server.
            "sql/0002_notes.sql": "CREATE TABLE notes (a citext, b hstore, c timestamptz);"
            "GRANT SELECT ON app.notes TO near_reporting;"
            "INSERT INTO notes (c) VALUES ('2026-07-01 12:00');"
            "CREATE TABLE checked (ok int CHECK (ok = 1));"
            "INSERT INTO checked SELECT count(*) FROM notes WHERE c = '2026-07-01 10:00Z';",
            "rollback/0002_rollback.sql": "DROP TABLE app.notes; DROP TABLE app.checked;",
        }
    )
    found = rehearsed(folder, shadow, surroundings(target, folder))
    assert [one.error for one in found.migrations] == [None, None]
    assert found.proven
    assert shadow.missing == []


def test_without_the_target_a_missing_role_is_not_the_fault_of_the_file(
    shadow: Shadow, target: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(GRANT)
    error = rehearsed(folder, shadow, None).migrations[0].error
    assert error
    assert "--database-url" in str(error.hint)
    assert "fix" not in str(error.hint)
    assert rehearsed(folder, shadow, surroundings(target, folder)).proven


def test_what_cannot_be_had_is_named(shadow: Shadow, project_factory: ProjectFactory) -> None:
    target = Surroundings(extensions={"plv8": "public"}, settings={"TimeZone": "Mars/Olympus"})
    folder = project_factory(
        {"sql/0001_a.sql": "SELECT 1;", "rollback/0001_rollback.sql": "SELECT 1;"}
    )
    assert rehearsed(folder, shadow, target).proven
    said = "\n".join(shadow.missing)
    assert "extension plv8" in said
    assert "setting TimeZone = Mars/Olympus" in said


def test_an_extension_has_the_version_of_the_target_or_is_named(
    database: str, shadow: Shadow, project_factory: ProjectFactory
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION citext VERSION '1.5'")
    folder = project_factory(GRANT)
    target = surroundings(database, folder)
    assert target.versions == {"citext": "1.5"}
    shadow.surroundings = replace(
        target,
        extensions={**target.extensions, "hstore": "public"},
        versions={**target.versions, "hstore": "0.9"},
    )
    try:
        with shadow.database() as made, psycopg.connect(made) as connection:
            query = "SELECT extname, extversion FROM pg_extension ORDER BY 1"
            found = dict(connection.execute(query).fetchall())
    finally:
        shadow.surroundings = None
    assert found["citext"] == "1.5"
    assert shadow.missing == [
        f"extension hstore 0.9 of the target is version {found['hstore']} in the shadow database"
    ]


def test_without_room_for_the_shadow_nothing_is_started(
    project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**20))
    with pytest.raises(OutOfSpace, match=r"the shadow database needs [0-9,]+ bytes in .*1,048,576"):
        refuse_full_disk(load_project(project_factory(GRANT)))


def test_on_a_server_of_ones_own_the_roles_are_removed_again(
    admin: psycopg.Connection, server: EmbeddedServer, project_factory: ProjectFactory
) -> None:
    found = rehearsed(
        project_factory(GRANT), Shadow(server.url()), Surroundings(roles=("near_reporting",))
    )
    assert found.proven
    left = admin.execute(
        "SELECT rolname FROM pg_roles WHERE rolname ~ '^near_' UNION ALL "
        "SELECT datname FROM pg_database WHERE starts_with(datname, %s)",
        [PREFIX],
    )
    assert left.fetchall() == []


def test_the_command_takes_over_what_the_named_target_has(
    target: str, project_factory: ProjectFactory
) -> None:
    answer = turnback("rehearse", url=target, folder=project_factory(GRANT))
    assert answer.code == 0, answer.err


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
def test_migrations_find_the_schemas_of_a_platform_before_and_after_they_were_applied(
    supabase: str, shadow: Shadow, project_factory: ProjectFactory, applied: bool
) -> None:
    folder = project_factory(PROFILES)
    if applied:
        assert turnback("up", url=supabase, folder=folder).code == 0
    target = surroundings(supabase, folder, applied=applied)
    assert "somebody@example.com" not in target.schemas
    assert "unnamed" not in target.schemas
    found = rehearsed(folder, shadow, target)
    assert [(one.rollback, one.error) for one in found.migrations] == [("exact", None)] * 2
    assert shadow.missing == []


# What it alters of the platform; some of it cannot be done twice.
ALTERS = {
    "sql/0001_alter.sql": "ALTER TABLE auth.users ALTER email TYPE text, ALTER email SET NOT NULL;"
    "ALTER TABLE storage.buckets ALTER size ADD GENERATED ALWAYS AS IDENTITY;"
    "ALTER TABLE storage.objects DISABLE ROW LEVEL SECURITY;"
    "ALTER POLICY all_of_it ON storage.objects USING (false);"
    "CREATE OR REPLACE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS 'SELECT NULL::uuid';"
    "ALTER FUNCTION auth.uid() COST 7; COMMENT ON TABLE auth.users IS 'ours';"
    "ALTER TYPE auth.factor RENAME VALUE 'totp' TO 'code';"
    "GRANT UPDATE ON auth.users TO authenticated; REVOKE USAGE ON SCHEMA storage FROM anon;",
    "rollback/0001_rollback.sql": "GRANT USAGE ON SCHEMA storage TO anon;"
    "REVOKE UPDATE ON auth.users FROM authenticated;"
    "ALTER TYPE auth.factor RENAME VALUE 'code' TO 'totp';"
    "COMMENT ON TABLE auth.users IS NULL; ALTER FUNCTION auth.uid() COST 100;"
    "CREATE OR REPLACE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS "
    "$$ SELECT nullif(current_setting('request.jwt.claim.sub', true), '')::uuid $$;"
    "ALTER POLICY all_of_it ON storage.objects USING (true);"
    "ALTER TABLE storage.objects ENABLE ROW LEVEL SECURITY;"
    "ALTER TABLE storage.buckets ALTER size DROP IDENTITY;"
    "ALTER TABLE auth.users ALTER email TYPE extensions.citext, ALTER email DROP NOT NULL;",
    "sql/0002_again.sql": "ALTER TABLE auth.users ALTER email TYPE varchar(99);",
    "rollback/0002_rollback.sql": "ALTER TABLE auth.users ALTER email TYPE text;",
}


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("files", [TAKES, ALTERS], ids=["takes", "alters"])
def test_migrations_find_what_they_take_from_a_platform_as_it_was_before_they_were_applied(
    supabase: str,
    shadow: Shadow,
    project_factory: ProjectFactory,
    files: dict[str, str],
    applied: bool,
) -> None:
    # pg_dump is the judge.
    before = schemas(supabase)
    folder = project_factory(files)
    if applied:
        assert turnback("up", url=supabase, folder=folder).code == 0
        assert schemas(supabase) != before
    target = surroundings(supabase, folder, applied=applied)
    for found in rehearsed(folder, shadow, target).migrations:
        assert (found.rollback, found.reapply, found.error) == ("exact", "exact", None), (
            found.differences
        )
    shadow.surroundings = target
    try:
        with shadow.database() as made:
            assert sorted(schemas(made).splitlines()) == sorted(before.splitlines())
    finally:
        shadow.surroundings = None
    assert shadow.missing == []


def schemas(url: str) -> str:
    """What pg_dump writes of the platform, without its version and a random word."""
    text = dump_schemas(Endpoint.from_url(url), ["auth", "storage"]).partition("SET ")[2]
    return text.rpartition("\\unrestrict")[0]


def test_the_schemas_of_the_shadow_are_those_of_the_target(
    supabase: str, shadow: Shadow, project_factory: ProjectFactory
) -> None:
    # pg_dump is the judge.
    shadow.surroundings = surroundings(supabase, project_factory(PROFILES))
    try:
        with shadow.database() as made:
            assert schemas(made) == schemas(supabase)
    finally:
        shadow.surroundings = None


def test_the_command_rehearses_on_the_schemas_of_a_platform(
    supabase: str, project_factory: ProjectFactory
) -> None:
    answer = turnback("rehearse", url=supabase, folder=project_factory(PROFILES))
    assert answer.code == 0, answer.out + answer.err


def test_a_schema_that_cannot_be_read_is_named_with_the_remedy(
    database: str, project_factory: ProjectFactory
) -> None:
    def refused(_: object) -> str:
        raise SnapshotFailed("permission denied for schema auth")

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA auth")
    scripts = [script.sql for script in scripts_of(load_project(project_factory(PROFILES)))]
    with connect(database, application_name="test", options=Options()) as session:
        found = read_surroundings(session, scripts, refused)
    assert "permission denied for schema auth" in found.unread[0]
    assert "shadow.sql" in found.unread[0]


SHADOW = """CREATE SCHEMA auth;
CREATE TABLE auth.users (id uuid PRIMARY KEY);
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid';
CREATE ROLE authenticated;
"""


def test_shadow_sql_runs_before_the_first_migration_and_is_named_with_its_checksum(
    project_factory: ProjectFactory,
) -> None:
    first = dict(list(PROFILES.items())[:2])
    folder = project_factory({**first, "shadow.sql": SHADOW})
    answer = turnback("rehearse", "--all", "--json", folder=folder)
    assert answer.code == 0, answer.out + answer.err
    document = json.loads(answer.out)
    assert document["shadow_sql"] == hashlib.sha256(SHADOW.encode()).hexdigest()
    assert [one["rollback"] for one in document["migrations"]] == ["exact"]


def test_what_shadow_sql_makes_is_not_taken_over_from_the_target(
    supabase: str, shadow: Shadow, project_factory: ProjectFactory
) -> None:
    folder = project_factory({**dict(list(PROFILES.items())[:2]), "shadow.sql": SHADOW})
    target = surroundings(supabase, folder)
    assert target.schemas == ""
    assert target.roles == ()
    assert rehearsed(folder, shadow, target).proven


@pytest.mark.parametrize(
    ("sql", "place"),
    [
        ("SELECT 1;\n\n  SELECT nothing;\n", (3, 10)),
        ("SELECT 1;\n  CREATE TABLE t (a nothing);\n", (2, 21)),
        ("VACUUM;\nSELECT nothing;\n", (2, 8)),
    ],
)
def test_an_error_in_shadow_sql_is_reported_there_and_blamed_on_no_migration(
    shadow: Shadow, project_factory: ProjectFactory, sql: str, place: tuple[int, int]
) -> None:
    folder = project_factory({**GRANT, "shadow.sql": sql})
    with pytest.raises(ConfigurationError) as caught:
        rehearsed(folder, shadow, None)
    error = caught.value
    assert (error.file, error.line, error.column) == ("shadow.sql", *place)
    assert error.version is None


@pytest.mark.usefixtures("target")
def test_a_release_is_rehearsed_with_what_its_target_has(
    deploy: Deploy, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run = deploy(Rehearse="always").release(project_factory(GRANT), "1.0.0", tmp_path)
    assert run.status == "SUCCEEDED", run.cause
    assert "rehearsed" in run.statuses


@pytest.mark.usefixtures("supabase")
def test_a_release_is_rehearsed_on_the_schemas_of_its_platform(
    deploy: Deploy, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run = deploy(Rehearse="always").release(project_factory(PROFILES), "1.0.0", tmp_path)
    assert run.status == "SUCCEEDED", run.cause
    assert "rehearsed" in run.statuses
