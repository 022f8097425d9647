"""``rehearse`` and ``checklist``: prove rollbacks on a shadow database, before they are needed."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import click

from turnback.cli import options as opt
from turnback.cli import param_types as types
from turnback.cli.annotations import (
    folder_of,
    format_option,
    formatted,
)
from turnback.cli.database import has_own_database, open_engine
from turnback.cli.options import project_settings
from turnback.cli.output import Output, reported
from turnback.cli.rehearsed import SHOWN_DIFFERENCES, Progress, annotated, close, impact
from turnback.cli.snippet import seen
from turnback.engine import Engine, Plan
from turnback.engine.run.repeatables import changed, in_force
from turnback.errors import ConfigurationError
from turnback.migrations.artifact import open_artifact
from turnback.migrations.checksums import rollbacks_of, scripts_of
from turnback.migrations.discovery import load_project
from turnback.migrations.model import Migration, Project
from turnback.recovery.dumps.beside import copy_by_dump
from turnback.recovery.dumps.schemas import dump_schemas
from turnback.recovery.dumps.server import open_maintenance
from turnback.recovery.endpoint import Endpoint
from turnback.rehearsal import proof
from turnback.rehearsal.copy import Copies, Target, look_at, refuse_outside
from turnback.rehearsal.impact import Size, human_bytes, sizes
from turnback.rehearsal.shadow import Shadow
from turnback.rehearsal.stored import Chosen
from turnback.rehearsal.surroundings import Surroundings, read_surroundings
from turnback.rehearsal.verdict import Rehearsed
from turnback.runs import checklist as answers
from turnback.runs.record_types import RehearsalRecord
from turnback.schema.platform import not_compared
from turnback.wording import counted

_ANSWER_COLORS = {"yes": "green", "no": "red", "unknown": "yellow"}
_no_stored_state = click.option(
    "--no-stored-state",
    "anew",
    is_flag=True,
    help="Apply every migration before the chosen ones again, and store nothing.",
)


@click.command(epilog="Example: turnback rehearse --all")
@click.argument("versions", nargs=-1, type=types.Version())
@click.option("--all", "everything", is_flag=True, help="Every migration, not only the pending.")
@click.option(
    "--on",
    "place",
    type=click.Choice(["shadow", "copy"]),
    default="shadow",
    show_default=True,
    help="An empty shadow database, or a copy of the target beside it, with its rows.",
)
@opt.shadow_url
@opt.allow_code
@_no_stored_state
@opt.database
@opt.directory
@format_option
@opt.as_json
@reported
@formatted
def rehearse(
    *,
    versions: tuple[str, ...],
    everything: bool,
    place: str,
    shadow_url: str | None,
    anew: bool,
    database_url: str | None,
    history_schema: str,
    directory: Path,
    form: str,
    out: Output,
) -> int:
    """Prove the rollbacks: up, down, up again on a shadow database.

    Rehearses the pending migrations, or VERSIONS. The schema must come back identical, and each
    statement is traced: what it locks, rewrites and scans. With --database-url the sizes of that
    database's tables are shown as well; it is only read.

    --on copy rehearses on a copy of that database, on its own server: what is pending, with all
    rows and extensions; each duration is measured. The copy is dropped afterwards.

    \b
    exact         the schema is back as it was
    column_order  the same columns in another order
    names         a constraint or an index has another name
    differs       the schema is not as it was
    failed        the rollback script, or the migration, does not run
    missing       there is no rollback script
    irreversible  there is no rollback script, and the header says why
    """
    project = load_project(directory)
    on_copy = place == "copy"
    if on_copy:
        _refuse_without_target(database_url, shadow_url, everything=everything)
    reach = partial(open_engine, database_url, directory, history_schema, out)
    asks = not everything and (database_url or has_own_database(directory))
    out.document["baseline"] = project.settings.baseline
    chosen = (
        project.choose(versions)
        if versions
        else _after_baseline(project, reach if asks else None, out)
    )
    standing = list[Migration]()
    if project.repeatables and asks and not versions:
        with reach() as engine:
            standing = in_force(engine.history)
    repeatables = [] if versions else changed(project, chosen, standing)
    if not chosen and not repeatables:
        out.document |= {"status": "nothing_to_do", "migrations": []}
        out.result(
            "There is only the baseline, which is not proven."
            if everything and project.baseline
            else "Nothing is pending. To rehearse every migration: turnback rehearse --all"
        )
        annotated(Rehearsed(), project, folder_of(directory)).print(form, out)
        return 0
    began = time.monotonic()
    rehearsed = Chosen(project, chosen, history_schema)
    with ground(place, shadow_url, database_url, rehearsed, reach, out, anew=anew) as shadow:
        shown = Progress(out, began)
        shadow.repeatables = () if on_copy else standing
        result = proof.rehearse(
            project,
            chosen,
            shadow,
            repeatables=repeatables,
            history_schema=history_schema,
            listener=shown.verdict,
            progress=shown.event,
        )
    if project.shadow and not on_copy:
        out.note(
            f"{seen(project.shadow.path)} ran first (SHA-256 {project.shadow.checksum[:12]}…)."
        )
    if (platform := project.settings.platform) and not on_copy and not shadow.surroundings:
        name = platform.capitalize()
        out.note(f"No target is named: the shadow database had the roles and schemas of {name}.")
    for missing in shadow.missing:
        out.warn(missing)
    for left in shadow.left:
        out.warn(f"left on the server of the shadow: {left}")
    for sentence in not_compared(result.not_compared, SHOWN_DIFFERENCES):
        out.warn(sentence)
    known: dict[str, Size] = {}
    if database_url and (tables := result.tables()):
        with open_engine(database_url, directory, history_schema, out) as engine:
            known = sizes(engine.connection, tables)
    out.document |= {**result.to_dict(), "on": place}
    if isinstance(shadow, Copies):
        out.document["copy"] = shadow.to_dict()
    out.document["sizes"] = {table: size.to_dict() for table, size in known.items()}
    for verdict in result.migrations:
        impact(verdict, known, out, measured=on_copy)
    code = close(result, began, out)
    annotated(result, project, folder_of(directory)).print(form, out)
    return code


def _after_baseline(
    project: Project, reach: Callable[[], AbstractContextManager[Engine]] | None, out: Output
) -> list[Migration]:
    """What comes after the baseline: what is pending in a database, or without one all of it."""
    chosen: Sequence[Migration] = project.migrations
    if reach:
        with reach() as engine:
            chosen = _pending(project, engine)
    found = [one for one in chosen if not project.in_baseline(one.version)]
    if found and project.baseline:
        number = counted(project.baseline, "migration")
        out.note(f"The baseline runs first, and is not proven: {number}.")
    return found


def _pending(project: Project, engine: Engine) -> list[Migration]:
    return project.choose([item.version for item in engine.status(project) if item.pending])


def _surroundings(project: Project, engine: Engine, url: str) -> Surroundings:
    def dump(names: Sequence[str]) -> str:
        return dump_schemas(Endpoint.from_url(url), names)

    waiting = _pending(project, engine)
    return read_surroundings(
        engine.connection,
        (one.code_head for one in scripts_of(project)),
        dump,
        rollbacks=rollbacks_of(project.migrations),
        applied=rollbacks_of(one for one in project.migrations if one not in waiting),
        history_schema=engine.history.schema,
    )


def _to_copy(chosen: Chosen, engine: Engine, url: str) -> Target:
    """The target as it is copied; refuses what cannot be rehearsed on a copy."""
    pending = _pending(chosen.project, engine)
    waiting = {migration.version for migration in pending}
    for migration in chosen.migrations:
        if migration.version not in waiting:
            raise ConfigurationError(
                f"{migration.version} is applied to the target, and so to a copy of it",
                hint="--on copy rehearses what is pending; leave it out for the others",
            )
    if chosen.migrations:
        refuse_outside(pending[: pending.index(chosen.migrations[-1]) + 1])
    applied = {one.version for one in chosen.project.migrations} - waiting
    target = look_at(engine.connection, url, applied)
    target.refuse_if_too_large()
    return target


def rehearse_plan(
    engine: Engine, project: Project, plan: Plan, url: str | None, out: Output
) -> Rehearsed:
    """Rehearse what a plan would apply, on a shadow database; shows each verdict.

    Args:
        engine: of the database that the plan is for; it is only read.
        project: all migrations.
        plan: upwards.
        url: the database's address; None for the embedded one.
        out: the command's.

    Raises:
        TurnbackError: as ``proof.rehearse``.
    """
    settings = project_settings(click.get_current_context())
    shadow_url = settings.value("TURNBACK_SHADOW_URL", "shadow_url")
    planned = [step.migration for step in plan.steps]
    chosen = Chosen(
        project, [one for one in planned if one.kind == "migration"], engine.history.schema
    )
    shown = Progress(out, time.monotonic())

    def here() -> contextlib.nullcontext[Engine]:
        return contextlib.nullcontext(engine)

    with ground("shadow", shadow_url, url, chosen, here, out, anew=False) as shadow:
        shadow.repeatables = in_force(engine.history)
        return proof.rehearse(
            project,
            chosen.migrations,
            shadow,
            repeatables=[one for one in planned if one.kind == "repeatable"],
            history_schema=chosen.history_schema,
            listener=shown.verdict,
            progress=shown.event,
        )


def _refuse_without_target(
    database_url: str | None, shadow_url: str | None, *, everything: bool
) -> None:
    # One of a variable or of turnback.toml is for the other rehearsals.
    source = click.get_current_context().get_parameter_source("shadow_url")
    two_places = bool(shadow_url) and source is click.core.ParameterSource.COMMANDLINE
    if everything or two_places or not database_url:
        raise ConfigurationError(
            "--on copy rehearses what is pending on a copy of the target",
            hint="name the target (--database-url), and leave out --all and --shadow-url",
        )


@contextlib.contextmanager
def ground(
    place: str,
    shadow_url: str | None,
    database_url: str | None,
    chosen: Chosen,
    reach: Callable[[], AbstractContextManager[Engine]],
    out: Output,
    *,
    anew: bool,
) -> Iterator[Shadow]:
    """What is rehearsed on: copies of the target, or a shadow with what it has of the target."""
    surroundings = None
    if database_url and place == "copy":
        with reach() as engine:
            target = _to_copy(chosen, engine, database_url)
            settings = read_surroundings(engine.connection, (), lambda _: "")
        with _copies(target, settings, out) as copies:
            yield copies
        return
    if database_url:
        with reach() as engine:
            surroundings = _surroundings(chosen.project, engine, database_url)
    with open_shadow(shadow_url, chosen, surroundings, out, anew=anew) as shadow:
        yield shadow


@contextlib.contextmanager
def _copies(target: Target, settings: Surroundings, out: Output) -> Iterator[Copies]:
    """Copies of the target, on its own server."""
    # Not on Windows.
    from turnback.rehearsal.folder import locked_folder

    endpoint = Endpoint.from_url(target.url)
    with open_maintenance(endpoint, "turnback copy") as connection:
        maintenance = connection.info.dbname
    out.note(
        f"Copying {target.name} on its own server: {human_bytes(target.bytes)} there, "
        f"about {target.seconds:.0f} s if it has to be dumped"
    )
    with locked_folder("turnback-copy-", shutil.rmtree) as folder:

        def restore(name: str) -> Sequence[str]:
            return copy_by_dump(endpoint, name, target.bytes, folder)

        copies = Copies(target, maintenance, restore, settings, out.note)
        copies.code = opt.code_rule(target.url)
        yield copies


@contextlib.contextmanager
def open_shadow(
    url: str | None,
    chosen: Chosen,
    surroundings: Surroundings | None,
    out: Output,
    *,
    anew: bool,
) -> Iterator[Shadow]:
    """The shadow on the server of this address; without one, on a throw-away server."""
    if url:
        shadow = Shadow(url)
        shadow.surroundings = surroundings
        shadow.code = opt.code_rule(url)
        yield shadow
        return
    # Not on Windows, and not needed with a server of the user's own.
    from turnback.local.shadow import throw_away

    with throw_away(chosen, surroundings, store=not anew, note=out.note, warn=out.warn) as shadow:
        yield shadow


@click.command(epilog="Example: turnback checklist 1.4.0.zip")
@click.argument("artifact", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@opt.environment_options
@opt.shadow_url
@opt.allow_code
@_no_stored_state
@opt.database
@opt.as_json
@reported
def checklist(
    *,
    artifact: Path,
    shadow_url: str | None,
    anew: bool,
    database_url: str | None,
    history_schema: str,
    out: Output,
) -> int:
    """Answer the checklist of a release from its artifact, each answer with its evidence.

    The release is rehearsed for it: all of its migrations, or with --database-url those that are
    pending there. What only a run on AWS can know says so; the run answers it in its report.
    Exit code 3 when an answer is no.
    """
    opened = open_artifact(artifact)
    project = opened.project
    chosen = list(project.migrations)
    surroundings, standing = None, list[Migration]()
    if database_url:
        with open_engine(database_url, project.folder, history_schema, out) as engine:
            chosen = _pending(project, engine)
            standing = in_force(engine.history)
            surroundings = _surroundings(project, engine, database_url)
    repeatables = changed(project, chosen, standing)
    if not chosen and not repeatables:
        out.document |= {"status": "nothing_to_do", "checklist": []}
        out.result(f"Nothing of release {opened.release} is pending.")
        return 0
    rehearsed = Chosen(project, chosen, history_schema)
    with open_shadow(shadow_url, rehearsed, surroundings, out, anew=anew) as shadow:
        shadow.repeatables = standing
        result = proof.rehearse(
            project, chosen, shadow, repeatables=repeatables, history_schema=history_schema
        )
    rehearsal = RehearsalRecord.from_state(result.to_dict())
    known = answers.Evidence(opened.source, answers.undocumented(chosen), rehearsal)
    items = [item.to_dict() for item in answers.checklist(known)]
    refused = any(item["answer"] == "no" for item in items)
    out.document |= {
        "status": "incomplete" if refused else "complete",
        "release": opened.release,
        "checklist": items,
    }
    for item in items:
        word = click.style(f"{item['answer']:<8}", fg=_ANSWER_COLORS[item["answer"]])
        out.result(f"  {word} {item['item']:<29} {item['evidence']}")
    out.result(f"\nRelease {opened.release}: {answers.in_short(items).partition(';')[0]}.")
    return 3 if refused else 0
