"""``turnback runs``: what ran, and how each of them ended."""

from __future__ import annotations

import pytest

from tests.conftest import ProjectFactory
from tests.integration.moto_stack import TARGET, Stack
from tests.integration.releases import BROKEN, FIRST, GOOD, NO_WAY_BACK, Deploy
from tests.integration.terminal import at_the_terminal, turnback


@pytest.fixture
def stack(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A deployed stack, found by the commands."""
    return at_the_terminal(deploy(), monkeypatch)


@pytest.mark.usefixtures("stack")
def test_runs_are_listed_newest_first_with_their_last_status(
    project_factory: ProjectFactory,
) -> None:
    releases = [
        (GOOD, "1.0.0"),
        (FIRST, "0.9.0"),
        (BROKEN, "1.1.0"),
        (NO_WAY_BACK | {"sql/0003_edges.sql": "SELECT 1;\n"}, "1.2.0"),
    ]
    for files, number in releases:
        turnback("release", project_factory(files), "--release", number, "--watch")
    answer = turnback("runs", "--json")

    assert answer.code == 0
    rows = answer.document["runs"]
    assert [row["release"] for row in rows] == ["1.2.0", "1.1.0", "0.9.0", "1.0.0"]
    words = ["refused", "rolled_back", "superseded", "succeeded"]
    assert [row["status"] for row in rows] == words
    assert rows[1]["error"] == "MigrationFailed"
    assert all(row["trigger"].startswith("upload:") for row in rows)
    assert all(row["duration_ms"] >= 0 and row["started_at"] for row in rows)

    lines = turnback("runs", "--limit", "2").out.splitlines()
    assert lines[0].split()[:3] == ["run", "release", "status"]
    assert [line.split()[1] for line in lines[1:3]] == ["1.2.0", "1.1.0"]
    assert lines[3] == "2 runs of learning."


def test_a_run_that_needs_a_person_is_listed_as_that(
    stack: Stack, project_factory: ProjectFactory
) -> None:
    turnback("release", project_factory(NO_WAY_BACK), "--release", "1.0.0", "--watch")
    [row] = turnback("runs", "--json").document["runs"]

    assert (row["status"], row["backfilling"]) == ("needs_a_person", False)
    stack.put(b"{}", f"targets/{TARGET}/backfills/{row['run']}.json")
    assert turnback("runs", "--json").document["runs"][0]["backfilling"] is True
    assert "(its backfill goes on)" in turnback("runs").out


@pytest.mark.usefixtures("stack")
def test_a_stack_without_runs_lists_none() -> None:
    answer = turnback("runs", "--json")
    assert (answer.code, answer.document["runs"]) == (0, [])


@pytest.mark.usefixtures("stack")
def test_a_dry_run_is_listed_with_the_release_of_its_plan(project_factory: ProjectFactory) -> None:
    folder = project_factory(GOOD)
    turnback("release", folder, "--release", "1.0.0", "--dry-run", "--watch")
    [row] = turnback("runs", "--json").document["runs"]

    assert (row["release"], row["status"], row["dry_run"]) == ("1.0.0", "succeeded", True)
    assert row["trigger"].startswith("release:arn:aws:")
