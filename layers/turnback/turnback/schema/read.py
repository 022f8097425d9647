"""Reads the fingerprint of a schema from the catalog, in one message.

The queries are files in ``queries``. A column whose name begins with an underscore says where its
row belongs; every other column is an attribute of the object:

- ``_object``: the object's name in the fingerprint.
- ``_class``, ``_oid``, ``_sub``: its address in the catalog, by which comments find it.
  ``_part_class``, ``_part_oid``, ``_part``: the address of something reported as a part of it.
- ``_declares``: a relation that its parts can name as their ``_relation``. Parts of relations that
  no row declared (those of extensions, and turnback's own) are left out.
- ``_grants``, ``_granted_by_default``, ``_owner``: privileges, as :func:`granted` reads them.
- ``_options``: options of foreign data, which can be secrets.
- ``_key``: the table, type or function by which the row is found again (``follow.py``). A line
  that ends in ``-- changed`` restricts the query to the keys in ``$1``.
  A line ``-- only with`` above a query names the rows of the catalog without which it finds none;
  a line ``-- keys of`` the catalogs that have the oids by which it knows its rows.
- ``_note``, ``_text``: something to add to the object at this address.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from weakref import WeakKeyDictionary

from psycopg.adapt import Transformer
from psycopg.pq import Format, TransactionStatus
from psycopg.pq.abc import PGresult

from turnback.engine.session.message import Connection, ServerError, send, server_trouble
from turnback.errors import DatabaseRefused
from turnback.schema.model import GRANTABLE, GRANTS_TO, REVOKED, Address, Fingerprint
from turnback.schema.platform import OWNED, is_of_migrations, is_platforms, left_out_as
from turnback.settings.ignore import NOTHING, Ignore
from turnback.sql.own_tables import OWN_TABLES

_ALONE = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
_BEGIN, _END = "SAVEPOINT fingerprint", ("ROLLBACK TO SAVEPOINT fingerprint", "RELEASE fingerprint")
_UNKNOWN_STATEMENT = "26000"
_GROWTH = 4
# What each session has prepared: planning the queries takes longer than running them.
_prepared: WeakKeyDictionary[Connection, _Prepared] = WeakKeyDictionary()
_numbers = itertools.count(1)


@contextmanager
def refused() -> Iterator[None]:
    """What the server says against reading the schema becomes DatabaseRefused."""
    try:
        yield
    except ServerError as error:
        raise DatabaseRefused(
            f"the schema cannot be read: {error}",
            sqlstate=error.sqlstate,
            hint=server_trouble(error.sqlstate)
            or "run it again when nobody else changes the schema",
        ) from error


def moment(connection: Connection) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What comes before and after statements that all see the same moment.

    Without a transaction the message is one, and its settings end with it. In a transaction of the
    session's own, what it has set is set again afterwards.
    """
    if connection.pgconn.transaction_status == TransactionStatus.IDLE:
        return (_ALONE,), ()
    return (_BEGIN,), _END


def fingerprint(
    connection: Connection,
    *,
    history_schema: str = "public",
    ignore: Ignore = NOTHING,
    left_out: set[str] | None = None,
) -> Fingerprint:
    """The fingerprint of the database as it is now.

    What is left out, and why, is listed in docs/prove.md: objects of the server, of extensions
    and of turnback, what the server keeps for itself, secrets, and data.

    Args:
        connection: any session; it is left as it was, in its transaction if it is in one.
        history_schema: where turnback's own tables are.
        ignore: what the project leaves out.
        left_out: gets the names of the objects that this leaves out.

    Raises:
        DatabaseRefused: the catalog changed meanwhile, or a lock was not available in time.
        DatabaseUnreachable: the connection broke.
    """
    with refused():
        try:
            results = _ask(connection)
        except ServerError as error:
            if error.sqlstate != _UNKNOWN_STATEMENT:
                raise
            # A script has made the session forget its prepared statements (DISCARD ALL).
            results = _ask(connection)
    found = objects_of(
        results, Reading(history_schema, ignore, set() if left_out is None else left_out)
    )
    objects = found.objects
    prepared = _prepared[connection]
    prepared.objects = prepared.objects or len(objects)
    if len(objects) > _GROWTH * prepared.objects:
        # Plans for a small catalog are slow on a big one: they are made anew the next time.
        del _prepared[connection]
    return found


@dataclass(slots=True)
class _Prepared:
    """What a session has prepared.

    Attributes:
        name: of the statements, but for their numbers.
        objects: how many objects there were when they were planned; 0 before that is known.
    """

    name: str
    objects: int = 0


