"""squawk, the linter for PostgreSQL that comes as a program with its wheel (docs/rules)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from turnback.errors import ConfigurationError
from turnback.migrations.model import Script
from turnback.sql.lint.squawk_rules import LEFT_OUT, REPLACED

# The oldest server we run on: what only older ones suffer from is not reported.
_SERVER = "14"
# Not rules that its command line knows by name.
_NAMELESS = {"syntax-error", "unused-ignore"}
_LONGEST_S = 120


@dataclass(frozen=True, slots=True)
class Hit:
    """What squawk found.

    Attributes:
        rule: its name of the rule.
        script: number of the script, from 0.
        offset: where, in bytes of the script from 0.
    """

    rule: str
    script: int
    offset: int


def hits(scripts: Sequence[Script], *, curated: bool = True) -> list[Hit]:
    """What squawk finds in all these scripts, by one run of it.

    It reads copies in a folder of its own: no configuration file and no comment of the project's
    own switches a rule off there.

    Args:
        curated: leave out what is replaced or left out; otherwise squawk's own defaults.

    Raises:
        ConfigurationError: squawk is not installed, or does not answer.
    """
    if not scripts:
        return []
    options = ["--pg-version", _SERVER]
    if curated:
        for rule in sorted((LEFT_OUT.keys() | REPLACED.keys()) - _NAMELESS):
            options += ["--exclude", rule]
    with tempfile.TemporaryDirectory(prefix="turnback-lint-") as folder:
        texts = [script.sql.replace("squawk-ignore", "squawk ignore") for script in scripts]
        for number, text in enumerate(texts):
            (Path(folder) / f"{number}.sql").write_bytes(text.encode("utf-8"))
        (Path(folder) / "none.toml").touch()
        document = _run([*options, "--config", "none.toml"], folder)
    lines = [_line_starts(text) for text in texts]
    return list(_read(document, lines))


def _run(options: Sequence[str], folder: str) -> list[dict[str, object]]:
    try:
        done = subprocess.run(
            [program(), *options, "--reporter", "json", "*.sql"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LONGEST_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise ConfigurationError(
            f"squawk cannot be run: {exc}", hint="install it anew: pip install squawk-cli"
        ) from exc
    try:
        found: list[dict[str, object]] = json.loads(done.stdout)
    except ValueError as exc:
        said = done.stderr.decode("utf-8", errors="replace").strip()
        raise ConfigurationError(
            f"squawk did not answer as expected: {said or f'exit code {done.returncode}'}",
            hint="install the version that turnback names: pip install squawk-cli==2.70.0",
        ) from exc
    return found


def program() -> Path:
    """The program, of the wheel that is installed beside us, or else on the PATH.

    Raises:
        ConfigurationError: there is none.
    """
    names = {"squawk", "squawk.exe"}
    try:
        files = metadata.distribution("squawk-cli").files or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name in names and (path := Path(str(file.locate()))).is_file():
            return path
    found = shutil.which("squawk", path=str(Path(sys.executable).parent)) or shutil.which("squawk")
    if found is None:
        raise ConfigurationError(
            "squawk is not installed", hint="install it: pip install squawk-cli==2.70.0"
        )
    return Path(found)


def _line_starts(text: str) -> list[int]:
    starts = [0]
    for line in text.encode("utf-8").split(b"\n"):
        starts.append(starts[-1] + len(line) + 1)
    return starts


def _read(document: list[dict[str, object]], lines: list[list[int]]) -> Iterator[Hit]:
    for item in document:
        script = int(Path(str(item["file"])).stem)
        line, column = item["line"], item["column"]
        if isinstance(line, int) and isinstance(column, int):
            yield Hit(str(item["rule_name"]), script, lines[script][line] + column)
