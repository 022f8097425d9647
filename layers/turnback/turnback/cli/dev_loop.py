"""``up --watch``: apply on each save; the last migration is rolled back first if it was edited."""

from __future__ import annotations

from pathlib import Path

from watchfiles import Change, watch

from turnback.cli.database import open_engine, open_url
from turnback.cli.output import Output
from turnback.engine import Engine, Options
from turnback.engine.look.status import version_before_last
from turnback.errors import ChecksumMismatch, TurnbackError
from turnback.migrations.checksums import record_sums
from turnback.migrations.discovery import load_project
from turnback.migrations.model import Project
from turnback.wording import counted

# An editor writes a file in several steps.
_DEBOUNCE_MS = 300
_START_MS = 200


def apply_on_save(
    database_url: str | None, schema: str, directory: Path, options: Options, out: Output
) -> int:
    """Apply what is pending, now and whenever a script is saved, until Ctrl-C.

    Args:
        database_url: the database's address; None for the embedded one.
        schema: schema of the history tables.
        directory: the migrations.
        options: the engine's timeouts.
        out: where it is printed.
    """
    with open_url(database_url, directory, out, make=True) as url:
        changes = watch(
            directory,
            watch_filter=_is_script,
            debounce=_DEBOUNCE_MS,
            rust_timeout=_START_MS,
            yield_on_timeout=True,
        )
        started = False
        try:
            # The first time without a change: what was saved before the watch began is applied.
            for saved in changes:
                if saved or not started:
                    _apply(url, schema, directory, options, out, embedded=database_url is None)
                if not started:
                    out.result(f"Watching {directory}. Ctrl-C ends it.")
                    started = True
        except KeyboardInterrupt:
            out.note("")
    return 0


def _is_script(change: Change, path: str) -> bool:  # noqa: ARG001
    return path.endswith((".sql", ".py"))


def _apply(
    url: str, schema: str, directory: Path, options: Options, out: Output, *, embedded: bool
) -> None:
    """Bring the database to the state of the files; an error is printed, the next save retries."""
    try:
        project = load_project(directory)
        with open_engine(url, directory, schema, out, options=options) as engine:
            _roll_back_edited(engine, project)
            plan = engine.plan_up(project)
            if embedded:
                files = [project.find(step.version) or step.migration for step in plan.steps]
                record_sums(project, files)
            report = engine.run(plan)
        if report.error:
            raise report.error
        if report.applied:
            out.result(f"{counted(len(report.applied), 'migration')} applied.")
    except TurnbackError as error:
        out.fail(error)


def _roll_back_edited(engine: Engine, project: Project) -> None:
    """Roll back the last migration if its file was edited since it was applied."""
    found = engine.status(project)
    edited = [item.version for item in found if item.status == "changed"]
    if not edited:
        return
    applied = [item.version for item in found if item.status in ("applied", "changed", "missing")]
    if edited != applied[-1:]:
        behind = len(applied) - applied.index(edited[0])
        raise ChecksumMismatch(
            f"{edited[0]} was edited, and is not the last one that is applied",
            version=edited[0],
            hint=f"apply it again with all after it: turnback redo -n {behind}",
        )
    # By the rollback script that was stored with it: the one in the folder fits the new file.
    stored_only = Project(project.folder, ())
    target = version_before_last(found, (), 1)
    report = engine.run(engine.plan_down(stored_only, target=target))
    if report.error:
        raise report.error
