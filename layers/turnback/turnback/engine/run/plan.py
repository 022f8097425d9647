"""What a run will do, in order."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from turnback.engine.look.half_done import HalfDone, ScriptEffects
from turnback.engine.look.history import Entry, StoredScript
from turnback.engine.look.status import in_order, statuses
from turnback.engine.run.refusals import (
    MORE,
    refuse_baseline,
    refuse_drift,
    refuse_edited,
    refuse_other_names,
    refuse_other_project,
)
from turnback.errors import (
    ChecksumMismatch,
    InvalidMigration,
    OutOfOrder,
    RollbackMissing,
    UnknownVersion,
)
from turnback.migrations.checksums import digest
from turnback.migrations.headers import is_template, read_directives
from turnback.migrations.model import Migration, Project, Script
from turnback.migrations.versions import BEFORE_FIRST, jump, key
from turnback.settings.pace import Pace
from turnback.sql.other_formats import refuse_other_formats
from turnback.sql.own_tables import conflicts
from turnback.sql.script import Runnable, prepare, syntax_error


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
                    **({"backfill": True} if step.runnable.ranged else {}),
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
    refuse_other_names(project, [entry for entry in entries if entry.applied])
    found = statuses(project, entries)
    refuse_drift(project, found, {entry.key: entry.checksum for entry in entries})
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
    swap, back = (one.directives.swap for one in (migration.forward, migration.rollback))
    if swap and not (back and back.table == swap.table):
        table = ".".join(swap.table)
        raise InvalidMigration(
            "the migration swaps a table, and its rollback script does not",
            file=migration.rollback.path,
            version=migration.version,
            hint=f"write the directive here as well: -- turnback: swap table={table}",
        )
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
    refuse_other_project(project, [entry for entry in entries if entry.applied])
    refuse_baseline(project, applied)
    if not edited:
        refuse_edited(project, applied)
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
                    hint=MORE,
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


def _unknown(target: str) -> UnknownVersion:
    return UnknownVersion(f"there is no migration {target}", hint=MORE, version=target)


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
