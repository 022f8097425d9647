"""The new database of a restore: made beside the old one, filled, and marked when it is whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from turnback.engine.session.connection import Connection, connect
from turnback.engine.session.events import Options
from turnback.errors import RestoreFailed
from turnback.recovery.dumps.names import COMPLETE, RESTORING, Mark, read_mark
from turnback.recovery.dumps.properties import Properties
from turnback.recovery.dumps.record import DumpRecord
from turnback.recovery.endpoint import Endpoint
from turnback.sql.quoting import identifier, literal

# Fills the database at this endpoint; takes the server's version.
Fill = Callable[[Endpoint, int], None]


@dataclass(frozen=True, slots=True)
class Found:
    """A database that has a name of ours.

    Attributes:
        comment: of the database.
        mark: what its comment says of a restore; None where it is somebody else's.
        open: whether it takes sessions.
    """

    comment: str | None
    mark: Mark | None
    open: bool

    def is_whole(self, run: str, record: DumpRecord) -> bool:
        """Whether this run has restored this dump into it, to the end."""
        mark = self.mark
        wanted = (COMPLETE, run, record.sha256)
        return mark is not None and (mark.state, mark.run, mark.sha256) == wanted

    def is_left_of(self, run: str) -> bool:
        """Whether this run has left it unfinished, or was cut off before it could mark it."""
        if self.mark is None:
            return not self.open and self.comment is None
        return self.mark.run == run


def find_database(connection: Connection, name: str) -> Found | None:
    """The database of this name, or None."""
    row = connection.execute(
        "SELECT pg_catalog.shobj_description(oid, 'pg_database'), datallowconn "
        "FROM pg_catalog.pg_database WHERE datname = %s",
        [name],
    ).fetchone()
    if row is None:
        return None
    comment = None if row[0] is None else str(row[0])
    return Found(comment, read_mark(comment), bool(row[1]))


def taken(name: str) -> RestoreFailed:
    """That a name of ours is somebody else's."""
    return RestoreFailed(
        f'there is a database "{name}" already, and it is not of this restore',
        hint="nothing was changed; rename or drop it if nobody needs it, then restore again",
    )


def make_successor(
    connection: Connection,
    endpoint: Endpoint,
    properties: Properties,
    record: DumpRecord,
    run: str,
    fill: Fill,
) -> None:
    """Make a database and fill it; what an earlier call of this run left is dropped first.

    The planner's statistics are made before anybody uses it: a dump has none, and without them
    the first minutes of a restored database are its slowest.

    Args:
        connection: the leading session.
        endpoint: the new database.
        properties: of the old one.
        record: of the dump.
        run: the restore it belongs to.
        fill: what fills it.

    Raises:
        RestoreFailed: there is another database of this name, or it could not be filled.
    """
    name, mark = identifier(endpoint.name), Mark(RESTORING, run, record.sha256, "")
    _drop(connection, endpoint.name, run)
    # No sessions until it is marked as ours: that is how one cut off here is recognised.
    connection.execute(
        f"CREATE DATABASE {name} {properties.creation} ALLOW_CONNECTIONS false".encode()
    )
    try:
        for statement in (
            f"COMMENT ON DATABASE {name} IS {literal(mark.text())}",
            # Its grants first: by default, everybody may connect.
            *(text.format(name=name) for text in properties.statements),
            f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true",
        ):
            connection.execute(statement.encode())
        fill(endpoint, connection.info.server_version)
        with connect(
            endpoint.conninfo(), application_name="turnback analyze", options=Options()
        ) as session:
            session.execute("ANALYZE")
        whole = replace(mark, state=COMPLETE, taken_at=record.taken_at)
        connection.execute(f"COMMENT ON DATABASE {name} IS {literal(whole.text())}".encode())
    except BaseException:
        # Half a database helps nobody, and fills the disk.
        if not connection.closed:
            _drop(connection, endpoint.name, run)
        raise


def refuse_powerless(
    connection: Connection, user: str, database: str, *, swaps: bool = True
) -> None:
    """Say at once what CREATE DATABASE, or the rename at the very end, would say.

    Args:
        connection: the leading session.
        user: who restores.
        database: the old one.
        swaps: whether it will be renamed.

    Raises:
        RestoreFailed: a right is missing; names the statement that gives it.
    """
    row = connection.execute(
        "SELECT r.rolsuper OR r.rolcreatedb, "
        "pg_catalog.pg_has_role(r.oid, d.datdba, 'MEMBER'), "
        "pg_catalog.pg_get_userbyid(d.datdba) "
        "FROM pg_catalog.pg_roles r, pg_catalog.pg_database d "
        "WHERE r.rolname = current_user AND d.datname = %s",
        [database],
    ).fetchone()
    assert row is not None
    if not row[0]:
        raise RestoreFailed(
            f"{user} may not make databases, and a dump is restored into a new one",
            hint=f"nothing was changed; ALTER ROLE {identifier(user)} CREATEDB, then restore again",
        )
    if swaps and not row[1]:
        raise RestoreFailed(
            f"{user} is not the owner of the database, and may not rename it",
            hint=f"nothing was changed; GRANT {identifier(str(row[2]))} TO {identifier(user)}, "
            "then restore again",
        )


def _drop(connection: Connection, name: str, run: str) -> None:
    """Drop what an earlier call of this run left."""
    found = find_database(connection, name)
    if found is None:
        return
    if not found.is_left_of(run):
        raise taken(name)
    connection.execute(f"DROP DATABASE {identifier(name)} WITH (FORCE)".encode())
