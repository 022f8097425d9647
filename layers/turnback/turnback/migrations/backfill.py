"""The directives ``backfill table=users key=id`` and ``swap table=users``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from turnback.errors import InvalidMigration
from turnback.migrations.model import Backfill, Swap
from turnback.migrations.python import is_python

_OPTION = re.compile(r'([a-z]+)=((?:"(?:[^"]|"")+"|[^\s"])+)\s*')
_NAME = re.compile(r'([A-Za-z_][\w$]*|"(?:[^"]|"")+")(?:[.,](?!$)|$)')
_BYTES = re.compile(r"([1-9][0-9]{0,8}) ?(kB|MB|GB)")
_BYTE_UNITS = {"kB": 2**10, "MB": 2**20, "GB": 2**30}
_SECONDS = re.compile("([1-9][0-9]{0,3}) ?s")
_MOST_PARALLEL = 16
# What each option needs, in words, and the form of its value.
_OPTIONS = {
    "table": ("a table", None),
    "key": ("the columns of a unique index", None),
    "alias": ("a name", None),
    "parallel": (f"a number from 1 to {_MOST_PARALLEL}", re.compile("[1-9]|1[0-6]")),
    "vacuum": ("a size with kB, MB or GB, such as 256MB", _BYTES),
    "sweep": ("yes or no", re.compile("yes|no")),
}
_OF_SQL = ("alias",)
_OF_PYTHON = {
    "columns": ("columns to be read", None),
    "into": ("a table", None),
    "conflict": ("error or skip", re.compile("error|skip")),
    "memory": ("a size with kB, MB or GB, such as 512MB", _BYTES),
    "time": ("a time in seconds, such as 10s", _SECONDS),
}
_MOST_NAMES = {"table": 2, "key": 32, "alias": 1, "columns": 1600, "into": 2}


def read_backfill(path: str, line: int, text: str) -> Backfill:
    """What the directive asks for.

    Args:
        path: of the file, for an error.
        line: of the directive.
        text: its options.

    Raises:
        InvalidMigration: an unknown option, one without a value, or a bad value.
    """
    python = is_python(path)
    options = {**_OPTIONS, **_OF_PYTHON} if python else _OPTIONS
    options = {name: of for name, of in options.items() if not (python and name in _OF_SQL)}
    example = f"{'#' if python else '--'} turnback: backfill table=users key=id"
    wrong = _wrong(path, line, example)
    given = _read("backfill", text, options, wrong)
    for name in ("table", "key"):
        if name not in given:
            raise wrong(f"'backfill' needs {name}={_OPTIONS[name][0]}")
    if given.get("conflict") == "skip" and "into" not in given:
        raise wrong("conflict= is for the rows of into=")
    seconds = _SECONDS.fullmatch(given.get("time", "10s"))
    return Backfill(
        table=_names(given["table"]),
        key=_names(given["key"]),
        alias=_names(given["alias"])[0] if "alias" in given else None,
        parallel=int(given.get("parallel", 1)),
        vacuum=_bytes(given["vacuum"]) if "vacuum" in given else None,
        sweep=given.get("sweep") == "yes",
        line=line,
        columns=_names(given.get("columns", "")),
        into=_names(given["into"]) if "into" in given else None,
        skip_conflicts=given.get("conflict") == "skip",
        memory=_bytes(given.get("memory", "256MB")),
        time_ms=int(seconds[1]) * 1000 if seconds else 0,
    )


def _bytes(text: str) -> int:
    # The text has matched when the header was read.
    number, unit = _BYTES.fullmatch(text).groups()  # type: ignore[union-attr]
    return int(number) * _BYTE_UNITS[unit]


def read_swap(path: str, line: int, text: str) -> Swap:
    """What the directive ``swap`` asks for; as ``read_backfill``."""
    wrong = _wrong(path, line, "-- turnback: swap table=users")
    options = {name: _OPTIONS[name] for name in ("table", "key", "parallel")}
    given = _read("swap", text, options, wrong)
    if "table" not in given:
        raise wrong(f"'swap' needs table={_OPTIONS['table'][0]}")
    return Swap(
        table=_names(given["table"]),
        key=_names(given.get("key", "")),
        parallel=int(given.get("parallel", 1)),
        line=line,
    )


def _wrong(path: str, line: int, example: str) -> Callable[[str], InvalidMigration]:
    def wrong(message: str) -> InvalidMigration:
        hint = f"write for example: {example}"
        return InvalidMigration(message, file=path, line=line, hint=hint)

    return wrong


def _read(
    word: str,
    text: str,
    options: Mapping[str, tuple[str, re.Pattern[str] | None]],
    wrong: Callable[[str], InvalidMigration],
) -> dict[str, str]:
    """The options of a directive, each with its value."""
    given: dict[str, str] = {}
    at = 0
    while at < len(text):
        option = _OPTION.match(text, at)
        if option is None:
            raise wrong(f"'{word}' cannot be read from '{text[at:]}' on")
        name, value = option[1], option[2]
        if name not in options:
            raise wrong(f"'{word}' has no option {name}=: it has {', '.join(options)}")
        needs, form = options[name]
        names = 1 if form else len(_names(value))
        if (form and not form.fullmatch(value)) or not 1 <= names <= _MOST_NAMES.get(name, 1):
            raise wrong(f"{name}= needs {needs}, not '{value}'")
        if name in given:
            raise wrong(f"'{word}' has {name}= twice")
        given[name] = value
        at = option.end()
    return given


def _names(text: str) -> tuple[str, ...]:
    """The names in a list, or the parts of one, as SQL means them; nothing if it is not one."""
    found, at = list[str](), 0
    while at < len(text):
        name = _NAME.match(text, at)
        if name is None:
            return ()
        written = name[1]
        quoted = written.startswith('"')
        found.append(written[1:-1].replace('""', '"') if quoted else written.lower())
        at = name.end()
    return tuple(found)
