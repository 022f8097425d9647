"""Who holds locks, and who waits for whom. Reads only, unless told to end a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from turnback.engine.session.message import Connection, rows, send

_QUERY_CHARACTERS = 120


@dataclass(frozen=True, slots=True)
class Session:
    """A session that waits for a lock, or keeps another one waiting, or sits in a transaction.

    Attributes:
        in_transaction_s: how long its transaction has been open, seconds.
        in_state_s: how long it has been in its state, seconds.
        wants: the lock it waits for, as ``mode on relation``; None if it waits for none.
        holds: the strong locks it holds on relations.
        waits_for: the sessions it waits for.
    """

    pid: int
    user: str
    application: str
    client: str
    state: str
    in_transaction_s: int
    in_state_s: int
    query: str
    wants: str | None
    holds: tuple[str, ...]
    waits_for: tuple[int, ...]

    @property
    def ours(self) -> bool:
        """Whether it is a session of turnback."""
        return self.application.startswith("turnback")

    def to_dict(self) -> dict[str, Any]:
        return {
            "pid": self.pid,
            "user": self.user,
            "application": self.application,
            "client": self.client,
            "state": self.state,
            "in_transaction_s": self.in_transaction_s,
            "in_state_s": self.in_state_s,
            "query": self.query,
            "wants": self.wants,
            "holds": list(self.holds),
            "waits_for": list(self.waits_for),
        }


def sessions(connection: Connection) -> list[Session]:
    """Every session of this database that waits, is waited for, or has a transaction open.

    Oldest transaction first. Without pg_read_all_stats the queries of other users stay hidden by
    the server (manual, 27.2.3); pids and locks do not.
    """
    age = "coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - a.{})::integer, 0)"
    lock = "l.mode || ' on ' || coalesce(l.relation::pg_catalog.regclass::text, l.locktype)"
    query = (
        "SELECT a.pid, a.usename, a.application_name, coalesce(a.client_addr::text, 'local'), "
        f"a.state, {age.format('xact_start')}, {age.format('state_change')}, "
        "pg_catalog.left(pg_catalog.regexp_replace(a.query, '\\s+', ' ', 'g'), "
        f"{_QUERY_CHARACTERS}), "
        f"(SELECT {lock} FROM pg_catalog.pg_locks l WHERE l.pid = a.pid AND NOT l.granted LIMIT 1),"
        f" (SELECT pg_catalog.string_agg(DISTINCT {lock}, E'\\n') FROM pg_catalog.pg_locks l "
        "WHERE l.pid = a.pid AND l.granted AND l.relation IS NOT NULL AND l.locktype = 'relation' "
        "AND l.mode NOT IN ('AccessShareLock') AND l.database <> 0), "
        "pg_catalog.array_to_string(pg_catalog.pg_blocking_pids(a.pid), ' ') "
        "FROM pg_catalog.pg_stat_activity a "
        "WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid() "
        "AND a.backend_type = 'client backend' AND (a.xact_start IS NOT NULL "
        "OR a.pid IN (SELECT b FROM pg_catalog.pg_stat_activity w, "
        "pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) b)) "
        "ORDER BY a.xact_start NULLS LAST"
    )
    found = []
    for pid, user, app, client, state, xact, since, sql, wants, holds, waits in rows(
        send(connection, query)[0]
    ):
        found.append(
            Session(
                pid=int(pid or 0),
                user=user or "?",
                application=app or "",
                client=client or "?",
                state=state or "?",
                in_transaction_s=int(xact or 0),
                in_state_s=int(since or 0),
                query=sql or "",
                wants=wants,
                holds=tuple((holds or "").splitlines()),
                waits_for=tuple(int(number) for number in (waits or "").split()),
            )
        )
    return found


def idle_in_transaction(found: list[Session], longer_than_s: float) -> list[Session]:
    """Those that sit in an open transaction and do nothing for that long; never ours."""
    return [
        session
        for session in found
        if session.state.startswith("idle in transaction")
        and session.in_state_s >= longer_than_s
        and not session.ours
    ]


def terminate(connection: Connection, pid: int) -> bool:
    """End a session; whether there was one. Its open transaction is rolled back."""
    result = send(connection, f"SELECT pg_catalog.pg_terminate_backend({int(pid)})")[0]
    return rows(result)[0][0] == "t"
