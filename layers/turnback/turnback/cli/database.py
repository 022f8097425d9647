"""The database of a command, an engine for it, and what the engine reports."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import secrets
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from turnback.cli.options import is_embedded_chosen
from turnback.cli.output import Output, human_ms, is_verbose
from turnback.engine import Engine, Options, RunContext
from turnback.engine.session.connection import (
    connect_for_own,
    describe,
    read_address,
    untested,
)
from turnback.engine.session.events import Event, EventKind
from turnback.errors import ConfigurationError, DatabaseNotReady
from turnback.settings.project import ProjectFile
from turnback.wording import duration

# Set in jobs of GitHub, GitLab and most others; CodeBuild; Jenkins; Azure Pipelines.
_CI = ("CI", "CODEBUILD_BUILD_ID", "JENKINS_URL", "TF_BUILD")
_WRITER_PAUSE_S = 2.0
_COLORS = {EventKind.APPLIED: "green", EventKind.ROLLED_BACK: "yellow"}


def new_run() -> str:
    """A new run id: the time and a random part."""
    return f"r-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def actor() -> str:
    """Who runs this command: ``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ModuleNotFoundError):
        user = "unknown"
        if sys.platform != "win32":
            user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def has_own_database(directory: Path) -> bool:
    """Whether the project has an embedded Postgres already.

    Args:
        directory: the migrations; the embedded server is kept beside them, in ``.turnback/``.
    """
    place = directory.resolve().parent
    if not (place / ".turnback" / "postgres").is_dir():
        return False
    # Not needed with a database of the user's own.
    from turnback.local.project_server import has_data

    return has_data(place)


def ci_job() -> str | None:
    """The variable of a CI job; None where this is not one."""
    found = (name for name in _CI if os.environ.get(name, "").lower() not in ("", "0", "false"))
    return next(found, None)


def refuse_in_ci() -> None:
    """Refuse the embedded Postgres in a CI job, unless it was chosen with ``--embedded``.

    A job whose address is missing would otherwise test, or report on, an empty database.

    Raises:
        ConfigurationError: this is a CI job.
    """
    found = ci_job()
    if found and not is_embedded_chosen():
        raise ConfigurationError(
            f"no database is named, in a CI job (the variable {found} is set)",
            hint="name it by --database-url or DATABASE_URL, or choose the embedded Postgres: "
            "--embedded",
        )


@contextlib.contextmanager
def open_engine(
    url: str | None,
    directory: Path,
    schema: str,
    out: Output,
    *,
    options: Options | None = None,
    make: bool = False,
    writes: bool = False,
) -> Iterator[Engine]:
    """An engine for the named database, or for the project's embedded Postgres.

    Args:
        url: the database's address; None or empty for the embedded one.
        directory: the migrations; the embedded server is kept beside them, in ``.turnback/``.
        schema: schema of the history tables.
        out: gets ``run`` and ``database`` of its document, and the engine's events.
        options: the engine's timeouts.
        make: make the embedded Postgres if there is none.
        writes: wait for a server that accepts writes, as long as for another run.

    Raises:
        DatabaseNotReady: it does not accept any: a standby, or a failover that has not ended.
        ConfigurationError: no database is named, and the embedded one does not exist or is not
            to be used.
    """
    run = new_run()
    out.document["run"] = run
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(open_url(url, directory, out, make=make))
        context = RunContext(run=run, actor=actor())

        def connect() -> Engine:
            return Engine(
                url,
                context=context,
                history_schema=schema,
                options=options,
                listener=EventPrinter(out),
            )

        wait_s = (options or Options()).runner_wait_s
        engine = stack.enter_context(_writer(connect, wait_s, out) if writes else connect())
        if warning := untested(engine.connection):
            out.warn(warning)
        yield engine


