"""What a run will do, in order."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from turnback.engine.look.half_done import HalfDone, ScriptEffects
from turnback.engine.look.history import Entry, StoredScript
from turnback.engine.look.status import MigrationStatus, in_order, statuses
from turnback.errors import (
    ChecksumMismatch,
    HistoryConflict,
    InvalidMigration,
    MigrationMissing,
    OutOfOrder,
    RollbackMissing,
    TurnbackError,
    UnknownVersion,
)
from turnback.migrations.checksums import differs_in_line_ends, digest
from turnback.migrations.headers import is_template, read_directives
from turnback.migrations.model import Migration, Project, Script
from turnback.migrations.versions import BEFORE_FIRST, jump, key
from turnback.settings.pace import Pace
from turnback.sql.other_formats import refuse_other_formats
from turnback.sql.own_tables import conflicts
from turnback.sql.script import Runnable, prepare, syntax_error

_MORE = "turnback status shows every migration"


@dataclass(frozen=True, slots=True)
class Repeat:
    """What a step of a repeatable changes in the history.

    Attributes:
        before: the checksum of what is applied before the step; None where nothing is.
        after: that of what is applied after it.
    """

    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """One migration in one direction, with its script made ready to run.

    Attributes:
        half: what was done of it, where a half done migration is rolled back.
        repeat: of a repeatable, what the step changes.
        first: statements of turnback's own that run before the script.
    """

    migration: Migration
    direction: str
    runnable: Runnable
    verify: Runnable | None = None
    half: HalfDone | None = None
    repeat: Repeat | None = None
    first: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        return self.migration.version

    @property
    def name(self) -> str:
        return self.migration.name


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of a run, in order, and notes about them; and how fast its backfills go."""

    direction: str
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    pace: Pace = field(default_factory=Pace)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.steps

    def to_dict(self) -> dict[str, Any]:
        return {
            "direction": self.direction,
            "migrations": [
                {
                    "version": step.version,
                    "name": step.name,
                    "file": step.runnable.script.path,
                    "checksum": step.runnable.script.checksum,
                    "in_transaction": step.runnable.in_one_transaction,
                    **({"kind": step.migration.kind} if step.repeat else {}),
                    **({"half_done": True} if step.half else {}),
                }
                for step in self.steps
            ],
            "notes": list(self.notes),
        }


def plan_up(
    project: Project,
    entries: Iterable[Entry],
    *,
    target: str | None = None,
    out_of_order: bool = False,
    rollback_required: bool = True,
    history_schema: str = "public",
) -> Plan:
    """The pending migrations up to ``target``.

    Raises:
        UnknownVersion: there is no migration ``target``.
        HistoryConflict: the database is another project's, or a pending file would make or change
            a table that turnback keeps its history in.
        ChecksumMismatch: an applied file was edited.
        MigrationMissing: an applied file is gone.
        OutOfOrder: a pending migration comes before an applied one.
        RollbackMissing: a pending migration has no rollback script and no reason for that.
        InvalidMigration: a pending file cannot be run.
    """
    entries = list(entries)
    _refuse_other_names(project, [entry for entry in entries if entry.applied])
    found = statuses(project, entries)
    _refuse_drift(project, found, {entry.key: entry.checksum for entry in entries})
    # Every row that is applied has a file now, so these are the project's migrations.
    newest = max((n for n, item in enumerate(found) if item.status == "applied"), default=-1)
    limit = len(found) if target is None else project.place(target)
    if limit is None:
        raise _unknown(str(target))
    steps = []
    for place, (migration, item) in enumerate(zip(project.migrations, found, strict=True)):
        if not item.pending or place > limit:
            continue
        if place < newest and not out_of_order:
            raise OutOfOrder(
                f"{migration.version} is pending, but {found[newest].version} is applied already",
                file=migration.forward.path,
                version=migration.version,
                hint="give it a higher number, or run it anyway: --out-of-order",
            )
        for script in filter(None, (migration.forward, migration.rollback)):
            refuse_template(script, migration.version)
        if migration.rollback is not None:
            # A rollback script that cannot be used is refused now, not when it is needed.
            rollback = step_down(migration)
            if rollback and rollback.runnable.statements is None:
                raise syntax_error(migration.rollback) or AssertionError
        elif rollback_required and not project.in_baseline(migration.version):
            _need_reason(migration)
        steps.append(step_up(migration))
    for conflict in conflicts((step.migration for step in steps), history_schema):
        raise conflict
    return Plan("up", tuple(steps), tuple(_notes(project, steps)), project.settings.pace)


