"""PostgreSQL's own grammar, by libpg_query.

The shared library comes with the wheel of postgast, but is loaded by ctypes: importing postgast
costs 170 ms for its protobuf classes, this costs 1 ms (docs/decisions/0002).
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from turnback.errors import ConfigurationError

_NAMES = {"darwin": "libpg_query.dylib", "win32": "pg_query.dll"}


class SqlSyntaxError(Exception):
    """PostgreSQL's grammar refuses the text.

    Attributes:
        message: PostgreSQL's words.
        offset: where, in characters from 0.
        before: what the parser was given, up to the error: of a large script, some statements.
    """

    def __init__(self, message: str, offset: int, before: str) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.before = before


class PgQueryError(ctypes.Structure):
    """The library's own report of an error."""

    _fields_ = (
        ("message", ctypes.c_char_p),
        ("funcname", ctypes.c_char_p),
        ("filename", ctypes.c_char_p),
        ("lineno", ctypes.c_int),
        ("cursorpos", ctypes.c_int),
        ("context", ctypes.c_char_p),
    )


class _ParseResult(ctypes.Structure):
    _fields_ = (
        ("parse_tree", ctypes.c_char_p),
        ("stderr_buffer", ctypes.c_char_p),
        ("error", ctypes.POINTER(PgQueryError)),
    )


def beside_library(name: str) -> Path:
    """The path of a file that is installed with libpg_query."""
    spec = importlib.util.find_spec("postgast")
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            "the SQL parser is not installed", hint="install it: pip install postgast"
        )
    return Path(spec.origin).with_name(name)


@cache
def library() -> ctypes.CDLL:
    """libpg_query."""
    found = ctypes.CDLL(str(beside_library(_NAMES.get(sys.platform, "libpg_query.so"))))
    found.pg_query_parse.argtypes = [ctypes.c_char_p]
    found.pg_query_parse.restype = _ParseResult
    found.pg_query_free_parse_result.argtypes = [_ParseResult]
    found.pg_query_free_parse_result.restype = None
    return found


def parse_tree(sql: str) -> list[dict[str, Any]]:
    """The raw statements of the text as PostgreSQL's parser sees them.

    Each has ``stmt`` (one key: the node's type), and ``stmt_location`` and ``stmt_len`` in
    **bytes** of the UTF-8 text; a location of 0, and a length that reaches to the end, are absent.

    Raises:
        SqlSyntaxError: with the offset in characters.
    """
    result = library().pg_query_parse(sql.encode("utf-8"))
    try:
        if result.error:
            error = result.error.contents
            offset = max(error.cursorpos - 1, 0)
            raise SqlSyntaxError(error.message.decode("utf-8"), offset, sql[:offset])
        statements: list[dict[str, Any]] = json.loads(result.parse_tree)["stmts"]
        return statements
    except RecursionError:
        # Some 500 operands in a row, or 1,000 SELECTs of a UNION ALL: each is inside the next one.
        raise SqlSyntaxError("a statement is nested too deeply to be read", 0, "") from None
    finally:
        library().pg_query_free_parse_result(result)
