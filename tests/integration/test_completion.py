"""Completion in a shell: the real ones, with the scripts that docs/reference/cli.md names."""

from __future__ import annotations

import os
import pty
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from turnback.cli.main import COMMANDS

from tests.conftest import ProjectFactory
from tests.integration.command_line import PROGRAM
from tests.integration.terminal import until

FILES = {
    f"{part}/{version}_{name}.sql": "SELECT 1;\n"
    for version, title in (("0001", "users"), ("0002", "courses"), ("0010", "grades"))
    for part, name in (("sql", title), ("rollback", "rollback"))
}


REFERENCE = Path(__file__).resolve().parents[2] / "docs/reference/cli.md"
PATH = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"


def documented(shell: str) -> str:
    """The command that the reference says to add for a shell."""
    found = re.search(rf"^\| {shell} \| `(.+?)` to ", REFERENCE.read_text(), re.MULTILINE)
    assert found
    return found[1].replace("\\|", "|")


def answer(shell: list[str], program: str, folder: Path, **variables: str) -> str:
    """What a shell prints."""
    done = subprocess.run(
        [*shell, program],
        cwd=folder.parent,
        env={**os.environ, "PATH": PATH, **variables},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def completed(folder: Path, *words: str) -> list[str]:
    """The words that bash offers for the last one."""
    typed = " ".join(shlex.quote(word) for word in ("turnback", *words))
    program = (
        f"{documented('bash')}; COMP_WORDS=({typed}); COMP_CWORD={len(words)}; "
        '"$(complete -p turnback | sed "s/.*-F \\([^ ]*\\).*/\\1/")" turnback; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return answer(["bash", "--norc", "-c"], program, folder).split()


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


def test_versions_of_another_layout_are_completed_in_its_order(folder: Path) -> None:
    (folder.parent / "turnback.toml").write_text('[layout]\nname = "sql-migrate"\n')
    for name in ("2-users", "10-items"):
        text = "-- +migrate Up\nSELECT 1;\n-- +migrate Down\nSELECT 1;\n"
        (folder / f"{name}.sql").write_text(text)
    assert completed(folder, "down", "") == ["10-items", "2-users"]


def test_a_folder_that_is_not_there_completes_nothing(tmp_path: Path) -> None:
    assert completed(tmp_path / "migrations", "down", "00") == []


def test_rules_and_errors_are_completed(folder: Path) -> None:
    assert completed(folder, "explain", "tb10")[:2] == ["TB101", "TB102"]
    assert completed(folder, "explain", "RollbackM") == ["RollbackMissing"]


def test_to_complete_a_command_none_is_imported() -> None:
    """An extra may be missing, and a key is pressed: Python names each import on stderr."""
    done = subprocess.run(
        [PROGRAM],
        env={
            **os.environ,
            "PYTHONPROFILEIMPORTTIME": "1",
            "_TURNBACK_COMPLETE": "zsh_complete",
            "COMP_WORDS": "turnback ",
            "COMP_CWORD": "1",
        },
        capture_output=True,
        text=True,
    )
    assert done.stdout.split("\n")[::3][: len(COMMANDS)] == ["plain"] * len(COMMANDS)
    imported = set(re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE))
    assert "turnback.cli.main" in imported
    assert imported.isdisjoint({module for module, _ in COMMANDS.values()})


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("fish") is None, reason="apt-get install fish")
def test_fish_completes_commands_and_versions(folder: Path) -> None:
    def offered(line: str) -> list[str]:
        program = f"{documented('fish')}; complete --do-complete '{line}'"
        words = answer(["fish", "--no-config", "-c"], program, folder).splitlines()
        return [word.partition("\t")[0] for word in words]

    assert offered("turnback rehe") == ["rehearse"]
    assert set(offered("turnback down 00")) == {"0010", "0002", "0001"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("zsh") is None, reason="apt-get install zsh")
def test_zsh_completes_commands_and_versions(folder: Path, tmp_path: Path) -> None:
    """On a terminal; a key is bound to write the line as it is then into a file."""
    (tmp_path / ".zshrc").write_text(
        "autoload -U compinit; compinit -u -D\n"
        f"{documented('zsh')}\n"
        'show() { print -r -- "$BUFFER" >> shown; BUFFER= }; zle -N show; bindkey "^T" show\n'
        "zle-line-init() { touch shown }; zle -N zle-line-init\n"
    )
    master, slave = pty.openpty()
    environment = {**os.environ, "PATH": PATH, "ZDOTDIR": str(tmp_path), "TERM": "dumb"}
    shell = subprocess.Popen(
        ["zsh", "-i"], cwd=folder.parent, env=environment, stdin=slave, stdout=slave, stderr=slave
    )
    shown = folder.parent / "shown"
    try:
        until(shown.exists)
        for line in ("turnback rehe", "turnback down 001"):
            os.write(master, f"{line}\t\x14".encode())
        until(lambda: len(shown.read_text().splitlines()) == 2)
    finally:
        shell.kill()
        shell.wait()
        os.close(master)
        os.close(slave)
    assert shown.read_text() == "turnback rehearse \nturnback down 0010 \n"
