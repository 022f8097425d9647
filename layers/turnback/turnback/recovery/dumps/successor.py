"""The new database of a restore: made beside the old one, filled, and marked when it is whole."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from hmac import compare_digest, digest

import psycopg
from psycopg.rows import tuple_row

from turnback.engine.session.connection import Connection
from turnback.engine.session.message import said_by
from turnback.engine.session.query import query
from turnback.errors import RestoreFailed
from turnback.recovery.dumps.catalog import DumpRecord
from turnback.recovery.dumps.fill import Filling
from turnback.recovery.dumps.server import Properties
from turnback.recovery.endpoint import Endpoint
from turnback.sql.quoting import identifier, literal

# NAMEDATALEN is 64: the server cuts longer names, and then two would be one.
_LONGEST = 63
_KIND = "turnback restore"
# A run of the command line, r-20261122T101112Z-a1b2c3, as the name of a database has it.
_BY_HAND = re.compile(r"_restore_r_(\d{8})t(\d{6})z_([0-9a-f]{6})$")

RESTORING = "restoring"
# A filling that was cut off in these is continued: all rows are there, then all else.
ROWS = "rows"
MADE = "made"
COMPLETE = "complete"
KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Names:
    """The databases of one restore.

    Attributes:
        current: the name that the application knows.
        successor: where the dump is restored to.
        kept: what the old database is called afterwards.
    """

    current: str
    successor: str
    kept: str

    @classmethod
    def of(cls, database: str, run: str) -> Names:
        """The same names for the same restore, 63 bytes at most."""
        return cls(database, _derived(database, "restore", run), _derived(database, "before", run))


@dataclass(frozen=True, slots=True)
class Mark:
    """What a database's comment says of it while it is part of a restore.

    Whoever owns a database may write its comment, and everybody may read it. So it is sealed with
    the dump's secret, for this one database, and believed only with its seal.

    Attributes:
        state: ``restoring``, ``rows`` (all its rows are there), ``made`` (and all that depends on
            them), ``complete`` (the dump is in it, whole) or ``kept`` (the old one).
        run: of which restore.
        sha256: of the dump.
        taken_at: as of when its data is.
        comment: the comment that the old database had.
        missing: what could not be made of the dump; it can be made later.
    """

    state: str
    run: str
    sha256: str
    taken_at: str
    comment: str | None = None
    missing: Sequence[str] = ()

    def text(self, oid: int, record: DumpRecord) -> str:
        """As the comment of the database with this oid."""
        fields = {"what": _KIND, **asdict(self)}
        if not self.missing:
            # An older turnback does not know it.
            del fields["missing"]
        if record.secret:
            fields["seal"] = _seal(fields, oid, record.secret)
        return json.dumps(fields, ensure_ascii=False)


def read_mark(comment: str | None) -> Mark | None:
    """The mark in a comment, sealed or not; None for any other comment."""
    try:
        fields = json.loads(comment or "")
        if fields.pop("what") != _KIND:
            return None
        fields.pop("seal", None)
        return Mark(**fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _is_sealed(comment: str | None, oid: int, record: DumpRecord) -> bool:
    """Whether this mark was written with the dump's secret; an old dump has none."""
    if not record.secret:
        return True
    fields = json.loads(comment or "")
    seal = str(fields.pop("seal", ""))
    return compare_digest(seal.encode(), _seal(fields, oid, record.secret).encode())


def _seal(fields: dict[str, object], oid: int, secret: str) -> str:
    text = json.dumps({**fields, "oid": oid}, sort_keys=True)
    return digest(secret.encode(), text.encode(), "sha256").hex()


def run_by_hand(successor: str) -> str | None:
    """The run of the command line that restores into this database; None for any other name."""
    found = _BY_HAND.search(successor)
    return None if found is None else "r-{}T{}Z-{}".format(*found.groups())


def _derived(database: str, word: str, run: str) -> str:
    name = f"{database}_{word}_{re.sub(r'[^a-z0-9]+', '_', run.lower()).strip('_')}"
    if len(name.encode()) <= _LONGEST:
        return name
    tail = f"_{word}_{sha256(f'{database}/{run}'.encode()).hexdigest()[:12]}"
    # A character of several bytes is not cut through.
    head = database.encode()[: _LONGEST - len(tail)].decode(errors="ignore")
    return head + tail


