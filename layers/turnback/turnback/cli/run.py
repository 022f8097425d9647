"""``up``, ``down`` and ``redo``: apply migrations, roll them back, or both."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from turnback.cli import options as opt
from turnback.cli.database import ci_job, open_engine
from turnback.cli.options import project_settings
from turnback.cli.output import (
    Output,
    ask,
    human_ms,
    is_verbose,
    may_ask,
    reported,
)
from turnback.cli.policy import Requirements, allow_destroy
from turnback.cli.snippet import located, seen
from turnback.engine import Done, Engine, Interrupted, Options, Plan, Report, Step
from turnback.engine.look.status import version_before_last
from turnback.engine.session.connection import describe
from turnback.engine.session.events import RunControl
from turnback.errors import (
    ChecksumMismatch,
    ConfigurationError,
    MigrationIncomplete,
    MigrationMissing,
    OutOfOrder,
    TurnbackError,
)
from turnback.migrations.checksums import compare, record_sums
from turnback.migrations.discovery import load_project
from turnback.migrations.model import Migration, Project
from turnback.migrations.versions import BEFORE_FIRST, key
from turnback.settings.windows import Window, wait_for_end, windows_of
from turnback.wording import counted, listed

if TYPE_CHECKING:
    from turnback.runs.schema_before import Compared

_SHOWN_FILES = 3
_as_script = click.option(
    "--sql",
    "as_script",
    is_flag=True,
    help="Print a script for psql that does the same and leaves the same history; change nothing.",
)
_number = click.option(
    "-n",
    "--number",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many migrations; 1 if not given.",
)


@click.command(epilog="Example: turnback up --dry-run")
@click.argument("version", required=False, type=opt.Version())
@opt.database
@opt.directory
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print the plan and its SQL, with -v what turnback adds as well, and try it on a shadow "
    "database; change nothing.",
)
@_as_script
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
    options = _options(lock_timeout, lock_retry_for, wait, database_url)
    _refuse_two_forms(dry_run, as_script, out)
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
        project = _record_sums(project, plan, database_url, write=changes)
        _warn_of_checksums(project, out)
        if not changes:
            if as_script:
                return _print_script(engine, plan, out)
            _show(engine, plan, out)
            return _try_out(engine, project, plan, database_url, out)
        required.meet(engine, project, plan)
        began = time.monotonic()
        report = _run_up(engine, project, plan, out, windows)
        if isinstance(report.error, MigrationIncomplete):
            _add_rollback_hint(project, plan, report.error)
        return _close(report, "applied", began, out)


@click.command(epilog="Example: turnback down, turnback down -n 3 or turnback down 0004")
@click.argument("version", required=False, type=opt.Version())
@_number
@opt.database
@opt.directory
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print the plan and its SQL, with -v what turnback adds as well; change nothing.",
)
@_as_script
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

    What the scripts have also dropped of migrations before them is named, with exit code 6.

    It asks first; without a terminal, and with --json, --yes is required.
    """
    if version is not None and number is not None:
        raise ConfigurationError("VERSION and -n exclude each other", hint="give one of them")
    out.document |= {"run": None, "database": None, "rolled_back": [], "error": None}
    project = _project_or_none(directory)
    options = _options(lock_timeout, lock_retry_for, wait, database_url)
    _refuse_two_forms(dry_run, as_script, out)
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
                return _print_script(engine, plan, out)
            _show(engine, plan, out)
            return _end_dry_run(plan, out)
        _confirm(f"Roll back {_names(plan)}", plan, yes, out)
        Requirements(directory, database_url, history_schema, allowed, out).meet(
            engine, project, plan
        )
        began = time.monotonic()
        report, lost_too, compared = _run_down(engine, project, plan, out)
        code = _close(report, "rolled back", began, out)
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
    options = _options(lock_timeout, lock_retry_for, wait, database_url)
    Requirements(directory, database_url, history_schema, (), out).refuse_repeating("redo")
    with open_engine(
        database_url, directory, history_schema, out, options=options, writes=True
    ) as engine:
        target = _before_last(engine, project, number)
        plan = engine.plan_down(project, target=target, edited=True)
        _refuse_impossible_redo(engine, project, plan)
        _confirm(f"Roll back and apply again {_names(plan)}", plan, yes, out)
        began = time.monotonic()
        report, lost_too, compared = _run_down(engine, project, plan, out)
        if compared and compared.error:
            # The migration is still being written.
            out.warn(compared.error.message)
        if report.error or report.interruption or plan.empty or lost_too:
            code = _close(report, "rolled back", began, out)
            return out.fail(lost_too) if lost_too else code
        again = engine.plan_up(project, target=_last(project, plan).version)
        _record_sums(project, again, database_url)
        return _close(_run_up(engine, project, again, out), "applied again", began, out)


