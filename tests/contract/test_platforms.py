"""Where the package runs: Python from 3.11.0 on, and Windows for a database of the user's own."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from re import _parser  # type: ignore[attr-defined]
from typing import Any

import turnback
from turnback.sql import bulk

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "layers/turnback/turnback"
# Only the embedded Postgres, the demo and Lambda use these, and each is on POSIX.
POSIX_ONLY = (
    "local/",
    "demo/",
    "engine/backfill/transform",
    "rehearsal/cluster.py",
    "rehearsal/containment.py",
    "rehearsal/folder.py",
    "rehearsal/server.py",
)


def test_only_what_runs_on_linux_and_macos_uses_what_windows_lacks(tmp_path: Path) -> None:
    """The judge is typeshed, which knows what each module has on each platform."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--platform", "win32"),
            *("--no-pretty", "--cache-dir", tmp_path / "cache"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    found = re.findall(r"^layers/turnback/turnback/(\S+?):\d+: error: (.*)", done.stdout, re.M)
    assert found, done.stdout + done.stderr
    assert [(file, said) for file, said in found if not file.startswith(POSIX_ONLY)] == []


def test_no_tar_file_is_extracted_with_an_argument_that_came_in_3_11_4() -> None:
    """vermin, in `make package`, knows minor releases only; Debian 12 has 3.11.2."""
    wrong = [
        f"{path.name}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("extract", "extractall")
        and "filter" in {keyword.arg for keyword in node.keywords}
    ]
    assert wrong == []


def test_a_possessive_quantifier_repeats_characters_or_an_atomic_group() -> None:
    """Before Python 3.11.5, others match too much (python/cpython, issue 106052).

    What a pattern is made of is read by Python's own parser of them.
    """
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(turnback.__path__, "turnback.")
    ]
    patterns = {
        value.pattern
        for module in modules
        for value in vars(module).values()
        if isinstance(value, re.Pattern)
    }
    # Those that are compiled when they are used.
    patterns |= {value for value in vars(bulk).values() if isinstance(value, bytes)}
    repeated = [item for pattern in patterns for item in possessive(_parser.parse(pattern))]
    assert len(repeated) > 20
    fine = ("ATOMIC_GROUP", "IN", "LITERAL", "NOT_LITERAL", "ANY")
    assert {str(item[0][0]) for item in repeated if len(item) == 1} <= set(fine)
    assert {len(item) for item in repeated} == {1}


def possessive(parsed: Any) -> Iterator[Any]:
    """What possessive quantifiers repeat, at every depth."""
    if isinstance(parsed, _parser.SubPattern | list | tuple):
        if isinstance(parsed, tuple) and str(parsed[0]) == "POSSESSIVE_REPEAT":
            yield parsed[1][2]
        for part in parsed:
            yield from possessive(part)
