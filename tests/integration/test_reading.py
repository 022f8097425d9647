"""What the server runs is what our checks have read."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from turnback.engine import Engine, Options, RunContext
from turnback.errors import MigrationFailed, MigrationIncomplete
from turnback.migrations.discovery import load_project
from turnback.sql import bulk, statements
from turnback.sql.parser import SqlSyntaxError
from turnback.sql.statements import Statement

from tests.conftest import ProjectFactory
from tests.integration.command_line import turnback

SETTINGS = {
    "standard_conforming_strings": ("off", "on"),
    "backslash_quote": ("on", "safe_encoding"),
    "transform_null_equals": ("on", "off"),
    "array_nulls": ("off", "on"),
    "DateStyle": ("'German, DMY'", "ISO, MDY"),
    "IntervalStyle": ("sql_standard", "postgres"),
    "xmloption": ("document", "content"),
    "client_encoding": ("latin1", "UTF8"),
}
UNREAD = "-- newer than our grammar\n"
TABLE = "CREATE TABLE t (a int);\n"


@pytest.fixture
def old_grammar(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser that is older than the server, and cannot read what has the mark."""

    def split(text: str) -> list[Statement]:
        if UNREAD in text:
            raise SqlSyntaxError("syntax error", 0, "")
        return statements.split(text)

    monkeypatch.setattr(bulk, "split", split)


def engine_for(url: str) -> Engine:
    return Engine(url, context=RunContext("r-1"), options=Options())


def execute(url: str, sql: str) -> list[tuple]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def up(url: str, project_factory: ProjectFactory, sql: str, **files: str):
    folder = project_factory({"sql/0001_t.sql": sql, "rollback/0001_rollback.sql": "", **files})
    with engine_for(url) as engine:
        return engine.run(engine.plan_up(load_project(folder)))


@pytest.mark.parametrize("of", ["database", "role"])
def test_every_session_has_the_settings_that_decide_how_text_is_read(
    database: str, admin: psycopg.Connection, of: str
) -> None:
    name = conninfo_to_dict(database)["dbname"]
    for setting, (theirs, _) in SETTINGS.items():
        who = f"DATABASE {name}" if of == "database" else f"ROLE postgres IN DATABASE {name}"
        admin.execute(f"ALTER {who} SET {setting} = {theirs}".encode())
    with engine_for(database) as engine:
        for setting, (_, ours) in SETTINGS.items():
            row = engine.connection.execute(f"SHOW {setting}".encode()).fetchone()
            assert row == (ours,), setting


def test_a_string_is_a_string_whatever_the_database_has_set(
    database: str, admin: psycopg.Connection, project_factory: ProjectFactory
) -> None:
    name = conninfo_to_dict(database)["dbname"]
    execute(database, "CREATE TABLE users AS SELECT 1 AS id")
    admin.execute(f"ALTER DATABASE {name} SET standard_conforming_strings = off".encode())
    # With the setting off the first string ends at its third quote, and the rest is SQL.
    hidden = "SELECT 'a\\', '; DELETE FROM users; COMMIT; --';\n"
    report = up(database, project_factory, hidden)
    assert report.error is None
    assert execute(database, "SELECT * FROM users") == [(1,)]


def test_a_script_that_changes_how_its_text_is_read_is_stopped(
    database: str, project_factory: ProjectFactory
) -> None:
    for sql in (
        "SET standard_conforming_strings = off;\n",
        "SELECT set_config('standard_conforming_strings', 'off', false);\n",
        "SET NAMES 'latin1';\n",
    ):
        report = up(
            database, project_factory, f"-- turnback: no-transaction\n{sql}CREATE TABLE x ();\n"
        )
        assert isinstance(report.error, MigrationFailed)
        assert "in another way" in report.error.message
        assert report.error.line == 3
    assert execute(database, "SELECT to_regclass('x')") == [(None,)]


@pytest.mark.usefixtures("old_grammar")
def test_text_that_our_parser_cannot_read_is_applied_whole(
    database: str, project_factory: ProjectFactory
) -> None:
    report = up(database, project_factory, TABLE + UNREAD)
    assert report.error is None
    assert execute(database, "SELECT success FROM migrations") == [(True,)]


