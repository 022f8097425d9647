"""``turnback lint`` as a user runs it, and as hooks and CI do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from turnback import __version__

from tests.conftest import ProjectFactory
from tests.integration.command_line import turnback

ROOT = Path(__file__).resolve().parents[2]
TABLES = {"sql/0001_users.sql": "CREATE TABLE users (id int PRIMARY KEY, city text);\n"}
# The page of this version; the package's metadata name the repository.
TB101 = f"https://github.com/OWNER/turnback/blob/v{__version__}/docs/rules/TB101.md"
INDEX = {"sql/0002_city.sql": "-- é\nCREATE INDEX users_city_idx ON users (city);\n"}
NICK = {"sql/0003_nick.sql": "ALTER TABLE users ADD nick text;\n"}


@pytest.fixture
def folder(project_factory: ProjectFactory) -> Path:
    """Three migrations; the second keeps writers out."""
    return project_factory(TABLES | INDEX | NICK, sums=False)


def test_a_finding_says_where_what_why_and_what_to_write_instead(folder: Path) -> None:
    answer = turnback("lint", folder=folder)
    assert answer.code == 3
    assert answer.out.splitlines() == [
        "migrations/sql/0002_city.sql:2:1: error TB101 CREATE INDEX on users without CONCURRENTLY.",
        "    2 | CREATE INDEX users_city_idx ON users (city);",
        "      | ^",
        "    Whoever writes to users waits until the index is built, which reads and sorts every "
        "row: minutes",
        "    on a table of many gigabytes.",
        "        CREATE INDEX CONCURRENTLY users_city_idx ON users (city);",
        "    as migrations: turnback generate --recipe add-index",
        f"    more: turnback explain TB101, or {TB101}",
        "1 error in 3 migrations.",
    ]


def test_what_is_clean_is_0_and_says_so(folder: Path) -> None:
    answer = turnback("lint", "3", folder=folder)
    assert (answer.code, answer.out) == (0, "nothing found in 1 migration.\n")


def test_a_remark_fails_the_check_when_it_is_strict(project_factory: ProjectFactory) -> None:
    back = {"rollback/0003_rollback.sql": "VACUUM FULL users;\n"}
    folder = project_factory(TABLES | NICK | back, sums=False)
    answer = turnback("lint", folder=folder)
    assert answer.code == 0
    assert "info TB109" in answer.out
    assert "1 remark in 2 migrations." in answer.out
    assert turnback("lint", "--strict", folder=folder).code == 3


@pytest.mark.parametrize("arguments", [["--json"], ["--format", "json"]])
def test_as_json_it_is_one_document(arguments: list[str], folder: Path) -> None:
    answer = turnback("lint", *arguments, folder=folder)
    assert answer.code == 3
    document = answer.document
    assert document["command"] == "lint"
    assert document["status"] == "findings"
    assert document["counts"] == {"error": 1, "warning": 0, "info": 0}
    [finding] = document["findings"]
    assert (finding["page"], finding["url"]) == ("docs/rules/TB101.md", TB101)
    assert (finding["id"], finding["level"]) == ("TB101", "error")
    assert (finding["file"], finding["line"], finding["column"]) == ("sql/0002_city.sql", 2, 1)
    assert "CONCURRENTLY" in finding["safer"]
    assert turnback("lint", "1", *arguments, folder=folder).document["status"] == "ok"


def test_a_waived_finding_is_in_the_document_and_fails_nothing(
    project_factory: ProjectFactory,
) -> None:
    waiver = "-- turnback: waive TB101 because it is small\n"
    waived = {"sql/0002_city.sql": waiver + INDEX["sql/0002_city.sql"]}
    answer = turnback("lint", "--json", folder=project_factory(TABLES | waived, sums=False))
    assert answer.code == 0
    assert [item["id"] for item in answer.document["waived"]] == ["TB101"]


def test_for_github_the_path_is_that_of_the_repository(folder: Path) -> None:
    answer = turnback("lint", "--format", "github", folder=folder)
    assert answer.code == 3
    [line] = answer.out.splitlines()
    assert line.startswith("::error file=migrations/sql/0002_city.sql,line=2,col=1,title=TB101 ")
    assert line.endswith(f"%0A{TB101}")
    assert answer.err == "1 error in 3 migrations.\n"


def test_as_markdown_it_is_a_comment(folder: Path) -> None:
    answer = turnback("lint", "--format", "markdown", folder=folder)
    assert answer.code == 3
    assert "| error | TB101 | `migrations/sql/0002_city.sql:2` |" in answer.out


def test_since_takes_what_comes_after_and_nothing_else(folder: Path) -> None:
    assert turnback("lint", "--since", "2", folder=folder).code == 0
    assert turnback("lint", "--since", "1", folder=folder).code == 3
    assert turnback("lint", "--since", "0", folder=folder).code == 0


def test_a_version_that_is_not_there_is_wrong_usage(folder: Path) -> None:
    for arguments in (["9"], ["--since", "9"]):
        answer = turnback("lint", *arguments, folder=folder)
        assert answer.code == 2
        assert "there is no migration 9" in answer.err


def test_a_folder_that_is_not_there_is_wrong_usage_in_json_too(tmp_path: Path) -> None:
    answer = turnback("lint", "--json", folder=tmp_path / "nope")
    assert answer.code == 2
    assert answer.document["error"]["type"] == "ProjectNotFound"


def test_the_example_project_has_no_error() -> None:
    answer = turnback("lint", "--json", folder=ROOT / "migrations")
    assert answer.document["counts"]["error"] == 0


# Hooks; tests/package runs them


def test_the_hooks_are_commands_that_run() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert [hook["id"] for hook in hooks] == ["turnback-check", "turnback-lint", "turnback-prisma"]
    for hook in hooks:
        program, command, *options = hook["entry"].split()
        assert program == "turnback"
        assert turnback(command, *options, "--help").code == 0
        assert hook["pass_filenames"] is False
        files = ("migrations/sql/0001_users.sql", "prisma/schema.prisma", "src/app.py")
        # As pre-commit does.
        found = [bool(re.search(hook["files"], path)) for path in files]
        of_prisma = hook["id"] == "turnback-prisma"
        assert found == [not of_prisma, of_prisma, False]
