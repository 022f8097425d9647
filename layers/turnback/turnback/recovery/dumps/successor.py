"""The new database of a restore: made beside the old one, filled, and marked when it is whole."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import IO

from turnback.engine.session.connection import Connection, connect
from turnback.engine.session.events import Options
from turnback.errors import RestoreFailed, SnapshotFailed, TurnbackError
from turnback.recovery.dumps.catalog import DumpRecord, key_of
from turnback.recovery.dumps.programs import binary, ended_in_time, environment_for, feed
from turnback.recovery.dumps.server import Properties
from turnback.recovery.endpoint import Endpoint
from turnback.sql.quoting import identifier, literal
from turnback.store import Store

# NAMEDATALEN is 64: the server cuts longer names, and then two would be one.
_LONGEST = 63
_KIND = "turnback restore"
# A run of the command line, r-20261122T101112Z-a1b2c3, as the name of a database has it.
_BY_HAND = re.compile(r"_restore_r_(\d{8})t(\d{6})z_([0-9a-f]{6})$")

RESTORING = "restoring"
COMPLETE = "complete"
KEPT = "kept"
# pg_restore 17 and later set this first; a server before 17 does not know it, and needs it not.
_KNOWS_TIMEOUT = 170000
_HARMLESS = re.compile(
    r"(pg_restore: while [^\n]*\n)*"
    r'pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter "'
    r'transaction_timeout"\nCommand was: SET transaction_timeout = 0;\n+'
)
_ONLY_THAT = "pg_restore: warning: errors ignored on restore: 1"
_SHOWN = 2000
_CAUSES = (
    (
        r"No space left on device|could not extend file|disk full",
        "the server's disk is full: a restore needs as much room again as the database has. "
        "Make room, then restore again",
    ),
    (
        r'extension "[^"]*" is not available|could not open extension control file',
        "install the extension on the server (on RDS: choose an engine version that has it), "
        "then restore again",
    ),
    (
        r"must be owner of|permission denied|must be able to SET ROLE|must be superuser",
        "restore as a user who owns what is in the dump: the database's owner, or the master user "
        "of RDS made a member of the owners",
    ),
    (r'role "[^"]*" does not exist', "create the role: a dump holds no roles; then restore again"),
)

# Fills the database at this endpoint; takes the server's version.
Fill = Callable[[Endpoint, int], None]


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

    Attributes:
        state: ``restoring``, ``complete`` (the dump is in it, whole) or ``kept`` (the old one).
        run: of which restore.
        sha256: of the dump.
        taken_at: as of when its data is.
        comment: the comment that the old database had.
    """

    state: str
    run: str
    sha256: str
    taken_at: str
    comment: str | None = None

    def text(self) -> str:
        """As a comment."""
        return json.dumps({"what": _KIND, **asdict(self)}, ensure_ascii=False)


def read_mark(comment: str | None) -> Mark | None:
    """The mark in a comment; None for any other comment."""
    try:
        fields = json.loads(comment or "")
        if fields.pop("what") != _KIND:
            return None
        return Mark(**fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


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
        comment: of the database.
        mark: what its comment says about a restore; None for a database that no restore made.
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


def find_database(connection: Connection, name: str) -> FoundDatabase | None:
    """The database of this name, or None."""
    row = connection.execute(
        "SELECT pg_catalog.shobj_description(oid, 'pg_database'), datallowconn "
        "FROM pg_catalog.pg_database WHERE datname = %s",
        [name],
    ).fetchone()
    if row is None:
        return None
    comment = None if row[0] is None else str(row[0])
    return FoundDatabase(comment, read_mark(comment), bool(row[1]))


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
        # A half-filled database is of no use, and fills the disk.
        if not connection.closed:
            _drop(connection, endpoint.name, run)
        raise


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


def _drop(connection: Connection, name: str, run: str) -> None:
    """Drop what an earlier call of this run left."""
    found = find_database(connection, name)
    if found is None:
        return
    if not found.is_left_of(run):
        raise name_in_use(name)
    connection.execute(f"DROP DATABASE {identifier(name)} WITH (FORCE)".encode())


def fill(
    endpoint: Endpoint, store: Store, record: DumpRecord, seconds: float, server_version: int
) -> None:
    """Restore a dump into an empty database.

    The first error ends it (--exit-on-error): what follows from it is only noise. With a server
    before 17 one error is certain, and harmless: there it continues, and any other is a failure
    at the end. It is not one transaction (--single-transaction): that would hold a lock on every
    object, of which a server has few (max_locks_per_transaction), and a half filled database is
    dropped anyway.

    Args:
        endpoint: the empty database.
        store: where the dump is.
        record: what is known of the dump.
        seconds: after which pg_restore is ended.
        server_version: of the server; 180006 is 18.6.

    Raises:
        RestoreFailed: the dump is gone or was changed, the time is over, or pg_restore failed.
    """
    if seconds <= 0:
        raise _late(record)
    program = _program()
    digest = sha256()
    database = endpoint.name.replace("\\", "\\\\").replace("'", "\\'")
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            [
                *(program, "--format=custom", "--no-password"),
                *(("--exit-on-error",) if server_version >= _KNOWS_TIMEOUT else ()),
                f"--dbname=dbname='{database}'",
            ],
            env=environment_for(program, endpoint),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
        ) as process,
        ended_in_time(process, seconds) as late,
    ):
        try:
            for chunk in store.stream(key_of(store, record.id)):
                digest.update(chunk)
                feed(process.stdin, chunk)
                if process.poll():
                    break
        except TurnbackError as error:
            raise RestoreFailed(
                f"the dump cannot be read: {error.message}",
                hint="the old database answers as before; restore another snapshot",
            ) from error
        feed(process.stdin, None)
        code = process.wait()
        if late.is_set():
            raise _late(record)
        complaint = _complaint(complaints)
        if code and complaint != _ONLY_THAT:
            raise _failed(complaint, endpoint)
    if digest.hexdigest() != record.sha256:
        raise RestoreFailed(
            f"the dump {record.id} is not the one that was taken: its checksum differs",
            hint="the old database answers as before; restore another snapshot, and find out who "
            "can write there",
        )


def _program() -> Path:
    try:
        return binary("pg_restore")
    except SnapshotFailed as error:
        raise RestoreFailed(error.message, hint=error.hint) from error


def _complaint(complaints: IO[bytes]) -> str:
    """What pg_restore said, from its beginning: the first error is the cause of the others."""
    complaints.seek(0)
    said = complaints.read(_SHOWN * 2).decode(errors="replace")
    return _HARMLESS.sub("", said, count=1).strip()[:_SHOWN]


def _failed(complaint: str, endpoint: Endpoint) -> RestoreFailed:
    shown = complaint.replace(endpoint.password, "***") if endpoint.password else complaint
    hint = f"the old database answers as before; {advice_on(shown)}"
    return RestoreFailed(f"pg_restore failed: {shown}", hint=hint)


def advice_on(complaint: str) -> str:
    """What to do about what pg_restore said."""
    return next(
        (text for pattern, text in _CAUSES if re.search(pattern, complaint)),
        "look for its cause in the server's log, then restore again",
    )


def _late(record: DumpRecord) -> RestoreFailed:
    return RestoreFailed(
        f"the dump of {record.bytes // 1_000_000} MB was not restored in the time that one "
        "function call has",
        hint="the old database answers as before; restore it from a machine without that limit: "
        f"turnback restore {record.id}",
    )
