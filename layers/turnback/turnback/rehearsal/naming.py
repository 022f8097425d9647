"""How the fingerprint names objects: the kind in words, then the name as SQL writes it."""

from __future__ import annotations

import re
from collections.abc import Mapping

_KINDS = (
    "access method",
    "aggregate",
    "cast",
    "collation",
    "column",
    "constraint",
    "conversion",
    "database",
    "default privileges",
    "domain",
    "event trigger",
    "extension",
    "foreign data wrapper",
    "foreign table",
    "function",
    "index",
    "language",
    "materialized view",
    "operator",
    "operator class",
    "operator family",
    "policy",
    "procedure",
    "publication",
    "rule",
    "schema",
    "sequence",
    "server",
    "setting",
    "statistics",
    "subscription",
    "table",
    "text search configuration",
    "text search dictionary",
    "text search parser",
    "text search template",
    "transform",
    "trigger",
    "type",
    "user mapping",
    "view",
)
# Longest first, as some begin with the words of another.
_BY_LENGTH = sorted(_KINDS, key=len, reverse=True)
_PART = re.compile(r'"(?:[^"]|"")*"|[^."]+')
# What is named within its table: the last part of the name is its own.
IN_TABLE = ("column", "constraint", "trigger", "rule", "policy")
RELATIONS = ("table", "foreign table", "view", "materialized view", "type", "domain")


def split(thing: str) -> tuple[str, str]:
    """Kind and name: ``column public.users.email`` is ``column`` and ``public.users.email``."""
    for kind in _BY_LENGTH:
        if thing == kind or thing.startswith(f"{kind} "):
            return kind, thing[len(kind) + 1 :]
    raise ValueError(f"not the name of an object: {thing}")


def last(name: str) -> str:
    """The last part of a name: ``email`` of ``public.users.email``."""
    parts: list[str] = _PART.findall(name)
    return parts[-1]


def without_last(name: str) -> str:
    """The name but for its last part: ``public.users`` of ``public.users.email``."""
    return ".".join(_PART.findall(name)[:-1])


def relation_of(thing: str, attributes: Mapping[str, str]) -> str | None:
    """The table, view, type or domain that an object is a part of, by name; None if of none."""
    kind, name = split(thing)
    if kind in IN_TABLE:
        return without_last(name)
    if kind == "sequence":
        column = attributes.get("identity of") or attributes.get("owned by")
        return without_last(column) if column else None
    return attributes.get("table")
