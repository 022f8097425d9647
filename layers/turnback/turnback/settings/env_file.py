"""The file ``.env``: environment variables for the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from turnback.errors import ConfigurationError
from turnback.settings.project import bytes_of, decoded

FILE = ".env"
_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
# Of other variables, the last value wins, as for a shell.
_OURS = re.compile(r"DATABASE_URL$|TURNBACK_|PG")


@dataclass(frozen=True, slots=True)
class EnvFile:
    """The variables of a file.

    Attributes:
        path: the file, as it is shown to people; None without one.
        values: the value of each variable.
        lines: the line of each variable.
    """

    path: Path | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)


def read_env_file(*folders: Path) -> EnvFile:
    """The variables of ``.env`` in the first of these folders that has one.

    One ``NAME=value`` a line, with ``export`` before it or without; values in single or double
    quotes; comments begin with ``#``.

    Raises:
        ConfigurationError: a line is something else, a variable that turnback reads has two values,
            or the file cannot be read.
    """
    # A folder of this name is mostly a virtual environment of Python.
    path = next((one for folder in folders if (one := folder / FILE).is_file()), None)
    data = bytes_of(path) if path else None
    if path is None or data is None:
        return EnvFile()
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    for number, raw in enumerate(decoded(data, str(shown)).splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line)
        if match is None:
            raise ConfigurationError(
                "not an assignment", file=str(shown), line=number, hint="write NAME=value"
            )
        name, value = match[1], _unquoted(match[2])
        if _OURS.match(name) and values.get(name, value) != value:
            raise ConfigurationError(
                f"{name} is given twice, with two values",
                file=str(shown),
                line=number,
                hint="remove one of them",
            )
        values[name], lines[name] = value, number
    return EnvFile(shown, values, lines)


def _unquoted(value: str) -> str:
    quoted = re.match(r"'([^']*)'\s*(?:#.*)?$", value)
    if quoted:
        return quoted[1]
    quoted = re.match(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?$', value)
    if quoted:
        return re.sub(r"\\(.)", r"\1", quoted[1])
    return re.sub(r"\s+#.*$", "", value).strip()
