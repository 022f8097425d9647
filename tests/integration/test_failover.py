"""A standby, or a server that has become read-only, is named, waited for, and loses no work."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import psycopg
import pytest
from turnback.engine import Engine, Event, Options, RunContext
from turnback.engine.session.events import EventKind
from turnback.errors import DatabaseNotReady, MigrationFailed
from turnback.local.scratch import scratch
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project

from tests.conftest import ProjectFactory
from tests.integration.command_line import PROGRAM, history, query, tables, turnback
from tests.standby import replica_of, set_read_only, writable_at_the_end

FILES = {
    "sql/0001_users.sql": "CREATE TABLE users (id int);\n",
    "rollback/0001_rollback.sql": "DROP TABLE users;\n",
    "sql/0002_nodes.sql": "CREATE TABLE nodes (id int);\n",
    "rollback/0002_rollback.sql": "DROP TABLE nodes;\n",
}
OUTSIDE = {
    "sql/0003_index.sql": "CREATE INDEX CONCURRENTLY users_id ON users (id);\n",
    "rollback/0003_rollback.sql": "DROP INDEX CONCURRENTLY users_id;\n",
}
CATCH_UP = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"


@pytest.fixture(scope="module")
def replica(server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    with scratch("replica") as folder, replica_of(server, folder) as standby:
        yield standby


@pytest.fixture
def lagging(
    replica: EmbeddedServer, database: str, project_factory: ProjectFactory
) -> Iterator[str]:
    """The database in a replica that has the first migration, and not yet the second."""
    name = database.rpartition("/")[2]
    files = {path: text for path, text in FILES.items() if "0001" in path}
    assert turnback("up", url=database, folder=project_factory(files)).code == 0
    [(position,)] = query(database, "SELECT pg_current_wal_lsn()::text")
    with psycopg.connect(replica.url(), autocommit=True) as standby:
        while standby.execute(CATCH_UP, [position]).fetchone() != (True,):
            pass
        standby.execute("SELECT pg_wal_replay_pause()")
        assert turnback("up", url=database, folder=project_factory(FILES)).code == 0
        [(position,)] = query(database, "SELECT pg_current_wal_lsn()::text")
        received = "SELECT pg_last_wal_receive_lsn() >= %s::pg_lsn"
        while standby.execute(received, [position]).fetchone() != (True,):
            pass
        yield replica.url(name)
        if standby.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
            standby.execute("SELECT pg_wal_replay_resume()")


def test_status_and_health_of_a_replica_say_that_it_is_one_and_how_far_behind(
    lagging: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(FILES)
    for command in ("status", "health"):
        shown = turnback(command, url=lagging, folder=folder)
        assert shown.code == 0
        assert "This is a read replica" in shown.out
        assert "bytes of WAL yet to be replayed" in shown.out
        said = turnback(command, "--json", url=lagging, folder=folder).document["replica"]
        assert said["behind_bytes"] > 0
        assert said["connected"] is True
    assert "pending     0002" in turnback("status", url=lagging, folder=folder).out


def test_a_writer_is_no_replica(database: str, project_factory: ProjectFactory) -> None:
    shown = turnback("status", "--json", url=database, folder=project_factory(FILES))
    assert shown.document["replica"] is None


@pytest.mark.parametrize("command", [["up"], ["down", "0", "--yes"], ["redo", "--yes"]])
def test_what_writes_is_refused_on_a_replica_before_anything_is_sent(
    command: list[str], lagging: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(FILES)
    answer = turnback(*command, "--wait", "0s", "--json", url=lagging, folder=folder)
    error = answer.document["error"]
    assert (answer.code, answer.document["status"]) == (5, "unreachable")
    assert error["type"] == "DatabaseNotReady"
    assert "read replica" in error["message"]
    assert "name the endpoint of the writer" in error["hint"]
    assert "fix the" not in error["hint"]


def test_a_backup_of_a_replica_says_that_it_is_one(lagging: str, tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("backup") / "migrations"
    (folder / "sql").mkdir(parents=True)
    answer = turnback("backup", "--json", url=lagging, folder=folder)
    assert answer.code == 0, answer.err
    limits = " ".join(answer.document["snapshot"]["limits"])
    assert "taken from a read replica" in limits
    assert "not tried" in limits


def test_a_server_that_is_read_only_for_all_is_waited_for(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(FILES)
    with writable_at_the_end(database):
        set_read_only(database, on=True)
        answer = turnback("up", "--wait", "0s", url=database, folder=folder)
        assert answer.code == 5
        assert "default_transaction_read_only is on in the server's configuration" in answer.err
        with up_that_waits(database, folder) as waiting:
            set_read_only(database, on=False)
            assert waiting.wait() == 0
    assert tables(database) == {"users", "nodes"}


class up_that_waits:
    """``turnback up`` in a process of its own, which has met a server without writes."""

    def __init__(self, url: str, folder: object) -> None:
        self._command = [PROGRAM, "up", "--database-url", url, "--dir", folder]

    def __enter__(self) -> subprocess.Popen[str]:
        self.process = subprocess.Popen(
            [*map(str, self._command)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        assert self.process.stderr
        assert "trying again for 2 min" in self.process.stderr.readline()
        return self.process

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.mark.parametrize(
    "whom", ["DATABASE {name}", "ROLE frozen", "ROLE frozen IN DATABASE {name}"]
)
def test_a_deliberate_setting_is_named_and_not_waited_for(
    whom: str, database: str, admin: psycopg.Connection, project_factory: ProjectFactory
) -> None:
    name = database.rpartition("/")[2]
    whom = whom.format(name=name)
    admin.execute("CREATE ROLE frozen LOGIN SUPERUSER PASSWORD 'cold'")
    try:
        admin.execute(f"ALTER {whom} SET default_transaction_read_only = on".encode())
        url = f"postgresql://frozen:cold@{database.rpartition('@')[2]}"
        folder = project_factory(FILES)
        answer = turnback("up", "--json", url=url, folder=folder)
        error = answer.document["error"]
        assert (answer.code, error["type"]) == (5, "DatabaseRefused")
        assert "trying again" not in answer.err
        assert "default_transaction_read_only is on, set for the " in error["message"]
        # Both ways out of the hint work.
        option = error["hint"].partition("add ")[2].partition(" to the address")[0]
        assert turnback("up", url=f"{url}?{option}", folder=folder).code == 0
        statement = error["hint"].partition("alone: ")[2].partition(";")[0]
        admin.execute(statement.encode())
        assert turnback("down", "0", "--yes", url=url, folder=folder).code == 0
    finally:
        admin.execute("ALTER ROLE frozen RESET ALL")
        admin.execute(f"ALTER DATABASE {name} RESET ALL".encode())
        admin.execute(f"ALTER ROLE frozen IN DATABASE {name} RESET ALL".encode())
        with psycopg.connect(database) as session:
            session.execute("DROP OWNED BY frozen")
        admin.execute("DROP ROLE frozen")


def up(url: str, folder, listener: Callable[[Event], None], *, batch: bool = False, run: str = "r"):
    options = Options(batch=batch)
    with Engine(url, context=RunContext(run=run), listener=listener, options=options) as engine:
        return engine.run(engine.plan_up(load_project(folder)))


@pytest.mark.parametrize("version", ["0001", "0002", "0003"])
def test_a_server_that_becomes_read_only_before_a_migration_keeps_what_was_done(
    version: str, database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(FILES | OUTSIDE)

    def freeze(event: Event) -> None:
        if event.kind is EventKind.STARTED and event.version == version:
            set_read_only(database, on=True)

    with writable_at_the_end(database):
        report = up(database, folder, freeze)
    assert isinstance(report.error, DatabaseNotReady)
    before = [f"{number:04}" for number in range(1, int(version))]
    assert [done.version for done in report.applied] == before
    # What could not begin did not fail.
    assert history(database) == [(one, "applied") for one in before]
    answer = turnback("up", url=database, folder=folder)
    assert answer.code == 0, answer.err
    assert history(database) == [(f"{number:04}", "applied") for number in (1, 2, 3)]


def test_an_index_that_was_built_while_the_server_became_read_only_is_recorded_by_the_next_run(
    database: str, project_factory: ProjectFactory
) -> None:
    assert turnback("up", url=database, folder=project_factory(FILES)).code == 0
    folder = project_factory(FILES | OUTSIDE)
    writer = psycopg.connect(database)
    writer.execute("INSERT INTO users VALUES (1)")

    def freeze(event: Event) -> None:
        # The build waits for the transaction of the writer.
        if event.kind is EventKind.PROGRESS and not writer.closed:
            set_read_only(database, on=True)
            writer.close()

    with writable_at_the_end(database):
        report = up(database, folder, freeze)
    assert isinstance(report.error, DatabaseNotReady), report.error
    assert ("0003", "failed") not in history(database)
    answer = turnback("up", url=database, folder=folder)
    assert answer.code == 0, answer.err
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'users_id'::regclass"
    assert query(database, valid) == [(True,)]


def test_a_script_that_makes_itself_read_only_has_failed(
    database: str, project_factory: ProjectFactory
) -> None:
    script = "SET LOCAL transaction_read_only = on;\nCREATE TABLE own ();\n"
    folder = project_factory(FILES | {"sql/0003_own.sql": script})
    answer = turnback("up", "--allow-missing-rollback", "--json", url=database, folder=folder)
    assert answer.document["error"]["type"] == MigrationFailed.__name__
    assert answer.document["error"]["file"] == "sql/0003_own.sql"


def test_up_goes_on_once_the_standby_has_become_the_writer(
    replica: EmbeddedServer, lagging: str, project_factory: ProjectFactory
) -> None:
    # The last test with this replica.
    folder = project_factory(FILES | OUTSIDE)
    with up_that_waits(lagging, folder) as waiting:
        with psycopg.connect(replica.url(), autocommit=True) as standby:
            standby.execute("SELECT pg_wal_replay_resume()")
            standby.execute("SELECT pg_promote()")
        assert waiting.wait() == 0
    assert history(lagging) == [(f"{number:04}", "applied") for number in (1, 2, 3)]