def refuse_template(script: Script, version: str) -> None:
    """An untouched file of ``turnback generate`` must not be recorded as applied."""
    if is_template(script):
        raise InvalidMigration(
            "this is still the empty file of turnback generate",
            file=script.path,
            version=version,
            hint="write its SQL; if it should do nothing, say so in a comment",
        )


def step_up(migration: Migration) -> Step:
    """A migration, ready to be applied.

    Raises:
        InvalidMigration: its script or its verify script cannot be run.
    """
    for script in filter(None, (migration.forward, migration.verify)):
        refuse_other_formats(script, migration.version, forward=script is migration.forward)
    verify = prepare(migration.verify) if migration.verify else None
    if verify and (verify.one_by_one or (verify.needs_begin and verify.statements is not None)):
        raise InvalidMigration(
            "a verify script runs read-only, in its migration's transaction",
            file=verify.script.path,
            version=migration.version,
            hint="use queries that fail, such as DO $$ BEGIN ASSERT …; END $$",
        )
    return Step(migration, "up", prepare(migration.forward), verify)


def step_down(migration: Migration) -> Step | None:
    """A migration, ready to be rolled back by its own script; None if it has none.

    Raises:
        InvalidMigration: the rollback script cannot be run.
    """
    if migration.rollback is None:
        return None
    refuse_other_formats(migration.rollback, migration.version, forward=False)
    return Step(migration, "down", prepare(migration.rollback))


def plan_down(
    project: Project,
    entries: Sequence[Entry],
    stored: Mapping[str, StoredScript],
    *,
    target: str,
    half_done: Sequence[HalfDone] = (),
    edited: bool = False,
) -> Plan:
    """Every applied migration after ``target``, newest first; ``0`` is all of them.

    Half done migrations after it come before all others. The rollback script is the file's, or,
    where the file is gone, the one stored in the database.

    Args:
        project: the files; an empty one has nothing to compare with.
        entries: the history's rows.
        stored: version → rollback script.
        target: the version that remains the newest; ``0`` for none.
        half_done: what is half done.
        edited: whether files may have been edited since they were applied.

    Raises:
        HistoryConflict: the database is another project's.
        ChecksumMismatch: a file was edited after it was applied.
        UnknownVersion: ``target`` is not the version of a migration.
        RollbackMissing: one of them has no rollback script, or belongs to the baseline.
        InvalidMigration: a rollback script cannot be run.
    """
    places = {one.key: place for place, one in enumerate(in_order(project, entries))}
    # 0 is before the first, even where the first has the number 0.
    limit = -1 if key(target) == BEFORE_FIRST else places.get(key(target))
    if limit is None:
        raise _unknown(target)
    # What has neither a file nor a row was begun last.
    halves = [half for half in half_done if places.get(half.key, len(places)) > limit]
    applied = sorted(
        (entry for entry in entries if entry.applied and places[entry.key] > limit),
        key=lambda entry: places[entry.key],
    )
    _refuse_other_project(project, [entry for entry in entries if entry.applied])
    _refuse_baseline(project, applied)
    if not edited:
        _refuse_edited(project, applied)
    return _downwards(project, applied, stored, halves)


def plan_down_stored(
    entries: Iterable[Entry],
    stored: Mapping[str, StoredScript],
    half_done: Sequence[HalfDone] = (),
    project: Project | None = None,
) -> Plan:
    """These migrations, newest first, by the rollback scripts stored in the database.

    Args:
        entries: the migrations to roll back, in the order in which they were applied.
        stored: version → rollback script.
        half_done: what is half done, which comes before all others.
        project: the files that they were applied from, where these can be trusted more. Then
            no stored script is used; the plan's notes name each that differs from its file.

    Raises:
        RollbackMissing: one of them was applied without a rollback script.
    """
    if project is None:
        return _downwards(None, entries, stored, half_done)
    plan = _downwards(project, entries, {}, [replace(half, rollback=None) for half in half_done])
    known = {**stored, **{half.version: half.rollback for half in half_done}}
    return replace(plan, notes=tuple(_differing(plan, known)))


