"""``up``: apply migrations; and how a plan is run, also by ``down`` and ``redo``."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from turnback.cli import options as opt
from turnback.cli import param_types as types
from turnback.cli.database import ci_job, open_engine
from turnback.cli.options import project_settings
from turnback.cli.output import Output, ask, human_ms, may_ask, reported
from turnback.cli.plan import (
    as_script_option,
    end_dry_run,
    print_script,
    refuse_two_forms,
    show_plan,
)
from turnback.cli.policy import Requirements, allow_destroy
from turnback.cli.snippet import located
from turnback.engine import Done, Engine, Interrupted, Options, Plan, Report
from turnback.engine.session.connection import describe
from turnback.engine.session.events import RunControl
from turnback.errors import ChecksumMismatch, ConfigurationError, MigrationIncomplete
from turnback.migrations.checksums import compare, record_sums
from turnback.migrations.discovery import load_project
from turnback.migrations.model import Project
from turnback.migrations.versions import BEFORE_FIRST
from turnback.settings.windows import Window, wait_for_end, windows_of
from turnback.wording import counted, listed

_SHOWN_FILES = 3


@click.command(epilog="Example: turnback up --dry-run")
@click.argument("version", required=False, type=types.Version())
@opt.database
@opt.directory
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print the plan and its SQL, with -v what turnback adds as well, and try it on a shadow "
    "database; change nothing.",
)
@as_script_option
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
@click.option(
    "--watch",
    is_flag=True,
    help="Apply again on each save; the last one is rolled back first if it was edited.",
)
@allow_destroy
@click.option(
    "--avoid",
    multiple=True,
    metavar="WINDOW",
    help="Begin no migration from 01:00-03:00, which is UTC, or '01:00-03:00 Europe/Berlin'; wait "
    "for its end. One that runs when it begins is not interrupted. May be repeated.",
)
@opt.never_asks
@opt.allow_code
@opt.lock_options
@opt.as_json
@reported
def up(
    *,
    version: str | None,
    database_url: str | None,
    history_schema: str,
    directory: Path,
    dry_run: bool,
    as_script: bool,
    out_of_order: bool,
    allow_missing_rollback: bool,
    watch: bool,
    allowed: tuple[str, ...],
    avoid: tuple[str, ...],
    lock_timeout: float | None,
    lock_retry_for: float,
    wait: float,
    out: Output,
) -> int:
    """Apply the pending migrations, all or up to VERSION.

    Each is sent in one message together with its record in the history, so that a crash keeps both
    or neither. It stops at the first that fails, which is rolled back completely.
    """
    out.document |= {"run": None, "database": None, "applied": [], "error": None}
    options = run_options(lock_timeout, lock_retry_for, wait, database_url)
    refuse_two_forms(dry_run, as_script, out)
    changes = not (dry_run or as_script)
    required = Requirements(directory, database_url, history_schema, allowed, out)
    if allow_missing_rollback and changes:
        required.refuse_missing_rollback()
    if watch:
        required.refuse_repeating("--watch")
        others = version or not changes or out_of_order or allow_missing_rollback or avoid
        if others or out.as_json:
            raise ConfigurationError("--watch cannot be combined with these", hint="use it alone")
        if database_url and not may_ask(out.as_json):
            raise ConfigurationError(
                "--watch rolls back on each save; on a named database it needs a terminal, to ask",
                hint="leave the address out to use the embedded Postgres",
            )
        if database_url:
            ask(f"Roll back and apply on {describe(database_url)} whenever a file is saved?")
        from turnback.cli.dev_loop import apply_on_save

        return apply_on_save(database_url, history_schema, directory, options, out)
    project = load_project(directory, left_over=True)
    windows = windows_of(avoid) or project.settings.avoid
    with open_engine(
        database_url,
        directory,
        history_schema,
        out,
        options=options,
        make=changes,
        writes=changes,
    ) as engine:
        plan = engine.plan_up(
            project,
            target=version,
            out_of_order=out_of_order,
            rollback_required=not allow_missing_rollback,
        )
        if project.left_over:
            raise project.left_over[0]
        for text in plan.notes:
            out.warn(text)
        project = keep_sums(project, plan, database_url, write=changes)
        _warn_of_checksums(project, out)
        if not changes:
            if as_script:
                return print_script(engine, plan, out)
            show_plan(engine, plan, out)
            return _try_out(engine, project, plan, database_url, out)
        required.meet(engine, project, plan)
        began = time.monotonic()
        report = run_up(engine, project, plan, out, windows)
        if isinstance(report.error, MigrationIncomplete):
            _add_rollback_hint(project, plan, report.error)
        return close_run(report, "applied", began, out)


def run_up(
    engine: Engine, project: Project, plan: Plan, out: Output, avoid: Sequence[Window] = ()
) -> Report:
    """Apply a plan, and keep the schema before each migration for a later rollback."""
    if plan.empty:
        return run_plan(engine, plan, out, RunControl())
    from turnback.cli.kept_schemas import KeptSchemas

    schemas = KeptSchemas(engine, project)

    def begins() -> bool:
        wait_for_end(avoid, out.note)
        schemas.look()
        return True

    report = run_plan(
        engine, plan, out, RunControl(begins=begins, apart=schemas.between(len(plan.steps)))
    )
    if not (report.error or report.interruption or report.running):
        schemas.look()
        schemas.keep()
    return report


def _add_rollback_hint(project: Project, plan: Plan, error: MigrationIncomplete) -> None:
    """Add to the hint how to undo what was done, if there is a rollback script."""
    migration = project.find(error.version) if error.version else None
    if migration is None or migration.rollback is None or migration.kind == "repeatable":
        return
    # What turnback cannot read has no record of its halves, so there is nothing it could undo.
    if any(s.version == error.version and s.runnable.statements is None for s in plan.steps):
        return
    before = project.before(migration.version)
    last = before[-1].version if before else BEFORE_FIRST
    back = f"turnback down {last} undoes what was done"
    error.hint = f"{error.hint}; or {back}" if error.hint else back


def run_options(
    lock_timeout: float | None, lock_retry_for: float, wait: float, url: str | None
) -> Options:
    return Options(
        lock_timeout_ms=None if lock_timeout is None else int(lock_timeout * 1000),
        lock_retry_s=lock_retry_for,
        runner_wait_s=wait,
        code=opt.code_rule(url),
    )


def keep_sums(project: Project, plan: Plan, url: str | None, *, write: bool = True) -> Project:
    """Keep SHA256SUMS up to date where migrations are written; a CI job has what was committed."""
    if url is not None and ci_job():
        return project
    # Of a repeatable the files: what undoes it is in none.
    migrations = [project.find(step.version) or step.migration for step in plan.steps]
    # The warning says it of a folder that cannot be written to.
    with contextlib.suppress(OSError):
        return replace(project, sums=record_sums(project, migrations, write=write))
    return project


def _warn_of_checksums(project: Project, out: Output) -> None:
    if project.sums is None:
        return
    found = [one for one in compare(project) if isinstance(one, ChecksumMismatch)]
    if found:
        texts = listed([located(one) for one in found], _SHOWN_FILES, "; ")
        out.warn(f"{texts}; if this is intended: turnback check --fix")


def _try_out(engine: Engine, project: Project, plan: Plan, url: str | None, out: Output) -> int:
    """Do what a plan would do on a shadow database; returns the exit code of a dry run."""
    out.document["rehearsal"] = None
    code = 0
    if not plan.empty:
        from turnback.cli.rehearse import rehearse_plan
        from turnback.cli.rehearsed import close

        began = time.monotonic()
        try:
            result = rehearse_plan(engine, project, plan, url, out)
        except ModuleNotFoundError as error:
            hint = "name a server for it by TURNBACK_SHADOW_URL"
            out.warn(f"not tried on a shadow database: {error}; {hint}")
        else:
            out.document["rehearsal"] = result.to_dict()
            proven = close(result, began, out)
            # Whether an unproven rollback matters is for the environment to say.
            policy = project_settings(click.get_current_context()).policy
            runs = all(one.forward == "applied" for one in result.migrations)
            code = proven if not runs or (policy and policy.proof_required) else 0
    return end_dry_run(plan, out) or code


def run_plan(engine: Engine, plan: Plan, out: Output, control: RunControl) -> Report:
    """Run a plan; the document gets what it did, also where Ctrl-C or SIGTERM ended it."""
    try:
        report = engine.run(plan, control)
    except Interrupted as stopped:
        report = stopped.report
        out.document["interrupted"] = report.interruption and report.interruption.to_dict()
    done = _done(report)
    out.document["applied" if plan.direction == "up" else "rolled_back"] = [
        one.to_dict() for one in done
    ]
    out.document["remaining"] = report.remaining
    return report


def _done(report: Report) -> list[Done]:
    return report.applied or report.rolled_back


def close_run(report: Report, verb: str, began: float, out: Output) -> int:
    took = human_ms(int((time.monotonic() - began) * 1000))
    number = len(_done(report))
    done = f"{_counted(report)} {verb}"
    if report.error:
        code = out.fail(report.error)
        if report.remaining:
            out.note(f"{done}; {_left(report)}.")
        return code
    if report.interruption:
        code = out.interrupted()
        out.note("; ".join(filter(None, [done, str(report.interruption), _left(report)])) + ".")
        return code
    out.document["status"] = "succeeded" if number else "nothing_to_do"
    out.result(f"{done} in {took}." if number else "Nothing to do.")
    return 0


def _counted(report: Report) -> str:
    """How many migrations a run has done, and repeatables if there were any."""
    kinds = [one.kind for one in _done(report)]
    again = kinds.count("repeatable")
    texts = [counted(len(kinds) - again, "migration")] if again < len(kinds) or not again else []
    return " and ".join([*texts, *([counted(again, "repeatable")] if again else [])])


def _left(report: Report) -> str:
    if not report.remaining:
        return ""
    left = counted(len(report.remaining), "migration")
    return f"{left} left, the next is {report.remaining[0]}"
