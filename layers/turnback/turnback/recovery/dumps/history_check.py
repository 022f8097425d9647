"""Whether a restored database is the expected one: its history ends where the snapshot's did."""

from __future__ import annotations

from collections.abc import Callable

from turnback.engine.session.connection import connect
from turnback.engine.session.events import Options
from turnback.errors import RestoreFailed
from turnback.recovery.dumps.source import last_applied
from turnback.recovery.endpoint import Endpoint
from turnback.recovery.model import Place


def expects_version(
    endpoint: Endpoint, version: str | None, history_schema: str
) -> Callable[[Place], None]:
    """A check for RestoreRequest: the version last applied is this one.

    Args:
        endpoint: the old database; where the restored one differs, its Place says.
        version: what the snapshot's record says; None where there was no history.
        history_schema: schema of the history tables.
    """

    def check(place: Place) -> None:
        at = endpoint.at(place)
        expect_version(at, version, version_of(at, history_schema))

    return check


def version_of(endpoint: Endpoint, history_schema: str) -> str | None:
    """The version last applied to this database; None where there is no history.

    Raises:
        DatabaseUnreachable, DatabaseRefused: there is no answer, or it is no.
    """
    with connect(
        endpoint.conninfo(), application_name="turnback check", options=Options()
    ) as connection:
        return last_applied(connection, history_schema)


def expect_version(endpoint: Endpoint, version: str | None, found: str | None) -> None:
    """See that a restored database is at the version that its snapshot was taken at.

    Raises:
        RestoreFailed: it is not.
    """
    if found != version:
        raise RestoreFailed(
            f'the restored database "{endpoint.name}" is at version {found or "none"}, and the '
            f"snapshot was taken at {version or 'none'}",
            hint="the old database answers as before; look at the restored one, and drop it",
        )