def _differing(plan: Plan, stored: Mapping[str, StoredScript | None]) -> Iterator[str]:
    """A sentence for each stored script that is not the one of the plan."""
    for step in plan.steps:
        found, script = stored.get(step.version), step.runnable.script
        here = digest(script.sql.encode())
        there = digest(found.sql.encode()) if found else "missing"
        if here != there:
            yield (
                f"the rollback script of {step.version} that is stored in the database is not "
                f"{script.path} of the release (SHA-256 {there}, expected {here}): the release's "
                "was used; find out who changed migration_log"
            )


def remaining(plan: Plan, entries: Iterable[Entry], half_done: Iterable[HalfDone]) -> list[Step]:
    """The plan's steps without those that another run did since the plan was made.

    Args:
        plan: the plan.
        entries: the history as it is now.
        half_done: what is half done now.

    Raises:
        ChecksumMismatch: another run applied a migration from another file.
    """
    by_key = {entry.key: entry for entry in entries}
    halves = {half.key: half for half in half_done}
    left = []
    for step in plan.steps:
        if step.repeat:
            left.append(step)
            continue
        if step.half:
            if half := halves.get(step.migration.key):
                effects = half.effects or step.half.effects
                left.append(replace(step, half=replace(half, effects=effects)))
            continue
        entry = by_key.get(step.migration.key)
        if entry and entry.applied and plan.direction == "up":
            if entry.checksum != step.migration.forward.checksum:
                raise ChecksumMismatch(
                    f"{step.version} was applied by another run, from another file",
                    file=step.migration.forward.path,
                    version=step.version,
                    hint=_MORE,
                )
        elif plan.direction == "up" or (entry and entry.applied):
            left.append(step)
    return left


def _downwards(
    project: Project | None,
    entries: Iterable[Entry],
    stored: Mapping[str, StoredScript],
    half_done: Iterable[HalfDone],
) -> Plan:
    steps = [_step_of_half(project, half) for half in half_done]
    steps += [
        _rollback_step(project, entry, stored.get(entry.version))
        for entry in reversed(list(entries))
    ]
    pace = project.settings.pace if project else Pace()
    return Plan("down", tuple(steps), pace=pace)


def _step_of_half(project: Project | None, half: HalfDone) -> Step:
    step = _rollback_step(project, half, half.rollback)
    migration = project.find(half.version) if project else None
    if half.effects is None and migration is not None:
        # The log of an older turnback has none; the file as it is now has to do.
        statements = prepare(migration.forward).statements or ()
        half = replace(half, effects=ScriptEffects.of(statements))
    return replace(step, half=half)


def _rollback_step(
    project: Project | None, done: Entry | HalfDone, stored: StoredScript | None
) -> Step:
    version, name = done.version, done.name
    migration = project.find(version) if project else None
    script = migration.rollback if migration else None
    if script is None and stored is not None:
        path = f"{stored.path} (stored)"
        checksum = digest(stored.sql.encode())
        script = Script(
            path, stored.sql, checksum, read_directives(path, stored.sql, rollback=True)
        )
    if script is None:
        reason = migration.forward.directives.irreversible if migration else None
        write = migration.write_rollback if migration else f"write rollback/{version}_rollback.sql"
        raise RollbackMissing(
            f"{version}{f' ({name})' if name else ''} has no rollback script"
            + (f": irreversible because {reason}" if reason else ""),
            version=version,
            hint=f"{write}, or restore a snapshot",
        )
    if migration is None:
        forward = Script(f"sql/{version}_{name}.sql", "", done.checksum)
        migration = Migration(version, name, forward)
    return Step(migration, "down", prepare(script))


def refuse_other_name(migration: Migration, entry: Entry) -> None:
    """Refuse a row that has neither the name nor the checksum of the file with its version.

    Raises:
        HistoryConflict: it is a migration of another project.
    """
    if migration.name == entry.name or migration.forward.checksum == entry.checksum:
        return
    raise HistoryConflict(
        f"this database's {entry.version} is {entry.name}, yours is {migration.name}",
        file=migration.forward.path,
        version=entry.version,
        hint="the database is another project's, or the folder is: check DATABASE_URL and "
        "--dir; nothing was changed",
    )


