"""Completion in a shell: what the program answers to the shell's question."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ProjectFactory
from tests.integration.command_line import PROGRAM

FILES = {
    f"{part}/{version}_{name}.sql": "SELECT 1;\n"
    for version, title in (("0001", "users"), ("0002", "courses"), ("0010", "grades"))
    for part, name in (("sql", title), ("rollback", "rollback"))
}


def completed(folder: Path, *words: str) -> list[str]:
    """The words that bash offers for the last one."""
    done = subprocess.run(
        [PROGRAM],
        cwd=folder.parent,
        env={
            **os.environ,
            "_TURNBACK_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(["turnback", *words]),
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


@pytest.fixture
def folder(project_factory: ProjectFactory) -> Path:
    """A project of three migrations."""
    return project_factory(FILES)


def test_commands_and_options_are_completed(folder: Path) -> None:
    assert completed(folder, "rehe") == ["rehearse"]
    assert completed(folder, "db", "st") == ["start", "stop"]
    assert completed(folder, "up", "--dry") == ["--dry-run"]


def test_versions_are_completed_newest_first(folder: Path) -> None:
    assert completed(folder, "down", "00") == ["0010", "0002", "0001"]
    assert completed(folder, "lint", "--since", "001") == ["0010"]


def test_versions_are_those_of_the_folder_that_is_named(folder: Path) -> None:
    other = folder.parent / "other"
    (other / "sql").mkdir(parents=True)
    (other / "sql" / "0042_answer.sql").touch()
    assert completed(folder, "down", "--dir", "other", "00") == ["0042"]


def test_a_folder_that_is_not_there_completes_nothing(tmp_path: Path) -> None:
    assert completed(tmp_path / "migrations", "down", "00") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_printed(shell: str) -> None:
    done = subprocess.run(
        [PROGRAM],
        env={**os.environ, "_TURNBACK_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "_TURNBACK_COMPLETE" in done.stdout
