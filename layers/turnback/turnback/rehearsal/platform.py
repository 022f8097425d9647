"""What a platform has made in a database before the first migration: ``platforms/NAME.sql``.

A shadow database gets it of the target. Where no target is known, or its schemas cannot be read,
the shadow gets what the file makes; so does the embedded database of a project.
"""

from __future__ import annotations

from pathlib import Path

from turnback.engine.session.message import Connection, ServerError, rows, send
from turnback.errors import ConfigurationError
from turnback.migrations.checksums import digest
from turnback.migrations.model import Project, Script
from turnback.rehearsal.surroundings import Surroundings
from turnback.settings.project import FILE

_FOLDER = Path(__file__).with_name("platforms")
# One command at a time; the second one finds what the first one has made.
_LOCK = "BEGIN; SELECT pg_catalog.pg_advisory_xact_lock(7597124001); "
_IS_THERE = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'auth'"


def scripts_before(project: Project, target: Surroundings | None) -> list[Script]:
    """What runs in a new shadow database before the first migration.

    Args:
        project: its ``shadow.sql``, and its platform.
        target: what the shadow gets of the target; None where no target is known.
    """
    found = []
    if project.settings.platform and (target is None or target.unread):
        found.append(_script(project.settings.platform))
    return [*found, project.shadow] if project.shadow else found


def set_up(connection: Connection, platform: str) -> bool:
    """Make what a platform has in the embedded database; whether it was not there.

    Args:
        connection: as its superuser.
        platform: its name.

    Raises:
        ConfigurationError: something else is there in its place.
    """
    try:
        if rows(send(connection, _LOCK + _IS_THERE)[-1]):
            return False
        send(connection, _script(platform).sql)
        send(connection, "COMMIT")
    except ServerError as error:
        raise ConfigurationError(
            f"the roles and schemas of {platform} cannot be made in the embedded database: {error}",
            sqlstate=error.sqlstate,
            hint=f"make it anew (turnback db drop), or write in {FILE}: "
            '[database] platform = "none"',
        ) from error
    finally:
        send(connection, "ROLLBACK")
    return True


def _script(platform: str) -> Script:
    data = (_FOLDER / f"{platform}.sql").read_bytes()
    return Script(f"{platform}.sql of turnback", data.decode(), digest(data))
