"""The status of each migration, from the files and the history."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from turnback.engine.look.history import Entry
from turnback.migrations.model import Migration, Project


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """The status of one migration.

    Attributes:
        status: ``pending``, ``applied``, ``failed``, ``rolled_back``, ``missing`` (its file is
            gone) or ``changed`` (its file differs from what was applied).
    """

    version: str
    name: str
    status: str
    applied_at: str | None
    execution_ms: int | None
    checksum: str
    error: str | None = None

    @property
    def pending(self) -> bool:
        """Whether ``up`` would run it."""
        return self.status in ("pending", "failed", "rolled_back")

    def to_dict(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "name": self.name,
            "status": self.status,
            "applied_at": self.applied_at,
            "execution_ms": self.execution_ms,
            "checksum": self.checksum,
        }


def statuses(project: Project, entries: Iterable[Entry]) -> list[MigrationStatus]:
    """The status of each migration, oldest version first."""
    by_number = {entry.number: entry for entry in entries}
    found = {
        migration.number: _of_file(migration, by_number.pop(migration.number, None))
        for migration in project.migrations
    }
    for number, entry in by_number.items():
        if entry.applied:
            found[number] = MigrationStatus(
                entry.version,
                entry.name,
                "missing",
                entry.applied_at,
                entry.execution_ms,
                entry.checksum,
            )
    return [found[number] for number in sorted(found)]


def _of_file(migration: Migration, entry: Entry | None) -> MigrationStatus:
    version, name, checksum = migration.version, migration.name, migration.forward.checksum
    if entry is None:
        return MigrationStatus(version, name, "pending", None, None, checksum)
    changed = entry.applied and entry.checksum != checksum
    status = "changed" if changed else entry.status
    return MigrationStatus(
        version, name, status, entry.applied_at, entry.execution_ms, checksum, entry.error
    )


def version_before_last(
    found: Iterable[MigrationStatus], half_done: Collection[str], count: int
) -> str:
    """The newest version that remains when the last migrations are rolled back.

    Args:
        found: the status of each migration, oldest version first.
        half_done: versions that are half done, which count as applied.
        count: how many are rolled back.

    Returns:
        The version; ``0`` if none remains.
    """
    applied = [
        item.version
        for item in found
        if item.status in ("applied", "changed", "missing") or item.version in half_done
    ]
    return applied[-count - 1] if len(applied) > count else "0"
