"""``up`` and ``down``: apply migrations, or roll them back."""

from __future__ import annotations

import time
from pathlib import Path

import click

from turnback.cli import options as opt
from turnback.cli.database import open_engine
from turnback.cli.output import Output, ask, human_ms, may_ask, reported
from turnback.engine import Engine, Options, Plan, Report
from turnback.errors import ChecksumMismatch, MigrationIncomplete, TurnbackError
from turnback.migrations.checksums import compare
from turnback.migrations.discovery import load_project
from turnback.migrations.model import Project
from turnback.wording import counted, listed


@click.command(epilog="Example: turnback up --dry-run")
@click.argument("version", required=False, type=opt.Version())
@opt.database
@opt.directory
@click.option("--dry-run", is_flag=True, help="Print the plan and the exact SQL; change nothing.")
@click.option(
    "--out-of-order",
    is_flag=True,
    help="Also run migrations older than applied ones.",
)
@click.option(
    "--allow-missing-rollback",
    is_flag=True,
    help="Also run migrations without a rollback script.",
)
@opt.never_asks
@opt.patience
@opt.as_json
@reported
def up(
    *,
    version: str | None,
    database_url: str | None,
    history_schema: str,
    directory: Path,
    dry_run: bool,
    out_of_order: bool,
    allow_missing_rollback: bool,
    lock_timeout: float,
    lock_retry_for: float,
    wait: float,
    out: Output,
) -> int:
    """Apply the pending migrations, all or up to VERSION.

    Each is sent in one message together with its record in the history, so that a crash keeps both
    or neither. It stops at the first that fails, which is rolled back completely.
    """
    out.document |= {"run": None, "database": None, "applied": [], "error": None}
    project = load_project(directory)
    _warn_of_checksums(project, out)
    patience = _options(lock_timeout, lock_retry_for, wait)
    with open_engine(database_url, directory, history_schema, out, options=patience) as engine:
        plan = engine.plan_up(
            project,
            target=version,
            out_of_order=out_of_order,
            rollback_required=not allow_missing_rollback,
        )
        for text in plan.notes:
            out.note(f"note: {text}")
        if dry_run:
            return _show(engine, plan, out)
        began = time.monotonic()
        report = engine.run(plan)
        out.document["applied"] = [done.to_dict() for done in report.applied]
        if isinstance(report.error, MigrationIncomplete):
            _add_rollback_hint(project, report.error)
        return _close(report, "applied", len(report.applied), began, out)


@click.command(epilog="Example: turnback down 0004")
@click.argument("version", type=opt.Version())
@opt.database
@opt.directory
@click.option("--dry-run", is_flag=True, help="Print the plan and the exact SQL; change nothing.")
@opt.yes
@opt.patience
@opt.as_json
@reported
def down(
    *,
    version: str,
    database_url: str | None,
    history_schema: str,
    directory: Path,
    dry_run: bool,
    yes: bool,
    lock_timeout: float,
    lock_retry_for: float,
    wait: float,
    out: Output,
) -> int:
    """Roll back every migration after VERSION, newest first; 0 rolls back all of them.

    A migration that failed half way outside a transaction is undone first; statements of its
    rollback script that have nothing to undo are skipped and reported.

    The rollback script of the folder is used; if it is gone, the one stored in the database when
    its migration was applied. It stops at the first that fails.
    """
    out.document |= {"run": None, "database": None, "rolled_back": [], "error": None}
    project = _project_or_none(directory)
    patience = _options(lock_timeout, lock_retry_for, wait)
    with open_engine(database_url, directory, history_schema, out, options=patience) as engine:
        plan = engine.plan_down(project, target=version)
        if dry_run:
            return _show(engine, plan, out)
        if not plan.empty and not yes and may_ask(out.as_json):
            names = listed([step.version for step in plan.steps], 10)
            where = out.document["database"]
            ask(f"Roll back {names} on {where}?")
        began = time.monotonic()
        report = engine.run(plan)
        out.document["rolled_back"] = [done.to_dict() for done in report.rolled_back]
        return _close(report, "rolled back", len(report.rolled_back), began, out)


def _add_rollback_hint(project: Project, error: MigrationIncomplete) -> None:
    """Add to the hint how to undo what was done, if there is a rollback script."""
    migration = project.find(error.version) if error.version else None
    if migration is None or migration.rollback is None:
        return
    before = [m.version for m in project.migrations if m.number < migration.number]
    back = f"turnback down {before[-1] if before else 0} undoes what was done"
    error.hint = f"{error.hint}; or {back}" if error.hint else back


def _options(lock_timeout: float, lock_retry_for: float, wait: float) -> Options:
    return Options(
        lock_timeout_ms=int(lock_timeout * 1000), lock_retry_s=lock_retry_for, runner_wait_s=wait
    )


def _project_or_none(directory: Path) -> Project:
    """The project; empty if there is no folder, because the stored scripts are enough."""
    if not directory.exists():
        return Project(directory, ())
    return load_project(directory)


def _warn_of_checksums(project: Project, out: Output) -> None:
    if project.sums is None:
        return
    for finding in compare(project):
        if isinstance(finding, ChecksumMismatch):
            out.note(f"warning: {finding}; if this is intended: turnback check --fix")


def _show(engine: Engine, plan: Plan, out: Output) -> int:
    out.document["status"] = "dry_run"
    out.document["plan"] = [
        {**step, "sql": engine.preview(planned)}
        for step, planned in zip(plan.to_dict()["migrations"], plan.steps, strict=True)
    ]
    if plan.empty:
        out.result("Nothing to do.")
    for step in out.document["plan"]:
        way = "" if step["in_transaction"] else ", statement by statement, outside a transaction"
        if step.get("half_done"):
            way += "; half done: statements with nothing to undo are skipped"
        out.result(f"-- {plan.direction} {step['version']} {step['name']} ({step['file']}{way})")
        for message in step["sql"]:
            out.result(message)
        out.result()
    out.note(f"Dry run: {counted(len(plan.steps), 'migration')}; nothing was changed.")
    return 0


def _close(report: Report, verb: str, number: int, began: float, out: Output) -> int:
    took = human_ms(int((time.monotonic() - began) * 1000))
    if report.error:
        return _failed(report, report.error, verb, number, out)
    out.document["status"] = "succeeded" if number else "nothing_to_do"
    out.result(f"{counted(number, 'migration')} {verb} in {took}." if number else "Nothing to do.")
    return 0


def _failed(report: Report, error: TurnbackError, verb: str, number: int, out: Output) -> int:
    code = out.fail(error)
    if report.remaining:
        left = counted(len(report.remaining), "migration")
        done = counted(number, "migration")
        out.note(f"{done} {verb}; {left} left, the next is {report.remaining[0]}.")
    return code
