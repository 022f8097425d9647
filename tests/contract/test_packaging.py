"""The wheel and the layer hold the same package; nothing is left behind on the way."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import pytest
import turnback
from turnback.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
LAYER = ROOT / "layers/turnback"
# The command line, the demo and the local servers never run in Lambda (docs/decisions/0003).
NOT_IN_THE_LAYER = ("turnback/cli/", "turnback/demo/", "turnback/local/")


def files_of(folder: Path) -> dict[str, bytes]:
    """Path → bytes of every file below, without what Python caches."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the wheel is built from: building leaves its traces where it works."""
    copy = tmp_path_factory.mktemp("sources")
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, copy / name)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(LAYER, copy / "layers/turnback", ignore=ignored)
    return copy


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel. Without a setuptools that knows our pyproject.toml, pip fetches one."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-build-isolation"] if has_setuptools() else []
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--wheel-dir", folder, *options, sources),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"building the wheel needs setuptools 77 or later:\n{done.stderr}"
    [path] = folder.glob("turnback-*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


def has_setuptools() -> bool:
    try:
        return int(metadata.version("setuptools").split(".")[0]) >= 77
    except metadata.PackageNotFoundError:
        return False


@pytest.fixture(scope="module")
def wheel_files(wheel: zipfile.ZipFile) -> Mapping[str, bytes]:
    return {name: wheel.read(name) for name in wheel.namelist() if name.startswith("turnback/")}


@pytest.fixture(scope="module")
def layer_files(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    artifacts = tmp_path_factory.mktemp("layer")
    subprocess.run(
        ["make", "--silent", "package", f"ARTIFACTS_DIR={artifacts}"],
        cwd=sources / "layers/turnback",
        check=True,
    )
    return files_of(artifacts / "python")


def test_the_wheel_holds_every_file_of_the_package(wheel_files: Mapping[str, bytes]) -> None:
    package = {f"turnback/{name}": data for name, data in files_of(LAYER / "turnback").items()}
    assert set(wheel_files) == set(package)
    assert wheel_files == package


@pytest.mark.parametrize(
    "name",
    [
        "turnback/py.typed",
        "turnback/engine/schema_0001.sql",
        "turnback/aws/rds-global-bundle.pem",
        "turnback/schema/queries/1_schemas.sql",
        "turnback/rehearsal/stand_ins/extension/pgcrypto.control",
        "turnback/rehearsal/stand_ins/extension/pgcrypto--1.3.sql",
    ],
)
def test_the_files_that_are_no_python_are_in_the_wheel(
    name: str, wheel_files: Mapping[str, bytes]
) -> None:
    assert len(wheel_files[name]) == (LAYER / name).stat().st_size


def test_the_layer_is_the_wheel_without_what_never_runs_in_lambda(
    wheel_files: Mapping[str, bytes], layer_files: Mapping[str, bytes]
) -> None:
    expected = {
        name: data for name, data in wheel_files.items() if not name.startswith(NOT_IN_THE_LAYER)
    }
    assert set(layer_files) == set(expected)
    assert layer_files == expected
    assert len(wheel_files) > len(expected)


def test_no_tests_and_no_caches_are_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    folders = {name.split("/")[0] for name in wheel.namelist()}
    assert folders == {"turnback", f"turnback-{turnback.__version__}.dist-info"}
    assert not [name for name in wheel.namelist() if name.endswith(".pyc")]


def test_the_wheel_says_version_licence_and_command(wheel: zipfile.ZipFile) -> None:
    info = f"turnback-{turnback.__version__}.dist-info"
    about = wheel.read(f"{info}/METADATA").decode()
    assert f"\nVersion: {turnback.__version__}\n" in about
    assert "\nLicense-Expression: Apache-2.0\n" in about
    assert wheel.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    scripts = wheel.read(f"{info}/entry_points.txt").decode()
    assert re.search(r"^turnback ?= ?turnback\.cli\.main:main$", scripts, re.MULTILINE)


def test_the_command_line_runs_from_the_wheel_alone(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    program = "import sys, turnback.cli.main as m; print(m.__file__, file=sys.stderr); m.main()"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=tmp_path,
            env=dict(os.environ) | {"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
        )

    version = run("--version")
    assert version.stdout == f"turnback {turnback.__version__}\n"
    assert version.stderr.startswith(str(tmp_path))
    for command in COMMANDS:
        done = run(command, "--help")
        assert done.returncode == 0, done.stderr


def test_the_notice_names_every_package_that_is_shipped() -> None:
    files = ("requirements/cli.txt", "layers/turnback/requirements.txt")
    pinned = {
        name
        for file in (*files, "layers/postgres/requirements.txt")
        for name in re.findall(r"^([a-z0-9-]+)(?:\[\w+\])?==", (ROOT / file).read_text(), re.M)
    }
    assert len(pinned) > 20
    named = set(re.findall(r"[a-z0-9-]+", (ROOT / "NOTICE").read_text()))
    assert pinned <= named, pinned - named
