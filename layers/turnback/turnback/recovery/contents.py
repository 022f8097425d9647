"""What a database says of itself: its version, and how many rows were written to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg

from turnback.engine.look.history import Entry, History
from turnback.engine.session.connection import Connection
from turnback.engine.session.message import ServerError, said_by, server_trouble
from turnback.engine.session.query import outage, own_statements, scalar
from turnback.errors import DatabaseRefused, HistoryConflict, RestoreFailed
from turnback.recovery.endpoint import Endpoint
from turnback.recovery.model import Place

WORDS = ("inserted", "updated", "deleted")
_SHOWN = 20
# One round trip, and no lock: the views read counters, not tables.
_QUERY = """
SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       (SELECT to_char(stats_reset AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
          FROM pg_catalog.pg_stat_database WHERE datname = pg_catalog.current_database()),
       coalesce((SELECT json_object_agg(schemaname || '.' || relname,
                                        json_build_array(n_tup_ins, n_tup_upd, n_tup_del))
          FROM pg_catalog.pg_stat_all_tables
         WHERE schemaname NOT LIKE 'pg\\_%' AND schemaname <> 'information_schema'
           -- The history's own rows are not a loss: they describe the run that is undone.
           AND NOT (relname IN ('migrations', 'migration_log', 'migration_backfills')
                    AND to_regclass(
                    pg_catalog.quote_ident(schemaname) || '.migration_health') IS NOT NULL)), '{}'),
       (SELECT oid::bigint FROM pg_catalog.pg_database
         WHERE datname = pg_catalog.current_database())
"""


def counters(database: Endpoint | Connection) -> dict[str, Any]:
    """The rows inserted, updated and deleted in each table since the server began to count.

    Taken once with the snapshot and once before a restore, the difference shows what a restore
    would lose; see ``written_since`` for how exact that is.

    Args:
        database: where it is, or an open session with it.

    Returns:
        ``at`` and ``stats_reset`` (ISO 8601, UTC; the latter may be None), ``oid`` of the database,
        the sums ``inserted``, ``updated``, ``deleted``, and ``tables``: name → the three numbers.

    Raises:
        DatabaseUnreachable, DatabaseRefused: it cannot be connected to, or refuses.
    """
    if isinstance(database, Endpoint):
        with database.open("turnback counters") as opened:
            return counters(opened)
    try:
        row = database.execute(_QUERY).fetchone()
    except psycopg.Error as error:
        if passing := outage(error):
            raise passing from error
        raise DatabaseRefused(
            f"the row counters cannot be read: {said_by(error)}",
            sqlstate=error.sqlstate,
            hint=server_trouble(error.sqlstate)
            or "they show how much a restore would lose; look at the server's log",
        ) from error
    assert row is not None
    at, reset, tables, database_oid = row
    assert isinstance(tables, dict)
    sums = {
        word: sum(numbers[place] for numbers in tables.values()) for place, word in enumerate(WORDS)
    }
    return {"at": at, "stats_reset": reset, "oid": database_oid, **sums, "tables": tables}


def written_since(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """How many rows were written between two readings of ``counters``; never exact.

    It is approximate because of how PostgreSQL counts (manual, 27.2, "The Cumulative Statistics
    System"):

    - a session reports what it did when it is idle, and at most once a second; what a busy
      transaction is doing now is not in the numbers, and what was rolled back is;
    - a crash, a failover and pg_stat_reset() set them back, and a restored database counts from its
      restore. A table whose numbers went down counts with what it has now;
    - a table that was dropped since is not counted at all;
    - the migrations' own writes are in the numbers as well; those of the history are not.

    Args:
        before: the reading taken with the snapshot; empty without one.
        now: the reading of now.

    Returns:
        ``inserted``, ``updated``, ``deleted``, ``approximate`` (always True), ``reset`` (whether
        the server has counted anew since, so that all it counts now is included), ``counted``
        (what the numbers are of: ``since_snapshot``, ``since_reset`` of the server's counters, or
        ``since_made``: the database was restored or made after the first reading, and what that
        wrote is included) and ``tables``: those written most, twenty at most, each with its
        ``name`` and the three numbers.
    """
    old = before.get("tables") or {}
    made = before.get("oid") != now.get("oid")
    reset = made or before.get("stats_reset") != now.get("stats_reset")
    counted = "since_made" if made else "since_reset" if reset else "since_snapshot"
    rows = []
    for name, numbers in (now.get("tables") or {}).items():
        first = [0, 0, 0] if reset else old.get(name, [0, 0, 0])
        since = [new - was for new, was in zip(numbers, first, strict=True)]
        if min(since) < 0:
            since = list(numbers)
        if any(since):
            rows.append({"name": name, **dict(zip(WORDS, since, strict=True))})
    rows.sort(key=lambda row: (-sum(row[word] for word in WORDS), row["name"]))
    sums = {word: sum(row[word] for row in rows) for word in WORDS}
    return {
        **sums,
        "approximate": True,
        "reset": reset,
        "counted": counted,
        "tables": rows[:_SHOWN],
    }


def expects_version(
    endpoint: Endpoint, version: str | None, history_schema: str
) -> Callable[[Place], None]:
    """A check for RestoreRequest: the version last applied is this one.

    Args:
        endpoint: the old database; where the restored one differs, its Place says.
        version: what the snapshot's record says; None where there was no history.
        history_schema: schema of the history tables.
    """

    def check(place: Place) -> None:
        at = endpoint.at(place)
        expect_version(at, version, version_of(at, history_schema))

    return check


def version_of(endpoint: Endpoint, history_schema: str) -> str | None:
    """The version last applied to this database; None where there is no history.

    Raises:
        DatabaseUnreachable, DatabaseRefused: it cannot be connected to, or refuses.
    """
    with endpoint.open("turnback check") as connection:
        return last_applied(connection, history_schema)


def expect_version(endpoint: Endpoint, version: str | None, found: str | None) -> None:
    """See that a restored database is at the version that its snapshot was taken at.

    Raises:
        RestoreFailed: it is not.
    """
    if found != version:
        raise RestoreFailed(
            f'the restored database "{endpoint.name}" is at version {found or "none"}, and the '
            f"snapshot was taken at {version or 'none'}",
            hint="the old database answers as before; look at the restored one, and drop it",
        )


@own_statements()
def last_applied(connection: Connection, schema: str) -> str | None:
    """The version last applied, by number; None if there is no history of turnback.

    Raises:
        HistoryConflict: it is somebody else's, or its rows are hidden from this user.
        DatabaseRefused: it may not be read.
    """
    applied = [entry for entry in history_of(connection, schema) if entry.applied]
    return applied[-1].version if applied else None


def history_of(connection: Connection, schema: str) -> list[Entry]:
    """The history's rows, oldest version first; empty where there is no history of turnback.

    Raises:
        HistoryConflict: it is somebody else's, or its rows are hidden from this user.
        ServerError: it may not be read.
    """
    history = History(connection, schema)
    try:
        if not history.exists():
            return []
    except HistoryConflict:
        if history.unreadable:
            raise
        # A table of another tool is no history.
        return []
    return history.entries()


@dataclass(frozen=True, slots=True)
class Identity:
    """By what a database is known again.

    Attributes:
        name: of the database.
        system: identifier of the server's data directory, which its replicas and its restored
            snapshots share; None where the server does not say.
        first: name of the oldest migration of the history; None without a history.
    """

    name: str
    system: str | None
    first: str | None

    def differs_from(self, target: Identity) -> str | None:
        """How one sees that this is another database than the target; None if it may be the same.

        What is not known of one of them shows nothing.
        """
        if self.name != target.name:
            return f'it is of "{self.name}", and the target is "{target.name}"'
        if self.system and target.system and self.system != target.system:
            return (
                f'it is of "{self.name}" on the server with the system identifier {self.system}, '
                f'and the target "{target.name}" is on {target.system}'
            )
        if self.first and target.first and self.first != target.first:
            return (
                f'it is of a "{self.name}" whose first migration is {self.first}, and that of the '
                f"target is {target.first}"
            )
        return None


def identify(connection: Connection, schema: str) -> Identity:
    """By what the database of this session is known; the session is in no transaction.

    Raises as ``last_applied`` does.
    """
    with own_statements():
        entries = history_of(connection, schema)
    system = None
    # A hosted server may withhold the function, or not know it.
    with suppress(ServerError):
        system = str(scalar(connection, "SELECT system_identifier FROM pg_control_system()"))
    first = f"{entries[0].version} {entries[0].name}" if entries else None
    return Identity(str(connection.info.dbname), system, first)
