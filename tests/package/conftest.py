"""turnback as others get it: a repository with a tag, a wheel, the core alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import turnback

ROOT = Path(__file__).resolve().parents[2]
# Made by `make package`.
TOOLS = ROOT / ".turnback/tools/bin"
TAG = f"v{turnback.__version__}"

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


def run(*command: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> Done:
    """Run a program as a person does: outside of a CI job, and of the environment of the tests."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("CI", "VIRTUAL_ENV", "DATABASE_URL") and not name.startswith("GIT_")
    }
    return subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**inherited, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def must(*command: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """What a program that must succeed prints."""
    done = run(*command, cwd=cwd, env=env)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def commit_all(repository: Path, message: str) -> None:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    must("git", "add", "--all", cwd=repository)
    must("git", *who, "commit", "--quiet", "--message", message, cwd=repository)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This repository as others clone it, with the tag of this version."""
    copy = tmp_path_factory.mktemp("published") / "turnback"
    listed = must("git", "ls-files", "-z", "-co", "--exclude-standard", cwd=ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    must("git", "init", "--quiet", "--initial-branch=main", cwd=copy)
    commit_all(copy, "everything")
    must("git", "tag", TAG, cwd=copy)
    return copy


@pytest.fixture(scope="session")
def dist(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    uv = Path(sys.executable).with_name("uv")
    options = ("--quiet", "--no-build-isolation", "--python", sys.executable)
    must(uv, "build", *options, "--out-dir", folder, cwd=published)
    return folder


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    [path] = dist.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def core(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an environment with the wheel and no extra."""
    folder = tmp_path_factory.mktemp("core")
    uv = Path(sys.executable).with_name("uv")
    must(uv, "venv", "--quiet", "--python", sys.executable, folder / "venv", cwd=folder)
    must(uv, "pip", "install", "--quiet", "--python", folder / "venv", wheel, cwd=folder)
    return folder / "venv/bin/turnback"