@dataclass(frozen=True, slots=True)
class FoundDatabase:
    """A database that has a name of a restore.

    Attributes:
        oid: of the database.
        comment: of the database.
        mark: what its comment says about a restore; None for a database that no restore made.
        open: whether it takes sessions.
        ours: whether the owner of the database that is restored owns it, too.
    """

    oid: int
    comment: str | None
    mark: Mark | None
    open: bool
    ours: bool = True

    def is_whole(self, run: str, record: DumpRecord) -> bool:
        """Whether this run has restored this dump into it, to the end."""
        mark = self.mark
        wanted = (COMPLETE, run, record.sha256)
        return mark is not None and (mark.state, mark.run, mark.sha256) == wanted

    def begun_by(self, run: str, record: DumpRecord) -> Mark | None:
        """The mark, if this run has restored this dump so far that it can be continued."""
        mark = self.mark
        if mark is None or (mark.run, mark.sha256) != (run, record.sha256):
            return None
        return mark if mark.state in (ROWS, MADE) else None

    def is_left_of(self, run: str) -> bool:
        """Whether this run has left it unfinished, or was cut off before it could mark it."""
        if self.mark is None:
            return self.ours and not self.open and self.comment is None
        return self.mark.run == run


def find_database(
    connection: Connection, name: str, database: str, record: DumpRecord
) -> FoundDatabase | None:
    """The database of this name, or None.

    Args:
        connection: a session with the server.
        name: whose comment is read.
        database: the one that is restored: what a restore makes beside it has the same owner.
        record: of the dump. A mark without its seal is not believed.
    """
    return next((one for _, one in _databases(connection, database, record, name)), None)


def marked_databases(
    connection: Connection, database: str, record: DumpRecord
) -> list[tuple[str, FoundDatabase]]:
    """All databases of the server with their names, as ``find_database`` finds one."""
    return list(_databases(connection, database, record, None))


def _databases(
    connection: Connection, database: str, record: DumpRecord, name: str | None
) -> Iterator[tuple[str, FoundDatabase]]:
    rows = connection.execute(
        "SELECT d.datname, d.oid::bigint, pg_catalog.shobj_description(d.oid, 'pg_database'), "
        "d.datallowconn, d.datdba = (SELECT o.datdba FROM pg_catalog.pg_database o "
        "WHERE o.datname = %s) FROM pg_catalog.pg_database d "
        "WHERE d.datname = coalesce(%s, d.datname)",
        [database, name],
    ).fetchall()
    for found, oid, text, opened, same_owner in rows:
        assert isinstance(oid, int)
        comment = None if text is None else str(text)
        mark, ours = read_mark(comment), bool(same_owner)
        if mark is not None and not (ours and _is_sealed(comment, oid, record)):
            mark = None
        yield str(found), FoundDatabase(oid, comment, mark, bool(opened), ours)


def remains_of_restores(connection: Connection) -> list[str]:
    """What restores have left beside this database, a sentence each; empty where there is nothing.

    It is recognised by the name that a restore gives and by the mark that it makes. Both can be
    forged, so this is only reported.

    Args:
        connection: a session with the database.

    Raises:
        ServerError: the server refused the query.
    """
    rows = query(
        connection,
        "SELECT datname::text, oid::bigint, datallowconn, "
        "pg_catalog.shobj_description(oid, 'pg_database'), "
        "pg_catalog.pg_get_userbyid(datdba)::text, pg_catalog.current_database()::text "
        "FROM pg_catalog.pg_database ORDER BY 1",
        tuple_row,
    )
    found = []
    for name, oid, opened, comment, owner, current in rows:
        database = FoundDatabase(oid, comment, read_mark(comment), opened)
        if name == current or not _is_of(name, current):
            continue
        if database.mark is None and not database.is_left_of(""):
            continue
        what = (
            "was kept by a restore; drop it when it is not needed any more"
            if database.mark is not None and database.mark.state == KEPT
            else "is left of a restore that has not finished"
        )
        found.append(f"database {name} (owner {owner}) {what}")
    return found


def _is_of(name: str, database: str) -> bool:
    """Whether a restore of this database would give such a name; long names are cut."""
    for word in ("restore", "before"):
        head, found, _ = name.rpartition(f"_{word}_")
        cut = len(name.encode()) > _LONGEST - 4 and database.startswith(head)
        if found and (head == database or cut):
            return True
    return False


def name_in_use(name: str) -> RestoreFailed:
    """The error for a name that another database has."""
    return RestoreFailed(
        f'there is a database "{name}" already, and this restore did not make it',
        hint="nothing was changed; rename or drop it if it is not needed, then restore again",
    )


