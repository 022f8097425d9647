"""What must be true of a database when the run after a fault has ended."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psycopg
from turnback.local.database import schema_of
from turnback.local.server import EmbeddedServer

from tests.faults.the_run import VERSIONS

# A closed session's backend takes a moment to end.
_BACKEND_ENDS_S = 10.0
_LEFT = {
    "not exactly one record that it was applied": """
        SELECT v.version, count(l.id)
          FROM unnest(%(versions)s::text[]) AS v (version)
          LEFT JOIN migration_log l ON l.version = v.version AND l.direction = 'up'
                                   AND l.outcome = 'done' AND l.statement IS NULL
         GROUP BY v.version HAVING count(l.id) <> 1 ORDER BY 1""",
    "not applied by the history": """
        SELECT v.version, m.success, m.error, m.rolled_back_at
          FROM unnest(%(versions)s::text[]) AS v (version)
          FULL JOIN migrations m ON m.version = v.version
         WHERE v.version IS NULL OR m.success IS NOT TRUE OR m.rolled_back_at IS NOT NULL
            OR m.error IS NOT NULL ORDER BY 1""",
    "a statement that is recorded as done twice": """
        SELECT version, statement, count(*) FROM migration_log
         WHERE outcome = 'done' AND statement IS NOT NULL
         GROUP BY version, statement HAVING count(*) > 1""",
    "an advisory lock": """
        SELECT pid, mode, granted FROM pg_locks JOIN pg_database d ON d.oid = database
         WHERE locktype = 'advisory' AND d.datname = current_database()""",
    "an invalid index, or one of a REINDEX CONCURRENTLY": """
        SELECT indexrelid::regclass::text FROM pg_index
         WHERE NOT (indisvalid AND indisready AND indislive)
            OR indexrelid::regclass::text ~ '_cc(new|old)'""",
    "a partition that is half detached": """
        SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhdetachpending""",
    "a session of ours": """
        SELECT pid, application_name, state, left(query, 60) FROM pg_stat_activity
         WHERE application_name LIKE 'turnback%%' AND datname = current_database()""",
}


@dataclass(frozen=True, slots=True)
class Whole:
    """What an undisturbed run leaves: the schema as pg_dump writes it, and the ledger."""

    schema: str
    ledger: list[int]


def look(server: EmbeddedServer, name: str) -> Whole:
    """The schema and the ledger of a database."""
    with psycopg.connect(server.socket_url(name)) as connection:
        entries = connection.execute("SELECT entry FROM ledger ORDER BY entry").fetchall()
    return Whole(schema_of(server, name), [entry for (entry,) in entries])


def wrong(server: EmbeddedServer, name: str, expected: Whole) -> list[str]:
    """What is not as after an undisturbed run, each as a sentence; none if all is well."""
    found = []
    with psycopg.connect(server.socket_url(name), autocommit=True) as connection:
        _await_our_end(connection)
        for what, query in _LEFT.items():
            rows = connection.execute(query.encode(), {"versions": VERSIONS}).fetchall()
            if rows:
                found.append(f"{what}: {rows}")
    now = look(server, name)
    if now.ledger != expected.ledger:
        found.append(f"the ledger is {now.ledger}, not {expected.ledger}")
    if now.schema != expected.schema:
        here, there = set(now.schema.splitlines()), set(expected.schema.splitlines())
        found.append(f"the schema has {here - there}, and lacks {there - here}")
    return found


def recorded(server: EmbeddedServer, name: str) -> set[str]:
    """The versions that the history calls applied."""
    with psycopg.connect(server.socket_url(name)) as connection:
        if connection.execute("SELECT to_regclass('public.migrations')").fetchone() == (None,):
            return set()
        query = "SELECT version FROM migrations WHERE success AND rolled_back_at IS NULL"
        return {version for (version,) in connection.execute(query).fetchall()}


def _await_our_end(connection: psycopg.Connection) -> None:
    deadline = time.monotonic() + _BACKEND_ENDS_S
    query = _LEFT["a session of ours"].replace("%%", "%").encode()
    while connection.execute(query).fetchall() and time.monotonic() < deadline:
        time.sleep(0.01)
