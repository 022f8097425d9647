"""``down`` and ``redo``: roll migrations back, and apply them again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from turnback.cli import options as opt
from turnback.cli import param_types as types
from turnback.cli.database import open_engine
from turnback.cli.output import Output, confirm, reported
from turnback.cli.plan import (
    as_script_option,
    end_dry_run,
    print_script,
    refuse_two_forms,
    show_plan,
)
from turnback.cli.policy import Requirements, allow_destroy
from turnback.cli.run import close_run, keep_sums, run_options, run_plan, run_up
from turnback.cli.snippet import seen
from turnback.engine import Engine, Plan, Report
from turnback.engine.look.status import version_before_last
from turnback.engine.session.events import RunControl
from turnback.errors import ConfigurationError, MigrationMissing, OutOfOrder, TurnbackError
from turnback.migrations.discovery import load_project
from turnback.migrations.model import Migration, Project
from turnback.migrations.versions import key
from turnback.wording import listed

if TYPE_CHECKING:
    from turnback.runs.schema_before import Compared


_number = click.option(
    "-n",
    "--number",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many migrations; 1 if not given.",
)


@click.command(epilog="Example: turnback down, turnback down -n 3 or turnback down 0004")
@click.argument("version", required=False, type=types.Version())
@_number
@opt.database
@opt.directory
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print the plan and its SQL, with -v what turnback adds as well; change nothing.",
)
@as_script_option
@allow_destroy
@opt.yes
@opt.allow_code
@opt.lock_options
@opt.as_json
@reported
def down(
    *,
    version: str | None,
    number: int | None,
    database_url: str | None,
    history_schema: str,
    directory: Path,
    dry_run: bool,
    as_script: bool,
    allowed: tuple[str, ...],
    yes: bool,
    lock_timeout: float | None,
    lock_retry_for: float,
    wait: float,
    out: Output,
) -> int:
    """Roll back the last migration, the last N, or every migration after VERSION.

    The newest is rolled back first; VERSION 0 rolls back all of them. A migration that failed half
    way outside a transaction is undone first; statements of its rollback script that have nothing
    to undo are skipped and reported.

    The rollback script of the folder is used; if it is gone, the one stored in the database when
    its migration was applied. It stops at the first that fails.

    Then the schema is compared with what it was before these migrations, where up has kept it on
    this machine. What is left or missing is named, with exit code 6; so is what the scripts have
    also dropped of migrations before them.

    It asks first; without a terminal, and with --json, --yes is required.
    """
    if version is not None and number is not None:
        raise ConfigurationError("VERSION and -n exclude each other", hint="give one of them")
    out.document |= {"run": None, "database": None, "rolled_back": [], "error": None}
    project = _project_or_none(directory)
    options = run_options(lock_timeout, lock_retry_for, wait, database_url)
    refuse_two_forms(dry_run, as_script, out)
    changes = not (dry_run or as_script)
    with open_engine(
        database_url, directory, history_schema, out, options=options, writes=changes
    ) as engine:
        plan = engine.plan_down(project, target=version or _before_last(engine, project, number))
        from turnback.engine.run.losses import losses_of_others

        others = losses_of_others(project, plan.steps, history_schema=history_schema)
        for lost in others.values():
            for loss in lost:
                out.note(f"warning: {seen(loss.with_place)}, of a migration before it")
        if not changes:
            if as_script:
                return print_script(engine, plan, out)
            show_plan(engine, plan, out)
            return end_dry_run(plan, out)
        _confirm("roll back", plan, yes=yes, out=out)
        Requirements(directory, database_url, history_schema, allowed, out).meet(
            engine, project, plan
        )
        began = time.monotonic()
        report, lost_too, compared = _run_down(engine, project, plan, out)
        code = close_run(report, "rolled back", began, out)
        _show_compared(compared, plan, out)
        wrong = lost_too or (compared and compared.error)
        return out.fail(wrong) if wrong else code


@click.command(epilog="Example: turnback redo")
@_number
@opt.database
@opt.directory
@opt.yes
@opt.allow_code
@opt.lock_options
@opt.as_json
@reported
def redo(
    *,
    number: int | None,
    database_url: str | None,
    history_schema: str,
    directory: Path,
    yes: bool,
    lock_timeout: float | None,
    lock_retry_for: float,
    wait: float,
    out: Output,
) -> int:
    """Roll back the last migration, or the last N, and apply the same again.

    For a migration that you are still writing: its file may have been edited since it was applied.
    Data in what it drops is lost. Nothing is applied if the rollback fails, or if it has also
    dropped what migrations before it have made: that is named, with exit code 6.

    It asks first; without a terminal, and with --json, --yes is required.
    """
    out.document |= {"run": None, "database": None, "rolled_back": [], "applied": [], "error": None}
    project = load_project(directory)
    options = run_options(lock_timeout, lock_retry_for, wait, database_url)
    Requirements(directory, database_url, history_schema, (), out).refuse_repeating("redo")
    with open_engine(
        database_url, directory, history_schema, out, options=options, writes=True
    ) as engine:
        target = _before_last(engine, project, number)
        plan = engine.plan_down(project, target=target, edited=True)
        _refuse_impossible_redo(engine, project, plan)
        _confirm("roll back and apply again", plan, yes=yes, out=out)
        began = time.monotonic()
        report, lost_too, compared = _run_down(engine, project, plan, out)
        if compared and compared.error:
            # The migration is still being written.
            out.warn(compared.error.message)
        if report.error or report.interruption or plan.empty or lost_too:
            code = close_run(report, "rolled back", began, out)
            return out.fail(lost_too) if lost_too else code
        again = engine.plan_up(project, target=_last(project, plan).version)
        keep_sums(project, again, database_url)
        return close_run(run_up(engine, project, again, out), "applied again", began, out)


def _run_down(
    engine: Engine, project: Project, plan: Plan, out: Output
) -> tuple[Report, TurnbackError | None, Compared | None]:
    """Run a rollback.

    Returns:
        Its report; the error that names what it has dropped of others; what the schema is, compared
        with what it was before the migrations, if all of them were rolled back.
    """
    if plan.empty:
        return run_plan(engine, plan, out, RunControl()), None, None
    from turnback.cli.kept_schemas import KeptSchemas
    from turnback.schema.earlier import lost_with_rollback, schema_now

    schemas = KeptSchemas(engine, project)
    before, others = schema_now(engine), schemas.changed_by_others()
    report = run_plan(engine, plan, out, RunControl())
    if report.error or report.interruption or report.running:
        return report, None, None
    compared = schemas.compare(f"it was before {plan.steps[-1].version}", others)
    out.document["schema"] = {"verdict": compared.word, "notes": list(compared.notes)}
    return report, lost_with_rollback(engine, project, before) if before else None, compared


def _show_compared(compared: Compared | None, plan: Plan, out: Output) -> None:
    if compared and compared.word == "exact":
        out.result(f"The schema is as it was before {plan.steps[-1].version}.")
    for note in compared.notes if compared else ():
        out.note(f"{note[0].upper()}{note[1:]}.")


def _before_last(engine: Engine, project: Project, number: int | None) -> str:
    half_done = {item.version for item in engine.half_done()}
    return version_before_last(engine.status(project), half_done, number or 1)


def _last(project: Project, plan: Plan) -> Migration:
    """The last of the plan's migrations in the project's order."""
    return project.choose([step.version for step in plan.steps if step.repeat is None])[-1]


def _refuse_impossible_redo(engine: Engine, project: Project, plan: Plan) -> None:
    """What could not be applied again is not rolled back."""
    for step in plan.steps:
        if step.repeat:
            continue
        if project.find(step.version) is None:
            raise MigrationMissing(
                f"{step.version} cannot be applied again: its file is gone",
                version=step.version,
                hint=f"roll it back only: turnback down {step.version}",
            )
    chosen = {step.migration.key for step in plan.steps}
    before = {one.key for one in project.before(_last(project, plan).version)} if chosen else set()
    for item in engine.status(project):
        if item.pending and key(item.version) in before - chosen:
            raise OutOfOrder(
                f"{item.version} is pending, and older than what would be applied again",
                version=item.version,
                hint="apply it first: turnback up --out-of-order",
            )


def _confirm(verb: str, plan: Plan, *, yes: bool, out: Output) -> None:
    if plan.empty:
        return
    versions = listed([step.version for step in plan.steps], 10)
    confirm(f"{verb} {versions} on {out.document['database']}", yes=yes, out=out)


def _project_or_none(directory: Path) -> Project:
    """The project; empty if there is no folder, because the stored scripts are enough."""
    if not directory.exists():
        return Project(directory, ())
    return load_project(directory, left_over=True)
