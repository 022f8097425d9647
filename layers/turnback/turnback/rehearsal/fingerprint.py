"""The fingerprint of a schema: every object of a database, with what makes it what it is.

It is read from the catalog by one message. Two databases with the same fingerprint have the same
schema; what differs otherwise is said by :func:`turnback.rehearsal.difference.compare`.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGresult

from turnback.engine.session.message import Connection, ServerError, send
from turnback.errors import DatabaseRefused
from turnback.rehearsal.catalog import objects_of, questions

_FORMAT = 1
# All statements see the same moment. The message is a transaction, and its settings end with it.
_ALONE = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",)
# In a transaction of the session's own, what it has set is set again afterwards.
_BEGIN, _END = "SAVEPOINT fingerprint", ("ROLLBACK TO SAVEPOINT fingerprint", "RELEASE fingerprint")
_UNKNOWN_STATEMENT = "26000"
_GROWTH = 4
# What each session has prepared the questions as: planning them takes longer than answering them.
_prepared: WeakKeyDictionary[Connection, _Prepared] = WeakKeyDictionary()
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Fingerprint:
    """A schema, object by object.

    Attributes:
        objects: each object's attributes by its name, which begins with its kind and is quoted as
            in SQL: ``table public.users``, ``column public.users.email``,
            ``function public.f(integer)``. An attribute that is as usual is left out.
    """

    objects: Mapping[str, Mapping[str, str]]

    @cached_property
    def digest(self) -> str:
        """A SHA-256 of all of it, hex. It also tells apart what :func:`compare` calls cosmetic."""
        return hashlib.sha256(self._text().encode()).hexdigest()

    def to_json(self) -> str:
        """The fingerprint as JSON: one document, the same text for the same schema."""
        return f'{{"format":{_FORMAT},"objects":{self._text()}}}'

    @classmethod
    def from_json(cls, text: str) -> Fingerprint:
        """The fingerprint that :meth:`to_json` wrote.

        Raises:
            ValueError: it is none, or of a format that this version does not know.
        """
        document = json.loads(text)
        if not isinstance(document, dict) or document.get("format") != _FORMAT:
            raise ValueError(f"not a fingerprint of format {_FORMAT}")
        return cls(document["objects"])

    def _text(self) -> str:
        return json.dumps(
            self.objects, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=dict
        )


def fingerprint(connection: Connection, *, history_schema: str = "public") -> Fingerprint:
    """What schema the database has now.

    Left out are the server's own objects, temporary ones, those that belong to an extension (the
    extension itself stays, with its version) and turnback's own. Data is not looked at, and what a
    sequence has counted to is data. Passwords in options are left out.

    Args:
        connection: any session; it is left as it was, in its transaction if it is in one.
        history_schema: where turnback's own tables are.

    Raises:
        DatabaseRefused: the catalog changed under the reading, or a lock was not to be had in time.
        DatabaseUnreachable: the connection broke.
    """
    try:
        results = _ask(connection)
    except ServerError as error:
        if error.sqlstate != _UNKNOWN_STATEMENT:
            raise _refused(error) from error
        # A script has made the session forget its prepared statements (DISCARD ALL).
        try:
            results = _ask(connection)
        except ServerError as again:
            raise _refused(again) from again
    objects = objects_of(results, history_schema)
    prepared = _prepared[connection]
    prepared.objects = prepared.objects or len(objects)
    if len(objects) > _GROWTH * prepared.objects:
        # Plans for a small catalog are slow on a big one: they are made anew the next time.
        del _prepared[connection]
    return Fingerprint(objects)


def _refused(error: ServerError) -> DatabaseRefused:
    return DatabaseRefused(
        f"the schema cannot be read: {error.message}",
        sqlstate=error.sqlstate,
        hint="run it again when nobody else changes the schema",
    )


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
    """Ask as it was prepared in this session; the first time, prepare it in the same message."""
    settings, *queries = questions(connection.info.server_version // 10_000)
    alone = connection.pgconn.transaction_status == TransactionStatus.IDLE
    known = _prepared.pop(connection, None)
    prepared = known or _Prepared(f"turnback_fingerprint_{next(_numbers)}")
    name = prepared.name
    statements = [*(_ALONE if alone else (_BEGIN,)), settings]
    if known is None:
        statements += (f"PREPARE {name}_{i} AS {query}" for i, query in enumerate(queries))
    statements += (f"EXECUTE {name}_{i}" for i in range(len(queries)))
    if not alone:
        statements += _END
    try:
        results = send(connection, ";\n".join(statements))
    except ServerError:
        if not alone:
            send(connection, "; ".join(_END))
        raise
    _prepared[connection] = prepared
    return results