def _run_up(
    engine: Engine, project: Project, plan: Plan, out: Output, avoid: Sequence[Window] = ()
) -> Report:
    """Apply a plan, and keep the schema before each migration for a later rollback."""
    if plan.empty:
        return _run(engine, plan, out, RunControl())
    from turnback.cli.kept_schemas import KeptSchemas

    schemas = KeptSchemas(engine, project)

    def begins() -> bool:
        wait_for_end(avoid, out.note)
        schemas.look()
        return True

    report = _run(
        engine, plan, out, RunControl(begins=begins, apart=schemas.between(len(plan.steps)))
    )
    if not (report.error or report.interruption or report.running):
        schemas.look()
        schemas.keep()
    return report


def _run_down(
    engine: Engine, project: Project, plan: Plan, out: Output
) -> tuple[Report, TurnbackError | None, Compared | None]:
    """Run a rollback.

    Returns:
        Its report; the error that names what it has dropped of others; what the schema is, compared
        with what it was before the migrations, if all of them were rolled back.
    """
    if plan.empty:
        return _run(engine, plan, out, RunControl()), None, None
    from turnback.cli.kept_schemas import KeptSchemas
    from turnback.schema.earlier import lost_with_rollback, schema_now

    schemas = KeptSchemas(engine, project)
    before, others = schema_now(engine), schemas.changed_by_others()
    report = _run(engine, plan, out, RunControl())
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


def _confirm(question: str, plan: Plan, yes: bool, out: Output) -> None:
    """Ask whether to run a plan that rolls back, unless --yes said so already.

    Raises:
        ConfigurationError: the answer was no, or nobody can be asked.
    """
    if plan.empty or yes:
        return
    where = out.document["database"]
    if not may_ask(out.as_json):
        raise ConfigurationError(
            f"this would {question[0].lower()}{question[1:]} on {where}", hint="confirm with --yes"
        )
    ask(f"{question} on {where}?")


def _names(plan: Plan) -> str:
    return listed([step.version for step in plan.steps], 10)


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


def _options(
    lock_timeout: float | None, lock_retry_for: float, wait: float, url: str | None
) -> Options:
    return Options(
        lock_timeout_ms=None if lock_timeout is None else int(lock_timeout * 1000),
        lock_retry_s=lock_retry_for,
        runner_wait_s=wait,
        code=opt.code_rule(url),
    )


def _project_or_none(directory: Path) -> Project:
    """The project; empty if there is no folder, because the stored scripts are enough."""
    if not directory.exists():
        return Project(directory, ())
    return load_project(directory, left_over=True)


def _record_sums(project: Project, plan: Plan, url: str | None, *, write: bool = True) -> Project:
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


def _show(engine: Engine, plan: Plan, out: Output) -> None:
    out.is_report = True
    out.document["status"] = "dry_run"
    out.document["plan"] = [
        {**step, "sql": engine.preview(planned)}
        for step, planned in zip(plan.to_dict()["migrations"], plan.steps, strict=True)
    ]
    if plan.empty:
        out.result("Nothing to do.")
    for step, planned in zip(out.document["plan"], plan.steps, strict=True):
        way = "" if step["in_transaction"] else f", {_way(planned)}"
        if step.get("half_done"):
            way += "; half done: statements with nothing to undo are skipped"
        file = seen(step["file"])
        out.result(f"-- {plan.direction} {step['version']} {step['name']} ({file}{way})")
        for text in step["sql"] if is_verbose() else _scripts(planned):
            out.result(text)
        out.result()


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
    return _end_dry_run(plan, out) or code


def _end_dry_run(plan: Plan, out: Output) -> int:
    out.note(f"Dry run: {counted(len(plan.steps), 'migration')}; nothing was changed.")
    return 0


def _refuse_two_forms(dry_run: bool, as_script: bool, out: Output) -> None:
    if as_script and (dry_run or out.as_json):
        raise ConfigurationError(
            "--sql prints a script and nothing else", hint="leave --dry-run and --json out"
        )


def _print_script(engine: Engine, plan: Plan, out: Output) -> int:
    """Print a script for psql as it is, in UTF-8 whatever the terminal's encoding."""
    out.is_report = True
    if plan.empty:
        out.note("Nothing to do.")
    else:
        for part in engine.script(plan):
            click.echo(part.encode(), nl=False)
        number = counted(len(plan.steps), "migration")
        out.note(f"A script of {number} for psql; nothing was changed.")
    return 0


def _run(engine: Engine, plan: Plan, out: Output, control: RunControl) -> Report:
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


def _way(step: Step) -> str:
    if step.runnable.starts:
        return f"in {len(step.runnable.transactions())} transactions"
    return "statement by statement, outside a transaction"


def _scripts(step: Step) -> Iterable[str]:
    """What the user wrote, and nothing of turnback's own."""
    if step.runnable.starts:
        for number, part in enumerate(step.runnable.transactions(), 1):
            yield f"-- transaction {number}"
            yield part.written.strip()
    else:
        yield step.runnable.script.sql.rstrip()
    if step.verify:
        yield f"-- verify ({seen(step.verify.script.path)})"
        yield step.verify.script.sql.rstrip()


def _close(report: Report, verb: str, began: float, out: Output) -> int:
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
