"""The directive ``-- turnback: backfill table=users key=id``."""

from __future__ import annotations

import re

from turnback.errors import InvalidMigration
from turnback.migrations.model import Backfill

_OPTION = re.compile(r'([a-z]+)=((?:"(?:[^"]|"")+"|[^\s"])+)\s*')
_NAME = re.compile(r'([A-Za-z_][\w$]*|"(?:[^"]|"")+")(?:[.,](?!$)|$)')
_BYTES = re.compile(r"([1-9][0-9]{0,8}) ?(kB|MB|GB)")
_BYTE_UNITS = {"kB": 2**10, "MB": 2**20, "GB": 2**30}
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
_MOST_NAMES = {"table": 2, "key": 32, "alias": 1}


def read_backfill(path: str, line: int, text: str) -> Backfill:
    """What the directive asks for.

    Args:
        path: of the file, for an error.
        line: of the directive.
        text: its options.

    Raises:
        InvalidMigration: an unknown option, one without a value, or a bad value.
    """

    def wrong(message: str) -> InvalidMigration:
        hint = "write for example: -- turnback: backfill table=users key=id"
        return InvalidMigration(message, file=path, line=line, hint=hint)

    given: dict[str, str] = {}
    at = 0
    while at < len(text):
        option = _OPTION.match(text, at)
        if option is None:
            raise wrong(f"'backfill' cannot be read from '{text[at:]}' on")
        name, value = option[1], option[2]
        if name not in _OPTIONS:
            raise wrong(f"'backfill' has no option {name}=: it has {', '.join(_OPTIONS)}")
        needs, form = _OPTIONS[name]
        names = 1 if form else len(_names(value))
        if (form and not form.fullmatch(value)) or not 1 <= names <= _MOST_NAMES.get(name, 1):
            raise wrong(f"{name}= needs {needs}, not '{value}'")
        if name in given:
            raise wrong(f"'backfill' has {name}= twice")
        given[name] = value
        at = option.end()
    for name in ("table", "key"):
        if name not in given:
            raise wrong(f"'backfill' needs {name}={_OPTIONS[name][0]}")
    vacuum = _BYTES.fullmatch(given.get("vacuum", ""))
    return Backfill(
        table=_names(given["table"]),
        key=_names(given["key"]),
        alias=_names(given["alias"])[0] if "alias" in given else None,
        parallel=int(given.get("parallel", 1)),
        vacuum=int(vacuum[1]) * _BYTE_UNITS[vacuum[2]] if vacuum else None,
        sweep=given.get("sweep") == "yes",
        line=line,
    )


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
