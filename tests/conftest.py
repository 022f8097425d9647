"""What all tests share: one fast server, a database of its own for each test, projects on disk."""

from __future__ import annotations

import hashlib
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from turnback.cli.output import Output
from turnback.engine.session.connection import NEWEST_MAJOR, OLDEST_MAJOR
from turnback.local.programs import binaries
from turnback.local.scratch import POSTGRES, scratch
from turnback.local.server import EmbeddedServer
from turnback.rehearsal.folder import MEMORY, has_room

from tests import documents
from tests.other_servers import postgres

# moto reads a list of thousands of machine images for every test of RDS; read by it at import.
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")

ProjectFactory = Callable[..., Path]
TEMPLATE = "turnback_template"
# The major version of the embedded server.
EMBEDDED = 18
# Far more than two of the targets of `make test` write at a time.
_FILES_BYTES = 4 << 30


def pytest_configure() -> None:
    """Keep files in memory, and forget the settings of whoever runs the tests.

    Before anything reads them.
    """
    if "TMPDIR" not in os.environ and has_room(MEMORY, _FILES_BYTES):
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None
    settings = ("DATABASE_URL", "CI", "CODEBUILD_BUILD_ID", "JENKINS_URL", "TF_BUILD")
    for name in list(os.environ):
        if name in settings or name.startswith(("TURNBACK_", "PG", "AWS_")):
            del os.environ[name]


def pytest_report_header() -> list[str]:
    return [f"postgres: {binaries()}", f"temporary files: {tempfile.gettempdir()}"]


@pytest.fixture(scope="session", autouse=True)
def documents_as_published() -> Iterator[None]:
    """Hold what any command in this process would print with --json to its published schema."""
    close = Output.close

    def closed(out: Output, code: int) -> int:
        # A command with another format, as `up --sql`, has none.
        if out.as_json or "status" in out.document:
            documents.check(out.document)
        return close(out, code)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Output, "close", closed)
        yield


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """The server of this session, over TCP, so that Lambda functions reach it as well."""
    with (
        scratch("tests") as folder,
        EmbeddedServer.start(folder / POSTGRES, tcp=True, fast=True) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def admin(server: EmbeddedServer) -> Iterator[psycopg.Connection]:
    """A superuser's connection to the server's ``postgres`` database, in autocommit."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {TEMPLATE} IS_TEMPLATE true")
        yield connection


@pytest.fixture(scope="session")
def server_of(
    server: EmbeddedServer, admin: psycopg.Connection
) -> Iterator[Callable[[int], tuple[str, psycopg.Connection]]]:
    """A server of a major version: its address without a database, and a superuser's connection."""
    found = {EMBEDDED: (server.url("").rstrip("/"), admin)}
    with ExitStack() as opened:

        def get(major: int) -> tuple[str, psycopg.Connection]:
            if major not in found:
                base = opened.enter_context(postgres(major))
                connection = psycopg.connect(f"{base}/postgres", autocommit=True)
                found[major] = base, opened.enter_context(connection)
                connection.execute(f"CREATE DATABASE {TEMPLATE} IS_TEMPLATE true")
            return found[major]

        yield get


_numbers = itertools.count(1)


@pytest.fixture
def database(
    request: pytest.FixtureRequest,
    server_of: Callable[[int], tuple[str, psycopg.Connection]],
) -> Iterator[str]:
    """The URL of a fresh database, a clone of the template; dropped after the test."""
    major = getattr(request, "param", EMBEDDED)
    base, admin = server_of(major)
    name = f"test_{next(_numbers)}"
    # Half the work of WAL_LOG where nothing is waited for; before 15 there was no other way.
    how = "STRATEGY file_copy" if major >= 15 else ""
    admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} {how}")
    yield f"{base}/{name}"
    admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of a module marked ``every_major`` on each supported version."""
    mark = metafunc.definition.get_closest_marker("every_major")
    if mark is None or "database" not in metafunc.fixturenames:
        return
    majors = [EMBEDDED, *(n for n in range(OLDEST_MAJOR, NEWEST_MAJOR + 1) if n != EMBEDDED)]
    metafunc.parametrize(
        "database",
        [
            major
            if major in (EMBEDDED, *mark.args)
            else pytest.param(major, marks=pytest.mark.slow)
            for major in majors
        ],
        indirect=True,
        ids=[f"PostgreSQL {major}" for major in majors],
    )


@pytest.fixture
def project_factory(tmp_path: Path) -> ProjectFactory:
    """Writes a migrations folder, each call a new one, and returns its path.

    ``project_factory({"sql/0001_a.sql": "…"}, sums=True)``: contents are text or bytes; ``sums``
    says whether SHA256SUMS is written.
    """
    numbers = itertools.count(1)

    def write(files: Mapping[str, str | bytes], *, sums: bool = True) -> Path:
        number = next(numbers)
        folder = tmp_path / ("migrations" if number == 1 else f"migrations-{number}")
        folder.mkdir()
        lines = []
        for name, content in sorted(files.items()):
            data = content.encode() if isinstance(content, str) else content
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            lines.append(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
        if sums:
            (folder / "SHA256SUMS").write_text("".join(lines))
        return folder

    return write
