"""Branches that are merged: what ``check --base`` finds, and what ``rebase`` makes of it.

The judge is git: each case is a repository with a history of its own. After ``rebase``, ``git
merge`` of the base must leave a folder in which ``check`` finds nothing but what the author did to
the base's own files.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from turnback.cli.main import cli
from turnback.migrations.discovery import PENDING_REBASE, load_project, scan

from tests.conftest import ProjectFactory

# No setting of whoever runs the tests, and the same commit for the same contents.
ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{f"GIT_{who}_NAME": "test" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "test@example.com" for who in ("AUTHOR", "COMMITTER")},
}


@pytest.fixture(autouse=True, scope="module")
def plain_git() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield


def turnback(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--dir", str(folder)], standalone_mode=False)


class Repository:
    """A repository with the branches ``main`` and ``change``."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.folder = place / "migrations"

    def git(self, *arguments: str, at: Path | None = None, code: int = 0) -> str:
        done = subprocess.run(["git", *arguments], cwd=at or self.place, capture_output=True)
        assert done.returncode == code, (arguments, done)
        return done.stdout.decode()

    def switch(self, branch: str, *options: str) -> None:
        self.git("switch", "--quiet", *options, branch)

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_bytes(text.encode())

    def add(self, version: str, name: str, *more: str, rollback: str = "rollback") -> None:
        head = f"-- Migration: {name}\n-- Version: {version}\n\n"
        self.write(f"sql/{version}_{name}.sql", f"{head}CREATE TABLE {name} ();\n")
        self.write(f"rollback/{version}_{rollback}.sql", f"{head}DROP TABLE {name};\n")
        for kind in more:
            self.write(f"{kind}/{version}_{kind}.sql", f"{head}TABLE {name};\n")

    def remove(self, *paths: str) -> None:
        for path in paths:
            (self.folder / path).unlink()

    def move(self, old: str, new: str) -> None:
        (self.folder / old).rename(self.folder / new)

    def commit(self) -> None:
        """Commit everything, with SHA256SUMS as it should be."""
        turnback(self.folder, "check", "--fix")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=more")

    def merge(self, branch: str) -> None:
        """Merge, with nothing in conflict but SHA256SUMS, which is written anew."""
        subprocess.run(
            ["git", "merge", "--quiet", "--no-edit", branch], cwd=self.place, capture_output=True
        )
        unmerged = self.git("diff", "--name-only", "--diff-filter=U").split()
        assert unmerged in ([], ["migrations/SHA256SUMS"])
        self.commit_if_needed()

    def commit_if_needed(self) -> None:
        turnback(self.folder, "check", "--fix")
        self.git("add", "--all")
        if self.git("status", "--porcelain") or (self.place / ".git/MERGE_HEAD").exists():
            self.git("commit", "--quiet", "--message=merge")

    def files(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file()
        }

    def found(self, base: str = "main") -> list[tuple[str, str]]:
        """What ``check --base`` finds: the error and the file of each."""
        done = turnback(self.folder, "check", "--base", base, "--json")
        document = json.loads(done.stdout)
        assert done.return_value == (3 if document["findings"] else 0), done
        return [(item["type"], item["file"]) for item in document["findings"]]

    def rebase(self, *options: str, base: str = "main") -> dict[str, Any]:
        done = turnback(self.folder, "rebase", "--base", base, "--json", *options)
        document: dict[str, Any] = json.loads(done.stdout)
        return document


@pytest.fixture(scope="module")
def two_migrations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Repository(tmp_path_factory.mktemp("merges"))
    made.git("init", "--quiet", "--initial-branch=main", "--template=")
    made.add("0001", "users")
    made.add("0002", "orders")
    made.commit()
    made.git("branch", "change")
    return made.place


@pytest.fixture
def repository(two_migrations: Path, tmp_path: Path) -> Repository:
    return Repository(shutil.copytree(two_migrations, tmp_path / "repository"))


@dataclass(frozen=True)
class History:
    """A history of two branches, and what is right for it.

    Attributes:
        main: commits on main after the branches part.
        change: commits on the branch, whose last state may be uncommitted.
        found: what is found.
        renumbered: old version → new version.
        remains: what is found after the rebase as well.
        base: what the branch is compared with.
    """

    main: Callable[[Repository], None]
    change: Callable[[Repository], None]
    found: list[tuple[str, str]]
    renumbered: Mapping[str, str]
    remains: tuple[tuple[str, str], ...] = ()
    base: str = "main"


