"""Create and drop a database of a server, and wait until it answers."""

from __future__ import annotations

import time
from collections.abc import Callable

from psycopg import conninfo

from turnback.engine.session.connection import (
    Connection,
    connect_for_own,
    describe,
    read_address,
)
from turnback.engine.session.message import ServerError, send, server_trouble
from turnback.engine.session.query import READ_ONLY_STATE, no_writes
from turnback.errors import ConfigurationError, DatabaseRefused, DatabaseUnreachable
from turnback.sql.quoting import identifier, literal

POLL_S = 0.5
# Databases of the server itself: one of them is connected to while another is created or dropped.
_MAINTENANCE = ("postgres", "template1")
_OF_THE_SERVER = {*_MAINTENANCE, "template0", "rdsadmin"}


def create_database(url: str) -> bool:
    """Create the database of an address; returns whether it did not exist before.

    Raises:
        DatabaseUnreachable, DatabaseRefused: the server does not answer, or refuses.
    """
    return _change(url, "CREATE", exists=False)


def drop_database(url: str) -> bool:
    """Drop the database of an address; returns whether it existed.

    Raises:
        DatabaseUnreachable, DatabaseRefused: the server does not answer, or refuses; it refuses
            while there are sessions in the database.
        ConfigurationError: it is one of the server's own databases.
    """
    return _change(url, "DROP", exists=True)


def wait_for(
    url: str,
    seconds: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Wait until a database accepts a session.

    Raises:
        DatabaseUnreachable: it has not for so many seconds.
        DatabaseRefused: it answers and refuses, for example because of a wrong password.
    """
    deadline = clock() + seconds
    while True:
        try:
            connect_for_own(url, application_name="turnback-wait").close()
        except DatabaseUnreachable:
            if clock() >= deadline:
                raise
            sleep(POLL_S)
        else:
            return


def split_password(url: str) -> tuple[str, str | None]:
    """The address without its password, as a connection string, and the password."""
    parameters = read_address(url)
    password = parameters.pop("password", None)
    return conninfo.make_conninfo("", **parameters), str(password) if password else None


def _change(url: str, verb: str, *, exists: bool) -> bool:
    parameters = read_address(url)
    name = str(parameters.get("dbname") or parameters.get("user") or "")
    if not name or name in _OF_THE_SERVER:
        raise ConfigurationError(
            f"{name or 'the address'} is not the database of an application",
            hint="name one in the address: postgresql://user:password@host:5432/database",
        )
    with _maintenance(url) as admin:
        query = f"SELECT FROM pg_catalog.pg_database WHERE datname = {literal(name)}"
        if bool(send(admin, query)[0].ntuples) is not exists:
            return False
        try:
            send(admin, f"{verb} DATABASE {identifier(name)}")
        except ServerError as error:
            if error.sqlstate == READ_ONLY_STATE:
                raise no_writes("") from error
            raise DatabaseRefused(
                f"{describe(url)}: {error}",
                sqlstate=error.sqlstate,
                hint="turnback locks shows its sessions"
                if error.sqlstate == "55006"
                else server_trouble(error.sqlstate),
            ) from error
    return True


def _maintenance(url: str) -> Connection:
    for name in _MAINTENANCE:
        try:
            return connect_for_own(
                conninfo.make_conninfo(url, dbname=name), application_name="turnback-db"
            )
        except DatabaseRefused:
            if name == _MAINTENANCE[-1]:
                raise
    raise AssertionError
