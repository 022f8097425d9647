"""``down`` compares the schema with what it was before the migrations; pg_dump is the judge."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from turnback.cli.main import cli
from turnback.errors import DatabaseRefused
from turnback.recovery.contents import Identity

from tests.conftest import ProjectFactory
from tests.dumps import pg_dump_schema
from tests.integration.command_line import turnback

FILES = {
    "sql/0001_users.sql": "CREATE TABLE users (id int PRIMARY KEY, name text);\n",
    "rollback/0001_rollback.sql": "DROP TABLE users;\n",
    "sql/0002_age.sql": "ALTER TABLE users ADD COLUMN age int;\n",
    "rollback/0002_rollback.sql": "ALTER TABLE users DROP COLUMN age;\n",
    "sql/0003_mood.sql": "CREATE TYPE mood AS ENUM ('good');\nCREATE TABLE moods (m mood);\n",
    "rollback/0003_rollback.sql": "DROP TABLE moods;\nDROP TYPE mood;\n",
}


@pytest.fixture
def folder(
    project_factory: ProjectFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return project_factory(FILES)


def change(url: str, sql: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(sql.encode())


def test_the_schema_is_that_of_before_each_migration_of_a_run(database: str, folder: Path) -> None:
    assert turnback("up", "1", url=database, folder=folder).code == 0
    then = pg_dump_schema(database)
    assert turnback("up", url=database, folder=folder).code == 0
    last = turnback("down", "--yes", "--json", url=database, folder=folder)
    assert last.document["schema"] == {"verdict": "exact", "notes": []}
    answer = turnback("down", "1", "--yes", url=database, folder=folder)
    assert answer.out.endswith("The schema is as it was before 0002.\n")
    assert pg_dump_schema(database) == then


def test_what_a_rollback_leaves_is_named(database: str, folder: Path) -> None:
    (folder / "rollback/0003_rollback.sql").write_text("DROP TABLE moods;\n")
    assert turnback("up", url=database, folder=folder).code == 0
    answer = turnback("down", "--yes", "--json", url=database, folder=folder)
    assert answer.code == 6
    assert answer.document["schema"]["verdict"] == "differs"
    assert "type public.mood: left over" in answer.document["error"]["message"]
    assert "TYPE public.mood" in pg_dump_schema(database)


def test_what_somebody_else_has_changed_since_is_not_blamed_on_the_rollback(
    database: str, folder: Path
) -> None:
    assert turnback("up", url=database, folder=folder).code == 0
    change(database, "CREATE INDEX by_name ON users (name)")
    answer = turnback("down", "1", "--yes", url=database, folder=folder)
    assert answer.code == 0, answer.err
    assert "Differed before the rollback: index public.by_name: left over" in answer.err
    assert "The schema is as it was before 0002." in answer.out


def test_what_a_failed_migration_found_is_not_taken_for_the_schema_before(
    database: str, folder: Path
) -> None:
    assert turnback("up", "2", url=database, folder=folder).code == 0
    change(database, "CREATE TABLE moods ()")
    assert turnback("up", url=database, folder=folder).code == 1
    change(database, "DROP TABLE moods")
    assert turnback("up", url=database, folder=folder).code == 0
    answer = turnback("down", "--yes", url=database, folder=folder)
    assert answer.out.endswith("The schema is as it was before 0003.\n")


def test_on_another_machine_nothing_is_compared_and_that_is_said(
    database: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert turnback("up", url=database, folder=folder).code == 0
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    answer = turnback("down", "--yes", url=database, folder=folder)
    assert answer.code == 0
    assert "The schema was not compared with what it was before 0003" in answer.err
    assert "as it was" not in answer.out
    # What is there, and is not readable, is no error either.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for place in (tmp_path / "cache/turnback/schemas").iterdir():
        place.write_bytes(b"nothing of ours")
    answer = turnback("down", "--yes", url=database, folder=folder)
    assert answer.code == 0
    assert "was not compared" in answer.err


def test_a_database_that_does_not_say_which_it_is_is_migrated_and_not_compared(
    database: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No server refuses this and takes migrations, so the answer is put in its place."""

    def refused(*_: object) -> Identity:
        raise DatabaseRefused("permission denied")

    monkeypatch.setattr("turnback.cli.kept_schemas.identify", refused)
    place = ("--dir", str(folder), "--database-url", database)
    applied = CliRunner().invoke(cli, ["up", *place], standalone_mode=False)
    assert applied.return_value == 0, applied.output
    back = CliRunner().invoke(cli, ["down", "--yes", *place], standalone_mode=False)
    assert back.return_value == 0, back.output
    assert "was not compared" in back.stderr