def adds(*names: str, more: tuple[str, ...] = ()) -> Callable[[Repository], None]:
    """One commit that adds migrations, each as ``0003_name``."""

    def add(repository: Repository) -> None:
        for name in names:
            repository.add(*name.split("_", 1), *more)
        repository.commit()

    return add


def nothing(_: Repository) -> None:
    pass


def then(*steps: Callable[[Repository], None]) -> Callable[[Repository], None]:
    return lambda repository: [step(repository) for step in steps] and None


def edits(path: str) -> Callable[[Repository], None]:
    return then(lambda r: r.write(path, "SELECT 3;\n"), Repository.commit)


def deletes(r: Repository) -> None:
    r.remove("sql/0002_orders.sql", "rollback/0002_rollback.sql")
    r.commit()


def renames(r: Repository) -> None:
    r.move("sql/0002_orders.sql", "sql/0002_sales.sql")
    r.commit()


def has_a_baseline(r: Repository) -> None:
    shutil.rmtree(r.folder / "sql")
    shutil.rmtree(r.folder / "rollback")
    r.add("0100", "baseline")
    r.commit()


def is_squashed(r: Repository) -> None:
    """Main gets the first migration of the branch as a commit of its own, and goes on."""
    adds("0003_first")(r)
    adds("0004_main")(r)


def merges_main(r: Repository) -> None:
    adds("0004_mine")(r)
    r.merge("main")


def adds_by_name(r: Repository) -> None:
    """A rollback script that is named after its migration: git can merge it."""
    r.add("0003", "mine", rollback="mine")
    r.commit()


def leaves_a_conflict(r: Repository) -> None:
    adds_by_name(r)
    r.git("merge", "--quiet", "main", code=1)
    assert b"<<<<<<<" in r.files()["SHA256SUMS"]


def works_on_another_branch(r: Repository) -> None:
    """The branch ``first`` from main, and ``change`` from that one."""
    r.switch("first", "--create")
    adds("0003_first")(r)
    r.git("branch", "--force", "change")
    r.switch("change")
    adds("0004_mine")(r)
    r.switch("first")
    adds("0005_more")(r)
    r.switch("change")


def is_not_committed(r: Repository) -> None:
    r.add("0003", "mine")
    turnback(r.folder, "check", "--fix")


def adds_another_case(r: Repository) -> None:
    adds("0003_Main")(r)


