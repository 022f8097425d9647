"""The examples of docs/ci.md and the action, each in a new repository.

What runs them is not here: bash runs their steps in the order and with the variables that GitHub
gives them, and pre-commit is the real one. A judge each for the files: actionlint, and the schemas
of check-jsonschema.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.package.conftest import ROOT, TAG, TOOLS, Done, commit_all, must, run

ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
GOOD = {
    "sql/0001_users.sql": "CREATE TABLE users (id int PRIMARY KEY, city text);\n",
    "rollback/0001_rollback.sql": "DROP TABLE users;\n",
}
INDEX = {
    "sql/0002_city.sql": "CREATE INDEX users_city_idx ON users (city);\n",
    "rollback/0002_rollback.sql": "DROP INDEX users_city_idx;\n",
}
HEADER = "-- turnback: irreversible because it changes nothing\n"
FULL = {"sql/0003_full.sql": f"{HEADER}VACUUM FULL users;\n"}
UNPROVEN = {
    "sql/0002_nick.sql": "ALTER TABLE users ADD nick text;\n",
    "rollback/0002_rollback.sql": "SELECT 1;\n",
}


def example(heading: str) -> str:
    """The YAML below a heading of docs/ci.md."""
    _, _, below = (ROOT / "docs/ci.md").read_text().partition(f"# {heading}\n")
    found = re.search(r"```yaml\n(.*?)```", below, re.DOTALL)
    assert found, heading
    return found[1]


def write(folder: Path, files: dict[str, str], *, sums: bool = True) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    if sums:
        turnback = Path(sys.executable).with_name("turnback")
        must(turnback, "check", "--fix", "--dir", folder, cwd=folder.parent)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A new repository, with one commit and nothing in it."""
    # The account of Postgres must be able to enter.
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    folder = tmp_path / "project"
    folder.mkdir()
    must("git", "init", "--quiet", "--initial-branch=main", cwd=folder)
    (folder / "README.md").write_text("# A project\n")
    commit_all(folder, "begin")
    return folder


# The action


