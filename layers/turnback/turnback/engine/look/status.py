"""The status of each migration, from the files and the history."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from typing import Any

from turnback.engine.look.history import Entry
from turnback.migrations.model import Migration, Project
from turnback.migrations.versions import number


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """The status of one migration.

    Attributes:
        status: ``pending``, ``applied``, ``failed``, ``rolled_back``, ``missing`` (its file is
            gone) or ``changed`` (its file differs from what was applied).
        kind: ``migration``; ``adopted`` where another tool has applied it; ``repeatable``.
        backfill: how far its background backfill is; None where it has none, or that is done.
    """

    version: str
    name: str
    status: str
    applied_at: str | None
    execution_ms: int | None
    checksum: str
    error: str | None = None
    kind: str = "migration"
    backfill: str | None = None

    @property
    def shown(self) -> str:
        """The status as it is shown: ``backfilling`` where it is applied, and not all its rows."""
        return "backfilling" if self.status == "applied" and self.backfill else self.status

    @property
    def pending(self) -> bool:
        """Whether ``up`` would run it."""
        return self.status in ("pending", "failed", "rolled_back")

    def to_dict(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "name": self.name,
            "status": self.shown,
            "applied_at": self.applied_at,
            "execution_ms": self.execution_ms,
            "checksum": self.checksum,
            "kind": self.kind,
        }


def statuses(project: Project, entries: Iterable[Entry]) -> list[MigrationStatus]:
    """The status of each migration, in the order of ``in_order``."""
    rows = list(entries)
    by_key = {entry.key: entry for entry in rows}
    found = []
    for one in in_order(project, rows):
        if isinstance(one, Migration):
            found.append(_of_file(one, by_key.get(one.key)))
        elif one.applied:
            found.append(_missing(one))
    return found


def in_order(project: Project, entries: Iterable[Entry]) -> Iterator[Migration | Entry]:
    """The project's migrations in its order, and the history's rows that have no file.

    Where all versions are numbers, a row without a file has its place among them; otherwise it
    comes behind all that was applied before it.

    Args:
        project: the files.
        entries: the history's rows, in the order in which they were applied.
    """
    numbers = _numbers(project)
    behind: dict[int, list[Entry]] = {}
    last = -1
    for entry in entries:
        place = project.place(entry.version)
        if place is None:
            own = number(entry.version)
            before = bisect(numbers, own) - 1 if numbers and own is not None else last
            behind.setdefault(before, []).append(entry)
        elif entry.applied:
            last = max(last, place)
    for rows in behind.values() if numbers else ():
        rows.sort(key=lambda entry: number(entry.version) or 0)
    yield from behind.get(-1, ())
    for place, migration in enumerate(project.migrations):
        yield migration
        yield from behind.get(place, ())


def _numbers(project: Project) -> list[int]:
    """The versions of a project that has them in the order of their numbers; empty for others."""
    found = [number(migration.version) for migration in project.migrations]
    known = [one for one in found if one is not None]
    return known if len(known) == len(found) and known == sorted(known) else []


@dataclass(frozen=True, slots=True)
class RepeatableStatus(MigrationStatus):
    """The status of one repeatable: its path is the version.

    Attributes:
        status: as of a migration; ``up`` applies one that is ``changed``, and one that is
            ``missing`` remains as it is.
        renamed_to: of one that is missing, the path of the file that has its text or its name.
    """

    renamed_to: str | None = None

    @property
    def pending(self) -> bool:
        """Whether ``up`` would run it."""
        return self.status in ("pending", "failed", "rolled_back", "changed")

    def to_dict(self) -> dict[str, Any]:
        return {**MigrationStatus.to_dict(self), "renamed_to": self.renamed_to}


def repeatable_statuses(project: Project, entries: Iterable[Entry]) -> list[RepeatableStatus]:
    """The status of each repeatable, by path; then of those whose file is gone."""
    rows = {entry.version: entry for entry in entries}
    new = renamed(project, {v: entry.checksum for v, entry in rows.items() if entry.applied})
    found = [_of_file(one, rows.pop(one.version, None)) for one in project.repeatables]
    found += [_missing(entry) for entry in rows.values() if entry.applied]
    return [
        RepeatableStatus(
            **{name: getattr(one, name) for name in _FIELDS} | {"kind": "repeatable"},
            renamed_to=new.get(one.version),
        )
        for one in found
    ]


def renamed(project: Project, applied: Mapping[str, str]) -> dict[str, str]:
    """The path of a repeatable that is applied and has no file → that of its file now.

    Args:
        project: the files.
        applied: path → the checksum of what is applied.
    """
    here = {one.version for one in project.repeatables}
    new = [one for one in project.repeatables if one.version not in applied]
    by_text = {one.forward.checksum: one.version for one in new}
    by_name = {one.name: one.version for one in new}
    found = {
        version: by_text.get(checksum) or by_name.get(PurePosixPath(version).stem)
        for version, checksum in applied.items()
        if version not in here
    }
    return {version: path for version, path in found.items() if path}


_FIELDS = tuple(field.name for field in fields(MigrationStatus))


def _missing(entry: Entry) -> MigrationStatus:
    return MigrationStatus(
        entry.version,
        entry.name,
        "missing",
        entry.applied_at,
        entry.execution_ms,
        entry.checksum,
        kind=entry.kind,
    )


def _of_file(migration: Migration, entry: Entry | None) -> MigrationStatus:
    version, name, checksum = migration.version, migration.name, migration.forward.checksum
    if entry is None:
        return MigrationStatus(version, name, "pending", None, None, checksum)
    changed = entry.applied and entry.checksum != checksum
    status = "changed" if changed else entry.status
    return MigrationStatus(
        version,
        name,
        status,
        entry.applied_at,
        entry.execution_ms,
        checksum,
        entry.error,
        entry.kind,
    )


def version_before_last(
    found: Iterable[MigrationStatus], half_done: Collection[str], count: int
) -> str:
    """The newest version that remains when the last migrations are rolled back.

    Args:
        found: the status of each migration, in order.
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
