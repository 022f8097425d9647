"""What a person sees while a command runs, and what is reported when it is stopped."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from turnback.engine import Engine, Event, Interrupted, RunContext
from turnback.engine.session.events import EventKind
from turnback.engine.session.message import Connection
from turnback.engine.session.watch import command_progress
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project

from tests.conftest import ProjectFactory
from tests.integration.command_line import PROGRAM, Answer, history, query, tables, turnback

PATIENCE_S = 30
# A test holds this lock for as long as it looks; a migration waits for it.
LOCK = 4711
WAIT = f"SELECT pg_advisory_xact_lock_shared({LOCK});\n"
# The same for each row, in a function that an index may use.
SLOW = (
    "CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN "
    f"PERFORM pg_advisory_xact_lock_shared({LOCK}); RETURN $1; END $$;\n"
)


def table(number: int, more: str = "") -> dict[str, str | bytes]:
    """A migration that makes a table, and does this after it."""
    return {
        f"sql/{number:04}_t{number}.sql": f"CREATE TABLE t{number} (id int);\n{more}",
        f"rollback/{number:04}_rollback.sql": f"DROP TABLE t{number};\n",
    }


@contextmanager
def held(url: str) -> Iterator[Callable[[], None]]:
    """What waits for the lock waits until the block ends, or calls what it gets."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        yield lambda: (connection.execute("SELECT pg_advisory_unlock_all()"), None)[1]


def until(fact: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not fact():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def waits(url: str) -> bool:
    """Whether a migration waits for the test."""
    sql = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    return bool(query(url, sql))


class Command:
    """A command that is running, its output in pipes or on a terminal."""

    def __init__(self, *arguments: str, folder: Path, url: str, terminal: bool, **more: str):
        self._master, slave = pty.openpty() if terminal else (None, subprocess.PIPE)
        self._process = subprocess.Popen(
            [PROGRAM, *arguments, "--dir", folder],
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "DATABASE_URL": url, "TERM": "xterm", "COLUMNS": "100", **more},
        )
        self.seen = ""
        if terminal:
            os.close(slave)
        else:
            assert self._process.stdout and self._process.stderr
            os.set_blocking(self._process.stdout.fileno(), False)
            os.set_blocking(self._process.stderr.fileno(), False)

    def read(self) -> str:
        """Everything that was printed so far."""
        try:
            if self._master is not None:
                self.seen += os.read(self._master, 65536).decode()
            else:
                for stream in (self._process.stdout, self._process.stderr):
                    assert stream is not None
                    self.seen += (stream.read() or b"").decode()
        except OSError:
            pass
        return self.seen

    def stop(self, number: signal.Signals) -> Answer:
        self._process.send_signal(number)
        out, err = self._process.communicate(timeout=PATIENCE_S)
        return Answer(self._process.returncode, out.decode(), err.decode())

    def end(self) -> int:
        """Wait for the end; returns the exit code."""
        with self._process:
            while self._process.poll() is None:
                self.read()
            self.read()
        if self._master is not None:
            os.close(self._master)
        return self._process.returncode