def _writer(connect: Callable[[], Engine], wait_s: float, out: Output) -> Engine:
    """An engine whose server accepts writes; each try looks the address up anew."""
    until, noted = time.monotonic() + wait_s, False
    while True:
        try:
            engine = connect()
            engine.refuse_read_only()
            return engine
        except DatabaseNotReady as error:
            if time.monotonic() + _WRITER_PAUSE_S > until:
                raise
            if not noted:
                out.note(f"{error.message}; trying again for {duration(wait_s)} (--wait)")
                noted = True
        time.sleep(_WRITER_PAUSE_S)


@contextlib.contextmanager
def open_url(url: str | None, directory: Path, out: Output, *, make: bool = False) -> Iterator[str]:
    """The address of the named database, or of the project's, which runs for the block.

    Args:
        url: the database's address; None or empty for the embedded one.
        directory: the migrations; the embedded server is kept beside them, in ``.turnback/``.
        out: gets ``database`` of its document, and what takes long.
        make: make the embedded Postgres if there is none. Not for a command that reads: its report
            on a new and empty database looks like a report on the one that was meant.

    Raises:
        ConfigurationError: no database is named, and the embedded one does not exist or is not
            to be used.
    """
    if url:
        check_address(url)
        out.document["database"] = describe(url)
        yield url
        return
    refuse_in_ci()
    place = directory.resolve().parent
    if not make and not has_own_database(directory):
        raise ConfigurationError(
            f"no database is named, and {place} has no embedded Postgres",
            hint="name it by --database-url or DATABASE_URL; turnback up or turnback db create "
            "makes an embedded one",
        )
    # Not needed with a database of the user's own.
    from turnback.local.project_server import project_server

    out.note(f"No --database-url and no DATABASE_URL: the embedded Postgres of {place}")
    platform = ProjectFile.read(directory.resolve().parent).platform if make else None
    with project_server(place, platform=bool(platform), say=out.note) as server:
        out.document["database"] = "embedded"
        if platform:
            _set_up(server.url(), platform, out)
        yield server.url()


def _set_up(url: str, platform: str, out: Output) -> None:
    """Make what a platform has in the embedded database, unless it is there."""
    from turnback.rehearsal.platform import set_up

    with connect_for_own(url, application_name="turnback") as connection:
        if set_up(connection, platform):
            out.note(f"It has the roles and schemas of {platform.capitalize()}")


def check_address(url: str) -> None:
    """Refuse the address of another kind of database, or one that would be misread.

    Raises:
        ConfigurationError: it has another scheme, or a password that is not percent-encoded.
    """
    if (scheme := re.match("((?:jdbc:)?[a-z][a-z0-9+]{0,20})://", url)) and (
        scheme[1] not in ("postgresql", "postgres")
    ):
        raise ConfigurationError(
            f"'{scheme[1]}' is not PostgreSQL",
            hint="the address has the form postgresql://user:password@host:5432/database",
        )
    read_address(url)


# A run of more migrations prints a summary, and those that took longer.
_LISTED = 100
_LONG_MS = 1000


class EventPrinter:
    """Prints the events of an engine: finished migrations as results, the rest as notes.

    Of a run of many migrations, those that took long are printed, unless ``--verbose`` is given.
    """

    def __init__(self, out: Output) -> None:
        self._out = out

    def __call__(self, event: Event) -> None:
        from turnback.runs.reporting.progress import name_of, words_of

        many = (event.total or 0) > _LISTED
        words = words_of(replace(event, text=event.whole or event.text))
        if event.kind in _COLORS:
            self._out.status.clear()
            if not many or is_verbose() or (event.execution_ms or 0) >= _LONG_MS:
                word = click.style(f"{words:<11}", fg=_COLORS[event.kind])
                self._out.result(f"  {word} {name_of(event)}  {human_ms(event.execution_ms)}")
        elif event.kind is EventKind.STARTED:
            place = f" ({event.position:,} of {event.total:,})" if (event.total or 0) > 1 else ""
            self._out.status.show(f"{words:<11} {name_of(event)}{place}")
        elif event.kind is EventKind.PROGRESS:
            self._out.status.progress(words, event.percent)
        else:
            self._out.note("  " + ": ".join(filter(None, [name_of(event), words])))