@pytest.mark.usefixtures("old_grammar")
def test_text_that_our_parser_cannot_read_and_that_fails_keeps_nothing(
    database: str, project_factory: ProjectFactory
) -> None:
    report = up(database, project_factory, f"{TABLE}{UNREAD}SELECT 1/0;\n")
    assert isinstance(report.error, MigrationFailed)
    assert execute(database, "SELECT to_regclass('t')") == [(None,)]


@pytest.mark.parametrize(
    "end",
    [
        "COMMIT;\n",
        "COMMIT;\nSELECT 1/0;\n",
        "COMMIT;\nBEGIN;\n",
        "COMMIT AND CHAIN;\n",
        "COMMIT;\nBEGIN;\nSELECT set_config('turnback.xid', 'x', true);\nSELECT 1/0;\n",
        "ROLLBACK;\nCREATE TABLE t (a int);\nCOMMIT;\n",
    ],
)
@pytest.mark.usefixtures("old_grammar")
def test_text_that_ended_its_transaction_may_have_committed_and_that_is_reported(
    database: str, project_factory: ProjectFactory, end: str
) -> None:
    report = up(database, project_factory, f"{TABLE}{UNREAD}{end}")
    assert isinstance(report.error, MigrationIncomplete)
    assert "part of 0001 may have been committed" in report.error.message
    assert execute(database, "SELECT success FROM migrations") == [(False,)]


@pytest.mark.usefixtures("old_grammar")
def test_a_verify_script_that_our_parser_cannot_read_is_run(
    database: str, project_factory: ProjectFactory
) -> None:
    verify = f"{UNREAD}DO $$BEGIN ASSERT NOT EXISTS (SELECT FROM t), 'rows'; END$$;\n"
    files = {"verify/0001_verify.sql": verify}
    report = up(database, project_factory, f"{TABLE}INSERT INTO t VALUES (1);\n", **files)
    assert report.error is not None and "rows" in report.error.message
    assert execute(database, "SELECT to_regclass('t')") == [(None,)]
    assert up(database, project_factory, TABLE, **files).error is None


# The environment of whoever runs turnback


def test_variables_of_libpq_change_neither_what_runs_nor_what_is_read(
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same migrations with them and without them; the server says what its session has."""
    shown = "current_setting('DateStyle') || current_setting('TimeZone') || current_setting('geqo')"
    files = {
        "sql/0001_t.sql": "CREATE TABLE t (d date, s text, settings text);\n"
        f"INSERT INTO t VALUES ('02/03/2026', 'a\\', {shown});\nINSERT INTO t (s) VALUES ('ü');\n",
        "rollback/0001_rollback.sql": "DROP TABLE t;\n",
    }
    folder = project_factory(files)

    def run(environment: dict[str, str]) -> list[object]:
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            assert turnback("up", url=database, folder=folder).code == 0
            status = turnback("status", "--json", url=database, folder=folder).document
            taken = turnback("backup", "--json", url=database, folder=folder).document
        for one in status["migrations"]:
            del one["applied_at"], one["execution_ms"]
        rows = execute(database, "SELECT d = DATE '2026-02-03', s, settings FROM t")
        assert turnback("down", "0", "--yes", url=database, folder=folder).code == 0
        return [status["migrations"], taken["snapshot"]["schema_version"], rows]

    before = run({})
    # What else the options say is meant: see test_session_settings.
    hostile = "-c standard_conforming_strings=off -c DateStyle=German"
    service = tmp_path / "service.conf"
    service.write_text(
        f"[elsewhere]\nhost=192.0.2.1\ndbname=wrong\noptions={hostile}\nclient_encoding=LATIN1\n"
    )
    environment = {
        "PGDATESTYLE": "German, DMY",
        "PGTZ": "Asia/Tokyo",
        "PGGEQO": "off",
        "PGCLIENTENCODING": "LATIN1",
        "PGOPTIONS": hostile,
        "PGSERVICE": "elsewhere",
        "PGSERVICEFILE": str(service),
    }
    assert run(environment) == before
