"""What the SQL of a migration may do on a throw-away server, and what it may not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from turnback.local.scratch import POSTGRES, scratch
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project
from turnback.rehearsal.proof import rehearse
from turnback.rehearsal.rights import AUTHENTICATION, LIMITS
from turnback.rehearsal.shadow import Shadow
from turnback.rehearsal.verdict import Rehearsed

from tests.conftest import ProjectFactory

EVENTS = "CREATE FUNCTION seen() RETURNS event_trigger LANGUAGE plpgsql AS"


@pytest.fixture(scope="module")
def throw_away() -> Iterator[EmbeddedServer]:
    """A server as ``turnback rehearse`` starts it."""
    with (
        scratch("rights") as folder,
        EmbeddedServer.start(folder / POSTGRES, fast=True, authentication=AUTHENTICATION) as found,
    ):
        yield found


@pytest.fixture(scope="module")
def shadow(throw_away: EmbeddedServer) -> Shadow:
    return Shadow.on_throw_away(throw_away.url())


@pytest.fixture(scope="module")
def attacker(shadow: Shadow) -> Iterator[psycopg.Connection]:
    """A session with the rights of the migrations."""
    with shadow.database() as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION dblink")
        yield connection


@pytest.fixture
def judged(project_factory: ProjectFactory, shadow: Shadow) -> Judge:
    def judge(*pairs: tuple[str, str]) -> Rehearsed:
        files = {}
        for number, (forward, rollback) in enumerate(pairs, 1):
            files[f"sql/{number:04}_m.sql"] = forward
            files[f"rollback/{number:04}_rollback.sql"] = rollback
        project = load_project(project_factory(files))
        return rehearse(project, project.migrations, shadow)

    return judge


@pytest.fixture
def marker(throw_away: EmbeddedServer) -> Path:
    """A file that the account of the server can make."""
    return throw_away.data_dir / "marker"


class Judge:
    """Rehearses a project of pairs of scripts."""

    def __call__(self, *pairs: tuple[str, str]) -> Rehearsed: ...


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "COPY (SELECT 1) TO '/tmp/file'",
        "CREATE TABLE lines (line text); COPY lines FROM '/proc/self/environ'",
        "DO $$ BEGIN EXECUTE 'COPY (SELECT 1) TO PROGR' || 'AM ''id'''; END $$",
        "SELECT pg_read_file('/proc/self/environ')",
        "SELECT pg_ls_dir('/')",
        "SELECT lo_import('/etc/passwd')",
        "LOAD '/tmp/library.so'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE c AS '/tmp/library.so', 'f'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE internal AS 'pg_read_file_all'",
        "CREATE EXTENSION file_fdw",
        "SET session_preload_libraries = '/tmp/library.so'",
        "ALTER SYSTEM SET archive_command = 'id'",
        "ALTER ROLE postgres SUPERUSER",
        "CREATE ROLE other SUPERUSER",
        "CREATE ROLE other IN ROLE pg_execute_server_program",
        "SET ROLE turnback_admin",
        "SET SESSION AUTHORIZATION turnback_admin",
        "SELECT pg_catalog.turnback_superuser()",
        "SELECT pg_advisory_lock(8391172813119677291); SELECT pg_catalog.turnback_superuser()",
        "SELECT dblink_connect_u('dbname=postgres')",
    ],
)
def test_a_migration_cannot_reach_programs_files_libraries_or_the_superuser(
    attacker: psycopg.Connection, sql: str
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        attacker.execute(sql)


@pytest.mark.parametrize("user", ["turnback_admin", "turnback_bootstrap"])
def test_a_migration_cannot_log_in_as_superuser(
    attacker: psycopg.Connection, throw_away: EmbeddedServer, user: str
) -> None:
    place = f"host={throw_away.socket_dir} port={throw_away.port} dbname=postgres"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        attacker.execute(f"SELECT dblink_connect('{place} user={user} password=guess')")


def test_a_refused_migration_says_what_helps_and_starts_nothing(
    judged: Judge, marker: Path
) -> None:
    found = judged((f"COPY (SELECT 1) TO PROGRAM 'touch {marker}';", "SELECT 1;"))
    error = found.migrations[0].error
    assert (found.migrations[0].forward, error and error.sqlstate) == ("failed", "42501")
    assert error
    assert error.hint == LIMITS["42501"]
    assert not marker.exists()


def test_what_rds_lets_its_master_user_do_is_rehearsed(judged: Judge) -> None:
    found = judged(
        ("CREATE TABLE notes (id int PRIMARY KEY);", "DROP TABLE notes;"),
        (
            f"{EVENTS} 'BEGIN END'; CREATE EVENT TRIGGER seen ON ddl_command_end "
            "EXECUTE FUNCTION seen();",
            "DROP EVENT TRIGGER seen; DROP FUNCTION seen;",
        ),
        ("CREATE PUBLICATION everything FOR ALL TABLES;", "DROP PUBLICATION everything;"),
        (
            "CREATE PUBLICATION part FOR TABLES IN SCHEMA public;"
            "ALTER PUBLICATION part SET TABLES IN SCHEMA public;",
            "DROP PUBLICATION part;",
        ),
        (
            "SET session_replication_role = replica; INSERT INTO notes VALUES (1);",
            "DELETE FROM notes;",
        ),
        (
            "CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw;"
            "CREATE USER MAPPING FOR postgres SERVER far OPTIONS (password_required 'false');"
            "COMMENT ON EXTENSION plpgsql IS 'PL/pgSQL';",
            "DROP EXTENSION postgres_fdw CASCADE;"
            "COMMENT ON EXTENSION plpgsql IS 'PL/pgSQL procedural language';",
        ),
        (
            "CREATE ROLE rights_app; GRANT CREATE ON SCHEMA public TO rights_app;"
            "ALTER TABLE notes OWNER TO rights_app;"
            "SET ROLE rights_app; ALTER TABLE notes ADD title text; RESET ROLE;"
            "GRANT pg_read_all_data TO rights_app;",
            "ALTER TABLE notes OWNER TO postgres; ALTER TABLE notes DROP COLUMN title;"
            "REVOKE CREATE ON SCHEMA public FROM rights_app; DROP ROLE rights_app;",
        ),
    )
    assert [one.error for one in found.migrations] == [None] * 7
    assert [one.rollback for one in found.migrations] == ["exact"] * 7
    assert found.proven


def test_a_database_is_built_again_with_what_was_repeated_as_superuser(judged: Judge) -> None:
    found = judged(
        ("CREATE PUBLICATION everything FOR ALL TABLES;", "DROP PUBLICATION everything;"),
        ("CREATE TABLE notes ();", "DROP TABLE no_such_table;"),
        ("CREATE TABLE tags ();", "DROP TABLE tags;"),
    )
    assert [one.rollback for one in found.migrations] == ["exact", "failed", "exact"]


def test_a_role_whose_name_no_script_has_is_gone_from_the_next_database(judged: Judge) -> None:
    hidden = "DO $$ BEGIN EXECUTE 'CREATE RO' || 'LE hid' || 'den'; END $$;"
    found = judged(
        (f"CREATE TABLE notes (); {hidden}", "SELECT no_such_column;"),
        ("CREATE TABLE tags ();", "DROP TABLE tags;"),
    )
    assert [one.forward for one in found.migrations] == ["applied", "applied"]


def test_an_event_trigger_of_a_migration_never_runs_as_superuser(
    judged: Judge, marker: Path
) -> None:
    program = f"COPY (SELECT 1) TO PROGRAM ''touch {marker}''"
    attack = f"{EVENTS} 'BEGIN {program}; EXCEPTION WHEN insufficient_privilege THEN END'"
    found = judged(
        (
            f"{attack}; CREATE EVENT TRIGGER seen ON ddl_command_start EXECUTE FUNCTION seen();"
            "CREATE EVENT TRIGGER login ON login EXECUTE FUNCTION seen();",
            "DROP EVENT TRIGGER seen; DROP EVENT TRIGGER login; DROP FUNCTION seen;",
        ),
        (
            "CREATE PUBLICATION everything FOR ALL TABLES;"
            "CREATE SUBSCRIPTION far CONNECTION 'host=far password=x' PUBLICATION everything "
            "WITH (connect = false, slot_name = NONE);",
            "DROP SUBSCRIPTION far; DROP PUBLICATION everything;",
        ),
    )
    assert [one.rollback for one in found.migrations] == ["exact", "exact"]
    assert not marker.exists()


def test_nothing_is_repeated_for_a_role_that_the_migration_has_taken(judged: Judge) -> None:
    found = judged(
        (
            "CREATE ROLE rights_app; GRANT CREATE ON SCHEMA public TO rights_app;"
            "SET ROLE rights_app; CREATE PUBLICATION everything FOR ALL TABLES;",
            "SELECT 1;",
        )
    )
    error = found.migrations[0].error
    assert error
    assert (error.sqlstate, error.statement) == (
        "42501",
        "CREATE PUBLICATION everything FOR ALL TABLES",
    )


def test_an_error_of_a_repeated_statement_is_reported_as_of_the_file(judged: Judge) -> None:
    found = judged(("SELECT 1;\nCREATE PUBLICATION p FOR TABLE no_such_table, ONLY x;", "SELECT 1"))
    error = found.migrations[0].error
    assert error
    assert (error.sqlstate, error.line) == ("42P01", 2)


def test_a_full_disk_is_not_said_to_be_the_fault_of_the_file(judged: Judge) -> None:
    # Raised by the migration: no disk is filled for a test.
    full = "DO $$ BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$;"
    found = judged((full, "SELECT 1;"))
    error = found.migrations[0].error
    assert error
    assert error.hint == LIMITS["53100"]
