"""Commands for a database of the user's own, in a Python that has what Windows has.

No Windows is here. What it lacks is removed from Python before turnback is imported; the server,
the libraries and the files are those of this machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from turnback.local.server import EmbeddedServer

from tests.conftest import ProjectFactory
from tests.integration.command_line import Answer, history

FILES = {
    "sql/0001_users.sql": "CREATE TABLE users (id int);\n",
    "rollback/0001_rollback.sql": "DROP TABLE users;\n",
    # More than a megabyte, which is read in parts.
    "sql/0002_rows.sql": f"INSERT INTO users VALUES (1){', (1)' * 5_000};\n" * 60,
    "rollback/0002_rollback.sql": "DELETE FROM users;\n",
}
# The modules and names that the manual of Python marks "Availability: not Windows", of those that
# turnback or a library might use. What the libraries need of Python is imported before.
AS_ON_WINDOWS = """
import sys, os, signal, getpass, tempfile, subprocess, socket, asyncio, json, difflib, secrets
import click, psycopg, psycopg.generators, postgast, semver, encodings.idna
import psycopg_binary, concurrent.futures, zoneinfo, multiprocessing, selectors, ctypes

LACKS = ("fcntl", "grp", "pwd", "resource", "termios", "pty", "tty", "syslog", "curses")

class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name in LACKS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in LACKS:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Lacking())
for name in (
    "fork forkpty getuid geteuid getgid getegid setuid setsid getsid getpgid getpgrp killpg chown "
    "pread pwrite preadv O_CLOEXEC O_NOFOLLOW O_DIRECTORY WNOHANG mkfifo posix_spawn statvfs uname "
    "sched_getaffinity getloadavg nice wait3 wait4 geteuid"
).split():
    if hasattr(os, name):
        delattr(os, name)
for name in "SIGHUP SIGQUIT SIGKILL SIGALRM SIGUSR1 SIGCHLD SIGPIPE pause alarm setitimer".split():
    if hasattr(signal, name):
        delattr(signal, name)
sys.platform = "win32"
import turnback.sql.parser
turnback.sql.parser._NAMES["win32"] = "libpg_query.so"
from turnback.cli.main import main
main()
"""


def on_windows(*arguments: str, folder: Path, url: str | None = None) -> Answer:
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    done = subprocess.run(
        [
            *(sys.executable, "-X", "warn_default_encoding", "-W", "error::EncodingWarning"),
            *("-c", AS_ON_WINDOWS, *arguments, "--dir", folder),
        ],
        cwd=folder.parent,
        env=environment | ({"DATABASE_URL": url} if url else {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def test_up_status_and_down_need_nothing_that_windows_lacks(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(FILES)
    done = on_windows("up", folder=folder, url=database)
    assert (done.code, history(database)) == (0, [("0001", "applied"), ("0002", "applied")]), done
    for command in (("status",), ("health",), ("check", "--fix"), ("locks",), ("db", "wait")):
        assert on_windows(*command, folder=folder, url=database).code == 0
    done = on_windows("down", "0", "--yes", folder=folder, url=database)
    assert (done.code, {word for _, word in history(database)}) == (0, {"rolled_back"}), done


def test_rehearse_needs_nothing_that_windows_lacks_on_a_server_of_the_users_own(
    server: EmbeddedServer, project_factory: ProjectFactory
) -> None:
    address = ("--shadow-url", server.url())
    done = on_windows("rehearse", "--all", *address, folder=project_factory(FILES))
    assert done.code == 0, done
    assert "2 migrations proven" in done.out


@pytest.mark.parametrize("command", [["up"], ["rehearse", "--all"], ["db", "start"]])
def test_the_embedded_postgres_is_refused_on_windows_with_the_option_to_use_instead(
    command: list[str], project_factory: ProjectFactory
) -> None:
    folder = project_factory(FILES)
    done = on_windows(*command, folder=folder)
    assert done.code == 2, done
    assert "the embedded Postgres of turnback runs on Linux and macOS only" in done.err
    assert "--database-url" in done.err
    assert not (folder.parent / ".turnback").exists()
