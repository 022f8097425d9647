"""The session that a restore is led from: in another database, one restore at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from hashlib import sha256

import psycopg

from turnback.engine.session.connection import Connection, connect
from turnback.engine.session.events import Options
from turnback.errors import DatabaseRefused, RestoreFailed, RunnerBusy
from turnback.recovery.endpoint import Endpoint

# A session that says nothing for this long is over. Its owner may be a Lambda function that was
# stopped in the middle: it never closes its socket, and would keep its lock for ever.
_SILENT_MS = 60_000
_HEARTBEAT_S = 10.0
# The same in the middle of the swap, where every new session of the application waits for us.
_SILENT_IN_SWAP_MS = 15_000
_LOCK_TIMEOUT_MS = 10_000


def open_maintenance(endpoint: Endpoint, application: str) -> Connection:
    """A session beside the database: in ``postgres``, else in ``template1``.

    Raises:
        RestoreFailed: it may connect to neither.
        DatabaseUnreachable: no answer.
    """
    refusals = []
    for name in ("postgres", "template1"):
        if name == endpoint.name:
            continue
        try:
            return connect(
                replace(endpoint, name=name).conninfo(),
                application_name=application,
                options=Options(lock_timeout_ms=_LOCK_TIMEOUT_MS),
            )
        except DatabaseRefused as error:
            refusals.append(error.message)
    raise RestoreFailed(
        f"a restore is led from another database, and none lets us in: {'; '.join(refusals)}",
        hint=f"nothing was changed; let {endpoint.user} connect to the database postgres",
    )


@contextmanager
def leading(endpoint: Endpoint, run: str) -> Iterator[Connection | None]:
    """The one session that restores this database now; None while this run has another one.

    It holds an advisory lock, which goes with the session, however that ends. What is decisive
    runs in this very session, so that one whose lock is gone can change nothing any more.

    Raises:
        RunnerBusy: another run restores this database.
        RestoreFailed, DatabaseUnreachable: see open_maintenance.
    """
    application = f"turnback restore {run}"[:63]
    with open_maintenance(endpoint, application) as connection:
        key = int.from_bytes(
            sha256(f"turnback restore {endpoint.name}".encode()).digest()[:8], "big", signed=True
        )
        row = connection.execute("SELECT pg_catalog.pg_try_advisory_lock(%s)", [key]).fetchone()
        if row is None or not row[0]:
            holder = _holder(connection, key)
            if holder is not None and holder != application:
                raise RunnerBusy(
                    f"{holder} is restoring this database",
                    hint="nothing was changed; wait until it has ended",
                )
            yield None
            return
        connection.execute(
            f"SET idle_in_transaction_session_timeout = {_SILENT_IN_SWAP_MS}".encode()
        )
        if connection.info.server_version >= 140000:
            connection.execute(f"SET idle_session_timeout = {_SILENT_MS}".encode())
        with _heartbeat(connection):
            yield connection


def _holder(connection: Connection, key: int) -> str | None:
    row = connection.execute(
        "SELECT a.application_name FROM pg_catalog.pg_locks l "
        "JOIN pg_catalog.pg_stat_activity a USING (pid) "
        "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
        "AND (l.classid::bigint << 32 | l.objid::bigint) = %s "
        "AND l.database = (SELECT oid FROM pg_catalog.pg_database "
        "WHERE datname = pg_catalog.current_database())",
        [key],
    ).fetchone()
    return None if row is None else str(row[0])


@contextmanager
def _heartbeat(connection: Connection) -> Iterator[None]:
    """Say something now and then, so that the session of a living owner is not silent."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(_HEARTBEAT_S) and not connection.closed:
            # An error of the session shows at the next statement of its owner.
            with suppress(psycopg.Error):
                connection.execute("SELECT 1")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
