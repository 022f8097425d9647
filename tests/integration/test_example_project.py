"""The example project in ``migrations/``: every migration goes up, back, and up again."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from turnback.engine import Engine, Report, RunContext
from turnback.local.programs import binaries, clean_environment
from turnback.migrations.checksums import compare, format_sums
from turnback.migrations.discovery import load_project
from turnback.migrations.headers import read_fields
from turnback.migrations.model import Migration, Project
from turnback.sql.script import prepare

FOLDER = Path(__file__).resolve().parents[2] / "migrations"
PROJECT = load_project(FOLDER)
VERSIONS = [migration.version for migration in PROJECT.migrations]
BEFORE = dict(zip(VERSIONS, ["0", *VERSIONS], strict=False))


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    """An engine that keeps its history out of the way, in a schema of its own."""
    context = RunContext("example", actor="tests")
    with Engine(database, context=context, history_schema="turnback") as opened:
        yield opened


@pytest.fixture
def rows(database: str) -> Iterator[psycopg.Connection]:
    """A connection of the application's, in autocommit."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def schema_of(database: str) -> str:
    """What ``pg_dump -s`` shows of the application's schema."""
    program = [str(binaries() / "pg_dump"), "--schema-only", "--schema=public"]
    dump = subprocess.run(
        [*program, database], env=clean_environment(), capture_output=True, text=True, check=True
    ).stdout
    # Random in every dump.
    lines = [line for line in dump.splitlines() if not line.startswith((r"\restrict", r"\unres"))]
    return "\n".join(lines)


def done(report: Report) -> Report:
    if report.error:
        raise report.error
    return report


def go_up(engine: Engine, target: str | None = None, project: Project = PROJECT) -> Report:
    return done(engine.run(engine.plan_up(project, target=target)))


def go_down(engine: Engine, target: str) -> Report:
    return done(engine.run(engine.plan_down(PROJECT, target=target)))


@pytest.mark.parametrize("version", VERSIONS)
def test_its_rollback_restores_the_schema_exactly_and_it_can_be_applied_again(
    version: str, engine: Engine, database: str
) -> None:
    if BEFORE[version] != "0":
        go_up(engine, BEFORE[version])
    before = schema_of(database)
    go_up(engine, version)
    after = schema_of(database)
    assert after != before

    go_down(engine, BEFORE[version])
    assert schema_of(database) == before

    go_up(engine, version)
    assert schema_of(database) == after


def test_all_of_it_unwinds_to_an_empty_schema(engine: Engine, database: str) -> None:
    empty = schema_of(database)
    go_up(engine)
    full = schema_of(database)

    report = go_down(engine, "0")

    assert [step.version for step in report.rolled_back] == VERSIONS[::-1]
    assert schema_of(database) == empty
    go_up(engine)
    assert schema_of(database) == full


def test_every_rollback_works_on_a_database_with_rows(
    engine: Engine, rows: psycopg.Connection
) -> None:
    go_up(engine, "0001")
    rows.execute("INSERT INTO users (email, full_name) VALUES ('ada@example.com', 'Ada')")
    rows.execute("INSERT INTO knowledge_nodes (title, author_id) SELECT 'Sums', id FROM users")

    go_up(engine)
    assert rows.execute("SELECT display_name FROM users").fetchall() == [("Ada",)]
    assert rows.execute("SELECT title, difficulty FROM knowledge_nodes").fetchall() == [("Sums", 1)]

    go_down(engine, "0001")
    assert rows.execute("SELECT full_name FROM users").fetchall() == [("Ada",)]
    assert rows.execute("SELECT title FROM knowledge_nodes").fetchall() == [("Sums",)]


def test_old_and_new_application_write_side_by_side_while_the_column_is_renamed(
    engine: Engine, rows: psycopg.Connection
) -> None:
    go_up(engine, "0008")
    rows.execute("INSERT INTO users (email, full_name) VALUES ('old@example.com', 'Old')")
    rows.execute("INSERT INTO users (email, display_name) VALUES ('new@example.com', 'New')")
    rows.execute("UPDATE users SET full_name = 'Older' WHERE full_name = 'Old'")
    rows.execute("UPDATE users SET display_name = 'Newer' WHERE display_name = 'New'")

    names = rows.execute("SELECT full_name, display_name FROM users ORDER BY email").fetchall()

    assert names == [("Newer", "Newer"), ("Older", "Older")]


def test_only_the_concurrent_index_runs_outside_a_transaction_and_so_does_its_rollback() -> None:
    def outside(migration: Migration) -> tuple[bool, bool]:
        assert migration.rollback is not None
        return prepare(migration.forward).one_by_one, prepare(migration.rollback).one_by_one

    found = {migration.version: outside(migration) for migration in PROJECT.migrations}

    assert [version for version, ways in found.items() if ways != (False, False)] == ["0003"]
    assert found["0003"] == (True, True)


def test_a_verify_script_takes_a_wrong_migration_back(
    engine: Engine, database: str, tmp_path: Path
) -> None:
    shutil.copytree(FOLDER, tmp_path / "wrong")
    wrong = tmp_path / "wrong/sql/0002_user_preferences.sql"
    wrong.write_text(wrong.read_text().replace(" ON DELETE CASCADE", ""))
    go_up(engine, "0001")
    before = schema_of(database)

    report = engine.run(engine.plan_up(load_project(tmp_path / "wrong"), target="0002"))

    assert report.error is not None
    assert report.error.file == "verify/0002_verify.sql"
    assert "no validated ON DELETE CASCADE foreign key" in report.error.message
    assert schema_of(database) == before


def test_the_checksums_are_complete_and_sorted() -> None:
    assert compare(PROJECT) == []
    assert (FOLDER / "SHA256SUMS").read_text() == format_sums(PROJECT.sums or {})


def test_every_file_begins_with_its_documentation() -> None:
    for migration in PROJECT.migrations:
        scripts = {"": migration.forward, " (rollback)": migration.rollback}
        scripts[" (verify)"] = migration.verify
        for kind, script in scripts.items():
            if script is None:
                continue
            fields = {name: value for name, (value, _) in read_fields(script.sql).items()}
            assert fields["migration"] == f"{migration.name}{kind}"
            assert fields["version"] == migration.version
            assert fields["date"].count("-") == 2
