"""``db``: the database itself, and the project's embedded server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import click

from turnback.cli import options as opt
from turnback.cli import param_types as types
from turnback.cli.database import check_address, open_engine, open_url, refuse_in_ci
from turnback.cli.output import Output, confirm, reported
from turnback.engine.session.connection import describe
from turnback.engine.session.databases import (
    create_database,
    drop_database,
    split_password,
    wait_for,
)
from turnback.errors import ConfigurationError
from turnback.migrations.discovery import load_project
from turnback.settings.project import ProjectFile
from turnback.wording import counted

# turnback.local is imported where it is used: it is for Linux and macOS, the commands for a
# database of the user's own are for Windows as well.


@click.group(epilog="Example: turnback db psql")
def db() -> None:
    """Create, drop, reach and wait for the database; start and stop the embedded Postgres."""


@db.command(epilog="Example: turnback db create")
@opt.database_url
@opt.directory
@opt.as_json
@reported
def create(*, database_url: str | None, directory: Path, out: Output) -> None:
    """Create the database, unless it exists."""
    if database_url is None:
        with open_url(None, directory, out, make=True):
            made = True
    else:
        check_address(database_url)
        out.document["database"] = describe(database_url)
        made = create_database(database_url)
    out.document |= {"status": "succeeded" if made else "nothing_to_do"}
    out.result(f"{out.document['database']} {'is created' if made else 'exists already'}.")


@db.command(epilog="Example: turnback db drop --yes")
@opt.database_url
@opt.directory
@opt.yes
@opt.as_json
@reported
def drop(*, database_url: str | None, directory: Path, yes: bool, out: Output) -> None:
    """Drop the database, with everything in it.

    It asks first; without a terminal, --yes is required.
    """
    folder = directory.resolve().parent
    where = describe(database_url) if database_url else f"the embedded Postgres of {folder}"
    out.document["database"] = describe(database_url) if database_url else "embedded"
    confirm(f"drop {where} with all its data", yes=yes, out=out)
    if database_url is None:
        refuse_in_ci()
        from turnback.local import project_server

        dropped = project_server.remove_data(folder)
    else:
        check_address(database_url)
        dropped = drop_database(database_url)
    out.document |= {"status": "succeeded" if dropped else "nothing_to_do"}
    out.result(f"{where} {'is dropped' if dropped else 'does not exist'}.")


@db.command(epilog="Example: turnback db reset --yes")
@opt.database
@opt.directory
@opt.yes
@opt.as_json
@reported
def reset(
    *, database_url: str | None, history_schema: str, directory: Path, yes: bool, out: Output
) -> None:
    """Make the embedded database anew: all migrations, then the seeds.

    Seeds are the files of [db.seed] in a config.toml beside the folder of the migrations, else
    seed.sql there. It asks first; without a terminal, --yes is required. A database that is named
    is never reset.
    """
    if database_url is not None:
        raise ConfigurationError(
            f"{describe(database_url)} is named, and only the embedded database is reset",
            hint="choose it: turnback db reset --embedded",
        )
    refuse_in_ci()
    from turnback.local import project_server, seeds

    project, folder = load_project(directory), directory.resolve().parent
    names = seeds.seeds_of(folder, out.warn)
    confirm(f"drop the embedded Postgres of {folder} with all its data", yes=yes, out=out)
    project_server.remove_data(folder)
    with open_engine(None, directory, history_schema, out, make=True) as engine:
        report = engine.run(engine.plan_up(project))
        if report.error:
            raise report.error
        server = project_server.running_server(folder)
        assert server is not None
        seeds.run_seeds(server.url(), folder, names)
    applied = [step.version for step in report.applied]
    out.document |= {"status": "succeeded", "applied": applied, "seeds": names}
    out.result(
        f"{counted(len(applied), 'migration')} applied; seeds: {', '.join(names) or 'none'}."
    )


@db.command(epilog="Example: turnback db wait --timeout 30s")
@opt.database_url
@opt.directory
@click.option(
    "--timeout", type=types.Duration(), default="1min", show_default=True, help="How long to wait."
)
@opt.as_json
@reported
def wait(*, database_url: str | None, directory: Path, timeout: float, out: Output) -> None:
    """Wait until the database accepts connections."""
    with open_url(database_url, directory, out) as url:
        wait_for(url, timeout)
    out.document |= {"status": "succeeded"}
    out.result(f"{out.document['database']} accepts connections.")


@db.command(epilog="Example: turnback db start")
@opt.directory
@opt.as_json
@reported
def start(*, directory: Path, out: Output) -> None:
    """Start the embedded Postgres.

    It keeps running until turnback db stop."""
    from turnback.local import project_server

    platform = bool(ProjectFile.read(directory.resolve().parent).platform)
    place = directory.resolve().parent
    url = project_server.keep_running(place, platform=platform, say=out.note)
    out.document |= {"status": "succeeded", "url": url}
    out.result(url)


@db.command(epilog="Example: turnback db stop")
@opt.directory
@opt.as_json
@reported
def stop(*, directory: Path, out: Output) -> None:
    """Stop the embedded Postgres.

    Commands that are using it finish first."""
    from turnback.local import project_server

    stopped = project_server.stop_running(directory.resolve().parent)
    out.document |= {"status": "succeeded" if stopped else "nothing_to_do"}
    out.result("Stopped." if stopped else "It is not running.")


@db.command(epilog='Example: psql "$(turnback db url)"')
@opt.database_url
@opt.directory
@opt.as_json
@reported
def url(*, database_url: str | None, directory: Path, out: Output) -> None:
    """Print the address of the database.

    It contains the password."""
    if database_url is None:
        from turnback.local import project_server

        server = project_server.running_server(directory.resolve().parent)
        if server is None:
            raise ConfigurationError(
                "the embedded Postgres is not running", hint="start it: turnback db start"
            )
        database_url = server.url()
    out.document |= {"status": "succeeded", "url": database_url}
    out.result(database_url)


@db.command(
    epilog="Example: turnback db psql -- -c 'SELECT 1'",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@opt.database_url
@opt.directory
@reported
def psql(
    *, arguments: tuple[str, ...], database_url: str | None, directory: Path, out: Output
) -> int:
    """Open psql on the database.

    ARGUMENTS after -- are passed to it. The embedded Postgres, with a psql of its own, is started
    if necessary.
    """
    if database_url is not None:
        check_address(database_url)
        return _psql(shutil.which("psql") or _own_psql(), database_url, arguments)
    refuse_in_ci()
    from turnback.local import project_server

    with project_server.project_server(directory.resolve().parent, say=out.note) as server:
        return _psql(_own_psql(), server.url(), arguments)


def _own_psql() -> str:
    from turnback.local.programs import binaries

    return str(binaries() / "psql")


def _psql(program: str, address: str, arguments: tuple[str, ...]) -> int:
    # Everyone on this machine could see a password in the arguments.
    target, password = split_password(address)
    environment = {**os.environ, **({"PGPASSWORD": password} if password else {})}
    # psql handles Ctrl-C itself: it cancels a statement, and does not end.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = subprocess.run([program, f"--dbname={target}", *arguments], env=environment)
    finally:
        signal.signal(signal.SIGINT, before)
    return done.returncode