def _ask(connection: Connection) -> list[PGresult]:
    """Run the queries as prepared in this session; the first time, prepare them in that message."""
    settings, *questions = queries(connection.info.server_version // 10_000)
    begin, end = moment(connection)
    known = _prepared.pop(connection, None)
    prepared = known or _Prepared(f"turnback_fingerprint_{next(_numbers)}")
    name = prepared.name
    statements = [*begin, settings]
    if known is None:
        statements += (f"PREPARE {name}_{i} AS {query}" for i, query in enumerate(questions))
    statements += (f"EXECUTE {name}_{i}" for i in range(len(questions)))
    try:
        results = send(connection, ";\n".join([*statements, *end]))
    except ServerError:
        if end:
            send(connection, "; ".join(end))
        raise
    _prepared[connection] = prepared
    return results


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
_SECRET = re.compile(
    r"(?!.*_(required|encryption|exp)$).*"
    r"(passw|passfile|secret|token|credential|private|api_?key|jwt)",
    re.IGNORECASE,
)
# The type text.
_TEXT = 25
_VERSION_MARK = re.compile(r"  -- since (\d+)(?: until (\d+))?$")

_PART = r'"(?:[^"]|"")+"|[^\s".(]+'
# A schema itself, default privileges in one, or a name with its schema.
_OF_SCHEMA = re.compile(
    rf"(?:schema|default privileges for role (?:{_PART}) in schema) (?P<of>{_PART})"
    rf"|[a-z ]+ (?P<schema>{_PART})\.(?P<name>{_PART})"
)

_CHANGED_MARK = "  -- changed"
_ONLY_WITH, _KEYS_OF = "-- only with ", "-- keys of "
# The key of what has none.
_NO_KEY = ""


@cache
def queries(major: int, *, changed: bool = False) -> tuple[str, ...]:
    """The statements for servers of a major version; the first makes settings of a transaction.

    Args:
        major: the server's version, such as 18.
        changed: whether those that know their rows by a key read the keys of ``$1`` only.
    """
    values = ", ".join(
        f"set_config('{name}', '{value}', true)" for name, value in _SETTINGS.items()
    )
    return (f"SELECT {values}, {OWNED}", *(query for *_, query in _parts(major, changed=changed)))


@cache
def conditions(major: int) -> tuple[tuple[str | None, tuple[str, ...]], ...]:
    """What each of the queries, but for the settings, has to find to have an answer.

    The rows of one catalog, as they follow FROM, or None where it always has one; and the catalogs
    of which it reads a key, if it knows its rows by one.
    """
    return tuple((only_with, keys_of) for only_with, keys_of, _ in _parts(major, changed=False))


def _parts(major: int, *, changed: bool) -> Iterator[tuple[str | None, tuple[str, ...], str]]:
    folder = resources.files("turnback.schema").joinpath("queries")
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines()
        marks = (_ONLY_WITH, _KEYS_OF)
        lines = [line for line in lines if line[:2] != "--" or line.startswith(marks)]
        text = "\n".join(_lines_for(major, lines, changed=changed))
        for part in text.split(";\n"):
            query = part.strip().removesuffix(";")
            only_with, keys_of = None, ""
            if query.startswith(_KEYS_OF):
                keys_of, _, query = query.removeprefix(_KEYS_OF).partition("\n")
            if query.startswith(_ONLY_WITH):
                only_with, _, query = query.removeprefix(_ONLY_WITH).partition("\n")
            yield only_with, tuple(keys_of.split()), query


def _lines_for(major: int, lines: Iterable[str], *, changed: bool) -> Iterator[str]:
    """The lines that this version understands; some columns came with a version, and some went."""
    for line in lines:
        if line.endswith(_CHANGED_MARK):
            if changed:
                yield line.removesuffix(_CHANGED_MARK)
            continue
        mark = _VERSION_MARK.search(line)
        if mark is None:
            yield line
        elif int(mark[1]) <= major <= int(mark[2] or major):
            yield line[: mark.start()]


def objects_of(results: Iterable[PGresult], reading: Reading) -> Fingerprint:
    """The objects in the answers.

    Args:
        results: the answers to :func:`queries`, in their order.
        reading: a new one.
    """
    for result in results:
        reading.take(result)
    return reading.fingerprint()


def _names_of(result: PGresult) -> list[str]:
    """The names of the columns."""
    return [(result.fname(column) or b"").decode() for column in range(result.nfields)]


def rows_of(result: PGresult) -> Sequence[tuple[str | None, ...]]:
    """All rows as text, read by psycopg's own loop: there are thousands of fields."""
    transformer = Transformer()
    transformer.set_pgresult(result, set_loaders=False)
    transformer.set_loader_types([_TEXT] * result.nfields, Format.TEXT)
    return transformer.load_rows(0, result.ntuples, tuple)


@dataclass(slots=True)
class Reading:
    """Objects as far as they are read.

    Attributes:
        history_schema: where turnback's own tables are; they are left out.
        ignore: what the project leaves out.
        left_out: the names of the objects that this has left out.
    """

    history_schema: str
    ignore: Ignore = NOTHING
    left_out: set[str] = field(default_factory=set)
    objects: dict[str, dict[str, str]] = field(default_factory=dict)
    addresses: dict[str, Address] = field(default_factory=dict)
    _relations: set[str | None] = field(default_factory=lambda: {None})
    # Objects by catalog address, and the words that a note's name begins with there.
    _places: dict[tuple[str | None, ...], tuple[str, str]] = field(default_factory=dict)
    # Names, declared relations and addresses by key.
    _by_key: dict[str, list[tuple[str, str | None, list[Address]]]] = field(default_factory=dict)
    # Objects without an attribute, which are none; and those with notes, as they were without.
    _bare: set[str] = field(default_factory=set)
    _noted: dict[str, dict[str, str]] = field(default_factory=dict)
    # Whether the database is a platform's.
    _platform: bool = False

    def take(self, result: PGresult) -> None:
        """Take in the answer to one of the queries, or to their settings, which come first."""
        names = _names_of(result)
        if "_class" in names:
            self.read(names, rows_of(result))
        elif "_platform" in names:
            [row] = rows_of(result)
            self._platform = row[-1] == "t"

    def read(self, names: list[str], found: Sequence[tuple[str | None, ...]]) -> None:
        """Take in one query's rows; the columns with an underscore come first."""
        special = [name for name in names if name.startswith("_")]
        start = len(special)
        usual = names[start:]
        for row in found:
            where = dict(zip(special, row, strict=False))
            if "_note" in where:
                self._note(where)
            else:
                values = zip(usual, row[start:], strict=True)
                attributes = {name: value for name, value in values if value is not None}
                if self._wanted(where, attributes):
                    self._add(where, attributes)

    def _wanted(self, where: dict[str, str | None], attributes: dict[str, str]) -> bool:
        if where.get("_relation") not in self._relations or self._is_ignored(where):
            return False
        if self._platform and self._is_platforms(where, attributes):
            return False
        if where.get("_schema") != self.history_schema:
            return True
        if "_name" in where:
            return where["_name"] not in OWN_TABLES
        # The schema itself: it is ours where it was made for the history.
        return self.history_schema == "public"

    def _is_ignored(self, where: dict[str, str | None]) -> bool:
        if self.ignore is NOTHING:
            return False
        name = where["_object"] or ""
        if not self.ignore.has_object(*_schema_and_name(name)):
            return False
        self.left_out.add(name)
        return True

    def _is_platforms(self, where: dict[str, str | None], attributes: dict[str, str]) -> bool:
        name = where["_object"] or ""
        schema, _ = _schema_and_name(name)
        kind = name.partition(" ")[0]
        if not is_platforms(schema) or is_of_migrations(kind, attributes.get("definition", "")):
            return False
        self.left_out.add(left_out_as(schema))
        if (declared := where.get("_declares")) is not None:
            # Its policies and triggers are read.
            self._relations.add(declared)
            self._by_key.setdefault(where.get("_key") or _NO_KEY, []).append((name, declared, []))
        return True

    def _add(self, where: dict[str, str | None], attributes: dict[str, str]) -> None:
        if (declared := where.get("_declares")) is not None:
            self._relations.add(declared)
        if "value" in attributes:
            attributes["value"] = _shown(where.get("_name") or "", attributes["value"])
        for option in (where.get("_options") or "").splitlines():
            name, _, value = option.partition("=")
            attributes[f"option {name}"] = _shown(name, value)
        if (grants := where.get("_grants")) is not None:
            owner = attributes.get("owner") or where.get("_owner")
            attributes |= granted(grants, where.get("_granted_by_default"), owner)
        name = where["_object"] or ""
        self._put(name, attributes)
        address: Address = (where["_class"], where["_oid"], where.get("_sub") or "0")
        self._places[address] = (name, "")
        self.addresses[name] = address
        places = [address]
        if (part := where.get("_part")) is not None:
            address = (where["_part_class"], where["_part_oid"], "0")
            self._places[address] = (name, f"{part} ")
            places.append(address)
        key = where.get("_key") or _NO_KEY
        self._by_key.setdefault(key, []).append((name, declared, places))

    def _put(self, name: str, attributes: dict[str, str]) -> None:
        self.objects[name] = attributes
        if attributes:
            self._bare.discard(name)
        else:
            self._bare.add(name)

    def _note(self, where: dict[str, str | None]) -> None:
        place = self._places.get((where["_class"], where["_oid"], where["_sub"]))
        if place is not None:
            name, words = place
            known = self.objects[name]
            self._noted.setdefault(name, known)
            # The attributes may be those of an earlier reading.
            self._put(name, {**known, words + (where["_note"] or ""): where["_text"] or ""})

    def copy(self) -> Reading:
        """One that changes without a change of this one; what is read is shared."""
        return Reading(
            self.history_schema,
            self.ignore,
            self.left_out,
            dict(self.objects),
            dict(self.addresses),
            set(self._relations),
            dict(self._places),
            dict(self._by_key),
            set(self._bare),
            dict(self._noted),
            self._platform,
        )

    def fingerprint(self) -> Fingerprint:
        """What was read."""
        objects = self.objects.copy()
        for name in self._bare:
            del objects[name]
        return Fingerprint(objects, self.addresses.copy())

    def forget(self, keys: Iterable[str]) -> None:
        """Leave out what was read by these keys, all notes, and what was read without a key."""
        for name, attributes in self._noted.items():
            self._put(name, attributes)
        self._noted.clear()
        for key in (_NO_KEY, *keys):
            for name, declared, places in self._by_key.pop(key, ()):
                self.objects.pop(name, None)
                self._bare.discard(name)
                self.addresses.pop(name, None)
                self._relations.discard(declared) if declared is not None else None
                for place in places:
                    self._places.pop(place, None)


def _schema_and_name(name: str) -> tuple[str, str]:
    """The schema of an object, and its own name or that of the relation that it is part of.

    Args:
        name: as the queries write it: ``column public.users.email``; without a schema, both are "".
    """
    match = _OF_SCHEMA.match(name)
    if match is None or name.startswith("setting "):
        return "", ""
    schema, own = (
        part[1:-1].replace('""', '"') if part.startswith('"') else part
        for part in (match["schema"] or match["of"], match["name"] or "")
    )
    return schema, own


def _shown(name: str, value: str) -> str:
    """The value of an option; of a secret, enough of a hash to see a change and not to guess it."""
    if not _SECRET.match(name):
        return value
    return f"(hidden, {hashlib.sha256(f'{name}={value}'.encode()).hexdigest()[:4]})"


_PRIVILEGES = {
    "r": "SELECT",
    "a": "INSERT",
    "w": "UPDATE",
    "d": "DELETE",
    "D": "TRUNCATE",
    "x": "REFERENCES",
    "t": "TRIGGER",
    "m": "MAINTAIN",
    "X": "EXECUTE",
    "U": "USAGE",
    "C": "CREATE",
    "c": "CONNECT",
    "T": "TEMPORARY",
    "s": "SET",
    "A": "ALTER SYSTEM",
}
_ITEM = re.compile(r'^("(?:[^"]|"")*"|[^=]*)=([A-Za-z*]*)/(.*)$')


def granted(items: str, usual: str | None, owner: str | None) -> dict[str, str]:
    """What differs from the default, an attribute for each role, such as ``grants to alice``.

    An access list that says the same as none at all has no attributes.

    Args:
        items: the access list, a line an entry: ``alice=rw*/postgres``.
        usual: the list that applies where none is set, in the same form; None grants nothing.
        owner: who grants, unless an entry says otherwise.
    """
    now, before = _by_role(items, owner), _by_role(usual or "", owner)
    attributes = {}
    for role in sorted({*now, *before}):
        if now.get(role) != before.get(role):
            attributes[f"{GRANTS_TO}{role}"] = now.get(role, REVOKED)
    return attributes


def _by_role(items: str, owner: str | None) -> dict[str, str]:
    found = {}
    for item in items.splitlines():
        match = _ITEM.match(item)
        if match is None:
            raise ValueError(f"not an entry of an access list: {item}")
        role, letters, grantor = match.groups()
        name = role or "PUBLIC"
        if grantor.strip('"').replace('""', '"') != owner:
            name += f" by {grantor}"
        privileges = [
            word + (GRANTABLE if f"{letter}*" in letters else "")
            for letter, word in _PRIVILEGES.items()
            if letter in letters
        ]
        found[name] = ", ".join(privileges)
    return found
