"""Which database a command works on, and an engine for it."""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from turnback.cli.output import Output
from turnback.errors import ConfigurationError

if TYPE_CHECKING:
    from turnback.engine import Engine, Options


def new_run() -> str:
    """An id for a run of this command: its time, and something to tell two of a second apart."""
    return f"r-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def actor() -> str:
    """Who runs this command: ``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def has_own_database(directory: Path) -> bool:
    """Whether the project has an embedded Postgres of its own already.

    Args:
        directory: the migrations; the embedded server is kept beside them, in ``.turnback/``.
    """
    return (directory.resolve().parent / ".turnback" / "postgres").exists()


@contextlib.contextmanager
def open_engine(
    url: str | None,
    directory: Path,
    schema: str,
    out: Output,
    *,
    options: Options | None = None,
) -> Iterator[Engine]:
    """An engine for the named database, or for the project's own embedded Postgres.

    Args:
        url: the database's address; None or empty for the embedded one.
        directory: the migrations; the embedded server is kept beside them, in ``.turnback/``.
        schema: schema of the history tables.
        out: gets ``run`` and ``database`` of its document, and what the engine tells.
        options: how patient the engine is.
    """
    from turnback.cli.progress import Progress
    from turnback.engine import Engine, RunContext

    run = new_run()
    out.document["run"] = run
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(open_url(url, directory, out))
        engine = Engine(
            url,
            context=RunContext(run=run, actor=actor()),
            history_schema=schema,
            options=options,
            listener=Progress(out),
        )
        yield stack.enter_context(engine)


@contextlib.contextmanager
def open_url(url: str | None, directory: Path, out: Output) -> Iterator[str]:
    """The address of the named database, or of the project's own, which runs for the block.

    Args:
        url: the database's address; None or empty for the embedded one.
        directory: the migrations; the embedded server is kept beside them, in ``.turnback/``.
        out: gets ``database`` of its document, and what takes long.
    """
    from turnback.engine.session.connection import describe

    if url:
        _check_scheme(url)
        out.document["database"] = describe(url)
        yield url
        return
    from turnback.local.project_server import project_server

    place = directory.resolve().parent
    out.note(f"No --database-url and no DATABASE_URL: the embedded Postgres of {place}")
    with project_server(place, say=out.note) as server:
        out.document["database"] = "embedded"
        yield server.url()


def _check_scheme(url: str) -> None:
    if "://" in url and not url.startswith(("postgresql://", "postgres://")):
        raise ConfigurationError(
            f"'{url.split('://', 1)[0]}' is not PostgreSQL",
            hint="the address has the form postgresql://user:password@host:5432/database",
        )
