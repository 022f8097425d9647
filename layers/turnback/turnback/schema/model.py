"""The fingerprint of a schema: every object of a database, with its attributes, by name.

An object's name is its kind in words, then its name as SQL writes it: ``table public.users``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

Attributes = Mapping[str, str]
Objects = Mapping[str, Attributes]
Address = tuple[str | None, ...]

_FORMAT = 1
# Privileges are attributes of this name, with the role after it.
GRANTS_TO = "grants to "
REVOKED = "revoked"
GRANTABLE = " (grantable)"
# A secret in a fingerprint that an earlier version kept.
NOT_SHOWN = "(not shown)"

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


@dataclass(frozen=True)
class Fingerprint:
    """A schema, object by object.

    Attributes:
        objects: each object's attributes by its name, which begins with its kind and is quoted as
            in SQL: ``table public.users``, ``column public.users.email``,
            ``function public.f(integer)``. An attribute with its default value is left out.
        addresses: where the catalog has each object (class, oid, column). A renamed object keeps
            its address. Not part of the JSON, and empty for a fingerprint that was read from it.
    """

    objects: Mapping[str, Mapping[str, str]]
    addresses: Mapping[str, Address] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the whole, hex; cosmetic differences change it too."""
        return hashlib.sha256(self._text().encode()).hexdigest()

    def to_json(self) -> str:
        """The fingerprint as JSON: one document, the same text for the same schema."""
        return f'{{"format":{_FORMAT},"objects":{self._text()}}}'

    @classmethod
    def from_json(cls, text: str) -> Fingerprint:
        """The fingerprint that :meth:`to_json` wrote.

        Raises:
            ValueError: it is not a fingerprint, or has a format that this version does not know.
        """
        document = json.loads(text)
        if not isinstance(document, dict) or document.get("format") != _FORMAT:
            raise ValueError(f"not a fingerprint of format {_FORMAT}")
        return cls(document["objects"])

    def _text(self) -> str:
        return json.dumps(
            self.objects, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=dict
        )


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
    """The table, view, type or domain that an object is a part of, by name; else None."""
    kind, name = split(thing)
    if kind in IN_TABLE:
        return without_last(name)
    if kind == "sequence":
        column = attributes.get("identity of") or attributes.get("owned by")
        return without_last(column) if column else None
    return attributes.get("table")
