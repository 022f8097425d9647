"""Whether a server accepts writes: a standby, and a server in a failover, do not."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from psycopg.rows import class_row

from turnback.engine.session.connection import describe_session
from turnback.engine.session.message import Connection, ServerError
from turnback.engine.session.query import READ_ONLY_STATE, own_statements, query
from turnback.errors import DatabaseNotReady, DatabaseRefused
from turnback.sql.quoting import identifier
from turnback.wording import counted, duration

# PostgreSQL 14 and later report both when a session begins: no question is needed.
_REPORTED = ("in_hot_standby", "default_transaction_read_only")
# pg_settings.source of a value that somebody has set for sessions like this one. A failover or a
# switchover changes the server's configuration instead.
_DELIBERATE = {
    "database": "for the database",
    "user": "for the user",
    "database user": "for the user in this database",
    "client": "in the options of the address, or in PGOPTIONS",
}
_STATE = """
SELECT pg_catalog.pg_is_in_recovery() AS recovers,
       pg_catalog.current_setting('transaction_read_only') = 'on' AS read_only,
       (SELECT source FROM pg_catalog.pg_settings
         WHERE name = 'default_transaction_read_only') AS source
"""
# A standby that has replayed all that it received is as its primary was at that moment, however
# long ago the last transaction was.
_LAG = """
SELECT pg_catalog.pg_wal_lsn_diff(received, replayed)::bigint AS behind_bytes,
       CASE WHEN received = replayed THEN 0
            ELSE extract(epoch FROM pg_catalog.clock_timestamp() - replayed_at)::bigint
       END AS behind_s,
       EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver) AS connected
  FROM (SELECT pg_catalog.pg_last_wal_receive_lsn() AS received,
               pg_catalog.pg_last_wal_replay_lsn() AS replayed,
               pg_catalog.pg_last_xact_replay_timestamp() AS replayed_at) AS standby
"""
# A reader of Aurora replays no WAL of its own (Aurora User Guide, "aurora_replica_status").
_LAG_OF_AURORA = """
SELECT NULL::bigint AS behind_bytes, (replica_lag_in_msec / 1000)::bigint AS behind_s,
       true AS connected
  FROM aurora_replica_status() WHERE server_id = aurora_db_instance_identifier()
"""


@dataclass(frozen=True, slots=True)
class _State:
    recovers: bool
    read_only: bool
    source: str | None


@dataclass(frozen=True, slots=True)
class Replica:
    """How far a standby is behind its primary; None where it does not say.

    Attributes:
        behind_bytes: WAL that it has received and not replayed, bytes.
        behind_s: age of the last transaction that it has replayed, seconds; 0 where it has replayed
            all that it received.
        connected: whether it receives WAL now.
    """

    behind_bytes: int | None = None
    behind_s: int | None = None
    connected: bool | None = None

    def __str__(self) -> str:
        parts = []
        if self.behind_s:
            parts.append(f"{duration(self.behind_s)} behind its primary")
        if self.behind_bytes:
            parts.append(f"with {counted(self.behind_bytes, 'byte')} of WAL yet to be replayed")
        if self.behind_s == 0:
            parts.append("which has replayed all that it received")
        if self.connected is False:
            parts.append("not connected to its primary")
        known = ", ".join(parts) or "and how far it is behind is not known"
        return f"a read replica, {known}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "behind_seconds": self.behind_s,
            "behind_bytes": self.behind_bytes,
            "connected": self.connected,
        }


def refuse_read_only(connection: Connection) -> None:
    """Refuse a server that accepts no writes, before anything is written.

    Raises:
        DatabaseNotReady: it is in recovery, or its configuration makes all sessions read-only: as
            in a failover, or on a read replica, which looks the same.
        DatabaseRefused: sessions of this user in this database are read-only by a setting.
    """
    if all(connection.info.parameter_status(name) == "off" for name in _REPORTED):
        return
    with own_statements():
        (state,) = query(connection, _STATE, class_row(_State))
    where = describe_session(connection)
    if state.recovers:
        raise DatabaseNotReady(
            f"{where} accepts no writes: it is in recovery, as a read replica always is, and a "
            "writer for a moment during a failover",
            sqlstate=READ_ONLY_STATE,
            hint="name the endpoint of the writer; after a failover the same name leads to the "
            "new writer within minutes: run it again then",
        )
    # A script may have set it for its own session.
    if not state.read_only or state.source == "session":
        return
    if (set_for := _DELIBERATE.get(state.source or "")) is None:
        raise DatabaseNotReady(
            f"{where} accepts no writes: default_transaction_read_only is on in the server's "
            "configuration",
            sqlstate=READ_ONLY_STATE,
            hint="a failover or a switchover ends within minutes: run it again then; otherwise set "
            "it to off (postgresql.conf, ALTER SYSTEM, or the parameter group of RDS)",
        )
    user, database = connection.info.user, connection.info.dbname
    raise DatabaseRefused(
        f"{where} accepts no writes of this user: default_transaction_read_only is on, set "
        f"{set_for}",
        sqlstate=READ_ONLY_STATE,
        hint="for this user alone: "
        f"ALTER ROLE {identifier(user)} IN DATABASE {identifier(database)} "
        "SET default_transaction_read_only = off; or for one command, add "
        "options=-c%20default_transaction_read_only%3Doff to the address",
    )


def replica(connection: Connection) -> Replica | None:
    """How far this standby is behind; None for a server that is not one.

    Raises:
        DatabaseRefused: it may not be asked.
    """
    with own_statements():
        (state,) = query(connection, _STATE, class_row(_State))
        if not state.recovers:
            return None
        # Aurora refuses the functions of the first, and nobody else knows those of the second.
        for sql in (_LAG, _LAG_OF_AURORA):
            with suppress(ServerError):
                return next(iter(query(connection, sql, class_row(Replica))), Replica())
    return Replica()
