"""What the demo relies on: its releases do what they are written for, and it sees every change."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from turnback.demo.releases import ROWS, write_release
from turnback.engine import Engine, RunContext
from turnback.errors import MigrationIncomplete, RollbackFailed
from turnback.local.database import reread, rows_of, run_sql, schema_of
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


@pytest.fixture
def name(database: str) -> str:
    """The name of a database with the example project's release 1.0.0."""
    with Engine(database, context=RunContext(run="r-1", release="1.0.0")) as engine:
        assert engine.run(engine.plan_up(load_project(MIGRATIONS))).error is None
    return urlsplit(database).path.lstrip("/")


def test_release_1_2_0_can_be_turned_back_from_while_there_are_no_rows(
    server: EmbeddedServer, database: str, name: str, tmp_path: Path
) -> None:
    release = write_release(MIGRATIONS, tmp_path / "new", complete=True)
    before = schema_of(server, name)
    with Engine(database, context=RunContext(run="r-2", release="1.2.0")) as engine:
        assert engine.run(engine.plan_up(load_project(release.folder))).error is None
        assert schema_of(server, name) != before
        assert engine.run(engine.plan_down_run("r-2")).error is None
    assert schema_of(server, name) == before


def test_on_real_rows_its_third_migration_fails_and_the_rollback_of_its_second(
    server: EmbeddedServer, database: str, name: str, tmp_path: Path
) -> None:
    run_sql(server, name, ROWS)
    release = write_release(MIGRATIONS, tmp_path / "new", complete=True)
    with Engine(database, context=RunContext(run="r-2", release="1.2.0")) as engine:
        failed = engine.run(engine.plan_up(load_project(release.folder))).error
        assert isinstance(failed, MigrationIncomplete)
        assert (failed.file, failed.line) == (release.file, release.line)
        failed = engine.run(engine.plan_down_run("r-2")).error
        assert isinstance(failed, RollbackFailed)
        assert str(failed.file).startswith(release.second_rollback)
        applied = {entry.version for entry in engine.entries() if entry.applied}
    assert applied & set(release.versions) == set(release.versions[:2])


def test_every_row_counts(server: EmbeddedServer, database: str, name: str) -> None:
    empty = rows_of(server, name)
    assert empty["public.users"].startswith("0 ")
    run_sql(server, name, ROWS)
    before = rows_of(server, name)
    assert {table for table in before if before[table] != empty[table]} == {
        "public.users",
        "public.knowledge_nodes",
        "public.user_preferences",
    }
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "UPDATE user_preferences SET updated_at = updated_at + interval '1 us' "
            "WHERE ctid = (SELECT max(ctid) FROM user_preferences)"
        )
    after = rows_of(server, name)
    assert {table for table in before if before[table] != after[table]} == {
        "public.user_preferences"
    }


def test_a_schema_that_was_read_once_is_read_the_same_again(
    server: EmbeddedServer, name: str
) -> None:
    schema = schema_of(server, name)
    once = reread(server, schema)
    # The check of knowledge_edges.kind is written in another way, which is the reason for this.
    assert once != schema
    assert reread(server, once) == once
