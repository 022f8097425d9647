"""``turnback db``: the database itself, and the embedded server that keeps running."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo
from turnback.engine.session.databases import split_password, wait_for
from turnback.errors import DatabaseRefused, DatabaseUnreachable
from turnback.local.scratch import scratch
from turnback.local.server import read_running

from tests.integration.command_line import PROGRAM, turnback

NOBODY = "postgresql://localhost:1/nothing"


def other(database: str, name: str) -> str:
    """The address of another database of the same server."""
    return f"{database.rsplit('/', 1)[0]}/{name}"


@pytest.fixture
def absent(database: str) -> Iterator[str]:
    """The address of a database that does not exist, and is dropped afterwards."""
    name = f"absent_{conninfo.conninfo_to_dict(database)['dbname']}"
    yield other(database, name)
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}"'.encode())


@pytest.fixture
def folder() -> Iterator[Path]:
    """A project that the account of the embedded server can reach."""
    with scratch("db-test") as path:
        (path / "migrations").mkdir()
        yield path / "migrations"


def test_a_database_is_created_once_and_dropped_once(absent: str) -> None:
    words = [
        turnback("db", *arguments, "--json", url=absent).document["status"]
        for arguments in (("create",), ("create",), ("drop", "--yes"), ("drop", "--yes"))
    ]
    assert words == ["succeeded", "nothing_to_do", "succeeded", "nothing_to_do"]


def test_the_document_names_the_command_as_it_is_typed(absent: str) -> None:
    assert turnback("db", "create", "--json", url=absent).document["command"] == "db create"


def test_without_a_terminal_nothing_is_dropped_unless_yes_is_given(database: str) -> None:
    answer = turnback("db", "drop", url=database)
    assert answer.code == 2 and "confirm with --yes" in answer.err
    psycopg.connect(database).close()


def test_a_database_with_sessions_is_not_dropped(database: str) -> None:
    with psycopg.connect(database):
        answer = turnback("db", "drop", "--yes", url=database)
    assert answer.code == 5
    assert "being accessed by other users" in answer.err and "turnback locks" in answer.err


@pytest.mark.parametrize("name", ["postgres", "template1"])
def test_a_database_of_the_server_is_not_dropped(database: str, name: str) -> None:
    url = other(database, name)
    answer = turnback("db", "drop", "--yes", url=url)
    assert answer.code == 2 and "not the database of an application" in answer.err


def test_wait_ends_as_soon_as_the_database_answers_or_the_time_is_over(database: str) -> None:
    assert turnback("db", "wait", url=database).code == 0
    answer = turnback("db", "wait", "--timeout", "1ms", url=NOBODY)
    assert answer.code == 5 and "does not answer" in answer.err


def test_wait_tries_again_until_its_time_is_over_and_not_after_a_refusal(absent: str) -> None:
    now = [0.0]
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    with pytest.raises(DatabaseUnreachable):
        wait_for(NOBODY, 2, sleep=sleep, clock=lambda: now[0])
    assert sum(pauses) == 2
    with pytest.raises(DatabaseRefused):
        wait_for(absent, 2, sleep=sleep, clock=lambda: now[0])
    assert sum(pauses) == 2


def test_psql_gets_the_arguments_and_the_exit_code_is_its_own(database: str) -> None:
    assert turnback("db", "psql", "--", "-Atc", "SELECT 6 * 7", url=database).out.strip() == "42"
    answer = turnback("db", "psql", "--", "-c", "SELECT no_such_column", url=database)
    assert answer.code == 1 and "no_such_column" in answer.err


def test_the_password_is_not_among_the_arguments_of_psql() -> None:
    target, password = split_password("postgresql://u:p%40ss@localhost:5432/app")
    assert password == "p@ss"
    assert "p@ss" not in target and conninfo.conninfo_to_dict(target)["dbname"] == "app"


def test_a_started_server_outlives_the_commands_until_it_is_stopped(folder: Path) -> None:
    data = folder.parent / ".turnback" / "postgres" / "data"
    assert turnback("db", "url", folder=folder).code == 2
    url = turnback("db", "start", "--json", folder=folder).document["url"]
    try:
        assert turnback("db", "url", folder=folder).out.strip() == url
        answer = turnback("db", "psql", "--dir", folder, "--", "-Atc", "SELECT 1")
        assert answer.out.strip() == "1"
        psycopg.connect(url).close()
    finally:
        assert turnback("db", "stop", folder=folder).code == 0
    assert read_running(data) is None
    assert turnback("db", "stop", "--json", folder=folder).document["status"] == "nothing_to_do"


def test_dropping_the_embedded_database_removes_its_data_and_not_under_a_command(
    folder: Path,
) -> None:
    data = folder.parent / ".turnback" / "postgres" / "data"
    assert turnback("db", "create", folder=folder).code == 0
    command = [str(PROGRAM), "db", "psql", "--dir", str(folder), "--", "-c", r"\echo ready", "-f-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as user:
        assert user.stdout and user.stdout.readline() == "ready\n"
        answer = turnback("db", "drop", "--yes", folder=folder)
        assert answer.code == 2 and "Another command is using" in answer.err
        user.communicate("\\\\q\n")
    assert data.exists()
    assert (
        turnback("db", "drop", "--yes", "--json", folder=folder).document["status"] == "succeeded"
    )
    assert not data.exists()


def test_db_lists_its_commands() -> None:
    answer = turnback("db", "--help")
    for name in ("create", "drop", "psql", "start", "stop", "url", "wait"):
        assert f"  {name} " in answer.out
    assert answer.code == 0
