"""Sessions that hold locks or wait for them, and how to terminate one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from psycopg.rows import class_row

from turnback.engine.session.message import Connection
from turnback.engine.session.query import load, query, scalar


@dataclass(frozen=True, slots=True)
class ServerSession:
    """A session that waits for a lock, keeps another one waiting, or has a transaction open.

    Attributes:
        in_transaction_s: how long its transaction has been open, seconds.
        in_state_s: how long it has been in its state, seconds.
        wants: the lock it waits for, as ``mode on relation``, or None.
        holds: its locks on relations that are stronger than AccessShareLock.
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
    holds: list[str]
    waits_for: list[int]

    @property
    def ours(self) -> bool:
        """Whether it is a session of turnback."""
        return self.application.startswith("turnback")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def sessions(connection: Connection) -> list[ServerSession]:
    """Every session of this database that waits, is waited for, or has a transaction open.

    Oldest transaction first. Without pg_read_all_stats the server hides the queries of other users
    (manual, 27.2.3), but not pids and locks.
    """
    return query(connection, load("sessions"), class_row(ServerSession))


def idle_in_transaction(found: list[ServerSession], longer_than_s: float) -> list[ServerSession]:
    """Those that have been idle in a transaction for that long; never turnback's own."""
    return [
        session
        for session in found
        if session.state.startswith("idle in transaction")
        and session.in_state_s >= longer_than_s
        and not session.ours
    ]


def terminate(connection: Connection, pid: int) -> bool:
    """Terminate a session, which rolls its transaction back; whether it existed."""
    sql = "SELECT pg_catalog.pg_terminate_backend(%(pid)s)"
    return scalar(connection, sql, {"pid": pid}) is True
