"""Validate: may this run be done to this database, and what would it do?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from turnback.errors import (
    BaseChanged,
    ConfigurationError,
    ReleaseTooOld,
    RunnerBusy,
    UnknownVersion,
)
from turnback.migrations.checksums import rollbacks_of, scripts_of
from turnback.migrations.model import Project
from turnback.migrations.release import parse_release
from turnback.migrations.versions import BEFORE_FIRST
from turnback.runs.checklist import undocumented
from turnback.runs.project_settings import connected, settings_notes
from turnback.runs.record_types import (
    AppliedRepeatable,
    PlannedMigration,
    PlannedScript,
    PlanRecord,
    TargetSurroundings,
)
from turnback.runs.run import FetchedArtifact, Run, applied, last_row
from turnback.runs.state import RunPlan
from turnback.wording import capped, listed

if TYPE_CHECKING:
    from turnback.engine import Engine, Plan
    from turnback.engine.run.losses import PlanLosses
    from turnback.migrations.artifact import Artifact

# How many people must approve a plan, and why; a run downwards has no project.
Gate = Callable[[Project | None, "Plan"], tuple[int, list[str]]]
_LISTED = 10
# How often a run is planned before it gives up, because others changed the database each time.
_PLANS = 6
# Characters of SQL that people who approve can read; of more they see the beginning.
_SHOWN = 200_000


@dataclass(frozen=True, slots=True)
class StackSettings:
    """What the parameters of the stack say about every release.

    Attributes:
        target: the only target of the stack.
        snapshot_kind: how snapshots are taken: ``rds``, ``aurora``, ``dump`` or ``none``.
        restore_policy: what follows a failed rollback: ``never``, ``approval`` or ``automatic``.
        stop_application: whether the application is stopped around a rollback.
        name: of the stack.
    """

    target: str
    snapshot_kind: str
    restore_policy: str = "never"
    stop_application: bool = False
    name: str = ""


def validate(
    run: Run,
    stack: StackSettings,
    gate: Gate = lambda *_: (0, []),
    obstacles: Callable[[], Sequence[str]] = list,
) -> RunPlan:
    """Check everything that can be checked without changing anything, and keep the plan.

    Args:
        run: the run.
        stack: the stack's settings.
        gate: how many people must approve a plan, and why.
        obstacles: what a restore would meet; raises ConfigurationError if none is possible.

    Raises:
        RunCancelled: somebody cancelled the run.
        TurnLost: the run was redriven after its turn had passed.
        UnknownVersion: the release to go back to was never applied here.
        RunnerBusy: another run works on the database.
        BaseChanged: others changed the database each time that the run was planned.
        TurnbackError: the release is refused; the class says why.
    """
    run.refuse_cancelled()
    run.refuse_lost_turn()
    if run.order.target != stack.target:
        raise ConfigurationError(
            f"this stack releases to {stack.target!r}, not to {run.order.target!r}",
            hint=f"upload to artifacts/{stack.target}/",
        )
    run.policy.check_snapshot_kind(stack.snapshot_kind)
    no_artifact = run.order.artifact is None and run.order.rollback_to
    with nullcontext() if no_artifact else run.artifact() as found:
        record, plan, project = _plan(run, stack, found)
        people, reasons = gate(project, plan)
        if not plan.empty and stack.restore_policy != "never":
            record = replace(record, notes=(*record.notes, *obstacles()))
        record = replace(record, approval_reasons=tuple(reasons))
        run.records.write_plan(record)
        if people:
            run.records.write_scripts(_scripts(plan))
    return RunPlan(
        release=str(record.release),
        sha256=found.sha256 if found else None,
        plan_key=run.records.plan_key,
        migration_count=len(plan.steps),
        decision=_decision(run, record),
        direction=plan.direction,
        rehearse=_must_rehearse(run) and plan.direction == "up" and not plan.empty,
        approvals_needed=people,
        restore_policy=stack.restore_policy,
        stop_application=stack.stop_application,
        digest=record.digest,
        basis=record.basis,
    )


def check_artifact(run: Run) -> None:
    """Check what can be checked without the database: whether the artifact can be read.

    Raises:
        TurnbackError: it is refused; the class says why.
    """
    if run.order.artifact is not None:
        with run.artifact():
            pass


def _plan(
    run: Run, stack: StackSettings, found: FetchedArtifact | None
) -> tuple[PlanRecord, Plan, Project | None]:
    """The plan, and the project that it was made from; none for a run downwards."""
    # It needs psycopg, which a handler imports with the first use.
    from turnback.engine import Plan
    from turnback.engine.run.losses import plan_losses
    from turnback.engine.run.refusals import refuse_code

    artifact = found.artifact if found else None
    back_to = run.order.rollback_to or (artifact.rollback_to if artifact else None)
    release = artifact.release if artifact else str(back_to)
    project = floor = newer = None
    named = artifact.project.settings.history_schema(stack.name) if artifact else None
    with connected(run, release, named) as engine:
        if not run.order.dry_run:
            _refuse_busy(run, engine)
        previous = engine.last_release()
        if back_to is not None:
            floor = _floor(back_to, engine)
            row = last_row(engine, back_to)
            plan = engine.plan_down(Project(Path(), ()), target=floor, row=row)
        else:
            assert artifact is not None
            project, newer = artifact.project, _newer(artifact, previous, engine)
            plan = (
                Plan("up", ())
                if newer
                else engine.plan_up(project, rollback_required=run.policy.rollback_required)
            )
        for step in plan.steps:
            for script in filter(None, (step.runnable.script, step.migration.rollback)):
                refuse_code(script, run.policy.code)
        losses = plan_losses(project, plan.steps, history_schema=engine.history.schema)
        history = applied(engine)
        surroundings = (
            _surroundings(run, project, engine, history)
            if project and _must_rehearse(run)
            else None
        )
    planned = plan.to_dict()
    record = PlanRecord(
        version=1,
        run=run.id,
        target=run.order.target,
        release=release,
        source=dict(artifact.source) if artifact else {},
        artifact=replace(run.order.location, sha256=found.sha256) if found else None,
        history=history,
        previous_release=previous,
        destroys=_destroyed(losses) if project else {},
        rollback_to=back_to,
        floor=floor,
        undocumented=tuple(
            undocumented([step.migration for step in plan.steps] if project else [])
        ),
        direction=plan.direction,
        migrations=tuple(PlannedMigration.from_state(row) for row in planned["migrations"]),
        notes=(
            *planned["notes"],
            *(settings_notes(run, artifact.project, named) if artifact else ()),
        ),
        number=_number(run, history),
        superseded_by=newer,
        surroundings=surroundings,
        history_schema=engine.history.schema,
    )
    return record, plan, project


def _surroundings(
    run: Run, project: Project, engine: Engine, history: tuple[tuple[str, ...], ...]
) -> TargetSurroundings:
    from turnback.rehearsal.surroundings import read_surroundings

    scripts = (script.code_head for script in scripts_of(project))
    schema = engine.history.schema
    versions = {version for version, *_ in history}
    found = read_surroundings(
        engine.connection,
        scripts,
        run.database.dump_schemas,
        rollbacks=rollbacks_of(project.migrations),
        applied=rollbacks_of(one for one in project.migrations if one.version in versions),
        history_schema=schema,
    )
    return TargetSurroundings(
        *(found.settings, found.roles, found.members, found.extensions, schema),
        *(found.schemas, found.unread, found.versions),
        tuple(_applied_repeatables(project, engine)),
    )


def _applied_repeatables(project: Project, engine: Engine) -> Iterator[AppliedRepeatable]:
    """What the target has of repeatables, which the rehearsal begins with."""
    from turnback.engine.run.repeatables import in_force

    here = {one.version: one.forward.checksum for one in project.repeatables}
    for one in in_force(engine.history):
        same = here.get(one.version) == one.forward.checksum
        yield AppliedRepeatable(one.version, one.forward.checksum, "" if same else one.forward.sql)


def _number(run: Run, history: tuple[tuple[str, ...], ...]) -> int:
    """Which plan of the run this is; another base makes another plan.

    Raises:
        BaseChanged: others were faster every time.
    """
    before = run.records.plan()
    number = before.number + int(before.exists and before.history != history)
    if number > _PLANS:
        raise BaseChanged(
            f"others have changed the database {_PLANS} times since this run was planned first",
            hint="nothing was changed; release again when nobody else migrates this database",
        )
    return number


def _refuse_busy(run: Run, engine: Engine) -> None:
    """Wait for whoever still works: the function of a run that was ended from outside goes on.

    Raises:
        RunnerBusy: it has not ended in the time of this call.
    """
    from turnback.engine.session import lock

    wait_s = run.database.runner_wait_s
    busy = lock.wait_until_free(engine.connection, engine.history.schema, wait_s=wait_s)
    if busy:
        raise RunnerBusy(
            f"another run is working on this database: {busy}",
            hint="nothing was changed; release again when it has ended",
        )


def _scripts(plan: Plan) -> Iterator[PlannedScript]:
    """The text of what the run would do, as far as a page and a terminal can show it."""
    left = _SHOWN
    for step in plan.steps:
        script = step.runnable.script
        yield PlannedScript(script.path, script.checksum, script.head[:left])
        left = max(left - script.size, 0)


def _must_rehearse(run: Run) -> bool:
    """A dry run is there to find out, so it is rehearsed where the policy does not demand it."""
    return run.policy.proof_required or (run.order.dry_run and run.policy.dry_runs_rehearsed)


def _destroyed(losses: PlanLosses) -> dict[str, tuple[str, ...]]:
    """Version → the data that is gone if it is applied and rolled back again."""
    found = {}
    for version, lost in losses.of_failed_run().items():
        words = [f"{loss.words} ({loss.origin})" for loss in lost if loss.is_data]
        if words:
            found[version] = tuple(capped(list(dict.fromkeys(words)), _LISTED))
    return found


def _decision(run: Run, planned: PlanRecord) -> str:
    if planned.superseded_by:
        return "superseded"
    if not planned.migrations:
        return "nothing_to_do"
    return "dry_run" if run.order.dry_run else "go"


def _floor(back_to: str, engine: Engine) -> str:
    """The last migration that a release up to this one applied: those after it are undone.

    Raises:
        UnknownVersion: this release applied nothing here.
    """
    wanted = parse_release(back_to)
    known = {name: parse_release(name) for name in engine.release_rows()}
    if wanted not in known.values():
        names = sorted(known, key=lambda name: known[name], reverse=True)
        known_names = listed(names, _LISTED) or "none"
        raise UnknownVersion(
            f"release {back_to} applied nothing to this database; known are {known_names}",
            hint="name the release whose schema you want back, as turnback runs shows them",
        )
    # One that has only repeatables leaves the migrations of the one before it.
    released = [v for name, v in engine.releases().items() if known[name] <= wanted]
    return released[-1] if released else BEFORE_FIRST


def _newer(artifact: Artifact, last: str | None, engine: Engine) -> str | None:
    """The release that was applied last, if it is newer and has brought all of this one.

    Raises:
        ReleaseTooOld: it is newer, and lacks a migration of this one.
    """
    if last is None or parse_release(artifact.release) >= parse_release(last):
        return None
    done = {entry.key: entry.checksum for entry in engine.entries() if entry.applied}
    for migration in artifact.project.migrations:
        if done.get(migration.key) == migration.forward.checksum:
            continue
        lacks = "another file of that version" if migration.key in done else "not in it"
        raise ReleaseTooOld(
            f"release {artifact.release} is lower than {last}, which was applied last, and brings "
            f"{migration.version} ({migration.name}), which is {lacks}",
            file=migration.forward.path,
            version=migration.version,
            hint=f"release a number above {last}; an old artifact does not undo a newer one, "
            'a run with "rollback_to" does',
        )
    return last
