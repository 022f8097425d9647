"""A server that accepts no writes: a real streaming replica, or the writer made read-only."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
from turnback.local.programs import binaries_for, server_account
from turnback.local.server import EmbeddedServer

_STATE = "SHOW default_transaction_read_only"


@contextlib.contextmanager
def replica_of(primary: EmbeddedServer, folder: Path) -> Iterator[EmbeddedServer]:
    """A streaming replica of the whole server, made by pg_basebackup.

    Args:
        primary: listens on a socket.
        folder: a new one, which the account of the servers can enter.
    """
    account = server_account()
    if account:
        os.chown(folder, account.uid, account.gid)
    subprocess.run(
        [
            *(binaries_for(account) / "pg_basebackup", "--checkpoint=fast", "--no-sync"),
            *("--write-recovery-conf", "--wal-method=stream", "--pgdata", folder / "replica"),
            *("--dbname", primary.socket_url("")),
        ],
        cwd="/",
        check=True,
        user=account.uid if account else None,
        group=account.gid if account else None,
    )
    # A test may have made a tablespace inside the data directory, which a standby has to allow.
    with (folder / "replica" / "postgresql.auto.conf").open("a") as settings:
        settings.write("allow_in_place_tablespaces = on\n")
    with EmbeddedServer.start(folder / "replica", tcp=True, fast=True) as standby:
        yield standby


def set_read_only(url: str, *, on: bool) -> None:
    """Make the whole server read-only, or writable again, as a switchover does.

    It is so for new sessions when this returns, and for the others with their next statement.
    """
    with psycopg.connect(url, autocommit=True) as session:
        change = (
            "SET default_transaction_read_only = on"
            if on
            else ("RESET default_transaction_read_only")
        )
        session.execute(f"ALTER SYSTEM {change}".encode())
        session.execute("SELECT pg_reload_conf()")
    while True:
        with psycopg.connect(url, autocommit=True) as session:
            if session.execute(_STATE).fetchone() == ("on" if on else "off",):
                return


@contextlib.contextmanager
def writable_at_the_end(url: str) -> Iterator[None]:
    """The server is shared by all tests."""
    try:
        yield
    finally:
        set_read_only(url, on=False)