@dataclass(slots=True)
class Runner:
    """Runs the steps of the action with bash as GitHub does.

    Attributes:
        temp: ``RUNNER_TEMP``, where the step Install has made its environment.
        path: what it put in front of PATH.
    """

    temp: Path
    path: str = ""
    outputs: dict[str, str] = field(default_factory=dict)

    def step(self, name: str, place: Path, **values: str) -> Done:
        """Run a step; ``values`` are those of its expressions, by their last name."""
        [step] = [each for each in ACTION["runs"]["steps"] if each.get("name") == name]
        assert step["shell"] == "bash"
        files = {name: self.temp / name.lower() for name in ("GITHUB_PATH", "GITHUB_OUTPUT")}
        files["GITHUB_STEP_SUMMARY"] = self.temp / "summary.md"
        for file in files.values():
            file.write_text("")
        inputs = {name: str(given["default"]) for name, given in ACTION["inputs"].items() if given}
        known = {**inputs, "event_name": "pull_request", "base_ref": "main", **values}

        def value(found: re.Match[str]) -> str:
            return known[found[1].rpartition(".")[2]]

        done = run(
            *("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]),
            cwd=place,
            env={
                **{name: str(path) for name, path in files.items()},
                **{
                    name: re.sub(r"\$\{\{ ([\w.-]+) \}\}", value, text)
                    for name, text in step.get("env", {}).items()
                },
                "RUNNER_TEMP": str(self.temp),
                "CI": "true",
                "PATH": f"{self.path}{os.pathsep}{os.environ['PATH']}",
            },
        )
        self.path = files["GITHUB_PATH"].read_text().strip() or self.path
        self.outputs |= dict(
            line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines()
        )
        return done


@pytest.fixture(scope="session")
def runner(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """The action, installed by its own step from its own checkout."""
    temp = tmp_path_factory.mktemp("runner")
    made = Runner(temp)
    values = {"action_path": str(published), "python-path": sys.executable}
    done = made.step("Install", temp, **values)
    assert done.returncode == 0, done.stderr
    return made


Checkout = Callable[..., Path]


@pytest.fixture
def pull_request(repository: Path, tmp_path: Path) -> Checkout:
    """The checkout of a pull request with these files, as actions/checkout makes it."""

    def make(files: dict[str, str], *, base: dict[str, str] | None = None, depth: int = 2) -> Path:
        write(repository / "migrations", base or {}, sums=bool(base))
        (repository / ".github/workflows").mkdir(parents=True)
        example_file = repository / ".github/workflows/turnback.yml"
        example_file.write_text(example("On a pull request on GitHub"))
        commit_all(repository, "base")
        must("git", "checkout", "--quiet", "-b", "change", cwd=repository)
        write(repository / "migrations", files)
        commit_all(repository, "change")
        must("git", "checkout", "--quiet", "-b", "merge", "main", cwd=repository)
        who = ("-c", "user.name=test", "-c", "user.email=test@example.com")
        must("git", *who, "merge", "--quiet", "--no-ff", "--no-edit", "change", cwd=repository)
        place = tmp_path / "checkout"
        clone = ("git", "clone", "--quiet", f"--depth={depth}", "--branch=merge")
        must(*clone, f"file://{repository}", place, cwd=tmp_path)
        must("git", "remote", "remove", "origin", cwd=place)
        return place

    return make


def test_the_action_passes_good_migrations_in_a_new_repository(
    runner: Runner, pull_request: Checkout
) -> None:
    place = pull_request(GOOD)
    for name in ("Check", "Lint", "Rehearse"):
        done = runner.step(name, place)
        assert (done.returncode, done.stdout) == (0, ""), f"{name}: {done}"


def test_the_action_lints_what_the_target_branch_does_not_have(
    runner: Runner, pull_request: Checkout
) -> None:
    place = pull_request(FULL, base=GOOD | INDEX)
    done = runner.step("Lint", place)
    assert done.returncode == 3
    [line] = done.stdout.splitlines()
    assert line.startswith("::error file=migrations/sql/0003_full.sql,line=2,")
    comment = Path(runner.outputs["comment"]).read_text()
    assert comment.startswith("<!-- turnback lint -->\n### turnback lint: 1 error in 1 migration")
    assert (runner.temp / "summary.md").read_text() == comment
    # A number is given, or it is no pull request.
    assert "0002_city.sql" in runner.step("Lint", place, since="0001").stdout
    assert "0002_city.sql" in runner.step("Lint", place, event_name="push").stdout


def test_the_action_refuses_a_version_below_those_of_the_target_branch(
    runner: Runner, pull_request: Checkout
) -> None:
    place = pull_request(INDEX, base=GOOD | FULL)
    done = runner.step("Check", place)
    assert done.returncode == 3
    [line] = done.stdout.splitlines()
    assert line.startswith("::error file=migrations/sql/0002_city.sql,line=1,")
    assert "version 0002 is below 0003, which origin/main has already" in line
    assert runner.step("Check", place, event_name="push").returncode == 0


def test_the_action_says_what_the_checkout_lacks(runner: Runner, pull_request: Checkout) -> None:
    done = runner.step("Lint", pull_request(GOOD, depth=1))
    assert done.returncode == 2
    assert done.stdout.startswith("::error::give actions/checkout fetch-depth: 2")


def test_the_action_shows_an_unproven_rollback_beside_its_script(
    runner: Runner, pull_request: Checkout
) -> None:
    done = runner.step("Rehearse", pull_request(GOOD | UNPROVEN))
    assert done.returncode == 3
    [line] = done.stdout.splitlines()
    assert line.startswith("::error file=migrations/rollback/0002_rollback.sql,line=1,col=9,")


def test_the_workflow_can_fetch_what_the_action_needs_and_has_no_credentials() -> None:
    for heading in ("On a pull request on GitHub", "As a comment"):
        workflow = yaml.safe_load(example(heading))
        checkout, action, *_ = workflow["jobs"]["migrations"]["steps"]
        assert checkout["with"] == {"fetch-depth": 2, "persist-credentials": False}
        assert action["uses"] == f"OWNER/turnback@{TAG}"
        assert workflow["permissions"]["contents"] == "read"


def test_the_comment_is_sent_from_the_file_that_the_action_names(
    runner: Runner, pull_request: Checkout, tmp_path: Path
) -> None:
    """GitHub's program gh is not here; one in its place keeps its arguments."""
    place = pull_request(GOOD)
    runner.step("Lint", place)
    gh = tmp_path / "bin/gh"
    gh.parent.mkdir()
    gh.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$ARGUMENTS"\n')
    gh.chmod(0o755)
    step = yaml.safe_load(example("As a comment"))["jobs"]["migrations"]["steps"][-1]
    values = {
        "steps.turnback.outputs.comment": runner.outputs["comment"],
        "github.token": "token",
        "github.event.pull_request.number": "7",
    }
    environment = {
        name: re.sub(r"\$\{\{ (\S+) \}\}", lambda found: values[found[1]], text)
        for name, text in step["env"].items()
    }
    environment["ARGUMENTS"] = str(tmp_path / "arguments")
    environment["PATH"] = f"{gh.parent}{os.pathsep}{os.environ['PATH']}"
    done = run("bash", "-euo", "pipefail", "-c", step["run"], cwd=place, env=environment)
    assert done.returncode == 0, done.stderr
    sent = (tmp_path / "arguments").read_text().split()
    assert sent[:3] == ["pr", "comment", "7"]
    assert Path(sent[-1]).read_text().startswith("<!-- turnback lint -->")


@pytest.mark.parametrize("heading", ["On a pull request on GitHub", "As a comment"])
def test_the_workflows_are_valid(heading: str, repository: Path) -> None:
    file = repository / ".github/workflows/turnback.yml"
    file.parent.mkdir(parents=True)
    file.write_text(example(heading))
    must(TOOLS / "actionlint", file, cwd=repository)
    schema = ("--builtin-schema", "vendor.github-workflows")
    must(TOOLS / "check-jsonschema", *schema, file, cwd=repository)


def test_every_action_that_is_used_here_is_pinned_to_a_commit() -> None:
    files = [ROOT / "action.yml", *(ROOT / ".github/workflows").glob("*.yml")]
    used = [name for file in files for name in re.findall(r"uses: (\S+)", file.read_text())]
    assert len(used) > 5
    pinned = re.compile(r"\./|[\w./-]+@[0-9a-f]{40}")
    assert [name for name in used if not pinned.fullmatch(name)] == []


def test_the_release_publishes_only_what_was_tested_and_only_that_job_may_sign() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    assert (jobs["test"]["needs"], jobs["publish"]["needs"]) == ("build", "test")
    assert {name for name, job in jobs.items() if "id-token" in job.get("permissions", {})} == {
        "publish"
    }
    pythons = [row["python"] for row in jobs["test"]["strategy"]["matrix"]["include"]]
    assert {"3.11.0", "3.11", "3.12", "3.13", "3.14"} <= set(pythons)


# GitLab


def test_the_jobs_of_gitlab_are_valid_and_write_their_reports(repository: Path) -> None:
    text = example("On GitLab")
    file = repository / ".gitlab-ci.yml"
    file.write_text(text)
    schema = ("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci")
    must(TOOLS / "check-jsonschema", *schema, file, cwd=repository)
    write(repository / "migrations", GOOD | UNPROVEN | FULL)
    jobs: dict[str, Any] = yaml.safe_load(text)
    report = repository / jobs[".turnback"]["artifacts"]["reports"]["codequality"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for job, expected in (
        ("lint", "sql/0003_full.sql"),
        ("rehearse", "rollback/0002_rollback.sql"),
    ):
        script = "\n".join(jobs[job]["script"])
        environment = {"PATH": path, "CI": "true"}
        done = run("bash", "-eo", "pipefail", "-c", script, cwd=repository, env=environment)
        assert done.returncode == 3, done
        found = yaml.safe_load(report.read_text())
        assert f"migrations/{expected}" in [issue["location"]["path"] for issue in found]


# pre-commit


def test_pre_commit_runs_the_hooks_in_a_new_repository(
    published: Path, repository: Path, tmp_path: Path
) -> None:
    """The real pre-commit, with this repository in the place of its address."""
    config = example("Before a commit")
    assert f"rev: {TAG}" in config
    address = "https://github.com/OWNER/turnback"
    assert address in config
    (repository / ".pre-commit-config.yaml").write_text(config.replace(address, str(published)))
    pre_commit = TOOLS / "pre-commit"
    environment = {"PRE_COMMIT_HOME": str(tmp_path / "cache")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    must(pre_commit, "install", cwd=repository, env=environment)

    def attempt(message: str) -> Done:
        must("git", "add", "--all", cwd=repository)
        who = ("-c", "user.name=test", "-c", "user.email=test@example.com")
        commit = ("git", *who, "commit", "--message", message)
        return run(*commit, cwd=repository, env=environment)

    done = attempt("nothing of turnback's")
    assert done.returncode == 0, done
    assert "(no files to check)" in done.stdout + done.stderr

    write(repository / "migrations", GOOD)
    done = attempt("good")
    assert done.returncode == 0, done

    write(repository / "migrations", FULL, sums=False)
    done = attempt("the checksum is missing, and a table is locked")
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "files were modified by this hook" in said
    assert "error TB109" in said
    assert "0003_full.sql" in (repository / "migrations/SHA256SUMS").read_text()

    write(
        repository / "migrations",
        {"sql/0003_full.sql": FULL["sql/0003_full.sql"].replace(" FULL", "")},
    )
    done = attempt("corrected")
    assert done.returncode == 0, done