def make_successor(
    connection: Connection,
    endpoint: Endpoint,
    properties: Properties,
    record: DumpRecord,
    run: str,
    filling: Filling,
) -> Sequence[str]:
    """Make a database and fill it, or continue where an earlier call of this run was cut off.

    A filling takes long, and a login may expire meanwhile: a database that has all its rows is
    kept. The settings of the old database come last: one that makes it read-only, or that ends
    long statements, would stop the filling.

    Args:
        connection: the leading session.
        endpoint: the new database.
        properties: of the old one.
        record: of the dump.
        run: the restore it belongs to.
        filling: fills it.

    Returns:
        What could not be made of the dump, though all its rows are there.

    Raises:
        RestoreFailed: there is another database of this name, or it could not be filled.
    """
    name, database = endpoint.name, properties.database
    found = find_database(connection, name, database, record)
    mark = found.begun_by(run, record) if found else None
    try:
        if mark is None:
            mark = Mark(RESTORING, run, record.sha256, record.taken_at)
            if found is not None:
                _drop(connection, name, found, run)
            make_empty(connection, name, properties, record, run)
            broken = filling.rows()
            mark = _marked(connection, name, replace(mark, state=ROWS, missing=broken), record)
        if mark.state == ROWS:
            missing = [*mark.missing, *filling.rest()]
            mark = _marked(connection, name, replace(mark, state=MADE, missing=missing), record)
        unmade = filling.finish()
        for text in properties.settings:
            connection.execute(text.format(name=identifier(name)).encode())
        mark = replace(mark, state=COMPLETE, missing=[*mark.missing, *unmade])
        _marked(connection, name, mark, record)
        return mark.missing
    except BaseException:
        if not connection.closed:
            left = find_database(connection, name, database, record)
            # A half-filled database is of no use, and fills the disk.
            if left is not None and left.begun_by(run, record) is None:
                _drop(connection, name, left, run)
        raise


def make_empty(
    connection: Connection, name: str, properties: Properties, record: DumpRecord, run: str
) -> None:
    """Make a database with these properties, marked as being restored from this dump."""
    mark = Mark(RESTORING, run, record.sha256, record.taken_at)
    quoted = identifier(name)
    # No sessions until it is marked as ours: that is how one cut off here is recognised.
    create = f"CREATE DATABASE {quoted} {properties.creation} ALLOW_CONNECTIONS false"
    connection.execute(create.encode())
    _marked(connection, name, mark, record)
    for statement in (
        # Its grants first: by default, everybody may connect.
        *(text.format(name=quoted) for text in properties.grants),
        f"ALTER DATABASE {quoted} WITH ALLOW_CONNECTIONS true",
    ):
        connection.execute(statement.encode())


def _marked(connection: Connection, name: str, mark: Mark, record: DumpRecord) -> Mark:
    row = connection.execute(
        "SELECT oid::bigint FROM pg_catalog.pg_database WHERE datname = %s", [name]
    ).fetchone()
    assert row is not None and isinstance(row[0], int)
    comment = f"COMMENT ON DATABASE {identifier(name)} IS {literal(mark.text(row[0], record))}"
    connection.execute(comment.encode())
    return mark


def refuse_missing_rights(
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


def refuse_missing_settings(
    connection: Connection, user: str, database: str, properties: Properties
) -> None:
    """Say at once which setting of the old database this role may not give to the new one.

    The server is asked: each is set again, to what it is, on the old one, and rolled back. They are
    given to the new one at the end of the filling, too late to be refused.

    Args:
        connection: the leading session.
        user: who restores.
        database: the old one.
        properties: of the old one.

    Raises:
        RestoreFailed: there is one; names its statement.
    """
    for text in properties.settings:
        statement = text.format(name=identifier(database))
        try:
            connection.execute("BEGIN")
            connection.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege as error:
            raise RestoreFailed(
                f"{user} may not give the restored database a setting that the old one has: "
                f"{statement}: {said_by(error)}",
                sqlstate=error.sqlstate,
                hint="nothing was changed; grant the right (from PostgreSQL 15 on: GRANT SET ON "
                "PARAMETER), restore as a role that has it, or reset the setting first",
            ) from error
        finally:
            connection.execute("ROLLBACK")


def _drop(connection: Connection, name: str, found: FoundDatabase, run: str) -> None:
    """Drop what an earlier call of this run left."""
    if not found.is_left_of(run):
        raise name_in_use(name)
    connection.execute(f"DROP DATABASE {identifier(name)} WITH (FORCE)".encode())
