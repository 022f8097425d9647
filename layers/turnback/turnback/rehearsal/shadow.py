"""Shadow databases: made on a server for one rehearsal, and dropped after it."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable, Iterator

from psycopg import conninfo

from turnback.engine.session.connection import Connection, connect
from turnback.engine.session.events import Options
from turnback.engine.session.message import ServerError, rows, send
from turnback.errors import DatabaseRefused
from turnback.rehearsal.outside import Outside
from turnback.sql.quoting import identifier, literal

PREFIX = "turnback_shadow_"
APPLICATION = "turnback-shadow"


class Shadow:
    """Makes shadow databases on a server, and removes them, also those of a killed rehearsal.

    Args:
        server: address of any database of the server, by a user who may create databases.

    Attributes:
        left: roles and the like that a migration made and that could not be removed, and why.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self.left: list[str] = []

    @contextlib.contextmanager
    def database(self, scripts: Iterable[str] = ()) -> Iterator[str]:
        """The address of a new and empty database, dropped at the end.

        Args:
            scripts: what will run there; roles and the like that they make are removed as well.

        Raises:
            DatabaseUnreachable, DatabaseRefused: the server cannot be used for it.
        """
        name = PREFIX + secrets.token_hex(6)
        with connect(self._server, application_name=APPLICATION, options=Options()) as admin:
            self._remove_leftovers(admin)
            # The lock says that the database is in use; it ends with this session, however that
            # ends.
            send(admin, f"SELECT pg_catalog.pg_advisory_lock({_key(name)})")
            outside = Outside.record(admin, name, scripts)
            self._create(admin, name)
            try:
                yield conninfo.make_conninfo(self._server, dbname=name)
            finally:
                self._drop(admin, outside)

    def _drop(self, admin: Connection, outside: Outside) -> None:
        name = identifier(outside.database)
        found = rows(
            send(
                admin,
                "SELECT d.datistemplate, s.subname FROM pg_catalog.pg_database d "
                "LEFT JOIN pg_catalog.pg_subscription s ON s.subdbid = d.oid "
                f"WHERE d.datname = {literal(outside.database)}",
            )[0]
        )
        if any(template == "t" for template, _ in found):
            send(admin, f"ALTER DATABASE {name} IS_TEMPLATE false")
        if subscriptions := [identifier(str(one)) for _, one in found if one]:
            self._drop_subscriptions(outside.database, subscriptions)
        send(admin, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        outside.remove(admin)
        self.left += outside.left

    def _drop_subscriptions(self, database: str, names: list[str]) -> None:
        """PostgreSQL does not drop a database with a subscription; the publisher is not asked."""
        url = conninfo.make_conninfo(self._server, dbname=database)
        with connect(url, application_name=APPLICATION, options=Options()) as session:
            for name in names:
                send(session, f"ALTER SUBSCRIPTION {name} DISABLE")
                send(session, f"ALTER SUBSCRIPTION {name} SET (slot_name = NONE)")
                send(session, f"DROP SUBSCRIPTION {name}")

    def _create(self, admin: Connection, name: str) -> None:
        try:
            send(admin, f"CREATE DATABASE {identifier(name)} TEMPLATE template0")
        except ServerError as error:
            raise DatabaseRefused(
                f"no shadow database can be made: {error.message}",
                sqlstate=error.sqlstate,
                hint="grant CREATEDB to this user, or leave out --shadow-url",
            ) from error

    def _remove_leftovers(self, admin: Connection) -> None:
        query = (
            "SELECT datname FROM pg_catalog.pg_database "
            f"WHERE pg_catalog.starts_with(datname::text, {literal(PREFIX)})"
        )
        for (name,) in rows(send(admin, query)[0]):
            key = _key(str(name))
            (locked,) = rows(send(admin, f"SELECT pg_catalog.pg_try_advisory_lock({key})")[0])
            if locked[0] == "t":
                self._drop(admin, Outside.recorded(str(name)))
                send(admin, f"SELECT pg_catalog.pg_advisory_unlock({key})")


def _key(name: str) -> int:
    return int(name.removeprefix(PREFIX)[:12] or "0", 16)
