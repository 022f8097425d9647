"""Whether a dump can be restored, tried before anything relies on it: all of it but the rows.

What pg_dump writes and pg_restore cannot make again is found here, beside the database and while
nothing was changed, and not in the emergency.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import replace

import psycopg

from turnback.engine.session.connection import Connection
from turnback.engine.session.message import said_by
from turnback.engine.session.query import outage, outages
from turnback.engine.session.read_only import refuse_read_only
from turnback.errors import (
    DatabaseNotReady,
    DatabaseRefused,
    RestoreFailed,
    SnapshotFailed,
    TurnbackError,
)
from turnback.recovery.dumps.catalog import DumpRecord
from turnback.recovery.dumps.fill import Filling
from turnback.recovery.dumps.passes import advice_on
from turnback.recovery.dumps.server import open_maintenance, read_properties
from turnback.recovery.dumps.successor import (
    Names,
    make_empty,
    marked_databases,
    read_mark,
    refuse_missing_rights,
    refuse_missing_settings,
)
from turnback.recovery.endpoint import Endpoint
from turnback.sql.quoting import identifier
from turnback.store import Store

_SHOWN = 5
# In the place of a run, in the names and marks of the databases that are made here.
_TRIAL = "proof"


@outages()
def prove(endpoint: Endpoint, store: Store, record: DumpRecord, seconds: float) -> list[str]:
    """Restore all of a dump but its rows into a database of its own, which is dropped again.

    Args:
        endpoint: the database that the dump is of.
        store: where the dump is.
        record: what is known of it; not written yet.
        seconds: after which the trial is given up.

    Returns:
        What a restore could not make, or why that could not be tried, a sentence each.

    Raises:
        SnapshotFailed: a restore would fail; names the objects.
        DatabaseUnreachable, AwsError: no answer, or no more.
    """
    name = Names.of(endpoint.name, f"{_TRIAL} {secrets.token_hex(6)}").successor
    try:
        connection = open_maintenance(endpoint, "turnback proof")
    except RestoreFailed as error:
        return [_not_tried(error)]
    with connection:
        try:
            refuse_read_only(connection)
            refuse_missing_rights(connection, endpoint.user, endpoint.name)
            properties = read_properties(connection, endpoint.name)
        except (RestoreFailed, DatabaseNotReady, DatabaseRefused) as error:
            return [_not_tried(error)]
        try:
            refuse_missing_settings(connection, endpoint.user, endpoint.name, properties)
            refused = []
        except RestoreFailed as error:
            refused = [f"a restore by {endpoint.user} is refused: {error.message}"]
        into = replace(endpoint, name=name)
        try:
            _drop_left(connection, endpoint, record)
            make_empty(connection, name, properties, record, _TRIAL)
            found = Filling(into, store, record, seconds, properties.search_path).schema()
        except psycopg.Error as error:
            if passing := outage(error):
                raise passing from error
            return [*refused, f"whether it can be restored was not tried: {said_by(error)}"]
        except RestoreFailed as error:
            raise SnapshotFailed(
                f"the dump could not be restored: {error.message}",
                hint="nothing was changed; release again, or take the backup again",
                detail=error.detail,
            ) from error
        finally:
            # Where that is not possible now, the next trial does it.
            with suppress(psycopg.Error):
                drop = f"DROP DATABASE IF EXISTS {identifier(name)} WITH (FORCE)"
                connection.execute(drop.encode())
    final = [one for one in found if not one.can_wait]
    if final:
        more = f"; and {len(final) - _SHOWN} more" if len(final) > _SHOWN else ""
        raise SnapshotFailed(
            "the dump could not be restored: " + "; ".join(map(str, final[:_SHOWN])) + more,
            hint=f"nothing was changed; {advice_on(final[0].whole)}",
            detail=final[0].whole,
        )
    return refused + [f"a restore cannot make it: {one}" for one in found]


def _drop_left(connection: Connection, endpoint: Endpoint, record: DumpRecord) -> None:
    """Drop what trials have left that were cut off; one that has sessions is under way."""
    trials = Names.of(endpoint.name, _TRIAL).successor
    for name, one in marked_databases(connection, endpoint.name, record):
        # Its seal is of another dump. It has no rows, and the owner of the database made it.
        mark = read_mark(one.comment)
        left = mark.run == _TRIAL if mark else one.is_left_of("")
        if name.startswith(f"{trials}_") and one.ours and left:
            with suppress(psycopg.Error):
                connection.execute(f"DROP DATABASE {identifier(name)}".encode())


def _not_tried(error: TurnbackError) -> str:
    return f"whether it can be restored was not tried: {error.message}"
