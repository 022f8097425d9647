"""Versions that are not numbers, in every command that takes one and in a run on AWS.

The files are sql-migrate's, whose versions are the names of its files: by the number that they
begin with, and what has none last.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ProjectFactory
from tests.integration.bucket import MemoryBucket, release_of, run_back_to
from tests.integration.command_line import Answer, history, query, tables, turnback

FIRST, SECOND, THIRD, LAST = "1.2.3", "2-users", "10-items", "ann:7@v1.2"
ORDER = [FIRST, SECOND, THIRD, LAST]
SETTINGS = '[layout]\nname = "sql-migrate"\n'


def file(table: str) -> str:
    return (
        f"-- +migrate Up\nCREATE TABLE {table} (id bigint PRIMARY KEY);\n"
        f"-- +migrate Down\nDROP TABLE {table};\n"
    )


FILES = {f"{version}.sql": file(f"t{number}") for number, version in enumerate(ORDER)}


def project(project_factory: ProjectFactory, *versions: str) -> Path:
    """A project with these of the files."""
    files = {name: text for name, text in FILES.items() if name[:-4] in versions}
    folder = project_factory(files)
    (folder.parent / "turnback.toml").write_text(SETTINGS)
    return folder


def test_every_command_takes_a_version_that_is_not_a_number(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project(project_factory, *ORDER)

    def run(*arguments: str, code: int = 0) -> Answer:
        answer = turnback(*arguments, url=database, folder=folder)
        assert answer.code == code, answer
        return answer

    def statuses() -> list[tuple[str, str]]:
        found = run("status", "--json").document["migrations"]
        return [(row["version"], row["status"]) for row in found]

    run("check")
    plan = run("up", THIRD, "--dry-run", "--json").document["plan"]
    assert [step["version"] for step in plan] == ORDER[:3]
    assert run("up", THIRD, "--json").document["applied"][-1]["version"] == THIRD
    assert statuses() == [*((version, "applied") for version in ORDER[:3]), (LAST, "pending")]
    run("lint", LAST, "--since", SECOND)
    assert [
        verdict["version"]
        for verdict in run("rehearse", SECOND, LAST, "--json").document["migrations"]
    ] == [SECOND, LAST]
    run("up", "--sql")
    run("up")
    assert run("health", "--json").document["schema_version"] == LAST
    run("redo", "-n", "2", "--yes")
    down = run("down", SECOND, "--yes", "--json").document["rolled_back"]
    assert [row["version"] for row in down] == [LAST, THIRD]
    run("repair", THIRD, "--applied", "--because", "a test")
    run("repair", THIRD, "--rolled-back", "--because", "a test")
    assert statuses()[1:3] == [(SECOND, "applied"), (THIRD, "rolled_back")]
    assert "there is no migration 2-user" in run("up", "2-user", code=2).err
    run("down", "0", "--yes")
    assert tables(database) == set()


def test_the_list_of_the_project_says_what_is_out_of_order(
    database: str, project_factory: ProjectFactory
) -> None:
    some = project(project_factory, FIRST, THIRD)
    assert turnback("up", url=database, folder=some).code == 0
    folder = project(project_factory, *ORDER)
    refused = turnback("up", url=database, folder=folder)
    assert refused.code == 3
    assert f"{SECOND} is pending, but {THIRD} is applied already" in refused.err
    assert turnback("up", "--out-of-order", url=database, folder=folder).code == 0
    # The history has the order in which they were applied.
    applied = query(database, "SELECT version FROM migrations ORDER BY position")
    assert applied == [(FIRST,), (THIRD,), (SECOND,), (LAST,)]
    # Without its file, one is behind what was applied before it.
    (folder / f"{THIRD}.sql").unlink()
    found = turnback("status", "--json", url=database, folder=folder).document["migrations"]
    assert [(row["version"], row["status"]) for row in found] == [
        (FIRST, "applied"),
        (THIRD, "missing"),
        (SECOND, "applied"),
        (LAST, "applied"),
    ]
    back = turnback("down", FIRST, "--yes", "--json", url=database, folder=folder).document
    assert [row["version"] for row in back["rolled_back"]] == [LAST, SECOND, THIRD]


def test_a_run_on_aws_goes_up_and_back_to_a_release(
    database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    bucket = MemoryBucket()
    for number, versions in enumerate((ORDER[:1], ORDER)):
        folder = project(project_factory, *versions)
        run = release_of(database, bucket, f"r-{number}", folder, f"1.{number}.0", tmp_path)
        run.validate()
        run.apply()
        assert run.verify() == len(versions) - number
    assert run.record("plan")["migrations"][-1]["version"] == LAST
    down = run_back_to(database, bucket, "r-down", "1.0.0")
    down.validate()
    assert down.record("plan")["floor"] == FIRST
    down.apply()
    assert [row["version"] for row in down.record("report")["rolled_back"]] == ORDER[:0:-1]
    assert tables(database) == {"t0"}


@pytest.mark.parametrize("version", ["1", "01", "0001"])
def test_digits_are_compared_without_leading_zeros(
    database: str, project_factory: ProjectFactory, version: str
) -> None:
    files = {"sql/0001_t.sql": "CREATE TABLE t ();\n", "rollback/1_rollback.sql": "DROP TABLE t;\n"}
    folder = project_factory(files)
    assert turnback("up", version, url=database, folder=folder).code == 0
    assert turnback("down", version, "--yes", url=database, folder=folder).code == 0
    assert history(database) == [("0001", "applied")]
