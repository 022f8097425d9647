"""Shadow databases: made on a server for one rehearsal, and dropped after it."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, Self

from psycopg import conninfo

from turnback.engine.session.connection import Connection, connect, connect_for_own
from turnback.engine.session.events import Options
from turnback.engine.session.message import ServerError, rows, send, server_trouble
from turnback.errors import DatabaseRefused, OutOfSpace
from turnback.migrations.checksums import scripts_of
from turnback.migrations.model import Migration, Project
from turnback.rehearsal.outside import Outside
from turnback.rehearsal.rights import APPLICATION, ROLE, Superuser, limit_rights, restore_rights
from turnback.rehearsal.surroundings import Surroundings, arrange
from turnback.settings.environment import CodeRule
from turnback.sql.quoting import identifier, literal

PREFIX = "turnback_shadow_"
_IN_USE = "55006"
# A server with one shadow database and its log. Rows take about as much again as in their script.
_EMPTY_BYTES = 120 * 2**20
# What works by itself as soon as a server starts, or waits for somebody to go on.
_BY_ITSELF = """
SELECT 1 FROM pg_catalog.pg_subscription UNION ALL SELECT 1 FROM pg_catalog.pg_prepared_xacts
"""


class ThrowAway(Protocol):
    """A server that nobody else uses."""

    def url(self) -> str:
        """Its address as ``postgres``."""

    def at_rest(self) -> AbstractContextManager[Path]:
        """Stop it in order for the block, which gets its data directory, and start it again."""


@dataclass(frozen=True, slots=True)
class Parked:
    """A shadow database that nobody uses, for the next one who needs one.

    Attributes:
        database: its name.
        versions: the migrations that are applied there.
        began: when they began.
        created: what the scripts create outside of it by name; see Outside.
        before: what existed outside of it before it was made.
        missing: what of the target it could not get, and why.
    """

    database: str
    versions: tuple[str, ...]
    began: datetime
    created: tuple[tuple[str, ...], ...]
    before: tuple[tuple[str, ...], ...]
    missing: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "database": self.database,
            "versions": self.versions,
            "began": self.began.isoformat(),
            "created": self.created,
            "before": self.before,
            "missing": self.missing,
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Parked:
        """Of the document that to_dict has made."""
        return cls(
            found["database"],
            tuple(found["versions"]),
            datetime.fromisoformat(found["began"]),
            tuple(map(tuple, found["created"])),
            tuple(map(tuple, found["before"])),
            tuple(found["missing"]),
        )


class Shadow:
    """Makes shadow databases on a server, and removes them, also those of a killed rehearsal.

    Args:
        server: address of any database of the server, by a user who may create databases.

    Attributes:
        prefix: what the names of its databases begin with; 12 hexadecimal digits follow.
        is_copy: whether they are copies of the target, and not empty.
        applied: the versions that are applied there from the beginning.
        surroundings: what the database gets of the target; None where no target is known.
        repeatables: what the target has of them, which the release's texts replace.
        left: roles and the like that a migration made and that could not be removed, and why.
        missing: what of the target the database could not get, and why.
        superuser: repeats what the role of the migrations may not run, in the database that is
            made now; None where the role is the one of the address.
        parked: what database() takes up in place of a new and empty one; it then becomes None.
        stored: the version and the time of the stored state that it begins with.
        code: whether migrations in Python may run there.
    """

    prefix = PREFIX
    is_copy = False

    def __init__(self, server: str) -> None:
        self._server = server
        self.applied: frozenset[str] = frozenset()
        self._role: str | None = None
        self.surroundings: Surroundings | None = None
        self.repeatables: Sequence[Migration] = ()
        self.left: list[str] = []
        self.missing: list[str] = []
        self.superuser: Superuser | None = None
        self.parked: Parked | None = None
        self.stored: dict[str, str] | None = None
        self.code = CodeRule.REFUSED
        self._outside: Outside | None = None

    @classmethod
    def on_throw_away(cls, server: str, stored: Parked | None = None) -> Self:
        """On a server that nobody else uses, where migrations get limited rights; see rights.

        Args:
            server: its address as ``postgres``, the first superuser.
            stored: what its data directory was stored with, if it is a stored one.

        Raises:
            DatabaseUnreachable: it does not answer.
        """
        found = cls(limit_rights(server, again=stored is not None))
        found._role = ROLE
        if stored:
            found.parked = stored
            began = stored.began.isoformat(timespec="seconds")
            found.stored = {"version": stored.versions[-1], "stored_at": began}
        return found

    @contextlib.contextmanager
    def database(self, scripts: Iterable[str] = ()) -> Iterator[str]:
        """The address of a new and empty database, or of the parked one; dropped at the end.

        Args:
            scripts: what will run there; roles and the like that they make are removed as well.

        Raises:
            DatabaseUnreachable, DatabaseRefused: the server cannot be used for it.
        """
        parked, self.parked = self.parked, None
        name = parked.database if parked else self.prefix + secrets.token_hex(6)
        with connect_for_own(self._server, application_name=APPLICATION) as admin:
            if not parked:
                self._remove_leftovers(admin)
            # The lock says that the database is in use; it ends with this session, however that
            # ends.
            send(admin, f"SELECT pg_catalog.pg_advisory_lock({_key(name)})")
            named = () if self.is_copy else scripts
            self._outside = outside = Outside.record(admin, name, named, own=bool(self._role))
            try:
                if parked:
                    outside.created, outside.before = list(parked.created), set(parked.before)
                    self.missing = list(parked.missing)
                else:
                    self._create(admin, name)
                    mark = f"COMMENT ON DATABASE {identifier(name)} IS {literal(_mark(admin))}"
                    send(admin, mark)
                if self._role:
                    url = conninfo.make_conninfo(self._server, dbname=name)
                    self.superuser = Superuser(admin, url)
                if self.surroundings and not parked:
                    outside.created += self._arrange(name, self.surroundings)
                    outside.write()
                yield self._of_migrations(name)
            finally:
                self.superuser = None
                if not self.parked:
                    self._drop(admin, outside)

    def park(self, versions: Iterable[str], began: datetime) -> Parked:
        """Keep the database that is in use for the next use, in place of dropping it.

        Args:
            versions: the migrations that are applied there.
            began: when they began.
        """
        assert self._outside is not None
        self.parked = Parked(
            self._outside.database,
            tuple(versions),
            began,
            tuple(self._outside.created),
            tuple(sorted(self._outside.before)),
            tuple(self.missing),
        )
        return self.parked

    @contextlib.contextmanager
    def at_rest(self, server: ThrowAway) -> Iterator[Path | None]:
        """Stop the throw-away server for the block, while no shadow database is in use.

        The block gets its data directory; None, and the server runs on, where something there works
        by itself as soon as a server starts.
        """
        with connect_for_own(self._server, application_name=APPLICATION) as admin:
            rests = not list(rows(send(admin, _BY_ITSELF)[0]))
            if rests:
                restore_rights(admin)
        if not rests:
            yield None
            return
        with server.at_rest() as data:
            yield data
        self._server = limit_rights(server.url(), again=True)

    def _arrange(self, database: str, surroundings: Surroundings) -> list[tuple[str, ...]]:
        url = self._of_migrations(database)
        with connect(url, application_name=APPLICATION, options=Options()) as session:
            roles, self.missing = arrange(session, database, surroundings)
        return [("ROLE", role) for role in roles]

    def _drop(self, admin: Connection, outside: Outside, *, force: bool = True) -> None:
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
        subscriptions = [identifier(str(one)) for _, one in found if one]
        query = (
            "SELECT gid FROM pg_catalog.pg_prepared_xacts "
            f"WHERE database = {literal(outside.database)}"
        )
        prepared = [literal(str(gid)) for (gid,) in rows(send(admin, query)[0])]
        if subscriptions or prepared:
            self._release(outside.database, subscriptions, prepared)
        send(admin, f"DROP DATABASE IF EXISTS {name}{' WITH (FORCE)' if force else ''}")
        outside.remove(admin)
        self.left += outside.left

    def _release(self, database: str, subscriptions: list[str], prepared: list[str]) -> None:
        """Remove what keeps PostgreSQL from dropping the database; no publisher is asked."""
        # Not as superuser: the statements fire the event triggers of the migrations.
        url = self._of_migrations(database)
        with connect_for_own(url, application_name=APPLICATION) as session:
            for transaction in prepared:
                send(session, f"ROLLBACK PREPARED {transaction}")
            for name in subscriptions:
                send(session, f"ALTER SUBSCRIPTION {name} DISABLE")
                send(session, f"ALTER SUBSCRIPTION {name} SET (slot_name = NONE)")
                send(session, f"DROP SUBSCRIPTION {name}")

    def _of_migrations(self, database: str) -> str:
        """The address of a database, for the user that migrations run as."""
        if self._role:
            parts = {"user": self._role, "password": None}
            return conninfo.make_conninfo(self._server, dbname=database, **parts)
        return conninfo.make_conninfo(self._server, dbname=database)

    def _create(self, admin: Connection, name: str) -> None:
        try:
            owner = f" OWNER {self._role}" if self._role else ""
            send(admin, f"CREATE DATABASE {identifier(name)}{owner} TEMPLATE template0")
        except ServerError as error:
            raise DatabaseRefused(
                f"no shadow database can be made: {error}",
                sqlstate=error.sqlstate,
                hint=server_trouble(error.sqlstate)
                or "grant CREATEDB to this user, or leave out --shadow-url",
            ) from error

    def _remove_leftovers(self, admin: Connection) -> None:
        """Drop what killed rehearsals left: our name, our mark, our owner, and nobody in it.

        A copy may have been left before it got the mark. The lock tells of all, because copies are
        made from one database of a server.
        """
        query = (
            "SELECT d.datname FROM pg_catalog.pg_database d "
            f"WHERE d.datname ~ {literal(f'^{self.prefix}[0-9a-f]{{12}}$')} "
            "AND d.datdba = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user) "
            f"AND ({self.is_copy} OR pg_catalog.shobj_description(d.oid, 'pg_database') = "
            f"{literal(_mark(admin))}) AND NOT EXISTS "
            "(SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid "
            # The type of a session that this user may not see is NULL.
            "AND COALESCE(a.backend_type, 'client backend') = 'client backend')"
        )
        for (name,) in rows(send(admin, query)[0]):
            key = _key(str(name))
            (locked,) = rows(send(admin, f"SELECT pg_catalog.pg_try_advisory_lock({key})")[0])
            if locked[0] == "t":
                self._drop_leftover(admin, str(name))
                send(admin, f"SELECT pg_catalog.pg_advisory_unlock({key})")

    def _drop_leftover(self, admin: Connection, name: str) -> None:
        try:
            self._drop(admin, Outside.recorded(name), force=False)
        except ServerError as error:
            # Somebody has connected since the query; the next rehearsal tries again.
            if error.sqlstate != _IN_USE:
                raise


def needed_bytes(project: Project) -> int:
    """The least that a throw-away server takes: what migrations do with rows may take more."""
    return _EMPTY_BYTES + sum(script.size for script in scripts_of(project))


def refuse_full_disk(project: Project) -> None:
    """Refuse a rehearsal on a throw-away server that the temporary folder has no room for.

    Raises:
        OutOfSpace: names the folder, the need and what is free.
    """
    OutOfSpace.refuse(tempfile.gettempdir(), needed_bytes(project), "the shadow database")


def mark_in(oid: str) -> str:
    """The comment on our databases, which the comparison of schemas leaves out.

    Args:
        oid: the database in which the rehearsal's lock is held. A lock is seen only there, so a
            rehearsal that is connected to another one must not judge by it.
    """
    return f"turnback: shadow of a rehearsal, in use while locked in database {oid}"


def _mark(admin: Connection) -> str:
    query = "SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()"
    ((oid,),) = rows(send(admin, query)[0])
    return mark_in(str(oid))


def _key(name: str) -> int:
    return int(name.rpartition("_")[2], 16)