TAKEN, BELOW = "DuplicateVersion", "OutOfOrder"
MINE = "sql/0003_mine.sql"
HISTORIES = {
    "the same version on both": History(
        adds("0003_main"), adds("0003_mine"), [(TAKEN, MINE)], {"0003": "0004"}
    ),
    "the same version and the same name on both": History(
        adds("0003_mine"),
        then(lambda r: r.add("0003", "mine"), edits("sql/0003_mine.sql")),
        [(TAKEN, MINE)],
        {"0003": "0004"},
    ),
    "a lower version": History(
        adds("0004_main"), adds("0003_mine"), [(BELOW, MINE)], {"0003": "0005"}
    ),
    "interleaved": History(
        adds("0004_main"),
        adds("0003_mine", "0005_next"),
        [(BELOW, MINE)],
        {"0003": "0005", "0005": "0006"},
    ),
    "a deleted migration": History(
        nothing,
        deletes,
        [("MigrationMissing", "sql/0002_orders.sql")],
        {},
        (("MigrationMissing", "sql/0002_orders.sql"),),
    ),
    "a renamed migration": History(
        adds("0003_main"),
        then(renames, adds("0003_mine")),
        [("MigrationMissing", "sql/0002_sales.sql"), (TAKEN, MINE)],
        {"0003": "0004"},
        (("MigrationMissing", "sql/0002_sales.sql"),),
    ),
    "an edited migration": History(
        nothing,
        edits("sql/0002_orders.sql"),
        [("ChecksumMismatch", "sql/0002_orders.sql")],
        {},
        (("ChecksumMismatch", "sql/0002_orders.sql"),),
    ),
    "a migration edited on main": History(edits("sql/0002_orders.sql"), nothing, [], {}),
    "only a rollback script changed": History(nothing, edits("rollback/0002_rollback.sql"), [], {}),
    "two on one side": History(
        adds("0003_main"),
        adds("0003_mine", "0004_next"),
        [(TAKEN, MINE)],
        {"0003": "0004", "0004": "0005"},
    ),
    "with verify scripts": History(
        adds("0003_main", more=("verify",)),
        adds("0003_mine", more=("verify",)),
        [(TAKEN, MINE)],
        {"0003": "0004"},
    ),
    "a baseline on main": History(
        has_a_baseline, adds("0003_mine"), [(BELOW, MINE)], {"0003": "0101"}
    ),
    "conflict markers in SHA256SUMS": History(
        adds("0003_main"), leaves_a_conflict, [(TAKEN, MINE)], {"0003": "0004"}
    ),
    "a merge commit": History(
        adds("0005_main"), merges_main, [(BELOW, "sql/0004_mine.sql")], {"0004": "0006"}
    ),
    "main ahead by ten": History(
        adds(*(f"{number:04}_main{number}" for number in range(3, 13))),
        adds("0003_mine"),
        [(TAKEN, MINE)],
        {"0003": "0013"},
    ),
    "nothing to do": History(adds("0003_main"), adds("0004_mine"), [], {}),
    "a file of another case": History(
        adds("0003_main"), adds_another_case, [(TAKEN, "sql/0003_Main.sql")], {"0003": "0004"}
    ),
    "timestamps": History(
        adds("29990102000000_main"),
        adds("29990101000000_mine"),
        [(BELOW, "sql/29990101000000_mine.sql")],
        {"29990101000000": "29990102000001"},
    ),
    "four digits below timestamps": History(
        adds("29990102000000_main"),
        adds("0003_mine"),
        [(BELOW, MINE)],
        {"0003": "29990102000001"},
    ),
    "gaps": History(
        adds("0010_main"),
        adds("0007_mine", "0020_next"),
        [(BELOW, "sql/0007_mine.sql")],
        {"0007": "0011"},
    ),
    "a branch from a branch, compared with main": History(
        adds("0003_main"),
        works_on_another_branch,
        [(TAKEN, "sql/0003_first.sql")],
        {"0003": "0004", "0004": "0005"},
    ),
    "a branch from a branch, compared with that one": History(
        nothing,
        works_on_another_branch,
        [(BELOW, "sql/0004_mine.sql")],
        {"0004": "0006"},
        base="first",
    ),
    "after a squash merge": History(
        is_squashed,
        adds("0003_first", "0004_next"),
        [(TAKEN, "sql/0004_next.sql")],
        {"0004": "0005"},
    ),
    "work that is not committed": History(
        adds("0003_main"), is_not_committed, [(TAKEN, MINE)], {"0003": "0004"}
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_check_finds_what_cannot_be_merged_and_rebase_renumbers_it(
    name: str, repository: Repository
) -> None:
    history = HISTORIES[name]
    history.main(repository)
    repository.switch("change")
    history.change(repository)

    assert [item for item in repository.found(history.base) if item[1] != "SHA256SUMS"] == (
        history.found
    )
    before = repository.files()
    shown = repository.rebase("--dry-run", base=history.base)
    assert repository.files() == before
    done = repository.rebase(base=history.base)
    assert {item["from"]: item["to"] for item in done["renumbered"]} == history.renumbered
    assert shown == {**done, "status": "dry_run"}
    moves = {old: new for item in done["renumbered"] for old, new in item["files"].items()}
    # Each file is as it was, but for the version in its header.
    for item in done["renumbered"]:
        for old, new in item["files"].items():
            text = before[old].replace(item["from"].encode(), item["to"].encode())
            assert repository.files()[new] == text
    kept = before.keys() - moves.keys() | set(moves.values())
    assert repository.files().keys() == kept
    # A second time there is nothing to do.
    after = repository.files()
    assert repository.rebase(base=history.base)["renumbered"] == []
    assert repository.files() == after
    # It is what sha256sum accepts, and git can merge it.
    subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=repository.folder, check=True
    )
    assert repository.found(history.base) == list(history.remains)
    if not history.remains:
        repository.commit_if_needed()
        repository.merge(history.base)
        assert repository.found(history.base) == []


def test_a_rollback_script_that_main_has_and_is_edited_is_named(repository: Repository) -> None:
    repository.switch("change")
    edits("rollback/0002_rollback.sql")(repository)
    done = turnback(repository.folder, "check", "--base", "main")
    assert "note: rollback/0002_rollback.sql is edited; main has it already" in done.stderr


def test_a_conflict_in_a_script_is_refused_and_nothing_is_changed(repository: Repository) -> None:
    """Both sides have rollback/0003_rollback.sql, and the merge could keep one text only."""
    adds("0003_main")(repository)
    repository.switch("change")
    adds("0003_mine")(repository)
    repository.git("merge", "--quiet", "main", code=1)
    before = repository.files()
    error = repository.rebase()["error"]
    assert (error["type"], error["file"]) == ("DuplicateVersion", "rollback/0003_rollback.sql")
    assert "git merge --abort, turnback rebase, git merge" in error["hint"]
    assert repository.files() == before
    # What it advises works.
    repository.git("merge", "--abort")
    assert [item["to"] for item in repository.rebase()["renumbered"]] == ["0004"]


@pytest.mark.parametrize("step", [0, 1, 3, 6, 8])
def test_a_rebase_that_is_killed_is_finished_by_the_next_and_nothing_runs_before(
    step: int, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before one of its changes to the folder: a name, five moves, three deletions."""
    adds("0003_main")(repository)
    repository.switch("change")
    adds("0003_mine", "0004_next")(repository)
    before = repository.files()
    calls = 0

    def killed(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > step:
                raise KeyboardInterrupt
            return method(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        for method in ("rename", "replace", "unlink"):
            patch.setattr(Path, method, killed(getattr(Path, method)))
        done = turnback(repository.folder, "rebase", "--base", "main")
        assert isinstance(done.exception, KeyboardInterrupt) or done.return_value == 130, done
    prepared = (repository.folder / PENDING_REBASE).is_dir()
    assert prepared == (step > 0)
    if prepared:
        assert PENDING_REBASE in [finding.file for finding in scan(repository.folder)[1]]
        assert repository.rebase("--dry-run")["error"]["hint"] == "finish it: turnback rebase"
    else:
        assert {k: v for k, v in repository.files().items() if ".new/" not in k} == before
    repository.rebase()
    assert [m.version for m in load_project(repository.folder).migrations] == [
        *("0001", "0002", "0004", "0005")
    ]
    assert repository.found() == []
    assert not list(repository.folder.glob(".turnback*"))


def test_a_hook_of_git_finds_the_same_in_a_second_working_tree(repository: Repository) -> None:
    """git sets GIT_DIR for a hook there (githooks, "Description")."""
    adds("0003_main")(repository)
    place = repository.place.parent / "second"
    repository.git("worktree", "add", "--quiet", str(place), "change")
    hook = repository.place / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    program = Path(sys.executable).with_name("turnback")
    hook.write_text(f'#!/bin/sh\ntest -n "$GIT_DIR" && {program} check --base main >&2\n')
    hook.chmod(0o755)
    second = Repository(place)
    second.add("0003", "mine")
    turnback(second.folder, "check", "--fix")
    second.git("add", "--all")
    done = subprocess.run(["git", "commit", "--message=mine"], cwd=place, capture_output=True)
    assert done.returncode == 1
    assert b"version 0003 is taken on main, by sql/0003_main.sql" in done.stderr


def test_a_name_that_another_file_has_is_refused(repository: Repository) -> None:
    adds("0003_main")(repository)
    repository.switch("change")
    adds("0003_mine")(repository)
    repository.write("rollback/0004_rollback.sql", "SELECT 1;\n")
    before = repository.files()
    error = repository.rebase()["error"]
    assert error["message"] == "there is a file rollback/0004_rollback.sql already"
    assert repository.files() == before


def test_the_base_is_the_main_branch_of_origin_if_none_is_named(repository: Repository) -> None:
    adds("0003_main")(repository)
    clone = repository.place.parent / "clone"
    repository.git("clone", "--quiet", str(repository.place), str(clone))
    done = turnback(clone / "migrations", "rebase", "--json")
    assert json.loads(done.stdout)["base"] == "origin/main"
    # As a CI job clones: no branch but one, or no history.
    repository.switch("change")
    adds("0003_mine")(repository)
    shallow = repository.place.parent / "shallow"
    address = f"file://{repository.place}"
    options = ("--depth=1", "--no-single-branch", "--branch=change")
    repository.git("clone", "--quiet", *options, address, str(shallow))
    for base, message in (
        ("origin/main", "this clone is shallow"),
        ("origin/other", "git knows no branch or commit 'origin/other' here"),
        ("--all", "git knows no branch or commit '--all' here"),
    ):
        done = turnback(shallow / "migrations", "check", "--json", f"--base={base}")
        error = json.loads(done.stdout)["error"]
        assert done.return_value == 2
        assert error["message"].startswith(message)
        assert "fetch-depth: 0" in error["hint"]


def test_without_git_or_a_repository_it_says_so(
    project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project_factory({"sql/0001_a.sql": ""})
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent.parent))
    for command in ("check", "rebase"):
        done = turnback(folder, command, "--base", "main", "--json")
        assert json.loads(done.stdout)["error"]["message"].endswith("is not in a git repository")
    monkeypatch.setenv("PATH", "")
    done = turnback(folder, "check", "--base", "main", "--json")
    assert "git cannot be started" in json.loads(done.stdout)["error"]["message"]


# Each in its layout: what main has, what both branches add then, and what each does to the first.
LAYOUTS = {
    "dbmate": (
        "{0}_{1}.sql",
        "-- migrate:up\nCREATE TABLE {1} ();\n-- migrate:down\nDROP TABLE {1};\n",
    ),
    "diesel": ("{0}_{1}/up.sql", "CREATE TABLE {1} ();\n"),
    "plain": ("{0}_{1}.up.sql", "CREATE TABLE {1} ();\n"),
}


def new_repository(place: Path) -> Repository:
    made = Repository(place)
    made.git("init", "--quiet", "--initial-branch=main", "--template=")
    return made


def of_layout(repository: Repository, name: str) -> Callable[[str, str], str]:
    (repository.place / "turnback.toml").write_text(f'[layout]\nname = "{name}"\n')

    def add(version: str, table: str) -> str:
        path, text = (part.format(version, table) for part in LAYOUTS[name])
        repository.write(path, text)
        repository.commit()
        return path

    return add


def found_on(folder: Path, base: str = "main") -> list[tuple[str, str]]:
    done = turnback(folder, "check", "--base", base, "--json")
    assert done.exception is None, done.output
    of_branch = ("DuplicateVersion", "OutOfOrder", "MigrationMissing", "ChecksumMismatch")
    findings = json.loads(done.stdout)["findings"]
    return [
        (item["type"], item["file"])
        for item in findings
        if item["type"] in of_branch and item["file"] != "SHA256SUMS" and "main" in item["message"]
    ]


@pytest.mark.parametrize("name", LAYOUTS)
def test_branches_in_the_layout_of_another_tool_are_compared_by_their_versions(
    name: str, tmp_path: Path
) -> None:
    repository = new_repository(tmp_path)
    add = of_layout(repository, name)
    first = add("20260101000000", "a")
    repository.switch("change", "--create")
    late = add("20260102000000", "late")
    add("20260104000000", "fine")
    assert found_on(repository.folder) == []
    repository.switch("main")
    add("20260103000000", "theirs")
    repository.switch("change")
    assert found_on(repository.folder) == [("OutOfOrder", late)]
    (repository.folder / first).write_text("-- migrate:up\nSELECT 1;\n")
    assert found_on(repository.folder) == [("ChecksumMismatch", first), ("OutOfOrder", late)]
    (repository.folder / first).unlink()
    assert found_on(repository.folder) == [("MigrationMissing", first), ("OutOfOrder", late)]


def test_a_version_that_both_branches_add_is_taken(tmp_path: Path) -> None:
    repository = new_repository(tmp_path)
    add = of_layout(repository, "dbmate")
    add("1", "a")
    repository.switch("change", "--create")
    mine = add("2", "mine")
    repository.switch("main")
    add("2", "theirs")
    repository.switch("change")
    assert found_on(repository.folder) == [("DuplicateVersion", mine)]
