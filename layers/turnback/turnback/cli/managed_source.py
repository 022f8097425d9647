"""What a restore of RDS comes from, as a person names it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from turnback.cli.managed_backup import UNKNOWN, as_document, service_of, taken_last
from turnback.cli.output import Output
from turnback.cli.stack_database import StackDatabase
from turnback.errors import ConfigurationError

if TYPE_CHECKING:
    from turnback.aws.rds_snapshots import RdsSnapshot

# As RDS names snapshots; those that it takes by itself begin with rds:.
_IDENTIFIER = re.compile(r"(?:rds:|awsbackup:)?[A-Za-z][A-Za-z0-9-]{0,254}")


@dataclass(frozen=True, slots=True)
class Source:
    """Where the data comes from.

    Attributes:
        snapshot: of RDS, where it is not a point in time.
        until: the point in time, in UTC.
    """

    snapshot: RdsSnapshot | None
    until: datetime | None

    @property
    def name(self) -> str:
        """What a restore from it is called after."""
        return self.snapshot.id if self.snapshot else f"{self.until:%Y-%m-%dT%H:%M:%S.%fZ}"

    @property
    def as_of(self) -> datetime | None:
        """The time that its data is as of; None where nobody knows."""
        return self.snapshot.taken_at if self.snapshot else self.until

    @property
    def run(self) -> str | None:
        """The run that the snapshot was taken for."""
        return self.snapshot.run if self.snapshot else None

    @property
    def version(self) -> str | None:
        """The version in the tags, ``none`` where there was no history; None if nobody knows."""
        tag = self.snapshot.tags.get("schema_version") if self.snapshot else None
        return None if tag in (None, "", UNKNOWN) else tag


def find_source(
    database: StackDatabase, snapshot: str | None, until: str | None, out: Output
) -> Source:
    """The snapshot of this name, or of this run; or the point in time.

    Args:
        database: of the stack.
        snapshot: identifier of a snapshot, or the run that it was taken for.
        until: a point in time, in place of it.
        out: gets ``snapshot`` or ``until`` of its document.

    Raises:
        ConfigurationError: there is none, it is not available, or the time is none that was.
    """
    if until:
        moment = _moment(until)
        out.document["until"] = moment.isoformat()
        return Source(None, moment)
    name, target = snapshot or "", database.stack.target
    service = service_of(database)
    found = service.find(name) if _IDENTIFIER.fullmatch(name) else None
    if found is None:
        taken = service.of_target(target)
        found = next((one for one in taken if one.run == name), None)
    if found is None:
        newest = max(taken, key=taken_last, default=None)
        raise ConfigurationError(
            f"there is no snapshot {name!r}, and none of a run of this name",
            hint=f"turnback snapshots --stack {database.stack.name} lists those there are"
            + (f"; the newest is {newest.id}" if newest else ""),
        )
    if found.status != "available":
        raise ConfigurationError(
            f"the snapshot {found.id} is {found.status}; a restore needs it to be available",
            hint=f"turnback snapshots --stack {database.stack.name} says how far it is",
        )
    out.document["snapshot"] = as_document(database.kind, found)
    if found.source != database.identifier:
        out.note(f"warning: the snapshot is of {found.source}, not of {database.identifier}")
    return Source(found, None)


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{text!r} is no point in time", hint="write it like 2026-11-22T15:04:05Z"
        ) from error
    if found.tzinfo is None:
        raise ConfigurationError(
            f"{text} has no time zone, so it may be meant hours from what it says",
            hint=f"write {text}Z for UTC, or an offset like +01:00",
        )
    found = found.astimezone(UTC)
    if found > datetime.now(UTC):
        raise ConfigurationError(f"{text} has not come yet", hint="name a time that has passed")
    return found
