"""Queries that are planned once in a session that runs no scripts, and run again and again."""

from __future__ import annotations

from collections.abc import Iterable
from weakref import WeakKeyDictionary

from psycopg.pq.abc import PGresult

from turnback.engine.session.message import Connection, send

# The names of the queries that a session has prepared.
_known: WeakKeyDictionary[Connection, dict[str, str]] = WeakKeyDictionary()


def of_oids(connection: Connection, query: str, oids: Iterable[str]) -> PGresult:
    """Run a query of the catalog.

    Args:
        connection: with no transaction open; nothing else prepares or deallocates there by name.
        query: its ``$1`` is the array of oids.
        oids: few of them.
    """
    known = _known.setdefault(connection, {})
    prepare = ""
    if query not in known:
        known[query] = f"turnback_planned_{len(known)}"
        prepare = f"PREPARE {known[query]}(oid[]) AS {query}; "
    # It is planned while the catalog may be small, and for any number of oids.
    execute = f"SET LOCAL enable_seqscan = off; EXECUTE {known[query]}('{{{','.join(oids)}}}')"
    return send(connection, prepare + execute)[-1]