def _refuse_other_names(project: Project, applied: Iterable[Entry]) -> None:
    for entry in applied:
        if migration := project.find(entry.version):
            refuse_other_name(migration, entry)


def _refuse_other_project(project: Project, applied: Sequence[Entry]) -> None:
    """Refuse a database of which no applied migration has a file here.

    Raises:
        HistoryConflict: it is another project's.
    """
    _refuse_other_names(project, applied)
    if not applied or not project.migrations:
        return
    if not any(project.find(entry.version) for entry in applied):
        newest = applied[-1]
        raise HistoryConflict(
            f"no migration of this folder is applied in this database; its {newest.version} is "
            f"{newest.name}",
            version=newest.version,
            hint="the database is another project's, or the folder is: check DATABASE_URL and "
            "--dir; if the files are gone, restore them from version control",
        )


def _refuse_baseline(project: Project, applied: Iterable[Entry]) -> None:
    """What was applied before turnback was used has no rollback that was ever proven."""
    known = [one for one in applied if one.kind == "adopted" or project.in_baseline(one.version)]
    if known:
        version = known[-1].version
        raise RollbackMissing(
            f"{version} belongs to the baseline, which is not rolled back",
            version=version,
            hint=f"turnback down {version} rolls back what came after it; to go further, restore a "
            "snapshot, or undo it by hand and record that: "
            f"turnback repair {version} --rolled-back --because REASON",
        )


def _refuse_edited(project: Project, applied: Sequence[Entry]) -> None:
    for entry in applied:
        migration = project.find(entry.version)
        if migration is not None and migration.forward.checksum != entry.checksum:
            raise _edited(
                migration,
                entry.checksum,
                "its rollback may not fit what was applied: undo the edit; or apply the "
                "edited file in its place: turnback redo; or, if the file is right: "
                f"turnback repair {entry.version} --accept-checksum --because REASON",
            )


def _edited(migration: Migration, checksum: str, hint: str) -> ChecksumMismatch:
    """The error for a file that is not what was applied with this checksum."""
    what = f"{migration.version} was edited after it was applied"
    if differs_in_line_ends(migration.forward, checksum):
        what = (
            f"{migration.version} has other line ends than when it was applied, and is the same "
            "otherwise"
        )
        hint = (
            "keep git from changing them: write '*.sql -text' into .gitattributes and check the "
            f"file out again; or, if these are right: turnback repair {migration.version} "
            "--accept-checksum --because REASON"
        )
    return ChecksumMismatch(what, file=migration.forward.path, version=migration.version, hint=hint)


def _refuse_drift(
    project: Project, found: Iterable[MigrationStatus], recorded: Mapping[str, str]
) -> None:
    problems: list[TurnbackError] = []
    for version, name, status in ((item.version, item.name, item.status) for item in found):
        if status == "changed":
            migration = project.find(version)
            assert migration is not None
            problems.append(
                _edited(
                    migration,
                    recorded[migration.key],
                    "undo the edit and write a new migration; or, if the file is right: "
                    f"turnback repair {version} --accept-checksum --because REASON",
                )
            )
        elif status == "missing":
            problems.append(
                MigrationMissing(
                    f"{version} ({name}) is applied, but its file is gone",
                    version=version,
                    hint="restore the file from version control; or roll it back with its stored "
                    "script: turnback down to the version before it",
                )
            )
    if problems:
        first = problems[0]
        if len(problems) > 1:
            first.message += f" (and {len(problems) - 1} more; {_MORE})"
        raise first


def _unknown(target: str) -> UnknownVersion:
    return UnknownVersion(f"there is no migration {target}", hint=_MORE, version=target)


def _need_reason(migration: Migration) -> None:
    if migration.forward.directives.irreversible is None:
        raise RollbackMissing(
            f"{migration.version} has no rollback script",
            file=migration.forward.path,
            version=migration.version,
            hint=f"{migration.write_rollback}, or say why it has none: "
            "-- turnback: irreversible because REASON",
        )


def _notes(project: Project, steps: list[Step]) -> list[str]:
    planned = {step.version for step in steps}
    return [
        remark
        for before, after in itertools.pairwise(project.migrations)
        if after.version in planned and (remark := jump(before.version, after.version))
    ]
