"""Whether a dump can be restored, tried before anything relies on it: all of it but the rows.

What pg_dump writes and pg_restore cannot make again is found here, beside the database and while
nothing was changed, and not in the emergency.
"""

from __future__ import annotations

import secrets
from dataclasses import replace

import psycopg

from turnback.engine.session.message import said_by
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
    find_database,
    make_empty,
    refuse_missing_rights,
    refuse_missing_settings,
)
from turnback.recovery.endpoint import Endpoint
from turnback.sql.quoting import identifier
from turnback.store import Store

_SHOWN = 5


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
    name = Names.of(endpoint.name, f"proof {secrets.token_hex(6)}").successor
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
            make_empty(connection, name, properties, record, "proof")
            found = Filling(into, store, record, seconds, properties.search_path).schema()
        except psycopg.Error as error:
            return [*refused, f"whether it can be restored was not tried: {said_by(error)}"]
        except RestoreFailed as error:
            raise SnapshotFailed(
                f"the dump could not be restored: {error.message}",
                hint="nothing was changed; release again, or take the backup again",
                detail=error.detail,
            ) from error
        finally:
            if not connection.closed and find_database(connection, name, endpoint.name, record):
                drop = f"DROP DATABASE {identifier(name)} WITH (FORCE)"
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


def _not_tried(error: TurnbackError) -> str:
    return f"whether it can be restored was not tried: {error.message}"
