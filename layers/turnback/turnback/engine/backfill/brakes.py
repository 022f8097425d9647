"""What slows a backfill down: replicas that lag, WAL that is not archived, others that wait."""

from __future__ import annotations

from psycopg.rows import tuple_row

from turnback.engine.session.message import Connection, ServerError, rows, send
from turnback.engine.session.query import load, query
from turnback.errors import ConfigurationError, TurnbackError
from turnback.migrations.model import Script
from turnback.settings.pace import Pace
from turnback.sql.script import prepare

_TRUE = ("t", "true", "on", "yes", "1")


def reason_to_wait(connection: Connection, pace: Pace) -> str | None:
    """Why a backfill waits now; None where it goes on.

    Raises:
        ConfigurationError: the user's query fails.
    """
    ((lag, waiting, active, failing),) = query(connection, load("backfill_brakes"), tuple_row)
    if lag is not None and lag * 1000 > pace.replication_lag_ms:
        return f"a standby is {lag:.0f} s behind"
    if waiting > pace.waiting_sessions:
        return f"{waiting} sessions wait for locks"
    if pace.active_sessions is not None and active > pace.active_sessions:
        return f"{active} sessions are at work"
    if pace.archiving and failing:
        return "the server cannot archive its WAL"
    return _asked(connection, pace.query) if pace.query else None


def _asked(connection: Connection, sql: str) -> str | None:
    """Why the user's query makes it wait."""
    try:
        statements = prepare(Script("query", sql, "")).statements or ()
        # A second one could end the transaction, in which nothing may be changed.
        if [one.kind for one in statements] != ["SelectStmt"]:
            raise ConfigurationError("it is not one SELECT")
        # Rolled back: nor may it change a setting of the session.
        results = send(
            connection,
            f"SET TRANSACTION READ ONLY; {statements[0].sql}\n; BEGIN; ROLLBACK",
        )
    except (ServerError, TurnbackError) as error:
        raise ConfigurationError(
            f"the query of the brake fails: {error}", hint="correct query in [backfill]"
        ) from error
    found = rows(results[1])
    if found and found[0] and (found[0][0] or "").lower() in _TRUE:
        return "the query of [backfill] says so"
    return None
