"""What was applied before turnback was used needs no rollback script; what comes after it does."""

from __future__ import annotations

from pathlib import Path

import pytest
from turnback.engine import Engine, RunContext
from turnback.engine.run.adopt import Adopted, adopt
from turnback.migrations.discovery import load_project

from tests.conftest import ProjectFactory
from tests.integration.bucket import MemoryBucket, release_of
from tests.integration.command_line import Answer, tables, turnback

BASELINE = {
    "sql/0001_a.sql": "CREATE TABLE a (id bigint PRIMARY KEY);\n",
    "sql/0002_b.sql": "CREATE TABLE b (id int);\nALTER TABLE b ALTER COLUMN id TYPE bigint;\n",
}
AFTER = {
    "sql/0003_c.sql": "CREATE TABLE c (id bigint PRIMARY KEY);\n",
    "rollback/0003_rollback.sql": "DROP TABLE c;\n",
}
WITHOUT = {"sql/0004_d.sql": "CREATE TABLE d (id bigint PRIMARY KEY);\n"}


@pytest.fixture
def folder(project_factory: ProjectFactory) -> Path:
    """A project with a baseline of two migrations, and one after it."""
    return written(project_factory, BASELINE | AFTER)


def written(project_factory: ProjectFactory, files: dict[str, str]) -> Path:
    folder = project_factory(files)
    (folder.parent / "turnback.toml").write_text('[layout]\nbaseline = "2"\n')
    return folder


def take_over(url: str, folder: Path) -> None:
    """The baseline is applied by another tool, and its history taken over."""
    with Engine(url, context=RunContext("r-0")) as engine:
        entries = []
        for one in load_project(folder).migrations[:2]:
            engine.connection.execute(one.forward.sql.encode())
            entries.append(Adopted(one.version, one.name, one.forward.checksum))
        adopt(engine.session, entries, "a test")


def test_no_rollback_script_is_required_up_to_the_baseline_and_from_then_on_one_is(
    database: str, folder: Path, project_factory: ProjectFactory
) -> None:
    assert turnback("check", folder=folder).code == 0
    # A database of its own is built from the first file.
    assert turnback("up", url=database, folder=folder).code == 0
    more = written(project_factory, BASELINE | AFTER | WITHOUT)
    checked = turnback("check", "--json", folder=more)
    assert [finding["file"] for finding in checked.document["findings"]] == ["sql/0004_d.sql"]
    refused = turnback("up", url=database, folder=more)
    assert (refused.code, "0004 has no rollback script" in refused.err) == (3, True)


def test_an_empty_baseline_is_found_and_not_recorded_as_applied(
    database: str, folder: Path
) -> None:
    """As it is where pg_dump, which was to fill it, has failed."""
    place = folder / "sql/0001_a.sql"
    place.write_text("-- Migration: a\n-- Version: 0001\n\n")
    checked = turnback("check", "--fix", folder=folder)
    assert (checked.code, "the baseline is still the empty file" in checked.out) == (3, True)
    applied = ("repair", "0001", "--applied", "--because", "it is there")
    refused = turnback(*applied, url=database, folder=folder)
    assert (refused.code, "still the empty file" in refused.err) == (3, True)


def test_down_does_not_go_past_the_baseline_and_says_what_to_do(
    database: str, folder: Path
) -> None:
    take_over(database, folder)
    (folder.parent / "turnback.toml").unlink()

    def run(*arguments: str) -> Answer:
        return turnback(*arguments, url=database, folder=folder)

    # The history knows what was adopted.
    assert run("up").code == 0
    rows = run("status", "--json").document["migrations"]
    assert [row["kind"] for row in rows] == ["adopted", "adopted", "migration"]
    assert [line.endswith("adopted") for line in run("status").out.splitlines()[:3]] == [
        True,
        True,
        False,
    ]
    health = run("health", "--json")
    assert (health.code, health.document["baseline"]) == (0, "0002")
    assert "at 0003, baseline 0002" in run("health").out
    for arguments in (["0"], ["0001"], ["-n", "2"]):
        refused = run("down", *arguments, "--yes")
        assert refused.code == 3
        assert "0002 belongs to the baseline" in refused.err
        assert "turnback down 0002 rolls back what came after it" in refused.err
        assert "turnback repair 0002 --rolled-back" in refused.err
    assert tables(database) == {"a", "b", "c"}
    assert run("down", "0002", "--yes").code == 0
    # What is recorded by hand is applied again as a migration of ours.
    assert run("repair", "0002", "--rolled-back", "--because", "undone by hand").code == 0
    assert run("repair", "0002", "--applied", "--because", "done by hand").code == 0
    rows = run("status", "--json").document["migrations"]
    assert [row["kind"] for row in rows] == ["adopted", "migration", "migration"]


def test_a_rehearsal_replays_the_baseline_and_proves_what_comes_after_it(
    database: str, folder: Path
) -> None:
    take_over(database, folder)
    for arguments in ((), ("--all",)):
        answer = turnback("rehearse", *arguments, "--json", url=database, folder=folder)
        assert answer.code == 0, answer
        assert answer.document["baseline"] == "2"
        assert [one["version"] for one in answer.document["migrations"]] == ["0003"]
    # Whoever names one of it, asks for it.
    asked = turnback("rehearse", "0001", "--json", url=database, folder=folder)
    assert (asked.code, asked.document["migrations"][0]["rollback"]) == (3, "missing")


def test_lint_is_for_what_comes_after_the_baseline(folder: Path) -> None:
    found = turnback("lint", "--json", folder=folder).document
    assert (found["migrations"], found["findings"]) == (1, [])
    assert turnback("lint", "0002", "--json", folder=folder).document["migrations"] == 1
    assert turnback("lint", "--since", "0", "--json", folder=folder).document["migrations"] == 3


def test_a_run_on_aws_applies_the_baseline_to_a_new_database(
    database: str, folder: Path, tmp_path: Path
) -> None:
    run = release_of(database, MemoryBucket(), "r-1", folder, "1.0.0", tmp_path)
    assert run.validate().migration_count == 3
    run.apply()
    assert run.verify() == 3


def test_a_baseline_that_no_file_has_is_refused(folder: Path) -> None:
    toml = folder.parent / "turnback.toml"
    for value, said in (('"7"', "there is no migration 7"), ("7", "baseline is not a text")):
        toml.write_text(f"[layout]\nbaseline = {value}\n")
        answer = turnback("check", folder=folder)
        assert answer.code in (2, 3)
        assert f"turnback.toml:2: {said}" in answer.out + answer.err
