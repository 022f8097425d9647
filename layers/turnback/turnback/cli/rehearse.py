"""``rehearse``: prove each rollback on a shadow database, before it is needed."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from turnback.cli import options as opt
from turnback.cli.database import open_engine
from turnback.cli.output import Output, count, human_ms, reported
from turnback.errors import UnknownVersion
from turnback.migrations.discovery import load_project

if TYPE_CHECKING:
    from turnback.engine.look.impact import Size
    from turnback.migrations.model import Migration, Project
    from turnback.rehearsal.shadow import Shadow
    from turnback.rehearsal.trace import StatementTrace
    from turnback.rehearsal.verdict import Rehearsed, Verdict

_COLORS = {"exact": "green", "irreversible": "yellow", "column_order": "green", "names": "green"}
_SHOWN_DIFFERENCES = 20
_BAR = 24
# The table-level locks by what they conflict with (manual, 13.3.1).
_STRENGTH = {
    "ShareUpdateExclusiveLock": 1,
    "ShareLock": 2,
    "ShareRowExclusiveLock": 3,
    "ExclusiveLock": 4,
    "AccessExclusiveLock": 5,
}


@click.command(epilog="Example: turnback rehearse --all")
@click.argument("versions", nargs=-1, type=opt.Version())
@click.option("--all", "everything", is_flag=True, help="Every migration, not only the pending.")
@click.option(
    "--shadow-url",
    envvar="TURNBACK_SHADOW_URL",
    show_envvar=True,
    help="A server to make the shadow database on; a throw-away embedded Postgres if not given.",
)
@opt.database
@opt.directory
@opt.as_json
@reported
def rehearse(
    *,
    versions: tuple[str, ...],
    everything: bool,
    shadow_url: str | None,
    database_url: str | None,
    history_schema: str,
    directory: Path,
    out: Output,
) -> int:
    """Prove the rollbacks: up, down, up again on a shadow database.

    Of each migration, or of VERSIONS; those that are pending if none are named. The schema must
    come back identical, and each statement is watched: what it locks, rewrites and scans. With
    --database-url the sizes of that database's tables are told with it; it is only read.

    \b
    exact         the schema is back as it was
    column_order  the same columns in another order
    names         a constraint or an index has another name
    differs       the schema is another one
    failed        the rollback script, or the migration, does not run
    missing       there is no rollback script
    irreversible  said so in the header
    """
    from turnback.rehearsal.proof import rehearse as prove

    project = load_project(directory)
    chosen = chosen_migrations(
        project, versions, everything, database_url, history_schema, directory, out
    )
    if not chosen:
        out.document |= {"status": "nothing_to_do", "migrations": []}
        out.result("Nothing is pending. To rehearse every migration: turnback rehearse --all")
        return 0
    began = time.monotonic()
    with shadow_from(shadow_url, out) as shadow:
        result = prove(project, chosen, shadow, listener=_Teller(out, began))
    tables = {
        table
        for verdict in result.migrations
        for statement in verdict.statements
        for table in (*(relation for relation, _ in statement.locks), *statement.rewrites)
    }
    sizes = _sizes(database_url, history_schema, directory, tables, out)
    out.document |= result.to_dict()
    out.document["sizes"] = {table: size.to_dict() for table, size in sizes.items()}
    for verdict in result.migrations:
        _impact(verdict, sizes, out)
    return _close(result, began, out)


def chosen_migrations(
    project: Project,
    versions: tuple[str, ...],
    everything: bool,
    url: str | None,
    schema: str,
    directory: Path,
    out: Output,
) -> list[Migration]:
    """The migrations to rehearse: those named, everything, or what is pending in the database.

    Raises:
        UnknownVersion: one that is named is not there.
    """
    if versions:
        found = [(version, project.find(version)) for version in versions]
        for version, migration in found:
            if migration is None:
                raise UnknownVersion(
                    f"there is no migration {version}", hint="turnback status shows every migration"
                )
        numbers = {int(version) for version in versions}
        return [m for m in project.migrations if m.number in numbers]
    has_database = url or (directory.resolve().parent / ".turnback" / "postgres").exists()
    if everything or not has_database:
        return list(project.migrations)
    with open_engine(url, directory, schema, out) as engine:
        waiting = {int(item.version) for item in engine.status(project) if item.pending}
    return [m for m in project.migrations if m.number in waiting]


@contextlib.contextmanager
def shadow_from(url: str | None, out: Output) -> Iterator[Shadow]:
    """The shadow on the server of this address; without one, on a throw-away server."""
    from turnback.rehearsal.shadow import Shadow

    if url:
        yield Shadow(url)
        return
    from turnback.local.scratch import POSTGRES, scratch
    from turnback.local.server import EmbeddedServer

    with scratch("shadow") as folder, EmbeddedServer.start(folder / POSTGRES, fast=True) as server:
        out.note("The shadow database is on a throw-away embedded Postgres.")
        yield Shadow(server.url())


def _sizes(
    url: str | None, schema: str, directory: Path, tables: set[str], out: Output
) -> dict[str, Size]:
    if not url or not tables:
        return {}
    from turnback.engine.look.impact import sizes

    with open_engine(url, directory, schema, out) as engine:
        return sizes(engine.connection, tables)


class _Teller:
    """Tells each verdict as it is found, with a bar and an estimate at a terminal."""

    def __init__(self, out: Output, began: float) -> None:
        self._out = out
        self._began = began
        self._at_terminal = sys.stderr.isatty()

    def __call__(self, verdict: Verdict, done: int, of: int) -> None:
        color = _COLORS.get(verdict.rollback, "red") if verdict.proven else "red"
        word = verdict.rollback if verdict.forward == "applied" else "cannot be applied"
        line = f"  {click.style(f'{word:<12}', fg=color)} {verdict.version} {verdict.name}"
        self._bar("")
        self._out.result(line)
        if verdict.error:
            self._out.result(f"      {verdict.error}")
        for difference in verdict.differences[:_SHOWN_DIFFERENCES]:
            self._out.result(f"      {difference}")
        if len(verdict.differences) > _SHOWN_DIFFERENCES:
            self._out.result(f"      and {len(verdict.differences) - _SHOWN_DIFFERENCES} more")
        for text in verdict.rows:
            self._out.result(f"      {text} after rollback")
        for difference in verdict.reapply_differences[:_SHOWN_DIFFERENCES]:
            self._out.result(f"      the second time: {difference}")
        if verdict.suggestions:
            self._out.result(f"      add to {verdict.rollback_file}:")
            for sql in verdict.suggestions:
                self._out.result(click.style(f"        {sql}", fg="cyan"))
        left = (time.monotonic() - self._began) / done * (of - done)
        filled = _BAR * done // of
        bar = "█" * filled + "░" * (_BAR - filled)
        self._bar(f"{bar} {done} of {of}, {left:.0f} s to go" if done < of else "")

    def _bar(self, text: str) -> None:
        if self._at_terminal:
            # Back to the line's beginning, and what was there erased (ECMA-48, EL).
            click.echo(f"\r\033[K{text}", nl=False, err=True)


def _impact(verdict: Verdict, sizes: dict[str, Size], out: Output) -> None:
    told = [text for statement in verdict.statements for text in _told(statement, sizes)]
    if not told and not verdict.loses_data:
        return
    out.result(f"\n{verdict.version} {verdict.name}")
    for text in told:
        out.result(f"  {verdict.file}:{text}")
    if verdict.loses_data:
        out.result(f"  its rollback throws away: {'; '.join(verdict.loses_data)}")


def _told(statement: StatementTrace, sizes: dict[str, Size]) -> Iterator[str]:
    from turnback.engine.look.impact import judge

    # The strongest is what others feel; the document has them all.
    strongest = dict(sorted(statement.locks, key=lambda lock: _STRENGTH.get(lock[1], 0)))
    for relation, mode in sorted(strongest.items()):
        size = sizes.get(relation)
        does = [
            *(["rewrites it"] if relation in statement.rewrites else []),
            *(["reads all of it"] if relation in statement.scans else []),
        ]
        what = f": {', '.join(does)}" if does else ""
        known = f" ({size})" if size else ""
        risk = f"; {judge(mode, size, long_work=bool(does))}" if size else ""
        yield f"{statement.line}: {mode} on {relation}{known}{what}{risk}"


def _close(result: Rehearsed, began: float, out: Output) -> int:
    took = human_ms(int((time.monotonic() - began) * 1000))
    number = count(len(result.migrations), "migration")
    if result.release_error:
        out.result(f"\nAll of them as one release: {result.release_error}")
    for difference in result.release_differences[:_SHOWN_DIFFERENCES]:
        out.result(f"\nAll of them as one release: {difference}")
    if result.proven:
        out.result(f"\n{number} proven in {took}: up, down and up again.")
        return 0
    wrong = sum(not verdict.proven for verdict in result.migrations)
    out.result(f"\n{number} rehearsed in {took}: {wrong} cannot be turned back from as they are.")
    return 3
