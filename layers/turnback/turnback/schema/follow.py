"""Reads the fingerprint of one database again and again: each time only what has changed.

What has changed is found in the catalog (``changed.py``). The tables, types and functions of it are
read again by the same queries as all of them are; so is what the queries do not know by such a key,
which is little, where there is any of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

from turnback.engine.session.message import Connection, send
from turnback.schema.changed import BY_INDEX, Catalog, array_of, send_as_one
from turnback.schema.model import Fingerprint
from turnback.schema.read import Reading, conditions, queries, refused
from turnback.settings.ignore import NOTHING, Ignore

_PLANNED_AGAIN = 4
_numbers = itertools.count(1)


class FollowedSchema:
    """The schema of a database that is looked at again and again.

    Args:
        connection: a session that runs nothing else but what is rolled back.
        history_schema: where turnback's own tables are.
        ignore: what the project leaves out.
        left_out: gets the names of the objects that this leaves out.

    Attributes:
        changed: the oids of what the last reading has read again; None if that is everything.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        history_schema: str = "public",
        ignore: Ignore = NOTHING,
        left_out: set[str] | None = None,
    ) -> None:
        self._connection = connection
        self._left_out = set[str]() if left_out is None else left_out
        self._history_schema, self._ignore = history_schema, ignore
        self._planned_for = 0
        self._number = 0
        self.changed: set[str] | None = None
        version = connection.info.server_version // 10_000
        (self._settings, *self._whole), self._parts = (
            queries(version),
            queries(version, changed=True)[1:],
        )
        self._conditions = conditions(version)
        self._catalog = Catalog(connection, self._settings)
        self._base = self._nothing()

    @contextmanager
    def undone(self) -> Iterator[None]:
        """A transaction of the session that is rolled back in the end; the schema is read in it.

        What was known before is known again afterwards.
        """
        known = self._base.copy()
        send(self._connection, "BEGIN")
        try:
            with self._catalog.undone():
                yield
        finally:
            send(self._connection, "ROLLBACK")
            self._base = known

    def read(self, *, reported: bool = False) -> Fingerprint:
        """The fingerprint as it is now; the same as ``fingerprint`` reads.

        Args:
            reported: whether all who may have changed the schema since the last look have reported
                their statistics, and count what they change (``track_counts``).

        Raises:
            DatabaseRefused: the catalog changed meanwhile, or a lock was not available in time.
            DatabaseUnreachable: the connection broke.
        """
        with refused():
            return self._read(reported)

    def read_since_first(self) -> Fingerprint:
        """The same, from all that is newer than the first look, whatever was seen since."""
        self._catalog.forget_since_first()
        return self.read()

    def _read(self, reported: bool) -> Fingerprint:
        if not self._number or len(self._base.objects) > _PLANNED_AGAIN * self._planned_for:
            self._prepare()
        dirty, present = self._catalog.changes(reported=reported)
        self.changed = dirty
        keyed, rest = list[str](), list[str]()
        for number, (query, part) in enumerate(zip(self._whole, self._parts, strict=True)):
            name = f"turnback_follow_{self._number}_{number}"
            if not present[number]:
                continue
            if query == part:
                rest.append(f"EXECUTE {name}")
            elif dirty is None:
                keyed.append(query)
            elif self._catalog.has_one_of(dirty, self._conditions[number][1]):
                keyed.append(f"EXECUTE {name}({array_of(dirty)})")
        if dirty is None:
            self._base = self._nothing()
        else:
            self._base.forget(dirty)
            if keyed:
                # They were planned for few keys, and the catalog may have been small.
                keyed = [BY_INDEX, *keyed, "RESET enable_seqscan"]
        for result in send_as_one(self._connection, self._settings, *keyed, *rest):
            self._base.take(result)
        return self._base.fingerprint()

    def _nothing(self) -> Reading:
        return Reading(self._history_schema, self._ignore, self._left_out)

    def _prepare(self) -> None:
        """Plan the queries for a catalog of this size."""
        number = self._number = next(_numbers)
        self._planned_for = max(len(self._base.objects), 1)
        statements = [
            f"PREPARE turnback_follow_{number}_{i}{'(oid[])' if '$1' in query else ''} AS {query}"
            for i, query in enumerate(self._parts)
        ]
        statements += self._catalog.prepare()
        # What is planned for any keys need not be planned again for each.
        send(self._connection, "SET plan_cache_mode = force_generic_plan")
        send_as_one(self._connection, self._settings, *statements)
