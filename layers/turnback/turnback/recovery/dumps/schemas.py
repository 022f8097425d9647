"""Some schemas of a database as SQL, without rows and owners."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence

from turnback.errors import SnapshotFailed
from turnback.recovery.dumps.programs import (
    ended_in_time,
    environment_for,
    last_error,
    refuse_newer_server,
    session_options,
)
from turnback.recovery.endpoint import Endpoint
from turnback.sql.quoting import identifier

_SECONDS = 60.0


def dump_schemas(endpoint: Endpoint, names: Sequence[str]) -> str:
    """What ``pg_dump --schema-only`` writes for some schemas; the database is only read.

    Args:
        endpoint: the database.
        names: of the schemas.

    Raises:
        SnapshotFailed: pg_dump is not here, is too old, or may not read one of them.
        DatabaseUnreachable, DatabaseRefused: it cannot be connected to.
    """
    with endpoint.open("turnback schemas") as connection:
        program = refuse_newer_server(connection.info.server_version)
        options = session_options(connection)
    endpoint = endpoint.renewed()
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            [
                *(program, "--schema-only", "--no-owner", "--no-password"),
                # Nobody waits for this one on the target.
                *("--encoding=UTF8", "--lock-wait-timeout=2s"),
                *(f"--schema={identifier(name)}" for name in names),
            ],
            env=environment_for(program, endpoint, options),
            stdout=subprocess.PIPE,
            stderr=complaints,
        ) as process,
        ended_in_time(process, _SECONDS),
    ):
        assert process.stdout is not None
        text = process.stdout.read()
        if process.wait() != 0:
            raise SnapshotFailed(f"pg_dump failed: {last_error(complaints)}")
    return text.decode()
