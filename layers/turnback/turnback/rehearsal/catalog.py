"""The catalog's answers: what there is in a database, in one message.

The queries are files. Their columns that begin with an underscore say where a row belongs:

- ``_object``: the name the fingerprint knows it by; every other column is one of its attributes.
- ``_class``, ``_oid``, ``_sub``: its address in the catalog, where notes (comments) are found by.
  ``_part_class``, ``_part_oid``, ``_part``: the address of something that is told as a part of it.
- ``_declares``: a relation that its parts can name as their ``_relation``; the parts of relations
  that nobody declared (those of extensions, and our own) are left out.
- ``_grants``, ``_granted_by_default``, ``_owner``: privileges (:mod:`.grants`).
- ``_options``: options of foreign data, which can be secrets.
- ``_note``, ``_text``: something to add to what is at this address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from psycopg.adapt import Transformer
from psycopg.pq import Format
from psycopg.pq.abc import PGresult

from turnback.rehearsal.grants import granted

# How the server writes values, types and names, so that the same schema reads the same everywhere.
_SETTINGS = {
    "search_path": "",
    "quote_all_identifiers": "off",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "standard_conforming_strings": "on",
    "jit": "off",
}
_OURS = ("migrations", "migration_log", "migration_backfills", "migration_health")
_SECRET = re.compile(r"passw|passfile|secret|token|credential|private|api_?key|jwt", re.IGNORECASE)
_NOT_SHOWN = "(not shown)"
# The type text.
_TEXT = 25
_VERSION_MARK = re.compile(r"  -- since (\d+)(?: until (\d+))?$")

Objects = dict[str, dict[str, str]]


@cache
def questions(major: int) -> tuple[str, ...]:
    """The statements for servers of a major version; the first makes settings of a transaction.

    Args:
        major: the server's version, such as 18.
    """
    values = ", ".join(
        f"set_config('{name}', '{value}', true)" for name, value in _SETTINGS.items()
    )
    folder = resources.files("turnback.rehearsal").joinpath("queries")
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    statements = [f"SELECT {values}"]
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines()
        text = "\n".join(_lines_for(major, (line for line in lines if line[:2] != "--")))
        statements += (part.strip() for part in text.split(";\n"))
    return tuple(statement.removesuffix(";") for statement in statements)


def _lines_for(major: int, lines: Iterable[str]) -> Iterator[str]:
    """The lines that this version understands; some columns came with a version, and some went."""
    for line in lines:
        mark = _VERSION_MARK.search(line)
        if mark is None:
            yield line
        elif int(mark[1]) <= major <= int(mark[2] or major):
            yield line[: mark.start()]


def objects_of(results: Iterable[PGresult], history_schema: str) -> Objects:
    """The objects that the answers tell of.

    Args:
        results: the answers to :func:`questions`, in their order.
        history_schema: where turnback's own tables are; they are left out.
    """
    reading = _Reading(history_schema)
    for result in results:
        names = [(result.fname(column) or b"").decode() for column in range(result.nfields)]
        if "_class" in names:
            reading.read(names, _rows(result))
    return {name: attributes for name, attributes in reading.objects.items() if attributes}


def _rows(result: PGresult) -> Sequence[tuple[str | None, ...]]:
    """All rows as text, read by psycopg's own loop: there are thousands of fields."""
    transformer = Transformer()
    transformer.set_pgresult(result, set_loaders=False)
    transformer.set_loader_types([_TEXT] * result.nfields, Format.TEXT)
    return transformer.load_rows(0, result.ntuples, tuple)


@dataclass(slots=True)
class _Reading:
    """Objects as far as they are read."""

    history_schema: str
    objects: Objects = field(default_factory=dict)
    _relations: set[str | None] = field(default_factory=lambda: {None})
    # Attributes by catalog address, and the words that a note's name begins with there.
    _places: dict[tuple[str | None, ...], tuple[dict[str, str], str]] = field(default_factory=dict)

    def read(self, names: list[str], found: Sequence[tuple[str | None, ...]]) -> None:
        """Take in one query's rows; the columns with an underscore come first."""
        special = [name for name in names if name.startswith("_")]
        start = len(special)
        usual = names[start:]
        for row in found:
            told = dict(zip(special, row, strict=False))
            if "_note" in told:
                self._note(told)
            elif self._wanted(told):
                values = zip(usual, row[start:], strict=True)
                self._add(told, {name: value for name, value in values if value is not None})

    def _wanted(self, told: dict[str, str | None]) -> bool:
        if told.get("_relation") not in self._relations:
            return False
        if told.get("_schema") != self.history_schema:
            return True
        if "_name" in told:
            return told["_name"] not in _OURS
        # The schema itself: it is ours where it was made for the history.
        return self.history_schema == "public"

    def _add(self, told: dict[str, str | None], attributes: dict[str, str]) -> None:
        if (declared := told.get("_declares")) is not None:
            self._relations.add(declared)
        if "value" in attributes and _SECRET.search(told.get("_name") or ""):
            attributes["value"] = _NOT_SHOWN
        for option in (told.get("_options") or "").splitlines():
            name, _, value = option.partition("=")
            attributes[f"option {name}"] = _NOT_SHOWN if _SECRET.search(name) else value
        if (grants := told.get("_grants")) is not None:
            owner = attributes.get("owner") or told.get("_owner")
            attributes |= granted(grants, told.get("_granted_by_default"), owner)
        self.objects[told["_object"] or ""] = attributes
        address = (told["_class"], told["_oid"], told.get("_sub") or "0")
        self._places[address] = (attributes, "")
        if (part := told.get("_part")) is not None:
            address = (told["_part_class"], told["_part_oid"], "0")
            self._places[address] = (attributes, f"{part} ")

    def _note(self, told: dict[str, str | None]) -> None:
        place = self._places.get((told["_class"], told["_oid"], told["_sub"]))
        if place is not None:
            attributes, words = place
            attributes[words + (told["_note"] or "")] = told["_text"] or ""
