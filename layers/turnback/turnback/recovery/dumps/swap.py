"""The swap: two databases exchange their names in one transaction, while nobody is connected.

PostgreSQL renames a database only while no session is in it, and takes a lock on it that every new
session has to wait for (dbcommands.c, RenameDatabase; postinit.c, InitPostgres). So the rename is
begun first; while it waits, up to five seconds, a second session ends those that are there, and
none can come back in between. Whoever waited to connect is told that the database was renamed,
and finds the restored one at the next try.

Nothing is refused or renamed before that transaction commits: a kill at any moment leaves either
the old database, answering as before, or the restored one in its place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from turnback.engine.session.connection import Connection
from turnback.errors import RestoreFailed
from turnback.recovery.dumps.names import Mark, Names
from turnback.recovery.dumps.properties import Properties
from turnback.sql.quoting import identifier, literal

_PAUSE_S = 0.05


def swap(
    connection: Connection,
    open_second: Callable[[], Connection],
    names: Names,
    properties: Properties,
    mark: Mark,
) -> None:
    """Give the successor the old one's name, and the old one the name it is kept under.

    The old one takes no sessions afterwards: nothing can write into it by mistake. Its owner
    opens it with ALTER DATABASE … ALLOW_CONNECTIONS true.

    Args:
        connection: the leading session.
        open_second: another session in the maintenance database.
        names: of the databases.
        properties: those that the old one has and the successor gets.
        mark: what is written on the kept one.

    Raises:
        RestoreFailed: not possible now; the old database answers as before.
    """
    _refuse_prepared(connection, names.current)
    statements = [
        f"ALTER DATABASE {identifier(names.current)} RENAME TO {identifier(names.kept)}",
        f"ALTER DATABASE {identifier(names.successor)} RENAME TO {identifier(names.current)}",
        f"ALTER DATABASE {identifier(names.current)} WITH CONNECTION LIMIT "
        f"{properties.connection_limit} IS_TEMPLATE {str(properties.template).lower()}",
        f"COMMENT ON DATABASE {identifier(names.current)} IS {literal(properties.comment)}",
        f"COMMENT ON DATABASE {identifier(names.kept)} IS {literal(mark.text())}",
        f"ALTER DATABASE {identifier(names.kept)} WITH ALLOW_CONNECTIONS false",
    ]
    with open_second() as second:
        for last in (False, False, True):
            with _nobody_stays(second, names) as immortal:
                try:
                    connection.execute("BEGIN")
                    for statement in statements:
                        connection.execute(statement.encode())
                    connection.execute("COMMIT")
                    return
                except (psycopg.errors.ObjectInUse, psycopg.errors.LockNotAvailable) as error:
                    connection.execute("ROLLBACK")
                    if last or immortal:
                        raise _still_there(error, immortal, names) from error
                except psycopg.Error:
                    if not connection.closed:
                        connection.execute("ROLLBACK")
                    raise


@contextmanager
def _nobody_stays(second: Connection, names: Names) -> Iterator[list[str]]:
    """End every session in the databases, again and again; collects those that it may not end."""
    over = threading.Event()
    immortal: list[str] = []

    def end() -> None:
        while not over.wait(_PAUSE_S):
            try:
                found = second.execute(
                    "SELECT pid, usename, application_name, state "
                    "FROM pg_catalog.pg_stat_activity WHERE datname = ANY(%s)",
                    [[names.current, names.successor]],
                ).fetchall()
            except psycopg.Error as error:
                immortal.append(f"unknown sessions ({error})")
                return
            for pid, user, application, state in found:
                try:
                    second.execute("SELECT pg_catalog.pg_terminate_backend(%s)", [pid])
                except psycopg.Error as error:
                    who = f"pid {pid} ({user}, {application or 'unnamed'}, {state}): {error}"
                    if who not in immortal:
                        immortal.append(who)

    thread = threading.Thread(target=end, daemon=True)
    thread.start()
    try:
        yield immortal
    finally:
        over.set()
        thread.join()


def _refuse_prepared(connection: Connection, database: str) -> None:
    found = connection.execute(
        "SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = %s", [database]
    ).fetchall()
    if found:
        raise RestoreFailed(
            f"the old database has prepared transactions, and cannot be renamed: "
            f"{', '.join(str(gid) for (gid,) in found)}",
            hint="COMMIT PREPARED or ROLLBACK PREPARED them, then restore again; the old "
            "database answers as before",
        )


def _still_there(error: psycopg.Error, immortal: list[str], names: Names) -> RestoreFailed:
    who = "; ".join(immortal[:5]) or str(error).strip()
    return RestoreFailed(
        f'sessions in "{names.current}" could not be ended, so the swap did not happen: {who}',
        sqlstate=error.sqlstate,
        hint=f"the old database answers as before, the restored one is whole in "
        f'"{names.successor}"; end those sessions, or GRANT pg_signal_backend to us, and restore '
        "again",
    )
