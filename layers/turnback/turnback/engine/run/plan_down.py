"""What a run downwards will do, in order; what is half done is taken back before all others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from turnback.engine.look.half_done import HalfDone, Work
from turnback.engine.look.history import Entry
from turnback.engine.run.plan import Plan, Step, number_of
from turnback.errors import RollbackMissing
from turnback.migrations.checksums import digest
from turnback.migrations.headers import read_directives
from turnback.migrations.model import Migration, Project, Script
from turnback.sql.script import prepare


def plan_down(
    project: Project,
    entries: Iterable[Entry],
    stored: dict[str, tuple[str, str]],
    *,
    target: str,
    half_done: Sequence[HalfDone] = (),
) -> Plan:
    """Every applied migration after ``target``, newest first; ``0`` is all of them.

    What is half done after it is taken back before all others. The rollback script of the folder
    is used, and where it is gone the one stored in the database with its migration.

    Raises:
        UnknownVersion: ``target`` is no version of a migration.
        RollbackMissing: one of them has no way back.
        InvalidMigration: a rollback script cannot be run.
    """
    # 0 is before the first, even where the first has the number 0.
    if int(target) != 0:
        number_of(project, target, {entry.number for entry in entries})
    limit = int(target) or -1
    halves = [half for half in half_done if half.number > limit]
    applied = [entry for entry in entries if entry.applied and entry.number > limit]
    steps = [
        *(_step_half(project, half) for half in halves),
        *(_step_down(project, entry, stored) for entry in reversed(applied)),
    ]
    return Plan("down", tuple(steps))


def plan_down_of(
    versions: Iterable[str],
    entries: Iterable[Entry],
    stored: dict[str, tuple[str, str]],
    half_done: Sequence[HalfDone] = (),
) -> Plan:
    """These migrations, newest first, by the rollback scripts stored in the database.

    What is half done is taken back before all others.

    Raises:
        RollbackMissing: one of them was applied without one.
    """
    wanted = set(versions)
    chosen = [entry for entry in entries if entry.version in wanted]
    steps = [
        *(_step_half(None, half) for half in half_done),
        *(_step_down(None, entry, stored) for entry in reversed(chosen)),
    ]
    return Plan("down", tuple(steps))


def _step_down(project: Project | None, entry: Entry, stored: dict[str, tuple[str, str]]) -> Step:
    way_back = stored.get(entry.version)
    return _step_back(project, entry.version, entry.name, entry.checksum, way_back)


def _step_half(project: Project | None, half: HalfDone) -> Step:
    step = _step_back(project, half.version, half.name, half.checksum, half.rollback)
    migration = project.find(half.version) if project else None
    if half.work is None and migration is not None:
        # A log of an older turnback: what the file says now is all there is.
        half = replace(half, work=Work.of(prepare(migration.forward).statements or ()))
    return replace(step, half=half)


def _step_back(
    project: Project | None,
    version: str,
    name: str,
    checksum: str,
    stored: tuple[str, str] | None,
) -> Step:
    migration = project.find(version) if project else None
    script = migration.rollback if migration else None
    if script is None and stored is not None:
        path, sql = stored
        path = f"{path} (stored)"
        script = Script(path, sql, digest(sql.encode()), read_directives(path, sql))
    if script is None:
        reason = migration.forward.directives.irreversible if migration else None
        raise RollbackMissing(
            f"{version}{f' ({name})' if name else ''} has no way back"
            + (f": irreversible because {reason}" if reason else ""),
            version=version,
            hint=f"write rollback/{version}_rollback.sql, or restore a snapshot",
        )
    if migration is None:
        forward = Script(f"sql/{version}_{name}.sql", "", checksum)
        migration = Migration(version, name, forward)
    return Step(migration, "down", prepare(script))