# Ctrl-C and SIGTERM


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_what_was_applied_and_what_was_not(
    number: signal.Signals, database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(table(1) | table(2, WAIT) | table(3))
    with held(database):
        command = Command("up", folder=folder, url=database, terminal=False)
        until(lambda: waits(database))
        answer = command.stop(number)

    assert answer.code == 130
    said = "1 migration applied; nothing of 0002 was kept; 2 migrations left, the next is 0002."
    assert answer.err.splitlines()[-2:] == ["interrupted", said]
    assert tables(database) == {"t1"}
    assert history(database) == [("0001", "applied")]
    assert turnback("up", url=database, folder=folder).code == 0


def test_an_interrupted_run_prints_its_document_and_nothing_else(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(table(1) | table(2, WAIT))
    with held(database):
        command = Command("up", "--json", folder=folder, url=database, terminal=False)
        until(lambda: waits(database))
        answer = command.stop(signal.SIGINT)

    assert (answer.code, answer.err) == (130, "")
    document = answer.document
    assert document["status"] == "interrupted"
    assert [done["version"] for done in document["applied"]] == ["0001"]
    assert document["remaining"] == ["0002"]
    assert document["interrupted"] == {"version": "0002", "state": "nothing_kept"}


def test_a_migration_outside_a_transaction_that_is_interrupted_is_reported_as_half_done(
    database: str, project_factory: ProjectFactory
) -> None:
    head = "-- turnback: no-transaction\n"
    files = table(1, WAIT)
    files["sql/0001_t1.sql"] = f"{head}{files['sql/0001_t1.sql']!s}"
    folder = project_factory(files)
    with held(database):
        command = Command("up", folder=folder, url=database, terminal=False)
        until(lambda: waits(database))
        answer = command.stop(signal.SIGINT)

    assert "0001 is half done, and the next run continues it" in answer.err
    assert tables(database) == {"t1"}
    assert turnback("up", url=database, folder=folder).code == 0


def test_what_the_server_has_committed_is_reported_although_the_client_did_not_see_it(
    database: str, project_factory: ProjectFactory
) -> None:
    project = load_project(project_factory(table(1) | table(2)))

    def interrupt(event: Event) -> None:
        if event.kind is EventKind.APPLIED:
            raise KeyboardInterrupt

    with (
        Engine(database, context=RunContext("r-1"), listener=interrupt) as engine,
        pytest.raises(Interrupted) as stopped,
    ):
        engine.run(engine.plan_up(project))

    assert [done.version for done in stopped.value.report.applied] == ["0001", "0002"]
    assert stopped.value.report.remaining == []


def test_a_rollback_that_is_interrupted_leaves_its_migration_applied_and_says_so(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(
        table(1) | table(2) | {"rollback/0001_rollback.sql": f"DROP TABLE t1;\n{WAIT}"}
    )
    assert turnback("up", url=database, folder=folder).code == 0
    with held(database):
        command = Command("down", "0", "--yes", folder=folder, url=database, terminal=False)
        until(lambda: waits(database))
        answer = command.stop(signal.SIGINT)

    said = "1 migration rolled back; nothing of 0001 was kept; 1 migration left, the next is 0001."
    assert answer.err.splitlines()[-1] == said
    assert tables(database) == {"t1"}


# What appears while it runs


def test_a_terminal_shows_the_name_before_the_end_and_a_bar_of_what_the_server_reports(
    database: str, project_factory: ProjectFactory
) -> None:
    index = f"INSERT INTO t1 VALUES (1), (2);\n{SLOW}CREATE INDEX ON t1 (slow(id));\n"
    folder = project_factory(table(1, index))
    with held(database) as release:
        command = Command("up", folder=folder, url=database, terminal=True)
        until(lambda: "applying    0001 t1" in command.read())
        until(lambda: re.search(r"━+.*building index: scanning table: \d+ %", command.read()))
        until(lambda: re.search(r"0001 t1  1\.\d s", command.read()))
        release()
        assert command.end() == 0
    assert re.search(r"applied +\x1b\[0m 0001 t1", command.seen)


def test_a_pipe_gets_a_line_for_what_takes_long(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(table(1) | table(2, WAIT))
    with held(database) as release:
        command = Command("up", folder=folder, url=database, terminal=False)
        until(lambda: "  applying    0002 t2 (2 of 2)\n" in command.read())
        # They are in one message, and the first is committed.
        assert "  applied     0001 t1" in command.seen
        release()
        assert command.end() == 0
    assert "\r" not in command.seen and "\x1b" not in command.seen


def test_no_color_leaves_the_colours_out(database: str, project_factory: ProjectFactory) -> None:
    folder = project_factory(table(1))
    command = Command("up", folder=folder, url=database, terminal=True, NO_COLOR="1")
    assert command.end() == 0
    assert "applied     0001 t1" in command.seen
    assert not re.search(r"\x1b\[[\d;]+m", command.seen)


def test_a_long_run_prints_a_summary_and_with_v_every_migration(
    database: str, project_factory: ProjectFactory
) -> None:
    files: dict[str, str | bytes] = {}
    for number in range(1, 103):
        files |= table(number)
    folder = project_factory(files)
    assert re.fullmatch(
        r"102 migrations applied in [^\n]+\.\n", turnback("up", url=database, folder=folder).out
    )
    *lines, _, compared = turnback(
        "down", "0", "--yes", "-v", url=database, folder=folder
    ).out.splitlines()
    assert len(lines) == 102
    assert compared == "The schema is as it was before 0001."


BUSY = {
    "copy": "COPY t1 FROM PROGRAM 'echo 1'",
    "vacuum full": "VACUUM FULL t1",
    "cluster": "CLUSTER t1 USING plain",
    "analyze": "ANALYZE t1",
    "index": "REINDEX TABLE t1",
    "vacuum": "VACUUM t1",
}


@pytest.mark.parametrize("command", BUSY)
def test_the_progress_is_the_one_that_the_server_reports(command: str, database: str) -> None:
    with (
        psycopg.connect(database, autocommit=True) as watching,
        contextlib.closing(psycopg.connect(database, autocommit=True)) as working,
    ):
        working.execute("CREATE TABLE t1 (id int); INSERT INTO t1 SELECT generate_series(1, 3000)")
        working.execute(f"CREATE INDEX plain ON t1 (id); {SLOW}".encode())
        # Each of these commands but VACUUM calls the function, which waits for the test.
        working.execute("CREATE INDEX ON t1 (slow(id)); DELETE FROM t1 WHERE id < 5")
        # VACUUM pauses at each page instead.
        working.execute("SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1")
        pid = working.info.backend_pid
        with held(database):
            working.pgconn.send_query(BUSY[command].encode())
            until(lambda: command_progress(watching, pid))
            found = command_progress(watching, pid)
            working.cancel_safe()
    assert found is not None
    assert found.command == command
    assert found.phase


def test_quick_work_opens_no_second_connection(
    database: str, project_factory: ProjectFactory
) -> None:
    project = load_project(project_factory(table(1) | table(2, "SELECT pg_sleep(0.7);\n")))
    opened = list[str]()
    with Engine(database, context=RunContext("r-1")) as engine:
        open_monitor = engine.session.open_monitor

        def noted() -> Connection:
            opened.append("monitor")
            return open_monitor()

        engine.session = replace(engine.session, open_monitor=noted)
        assert engine.run(engine.plan_up(project, target="1")).error is None
        assert opened == []
        assert engine.run(engine.plan_up(project)).error is None
        assert opened == ["monitor"]


def test_a_second_connection_that_is_refused_does_not_disturb_the_run(
    database: str, admin: psycopg.Connection, project_factory: ProjectFactory
) -> None:
    name = database.rpartition("/")[2].partition("?")[0]
    role = f"only_one_{name}"
    admin.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 1 PASSWORD 'x'".encode())
    admin.execute(f"ALTER DATABASE {name} OWNER TO {role}".encode())
    folder = project_factory(table(1, "SELECT pg_sleep(0.7);\n"))
    try:
        url = re.sub(r"//[^@]*@", f"//{role}:x@", database)
        answer = turnback("up", url=url, folder=folder)
    finally:
        admin.execute(f"ALTER DATABASE {name} OWNER TO CURRENT_USER".encode())
    assert answer.code == 0, answer.err
    assert "the progress cannot be read" in answer.err
    assert tables(database) == {"t1"}


def test_the_rehearsal_of_a_large_file_says_how_far_it_is(
    server: EmbeddedServer, project_factory: ProjectFactory
) -> None:
    rows = ", ".join(f"({number})" for number in range(20_000))
    large = f"INSERT INTO t1 VALUES {rows};\n" * 12
    folder = project_factory(table(1, large))
    answer = turnback("rehearse", "--all", "--shadow-url", server.url(), folder=folder)
    assert answer.code == 0, answer.err
    shown = re.findall(r"rehearsing 0001 t1 \(1 of 1\): running the file: (\d+) %", answer.err)
    assert len(shown) > 5 and sorted(map(int, shown[:5])) == list(map(int, shown[:5]))


# --json


@pytest.mark.parametrize(
    "arguments", [["up"], ["up", "--dry-run"], ["status"], ["check"], ["lint"], ["down", "7"]]
)
def test_with_json_there_is_the_document_and_nothing_else(
    arguments: list[str], database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(table(1, "SELECT nope;\n") | {"SHA256SUMS": ""}, sums=False)
    answer = turnback(*arguments, "--json", url=database, folder=folder)
    assert isinstance(answer.document, dict)
    assert answer.err == ""


def test_a_warning_is_in_the_document(
    database: str, project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    folder = project_factory(table(1) | {"SHA256SUMS": ""}, sums=False)
    document = turnback("up", "--json", url=database, folder=folder).document
    assert "SHA256SUMS" in document["warnings"][0]


def test_a_wrong_option_with_json_is_a_document_and_nothing_else(tmp_path: Path) -> None:
    answer = turnback("up", "--nope", "--json", folder=tmp_path)
    assert answer.document["status"] == "refused"
    assert (answer.code, answer.err) == (2, "")


# Output that goes nowhere


def _into(where: str, *arguments: str, url: str, folder: Path) -> Answer:
    """The command with its output redirected, as a shell does it."""
    words = " ".join([f"{PROGRAM}", *arguments, "--dir", str(folder)])
    done = subprocess.run(
        ["bash", "-c", f"{words} {where}"],
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Answer(done.returncode, done.stdout, done.stderr)


# Both outputs at once, and one of them by `make slow`.
CLOSED = [
    "> /dev/full 2>&1",
    "<&- >&- 2>&-",
    *(
        pytest.param(where, marks=pytest.mark.slow)
        for where in (">&-", "> /dev/full", "2>&-", "2> /dev/full")
    ),
]


@pytest.mark.parametrize("where", CLOSED)
def test_output_that_goes_nowhere_changes_neither_the_run_nor_its_exit_code(
    where: str, database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(table(1) | table(2))
    assert _into(where, "up", url=database, folder=folder).code == 0
    assert history(database) == [("0001", "applied"), ("0002", "applied")]
    assert _into(where, "down", "0", "--yes", "--json", url=database, folder=folder).code == 0
    assert tables(database) == set()
    (folder / "sql/0001_t1.sql").write_text("SELECT nope;\n")
    assert _into(where, "up", url=database, folder=folder).code == 1


def test_a_reader_who_leaves_ends_nothing(database: str, project_factory: ProjectFactory) -> None:
    folder = project_factory(table(1) | table(2, "SELECT pg_sleep(0.5);\n") | table(3))
    answer = _into("| head -1; exit ${PIPESTATUS[0]}", "up", url=database, folder=folder)
    assert answer.code == 0
    assert tables(database) == {"t1", "t2", "t3"}


def test_a_report_that_cannot_be_written_is_an_error(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(table(1))
    for arguments in (["status"], ["status", "--json"], ["up", "--dry-run"]):
        answer = _into("> /dev/full", *arguments, url=database, folder=folder)
        assert answer.code == 2
        assert "the output cannot be written: No space left on device" in answer.err
    assert _into("| true; exit ${PIPESTATUS[0]}", "status", url=database, folder=folder).code == 0
    assert _into("> /dev/full", "--help", url=database, folder=folder).code == 2
