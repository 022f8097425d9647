"""``rehearse`` and ``checklist``: prove rollbacks on a shadow database, before they are needed."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import click

from turnback.cli import options as opt
from turnback.cli.annotations import (
    Annotation,
    Annotations,
    folder_of,
    format_option,
    formatted,
)
from turnback.cli.database import has_own_database, open_engine
from turnback.cli.output import Output, human_ms, reported
from turnback.cli.snippet import located, seen, snippet
from turnback.engine import Engine
from turnback.engine.session.events import Event, EventKind
from turnback.errors import ConfigurationError, TurnbackError
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
from turnback.rehearsal.impact import Size, describe, human_bytes, sizes
from turnback.rehearsal.shadow import Shadow, refuse_full_disk
from turnback.rehearsal.surroundings import Surroundings, read_surroundings
from turnback.rehearsal.verdict import UNPROVEN, Rehearsed, Verdict
from turnback.runs import checklist as answers
from turnback.runs.reporting.progress import name_of
from turnback.runs.state import RehearsalRecord
from turnback.settings.project import FILE
from turnback.wording import capped, counted, listed

_COLORS = {"exact": "green", "irreversible": "yellow", "column_order": "green", "names": "green"}
_ANSWER_COLORS = {"yes": "green", "no": "red", "unknown": "yellow"}
_SHOWN_DIFFERENCES = 20
# A statement on a copy that takes so long is shown with its time.
_SHOWN_MS = 50
_PAGE = "docs/rehearsal.md"


@click.command(epilog="Example: turnback rehearse --all")
@click.argument("versions", nargs=-1, type=opt.Version())
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
    if versions:
        chosen = project.choose(versions)
    elif everything or not (database_url or has_own_database(directory)):
        chosen = list(project.migrations)
    else:
        with open_engine(database_url, directory, history_schema, out) as engine:
            chosen = _pending(project, engine)
    if not chosen:
        out.document |= {"status": "nothing_to_do", "migrations": []}
        out.result("Nothing is pending. To rehearse every migration: turnback rehearse --all")
        annotated(Rehearsed(), project, folder_of(directory)).print(form, out)
        return 0
    began = time.monotonic()
    reach = partial(open_engine, database_url, directory, history_schema, out)
    with _ground(place, shadow_url, database_url, project, chosen, reach, out) as shadow:
        shown = _Progress(out, began)
        result = proof.rehearse(
            project,
            chosen,
            shadow,
            history_schema=history_schema,
            listener=shown.verdict,
            progress=shown.event,
        )
    if project.shadow and not on_copy:
        out.note(
            f"{seen(project.shadow.path)} ran first (SHA-256 {project.shadow.checksum[:12]}…)."
        )
    for missing in shadow.missing:
        out.warn(missing)
    for left in shadow.left:
        out.warn(f"left on the server of the shadow: {left}")
    if result.not_compared:
        objects = listed(result.not_compared, _SHOWN_DIFFERENCES)
        out.warn(f"not compared, by [ignore] in {FILE}: {objects}")
    known: dict[str, Size] = {}
    if database_url and (tables := result.tables()):
        with open_engine(database_url, directory, history_schema, out) as engine:
            known = sizes(engine.connection, tables)
    out.document |= {**result.to_dict(), "on": place}
    if isinstance(shadow, Copies):
        out.document["copy"] = shadow.to_dict()
    out.document["sizes"] = {table: size.to_dict() for table, size in known.items()}
    for verdict in result.migrations:
        _impact(verdict, known, out, measured=on_copy)
    code = _close(result, began, out)
    annotated(result, project, folder_of(directory)).print(form, out)
    return code


def annotated(result: Rehearsed, project: Project, folder: str) -> Annotations:
    """What is not proven, beside the lines to change.

    Args:
        result: of the rehearsal.
        project: what was rehearsed.
        folder: of the project, from the root of the repository.
    """
    wrong = [verdict for verdict in result.migrations if not verdict.proven]
    found = [_annotation(verdict, project) for verdict in wrong]
    if not found and not result.proven and result.migrations:
        last = result.migrations[-1]
        parts = [str(one) for one in (result.release_error, *result.release_differences) if one]
        found.append(
            Annotation(
                level="error",
                rule="rollback",
                name=str(result.release),
                title="the rollback of all of them as one release",
                **_place(result.release_error, last.rollback_file or last.file, project),
                message="Rolled back as one release, the migrations do not restore the schema.",
                why="\n".join(parts),
                sql="",
                page=_PAGE,
            )
        )
    number = counted(len(result.migrations), "migration")
    summary = f"{number} proven" if result.proven else f"{len(wrong)} of {number} not proven"
    return Annotations("rehearse", summary, folder, found)


def _annotation(verdict: Verdict, project: Project) -> Annotation:
    name = f"{verdict.version} {verdict.name}"
    file = verdict.rollback_file or verdict.file
    message = f"The rollback of {name} does not restore the schema."
    if verdict.forward == "failed":
        message, file = f"{name} cannot be applied.", verdict.file
    elif verdict.rollback == "failed":
        message = f"The rollback of {name} fails."
    elif verdict.rollback == "missing":
        message = f"{name} has no rollback script."
    elif verdict.rollback not in UNPROVEN:
        message = f"{name} cannot be applied again after its rollback."
    # With a rollback that differs, the error is what came of it: the second time fails.
    error = None if verdict.rollback == "differs" else verdict.error
    again = [f"the second time: {one}" for one in verdict.reapply_differences]
    parts = [*map(str, filter(None, (verdict.error, *verdict.differences))), *verdict.rows, *again]
    return Annotation(
        level="error",
        rule="rollback",
        name=verdict.rollback if verdict.forward == "applied" else "not rehearsed",
        title=f"the rollback of {name}",
        **_place(error, file, project),
        message=message,
        why="\n".join(parts),
        sql="\n".join(verdict.suggestions),
        page=_PAGE,
    )


def _place(error: TurnbackError | None, file: str, project: Project) -> dict[str, Any]:
    """Where an error is; else the end of the file, to which something is to be added."""
    if error and error.file and error.line:
        return {"file": error.file, "line": error.line, "column": error.column or 1}
    [script] = [script for script in scripts_of(project) if script.path == file]
    line, column = script.position(max(len(script.sql.rstrip()) - 1, 0))
    return {"file": file, "line": line, "column": column}


def _pending(project: Project, engine: Engine) -> list[Migration]:
    waiting = {int(item.version) for item in engine.status(project) if item.pending}
    return [migration for migration in project.migrations if migration.number in waiting]


def _surroundings(project: Project, engine: Engine, url: str) -> Surroundings:
    def dump(names: Sequence[str]) -> str:
        return dump_schemas(Endpoint.from_url(url), names)

    return read_surroundings(
        engine.connection,
        (one.code_head for one in scripts_of(project)),
        dump,
        rollbacks=rollbacks_of(project),
        history_schema=engine.history.schema,
    )


def _to_copy(project: Project, chosen: Sequence[Migration], engine: Engine, url: str) -> Target:
    """The target as it is copied; refuses what cannot be rehearsed on a copy."""
    pending = _pending(project, engine)
    waiting = {migration.version for migration in pending}
    for migration in chosen:
        if migration.version not in waiting:
            raise ConfigurationError(
                f"{migration.version} is applied to the target, and so to a copy of it",
                hint="--on copy rehearses what is pending; leave it out for the others",
            )
    refuse_outside(one for one in pending if one.number <= chosen[-1].number)
    applied = {one.version for one in project.migrations} - waiting
    target = look_at(engine.connection, url, applied)
    target.refuse_if_too_large()
    return target


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
def _ground(
    place: str,
    shadow_url: str | None,
    database_url: str | None,
    project: Project,
    chosen: Sequence[Migration],
    reach: Callable[[], AbstractContextManager[Engine]],
    out: Output,
) -> Iterator[Shadow]:
    """What is rehearsed on: copies of the target, or a shadow with what it has of the target."""
    surroundings = None
    if database_url and place == "copy":
        with reach() as engine:
            target = _to_copy(project, chosen, engine, database_url)
            settings = read_surroundings(engine.connection, (), lambda _: "")
        with _copies(target, settings, out) as copies:
            yield copies
        return
    if database_url:
        with reach() as engine:
            surroundings = _surroundings(project, engine, database_url)
    with _shadow(shadow_url, project, surroundings, out) as shadow:
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

        yield Copies(target, maintenance, restore, settings, out.note)


@contextlib.contextmanager
def _shadow(
    url: str | None, project: Project, surroundings: Surroundings | None, out: Output
) -> Iterator[Shadow]:
    """The shadow on the server of this address; without one, on a throw-away server."""
    if url:
        shadow = Shadow(url)
        shadow.surroundings = surroundings
        yield shadow
        return
    # Not on Windows, and not needed with a server of the user's own.
    from turnback.local.contrib import fetch_contrib
    from turnback.local.scratch import POSTGRES, scratch
    from turnback.local.server import EmbeddedServer
    from turnback.rehearsal.containment import contained
    from turnback.rehearsal.rights import AUTHENTICATION

    texts = (one.code_head for one in scripts_of(project))
    wanted = set(surroundings.extensions if surroundings else ())
    if "pgcrypto" in wanted or any("pgcrypto" in text for text in texts):
        try:
            fetch_contrib(out.note)
        except ConfigurationError as error:
            out.warn(f"{error.message}. The shadow database has a stand-in for it.")
    refuse_full_disk(project)
    with (
        scratch("shadow") as folder,
        contained(),
        EmbeddedServer.start(
            folder / POSTGRES, fast=True, authentication=AUTHENTICATION, say=out.note
        ) as server,
    ):
        out.note("The shadow database is on a throw-away embedded Postgres.")
        shadow = Shadow.on_throw_away(server.url())
        shadow.surroundings = surroundings
        yield shadow


class _Progress:
    """Shows what is rehearsed, with an estimate, and each verdict as it is found."""

    def __init__(self, out: Output, began: float) -> None:
        self._out = out
        self._began = began

    def event(self, event: Event) -> None:
        """Show what has begun, and how far it is."""
        if event.kind is EventKind.PROGRESS:
            self._out.status.progress(event.text, event.percent)
        elif event.kind is EventKind.STARTED:
            place = ""
            if event.position and event.total:
                done, of = event.position - 1, event.total
                left = (time.monotonic() - self._began) / done * (of - done) if done else None
                place = f" ({event.position:,} of {of:,}"
                place += f", {left:.0f} s to go)" if left else ")"
            self._out.status.show(f"{event.text} {name_of(event)}{place}")

    def verdict(self, verdict: Verdict) -> None:
        """Show a verdict."""
        self._out.status.clear()
        color = _COLORS.get(verdict.rollback, "red") if verdict.proven else "red"
        word = verdict.rollback if verdict.forward == "applied" else "cannot be applied"
        line = f"  {click.style(f'{word:<12}', fg=color)} {verdict.version} {verdict.name}"
        self._out.result(line)
        if verdict.error:
            for text in (located(verdict.error), *snippet(verdict.error)):
                self._out.result(f"      {text}")
        for text in capped([str(one) for one in verdict.differences], _SHOWN_DIFFERENCES):
            self._out.result(f"      {text}")
        for text in verdict.rows:
            self._out.result(f"      {text} after rollback")
        for difference in verdict.reapply_differences[:_SHOWN_DIFFERENCES]:
            self._out.result(f"      the second time: {difference}")
        if verdict.suggestions:
            self._out.result(f"      add to {seen(verdict.rollback_file or verdict.file)}:")
            for sql in verdict.suggestions:
                self._out.result(click.style(f"        {sql}", fg="cyan"))


def _impact(verdict: Verdict, known: Mapping[str, Size], out: Output, *, measured: bool) -> None:
    lines = [line for statement in verdict.statements for line in describe(statement, known)]
    if measured:
        slow = (one for one in verdict.statements if one.ms >= _SHOWN_MS)
        lines += [f"{one.line}: {human_ms(int(one.ms))}, measured on the copy" for one in slow]
    if not lines and not verdict.loses_data and not verdict.kept:
        return
    out.result(f"\n{verdict.version} {verdict.name}")
    for line in lines:
        out.result(f"  {seen(verdict.file)}:{line}")
    if verdict.loses_data:
        out.result(f"  its rollback destroys: {'; '.join(verdict.loses_data)}")
    for kept in verdict.kept:
        out.result(f"  its rollback keeps {kept}")


def _close(result: Rehearsed, began: float, out: Output) -> int:
    took = human_ms(int((time.monotonic() - began) * 1000))
    number = counted(len(result.migrations), "migration")
    if result.release_error:
        out.result(f"\nAll of them as one release: {located(result.release_error)}")
    hard = [one for one in result.release_differences if one.softness != "cosmetic"]
    for difference in hard[:_SHOWN_DIFFERENCES]:
        out.result(f"\nAll of them as one release: {difference}")
    if result.proven:
        out.result(f"\n{_proven(result)} in {took}.")
    else:
        out.result(f"\n{number} rehearsed in {took}: {'; '.join(_faults(result))}.")
    for name in result.stand_ins:
        out.result(f"{name}: a stand-in; what it computes was not proven")
    return 0 if result.proven else 3


def _proven(result: Rehearsed) -> str:
    """How many were rolled back, and how many cannot be."""
    irreversible = sum(verdict.rollback == "irreversible" for verdict in result.migrations)
    whole = len(result.migrations) - irreversible
    parts = []
    if whole or not irreversible:
        parts.append(f"{counted(whole, 'migration')} proven: up, down and up again")
    if irreversible:
        parts.append(f"{counted(irreversible, 'irreversible migration')} applied")
    return "; ".join(parts)


def _faults(result: Rehearsed) -> list[str]:
    """What is wrong, and with how many."""
    failed = sum(verdict.forward == "failed" for verdict in result.migrations)
    wrong = sum(not verdict.proven for verdict in result.migrations) - failed
    found = []
    if failed:
        found.append(f"{failed} cannot be applied")
    if wrong:
        found.append(f"{wrong} cannot be rolled back as written")
    return found or ["all of them together cannot be rolled back as written"]


@click.command(epilog="Example: turnback checklist 1.4.0.zip")
@click.argument("artifact", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@opt.environment_options
@opt.shadow_url
@opt.database
@opt.as_json
@reported
def checklist(
    *,
    artifact: Path,
    shadow_url: str | None,
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
    surroundings = None
    if database_url:
        with open_engine(database_url, project.folder, history_schema, out) as engine:
            chosen = _pending(project, engine)
            surroundings = _surroundings(project, engine, database_url)
    if not chosen:
        out.document |= {"status": "nothing_to_do", "checklist": []}
        out.result(f"Nothing of release {opened.release} is pending.")
        return 0
    with _shadow(shadow_url, project, surroundings, out) as shadow:
        result = proof.rehearse(project, chosen, shadow, history_schema=history_schema)
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
