"""The server of a rehearsal inside a function: from the layer, and gone without a trace."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from turnback.errors import ConfigurationError, DatabaseUnreachable
from turnback.local.scratch import scratch
from turnback.rehearsal import containment
from turnback.rehearsal.server import NOBODY, shadow_server


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of its own, which the account of the server can reach."""
    with scratch("server-test") as folder:
        monkeypatch.setattr("tempfile.tempdir", str(folder))
        folder.chmod(0o777)
        yield folder


@pytest.fixture
def layered(postgres_layer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(postgres_layer))


def query(url: str, sql: str) -> tuple[object, ...]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(sql).fetchone() or ()


@pytest.mark.usefixtures("layered")
def test_a_shadow_server_answers_and_leaves_nothing(temporary: Path) -> None:
    with shadow_server() as server:
        url = server.url()
        assert query(url, "SELECT current_user, current_setting('data_checksums')")[0] == "postgres"
        assert query(url, "SELECT current_setting('listen_addresses')") == ("",)
        (folder,) = temporary.iterdir()
        assert (folder / "data").stat().st_mode & 0o777 == 0o700
    assert list(temporary.iterdir()) == []


@pytest.mark.usefixtures("temporary", "layered")
def test_a_program_that_detaches_itself_from_the_server_ends_with_it() -> None:
    # It reads what COPY writes, or the server finds the pipe closed.
    program = "cat >/dev/null; setsid sh -c 'sleep 86397; exit' >/dev/null 2>&1 &"
    with shadow_server() as first:
        with shadow_server() as second:
            with psycopg.connect(second.url(), autocommit=True) as connection:
                connection.execute(f"COPY (SELECT 1) TO PROGRAM $${program}$$")  # type: ignore[arg-type]
            while not running("sleep 86397"):
                time.sleep(0.01)
        assert not running("86397")
        assert query(first.url(), "SELECT 1") == (1,)


def test_a_program_that_does_not_end_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containment, "_SECONDS", 0)
    with pytest.raises(DatabaseUnreachable, match="do not end") as error, containment.contained():
        # One of its own session, as a backend has; too late to be killed.
        process = subprocess.Popen(["sleep", "86399"], start_new_session=True)
    assert str(process.pid) in str(error.value)
    process.kill()
    process.wait()


def running(argument: str) -> list[str]:
    """The processes with this in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if argument in path.read_text().replace("\0", " "):
                found.append(path.parent.name)
    return found


@pytest.mark.usefixtures("layered")
def test_nothing_that_the_function_knows_is_in_the_environment_of_the_server(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_SESSION_TOKEN", "DATABASE_URL", "PGPASSWORD", "TURNBACK_ENVIRONMENT"):
        monkeypatch.setenv(name, "of-the-function")
    with shadow_server():
        (folder,) = temporary.iterdir()
        pid = (folder / "data" / "postmaster.pid").read_text().split()[0]
        found = Path(f"/proc/{pid}/environ").read_text().split("\0")
    names = {line.split("=")[0] for line in found if line}
    assert names - {"PATH", "LC_ALL", "PG_GRANDPARENT_PID", "LD_LIBRARY_PATH"} == set()


@pytest.mark.usefixtures("temporary", "layered")
def test_the_memory_of_the_function_is_not_for_other_processes_of_its_user() -> None:
    with shadow_server():
        # PR_GET_DUMPABLE; the server itself can be traced, which is of no use.
        assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0


@pytest.mark.usefixtures("layered")
def test_a_shadow_server_never_runs_as_root(temporary: Path) -> None:
    with shadow_server():
        (folder,) = temporary.iterdir()
        pid = (folder / "data" / "postmaster.pid").read_text().split()[0]
        owner = Path(f"/proc/{pid}").stat().st_uid
        assert owner == (os.geteuid() or NOBODY)


@pytest.mark.usefixtures("temporary", "layered")
def test_a_shadow_server_knows_languages_and_time_zones() -> None:
    with shadow_server() as server:
        url = server.url()
        found = query(url, "SELECT to_tsvector('german', 'Häuser')::text")
        assert found == ("'haus':1",)
        sql = "SELECT to_char('2026-07-01 12:00Z'::timestamptz AT TIME ZONE 'Europe/Rome', 'HH24')"
        assert query(url, sql) == ("14",)
        assert query(url, "SELECT '2026-01-01 12:00 EST'::timestamptz::text") == (
            "2026-01-01 17:00:00+00",
        )


@pytest.mark.usefixtures("temporary", "layered")
def test_two_shadow_servers_at_once_do_not_meet() -> None:
    with shadow_server() as first, shadow_server() as second:
        with psycopg.connect(first.url(), autocommit=True) as connection:
            connection.execute("CREATE TABLE here (a int)")
        assert query(second.url(), "SELECT to_regclass('here')") == (None,)


def test_what_a_killed_function_left_is_stopped_and_removed(
    temporary: Path, postgres_layer: Path
) -> None:
    program = textwrap.dedent(
        """
        import os, signal
        from turnback.rehearsal.server import shadow_server
        with shadow_server() as server:
            print(server.url(), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(postgres_layer), "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
    )
    left = done.stdout.strip()
    assert query(left, "SELECT 1") == (1,)
    (folder,) = temporary.iterdir()
    sys.path.insert(0, str(postgres_layer))
    try:
        with shadow_server():
            assert not folder.exists()
    finally:
        sys.path.remove(str(postgres_layer))
    with pytest.raises(psycopg.OperationalError):
        query(left, "SELECT 1")


@pytest.mark.usefixtures("temporary")
def test_without_the_layer_the_function_says_what_it_lacks() -> None:
    with pytest.raises(ConfigurationError, match="no server here") as error, shadow_server():
        pass
    assert "PostgresLayer" in str(error.value.hint)
