"""What a shadow database gets of the target before the first migration, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from turnback.engine.session.connection import connect
from turnback.engine.session.events import Options
from turnback.local.scratch import POSTGRES, scratch
from turnback.local.server import EmbeddedServer
from turnback.migrations.checksums import scripts_of
from turnback.migrations.discovery import load_project
from turnback.rehearsal.proof import rehearse
from turnback.rehearsal.rights import AUTHENTICATION
from turnback.rehearsal.shadow import PREFIX, Shadow
from turnback.rehearsal.surroundings import Surroundings, read_surroundings
from turnback.rehearsal.verdict import Rehearsed

from tests.conftest import ProjectFactory
from tests.integration.command_line import turnback
from tests.integration.releases import Deploy

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


@pytest.fixture(scope="module")
def shadow() -> Iterator[Shadow]:
    with (
        scratch("near") as folder,
        EmbeddedServer.start(folder / POSTGRES, fast=True, authentication=AUTHENTICATION) as found,
    ):
        yield Shadow.on_throw_away(found.url())


def surroundings(database: str, folder: Path) -> Surroundings:
    project = load_project(folder)
    with connect(database, application_name="test", options=Options()) as connection:
        return read_surroundings(connection, (one.sql for one in scripts_of(project)))


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
    target = Surroundings(extensions={"postgis": "public"}, settings={"TimeZone": "Mars/Olympus"})
    folder = project_factory(
        {"sql/0001_a.sql": "SELECT 1;", "rollback/0001_rollback.sql": "SELECT 1;"}
    )
    assert rehearsed(folder, shadow, target).proven
    said = "\n".join(shadow.missing)
    assert "extension postgis" in said
    assert "setting TimeZone = Mars/Olympus" in said


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


@pytest.mark.usefixtures("target")
def test_a_release_is_rehearsed_with_what_its_target_has(
    deploy: Deploy, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run = deploy(Rehearse="always").release(project_factory(GRANT), "1.0.0", tmp_path)
    assert run.status == "SUCCEEDED", run.cause
    assert "rehearsed" in run.statuses
