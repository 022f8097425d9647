"""What a user reads after each of two dozen mistakes: what is wrong, where, and what to do next."""

from __future__ import annotations

import errno
import gc
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest
from turnback.cli import main

from tests.conftest import ProjectFactory
from tests.refusing_server import refuses

FIRST = {
    "sql/0001_first.sql": "CREATE TABLE first (id int);\n",
    "rollback/0001_rollback.sql": "DROP TABLE first;\n",
}
BACK = {"rollback/0002_rollback.sql": "SELECT 1;\n"}
SECRET = "s3cret-word"
FULL = "No space left on device"
LONG = "".join(f"    column_{number} int,\n" for number in range(1, 40))
BODY = "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETRUN 1;\nEND $$;\n"


@dataclass
class Place:
    """What a mistake is made with.

    Attributes:
        url: the database's address.
        folder: the migrations; the command runs beside them.
        opened: is closed after the test.
    """

    url: str
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    opened: ExitStack

    def address(self, *, user: str | None = None, password: str = "", more: str = "") -> str:
        """The address with another login, and something at its end."""
        login = f"{user}:{password}" if password else user
        return (re.sub(r"//[^@]+@", f"//{login}@", self.url) if user else self.url) + more

    def use(self, url: str) -> None:
        """Name this database."""
        self.monkeypatch.setenv("DATABASE_URL", url)


Prepare = Callable[[Place], object]


@dataclass
class Mistake:
    """A mistake, and what must be said of it.

    Attributes:
        command: what is typed.
        code: the exit code.
        words: what must be on stderr: what, where, what next.
        files: of the project, besides a first migration.
        prepare: makes the mistake.
        applied: whether the first migration is applied before.
    """

    command: str
    code: int
    words: tuple[str, ...]
    files: dict[str, str | bytes] = field(default_factory=dict)
    prepare: Prepare = lambda _: None
    applied: bool = False


def execute(sql: str) -> Prepare:
    """Run SQL in the database first."""

    def run(place: Place) -> None:
        with psycopg.connect(place.url, autocommit=True) as connection:
            connection.execute(sql.encode())

    return run


def another_version(place: Place) -> None:
    """A server of PostgreSQL 13 refuses a setting of the session; none is here."""
    refused = refuses("42704", 'unrecognized configuration parameter "idle_session_timeout"')
    place.use(f"postgresql://app@127.0.0.1:{place.opened.enter_context(refused)}/app")


