"""Filling an empty database from a dump: store → checksum → pg_restore, nothing on the disk."""

from __future__ import annotations

import re
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import IO

from turnback.errors import RestoreFailed, SnapshotFailed, TurnbackError
from turnback.recovery.dumps.binaries import binary
from turnback.recovery.dumps.programs import ended_in_time, environment_for, feed
from turnback.recovery.dumps.record import DumpRecord, key_of
from turnback.recovery.endpoint import Endpoint
from turnback.store import Store

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


def fill(
    endpoint: Endpoint, store: Store, record: DumpRecord, seconds: float, server_version: int
) -> None:
    """Restore a dump into an empty database.

    The first error ends it (--exit-on-error): what follows from it is only noise. With a server
    before 17 one error is sure to come, and harmless: there it goes on, and any other is a failure
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
