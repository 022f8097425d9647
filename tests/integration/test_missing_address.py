"""A database that was not named: the embedded one must not be taken for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from turnback.local.scratch import scratch

from tests.conftest import ProjectFactory
from tests.integration.command_line import history, turnback

FILES = {
    "sql/0001_t.sql": "CREATE TABLE t (id int);\n",
    "rollback/0001_rollback.sql": "DROP TABLE t;\n",
}


@pytest.fixture
def folder(project_factory: ProjectFactory) -> Path:
    return project_factory(FILES)


def made(folder: Path) -> bool:
    return (folder.parent / ".turnback").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["health"],
        ["locks"],
        ["up", "--dry-run"],
        ["down", "--yes"],
        ["redo", "--yes"],
        ["repair", "0001", "--applied", "--because", "by hand"],
        ["backup"],
        ["db", "wait"],
    ],
)
def test_a_command_that_only_reads_makes_no_embedded_postgres(
    command: list[str], folder: Path
) -> None:
    answer = turnback(*command, "--json", folder=folder)
    assert answer.code == 2
    error = json.loads(answer.out)["error"]
    assert "no database is named" in error["message"]
    assert "DATABASE_URL" in error["hint"]
    assert not made(folder)


def test_check_and_rehearse_need_no_database(folder: Path) -> None:
    assert turnback("check", "--fix", folder=folder).code == 0
    assert not made(folder)


@pytest.mark.parametrize("command", [["up"], ["status"], ["health"], ["db", "create"]])
def test_an_empty_database_url_is_refused(
    command: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    answer = turnback(*command, folder=folder)
    assert answer.code == 2
    assert "DATABASE_URL" in answer.err and "it is empty" in answer.err
    assert not made(folder)


def test_an_option_or_turnback_toml_is_used_in_place_of_an_empty_variable(
    folder: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    assert turnback("up", "--database-url", database, folder=folder).code == 0
    monkeypatch.setenv("THE_DATABASE", database)
    (folder.parent / "turnback.toml").write_text(
        '[environments.dev]\nurl-variable = "THE_DATABASE"\n'
    )
    assert turnback("down", "--yes", "--env", "dev", folder=folder).code == 0
    assert history(database) == [("0001", "rolled_back")]


@pytest.mark.parametrize("variable", ["CI", "CODEBUILD_BUILD_ID"])
@pytest.mark.parametrize(
    "command", [["up"], ["status"], ["db", "create"], ["db", "drop", "--yes"], ["db", "psql"]]
)
def test_in_ci_a_command_without_a_database_is_refused(
    variable: str, command: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "true")
    answer = turnback(*command, folder=folder)
    assert answer.code == 2
    assert variable in answer.err and "--embedded" in answer.err
    assert not made(folder)


def test_in_ci_the_embedded_postgres_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("DATABASE_URL", "")
    with scratch("ci") as place:
        folder = place / "migrations"
        for name, text in FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        assert turnback("up", "--embedded", folder=folder).code == 0
        answer = turnback("status", "--embedded", "--json", folder=folder)
        assert [row["status"] for row in answer.document["migrations"]] == ["applied"]


def test_embedded_and_an_address_exclude_each_other(folder: Path, database: str) -> None:
    for command in (["up"], ["db", "drop", "--yes"]):
        answer = turnback(*command, "--embedded", url=database, folder=folder)
        assert answer.code == 2 and "exclude each other" in answer.err
    assert history(database) == []


def test_a_ci_job_that_names_its_database_needs_no_option(
    folder: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    assert turnback("up", url=database, folder=folder).code == 0