def raises(name: str, error: BaseException) -> Prepare:
    """Let a function of turnback raise this."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    return lambda place: place.monkeypatch.setattr(name, fail)


def without(module: str) -> Prepare:
    """Let a module not be installed."""

    def hide(place: Place) -> None:
        place.monkeypatch.delenv("DATABASE_URL")
        place.monkeypatch.setitem(sys.modules, module, None)
        place.monkeypatch.delitem(sys.modules, "turnback.cli.dev_loop", raising=False)

    return hide


def closed_output(place: Place) -> None:
    """The reader of stdout leaves."""
    read, write = os.pipe()
    os.close(read)
    place.monkeypatch.setattr(sys, "stdout", os.fdopen(write, "w"))


MISTAKES = {
    "unreachable host": Mistake(
        "status",
        5,
        ("127.0.0.1:9/app does not answer", "check host and port"),
        prepare=lambda place: place.use(f"postgresql://app:{SECRET}@127.0.0.1:9/app"),
    ),
    "no password": Mistake(
        "status",
        5,
        ("asks for a password, and there is none", "PGPASSWORD"),
        prepare=lambda place: place.use(place.address(user="postgres")),
    ),
    "wrong password": Mistake(
        "status",
        5,
        ("password authentication failed", "check user and password"),
        prepare=lambda place: place.use(place.address(user="postgres", password=SECRET)),
    ),
    "missing database": Mistake(
        "status",
        5,
        ('_missing" does not exist', "check the database name"),
        prepare=lambda place: place.use(place.address(more="_missing")),
    ),
    "permission denied": Mistake(
        "up",
        5,
        ("cannot be created: permission denied for schema public", "grant CREATE on schema public"),
        prepare=lambda place: place.use(place.address(user="visitor", password=SECRET)),
    ),
    "SSL refused": Mistake(
        "status",
        5,
        ("it offers no TLS, and sslmode demands it", "sslmode=disable"),
        prepare=lambda place: place.use(place.address(more="?sslmode=require")),
    ),
    "syntax error in a long statement": Mistake(
        "up",
        1,
        ("migrations/sql/0002_long.sql:42:1: syntax error", "    42 | );", "fix the file and run"),
        {**BACK, "sql/0002_long.sql": f"CREATE TABLE long (\n{LONG}    last int NOT\n);\n"},
        applied=True,
    ),
    "syntax error in a function body": Mistake(
        "up",
        1,
        ("migrations/sql/0002_body.sql:3:3: syntax error", '"RETRUN"', "fix the file and run"),
        {**BACK, "sql/0002_body.sql": BODY},
        applied=True,
    ),
    "missing rollback": Mistake(
        "up",
        3,
        ("migrations/sql/0002_a.sql: 0002 has no rollback script", "irreversible because"),
        {"sql/0002_a.sql": "SELECT 1;\n"},
    ),
    "bad directive": Mistake(
        "check",
        3,
        ("migrations/sql/0002_a.sql:1: unknown directive 'lock-time'", "lock-timeout"),
        {**BACK, "sql/0002_a.sql": "-- turnback: lock-time 1s\nSELECT 1;\n"},
    ),
    "edited file": Mistake(
        "up",
        3,
        ("migrations/sql/0001_first.sql: 0001 was edited after it was applied", "repair 0001"),
        {"sql/0001_first.sql": "CREATE TABLE first (id bigint);\n"},
        prepare=execute("UPDATE migrations SET checksum = 'of before'"),
        applied=True,
    ),
    "unknown version": Mistake("up 7", 2, ("there is no migration 7", "turnback status")),
    "wrong folder": Mistake("status --dir db", 2, ("db", "name the folder with --dir")),
    "no files": Mistake(
        "status",
        2,
        ("no migrations in migrations/sql", "turnback generate NAME"),
        prepare=lambda place: [(place.folder / name).unlink() for name in FIRST],
    ),
    "unreadable file": Mistake(
        "check",
        3,
        ("migrations/sql/0002_a.sql: cannot be read: ", "check what it is, and its rights"),
        BACK,
        prepare=lambda place: (place.folder / "sql/0002_a.sql").symlink_to("nowhere"),
    ),
    "read-only folder": Mistake(
        # Root may write anywhere, but no folder can be made there.
        "init --dir /proc/project",
        2,
        ("/proc/project/sql cannot be made", "choose another with --dir"),
    ),
    "disk full": Mistake(
        "init",
        2,
        (FULL, "the room on its disk"),
        # What write(2) and close(2) say names no file; no disk is filled for a test.
        prepare=raises("turnback.cli.project.make_folders", OSError(errno.ENOSPC, FULL)),
    ),
    "Ctrl-C": Mistake(
        "status",
        130,
        ("interrupted",),
        # test_while_it_runs.py sends real signals to runs.
        prepare=raises("turnback.cli.history.load_project", KeyboardInterrupt()),
    ),
    "closed stdout": Mistake("status", 0, (), prepare=closed_output),
    "another Python": Mistake(
        "up --watch",
        2,
        ("needs the package watchfiles, which is not installed", "pip install 'turnback[local]'"),
        # An environment that lacks what another one has.
        prepare=without("watchfiles"),
    ),
    "broken turnback.toml": Mistake(
        "status",
        2,
        ("turnback.toml:2:7: not valid TOML", "texts are in quotes"),
        {"../turnback.toml": f"[database]\nurl = postgresql://app:{SECRET}@db/app\n"},
    ),
    "two values in .env": Mistake(
        "status",
        2,
        (".env:3: DATABASE_URL is given twice", "remove one of them"),
        {"../.env": f"DATABASE_URL=postgresql://a/{SECRET}\nA=1\nDATABASE_URL=postgresql://b/b\n"},
    ),
    "a foreign database": Mistake(
        "up",
        2,
        ("public.migrations belongs to another tool", "--history-schema turnback"),
        prepare=execute("CREATE TABLE migrations (id int)"),
    ),
    "a server of an unsupported version": Mistake(
        "status",
        5,
        ("refuses the connection", "turnback needs PostgreSQL 14 or later"),
        prepare=another_version,
    ),
}


@pytest.fixture
def place(
    database: str,
    admin: psycopg.Connection,
    project_factory: ProjectFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Place]:
    folder = project_factory(FIRST)
    monkeypatch.chdir(folder.parent)
    monkeypatch.delenv("TURNBACK_DIR", raising=False)
    admin.execute(f"CREATE ROLE visitor LOGIN PASSWORD '{SECRET}'".encode())
    with ExitStack() as opened:
        made = Place(database, folder, monkeypatch, opened)
        made.use(database)
        yield made
    admin.execute("DROP ROLE visitor")


class Left(Exception):
    """The command has ended."""


def run(command: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the command line in this process; returns the exit code."""
    codes: list[int] = []

    def leave(code: int) -> NoReturn:
        codes.append(code)
        raise Left

    before, thresholds = signal.getsignal(signal.SIGTERM), gc.get_threshold()
    with monkeypatch.context() as patch:
        patch.setattr(main, "_leave", leave)
        patch.setattr(sys, "argv", ["turnback", *command.split()])
        try:
            main.main()
        except Left:
            pass
        finally:
            signal.signal(signal.SIGTERM, before)
            gc.set_threshold(*thresholds)
    return codes[-1]


@pytest.mark.parametrize("json_too", ["", " --json"])
def test_a_signal_before_the_command_has_begun_is_reported(
    json_too: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def loading(**_: object) -> NoReturn:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal has raised by now")

    monkeypatch.setattr(main, "_run", loading)
    assert run(f"up{json_too}", monkeypatch) == 130
    out, err = capfd.readouterr()
    if json_too:
        expected = {"command": None, "status": "interrupted", "error": None}
        assert (json.loads(out), err) == (expected, "")
    else:
        assert (out, err) == ("", "interrupted\n")


def test_there_is_a_row_for_each_mistake() -> None:
    assert len(MISTAKES) == 24


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_with_what_where_and_what_next(
    name: str, place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    mistake = MISTAKES[name]
    if mistake.applied:
        assert run("up", monkeypatch) == 0
    for path, content in mistake.files.items():
        data = content.encode() if isinstance(content, str) else content
        (place.folder / path).write_bytes(data)
    mistake.prepare(place)
    capfd.readouterr()

    code = run(mistake.command, monkeypatch)

    out, err = capfd.readouterr()
    assert code == mistake.code, err
    for words in mistake.words:
        assert words in err + (out if mistake.command == "check" else "")
    if mistake.code not in (0, 130) and mistake.command != "check":
        assert "hint: " in err
    assert "Traceback" not in err
    assert SECRET not in err + out
    assert out == "" or mistake.command == "check"
