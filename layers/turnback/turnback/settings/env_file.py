"""The file ``.env``: environment variables for the command line."""

from __future__ import annotations

import re
from pathlib import Path

from turnback.errors import ConfigurationError
from turnback.settings.project import bytes_of, decoded

FILE = ".env"
_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")


def read_env_file(folder: Path) -> dict[str, str]:
    """The variables of ``.env`` in a folder; empty without one.

    One ``NAME=value`` a line, with ``export`` before it or without; values in single or double
    quotes; comments begin with ``#``.

    Raises:
        ConfigurationError: a line is something else, or the file cannot be read.
    """
    path = folder / FILE
    # A folder of this name is mostly a virtual environment of Python.
    data = None if path.is_dir() else bytes_of(path)
    found: dict[str, str] = {}
    for number, raw in enumerate(decoded(data or b"", FILE).splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line)
        if match is None:
            raise ConfigurationError(
                "not an assignment", file=FILE, line=number, hint="write NAME=value"
            )
        found[match[1]] = _unquoted(match[2])
    return found


def _unquoted(value: str) -> str:
    quoted = re.match(r"'([^']*)'\s*(?:#.*)?$", value)
    if quoted:
        return quoted[1]
    quoted = re.match(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?$', value)
    if quoted:
        return re.sub(r"\\(.)", r"\1", quoted[1])
    return re.sub(r"\s+#.*$", "", value).strip()
