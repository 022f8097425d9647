"""Fresh databases on the embedded server, with PostgreSQL's own defaults for durability."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import psycopg
from corpus import TABLES
from psycopg import sql
from turnback.local.scratch import POSTGRES, scratch
from turnback.local.server import EmbeddedServer

DATABASE_NUMBER = count(1)
# A checkpoint writes back what every tool has made so far, which would fall on whoever is at work.
NO_CHECKPOINT = ("checkpoint_timeout = '1d'", "max_wal_size = '64GB'")


@contextmanager
def embedded_server() -> Iterator[EmbeddedServer]:
    """A server of its own for this run, reachable by its socket and over TCP."""
    with scratch("bench") as folder:
        server = EmbeddedServer.start(folder / POSTGRES, tcp=True)
        # The folder's end is the server's: to stop it in order would be to write gigabytes back.
        server.disown()
        with psycopg.connect(server.socket_url(), autocommit=True) as connection:
            for setting in NO_CHECKPOINT:
                connection.execute(f"ALTER SYSTEM SET {setting}".encode())
            connection.execute("SELECT pg_reload_conf()")
        yield server


def fresh_database(server: EmbeddedServer) -> str:
    """The name of a new, empty database.

    It is kept to the end of the run. ext4 does not give the inode of a deleted file to a new one
    for a minute or more and looks at each of them in vain, so that after a dropped database of
    thousands of files everybody's CREATE TABLE takes three times as long.
    """
    name = f"bench_{next(DATABASE_NUMBER)}"
    with psycopg.connect(server.socket_url(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
        )
    return name


def expect_tables(server: EmbeddedServer, database: str, size: int) -> None:
    """End the benchmark unless the database has exactly the tables of so many migrations."""
    with psycopg.connect(server.socket_url(database)) as connection:
        row = connection.execute(TABLES).fetchone()
    if row != (size,):
        raise SystemExit(f"expected {size} tables, found {row}")


def server_version(server: EmbeddedServer) -> str:
    """The version of the server, as it says it."""
    with psycopg.connect(server.socket_url()) as connection:
        return connection.info.parameter_status("server_version") or "?"
