"""Where each migration stands: the files and the history put side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from turnback.engine.look.history import Entry
from turnback.migrations.model import Project


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """Where one migration stands.

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
    """Files and history put side by side, oldest version first."""
    by_number = {entry.number: entry for entry in entries}
    found: dict[int, MigrationStatus] = {}
    for migration in project.migrations:
        entry = by_number.pop(migration.number, None)
        checksum = migration.forward.checksum
        if entry is None:
            status = MigrationStatus(
                migration.version, migration.name, "pending", None, None, checksum
            )
        else:
            word = entry.word
            if word == "applied" and entry.checksum != checksum:
                word = "changed"
            status = MigrationStatus(
                migration.version,
                migration.name,
                word,
                entry.applied_at,
                entry.execution_ms,
                checksum,
                entry.error,
            )
        found[migration.number] = status
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
