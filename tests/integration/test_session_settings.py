"""Settings of the role, the database, the environment and the script meet those of a session."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from turnback.engine.session import lock
from turnback.engine.session.connection import connect, lock_timeout_of
from turnback.engine.session.events import Event, EventKind, Options
from turnback.errors import (
    ChecksumMismatch,
    DatabaseUnreachable,
    MigrationFailed,
    RunnerBusy,
    TurnbackError,
)
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project

from tests.conftest import ProjectFactory
from tests.integration.command_line import turnback
from tests.integration.test_engine import apply, engine_for, one_table, query

OPTIONS = Options()


@pytest.fixture
def role(database: str, admin: psycopg.Connection) -> Iterator[str]:
    """A role of this test's own, which may log in."""
    name = "member_" + database.rsplit("/", 1)[1]
    admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x' NOINHERIT".encode())
    yield name
    query(database, f"DROP OWNED BY {name} CASCADE")
    admin.execute(f"DROP ROLE {name}".encode())


def as_role(url: str, role: str) -> str:
    return psycopg.conninfo.make_conninfo(url, user=role, password="x")


def shown(url: str, name: str, options: Options = OPTIONS) -> str:
    """A setting as it is after RESET ALL, with which every migration begins."""
    with connect(url, application_name="a test", options=options) as connection:
        connection.execute("RESET ALL")
        row = connection.execute(f"SHOW {name}".encode()).fetchone()
    assert row is not None
    return str(row[0])


def failure(url: str, folder: Path) -> TurnbackError:
    error = apply(url, folder).error
    assert error is not None
    return error


@pytest.mark.parametrize(
    "name",
    [
        "statement_timeout",
        "transaction_timeout",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
    ],
)
def test_a_timeout_of_the_database_does_not_end_a_migration(database: str, name: str) -> None:
    query(database, f"ALTER DATABASE {database.rsplit('/', 1)[1]} SET {name} = '100ms'")
    assert shown(database, name) == "0"


def test_a_backup_outlasts_the_transaction_timeout_of_the_database(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    query(database, f"ALTER DATABASE {database.rsplit('/', 1)[1]} SET transaction_timeout = '1ms'")
    monkeypatch.chdir(tmp_path)
    answer = turnback("backup", url=database)
    assert answer.code == 0, answer.err


def test_what_a_server_says_when_it_ends_a_session_is_shown(
    database: str, project_factory: ProjectFactory
) -> None:
    sql = "SET idle_in_transaction_session_timeout = 0;\nSET transaction_timeout = '100ms';\n"
    folder = project_factory(
        {"sql/0001_a.sql": f"{sql}SELECT pg_sleep(5);\n", "rollback/0001_rollback.sql": "SELECT 1;"}
    )
    error = failure(database, folder)
    assert isinstance(error, DatabaseUnreachable)
    assert error.sqlstate == "25P04"
    assert error.message.endswith("terminating connection due to transaction timeout")


@pytest.mark.parametrize("sqlstate", ["08006", "08001", "57P01", "57P02", "57P03"])
def test_an_sqlstate_that_a_script_raises_is_no_lost_connection(
    database: str, project_factory: ProjectFactory, sqlstate: str
) -> None:
    block = f"DO $$ BEGIN RAISE 'the partner is down' USING ERRCODE = '{sqlstate}'; END $$;\n"
    folder = project_factory(
        {"sql/0001_a.sql": f"SELECT 1;\n{block}", "rollback/0001_rollback.sql": "SELECT 1;"}
    )
    error = failure(database, folder)
    assert isinstance(error, MigrationFailed)
    assert (error.file, error.line, error.sqlstate) == ("sql/0001_a.sql", 2, sqlstate)
    assert "the partner is down" in error.message


def test_a_role_that_is_set_for_the_user_runs_migrations_and_owns_the_history(
    database: str, project_factory: ProjectFactory, role: str, admin: psycopg.Connection
) -> None:
    owner = f"{role}_owner"
    admin.execute(f"CREATE ROLE {owner}; GRANT {owner} TO {role}".encode())
    admin.execute(f"ALTER ROLE {role} SET role = '{owner}'".encode())
    query(database, f"GRANT ALL ON SCHEMA public TO {owner}")
    try:
        files = one_table(1) | {
            # Outside a transaction, and with a role of its own in the middle.
            "sql/0002_i.sql": "CREATE INDEX CONCURRENTLY ON t1 (id);\n",
            "rollback/0002_rollback.sql": "DROP INDEX t1_id_idx;\n",
            "sql/0003_r.sql": f"SET ROLE {owner};\nCREATE TABLE t3 ();\n",
            "rollback/0003_rollback.sql": "DROP TABLE t3;\n",
        }
        url = as_role(database, role)
        folder = project_factory(files)
        assert apply(url, folder).error is None
        owners = query(
            database,
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'",
        )
        assert owners == [(owner,)]
        assert turnback("down", "0", "--yes", url=url, folder=folder).code == 0
    finally:
        query(database, f"DROP OWNED BY {owner} CASCADE")
        admin.execute(f"DROP ROLE {owner}".encode())


@pytest.mark.parametrize(
    ("following", "error"),
    [
        # What the log says of earlier attempts is read before it.
        ("CREATE INDEX CONCURRENTLY ON t1 (id);\n", None),
        # What was done of the message that both share is read after it.
        ("SELECT 1/0;\n", "division by zero"),
        ("SELECT 1;\n", None),
    ],
)
def test_a_role_that_a_migration_leaves_is_not_that_of_what_turnback_does_next(
    following: str, error: str | None, database: str, project_factory: ProjectFactory
) -> None:
    files = one_table(1) | {
        "sql/0002_r.sql": "SET ROLE pg_monitor;\n",
        "rollback/0002_rollback.sql": "SELECT 1;\n",
        "sql/0003_next.sql": following,
        "rollback/0003_rollback.sql": "SELECT 1;\n",
    }
    project = load_project(project_factory(files))
    with engine_for(database) as engine:
        report = engine.run(engine.plan_up(project))
        assert (report.error and report.error.message) == error
        applied = [one.version for one in engine.status(project) if one.status == "applied"]
    assert applied == ["0001", "0002", "0003"][: 2 if error else 3]


@pytest.mark.parametrize(
    "beginning",
    [
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;\n",
        "-- turnback: isolation serializable\n",
        "-- turnback: isolation serializable\nBEGIN;\n",
    ],
)
@pytest.mark.parametrize("batch", [True, False])
def test_a_migration_runs_with_the_isolation_level_that_it_names(
    database: str, project_factory: ProjectFactory, beginning: str, batch: bool
) -> None:
    level = "CREATE TABLE level AS SELECT current_setting('transaction_isolation') AS value;\n"
    end = "COMMIT;\n" if "BEGIN" in beginning else ""
    files = one_table(1) | one_table(3)
    files |= {"sql/0002_a.sql": beginning + level + end, "rollback/0002_rollback.sql": "SELECT 1;"}
    assert apply(database, project_factory(files), batch=batch).error is None
    assert query(database, "SELECT value FROM level") == [("serializable",)]


@pytest.mark.parametrize("where", ["the address", "PGOPTIONS", "a service", "PGSERVICE"])
def test_server_options_are_those_of_the_address_the_environment_and_the_service(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    options = "-c search_path=app -c lock_timeout=7s --statement-timeout=9s"
    url = database
    if where == "PGOPTIONS":
        monkeypatch.setenv("PGOPTIONS", options)
    elif where == "the address":
        url = psycopg.conninfo.make_conninfo(database, options=options)
    else:
        file = tmp_path / "services.conf"
        file.write_text(f"[mine]\noptions={options}\n")
        monkeypatch.setenv("PGSERVICEFILE", str(file))
        if where == "PGSERVICE":
            monkeypatch.setenv("PGSERVICE", "mine")
        else:
            url = psycopg.conninfo.make_conninfo(database, service="mine")
    assert shown(url, "search_path") == "app"
    assert shown(url, "lock_timeout") == "7s"
    assert shown(url, "statement_timeout") == "9s"
    # An option of turnback wins.
    assert shown(url, "lock_timeout", Options(lock_timeout_ms=3000)) == "3s"
    # And what turnback needs, too.
    with connect(
        psycopg.conninfo.make_conninfo(url, options="-c standard_conforming_strings=off"),
        application_name="a test",
        options=Options(),
    ) as connection:
        assert connection.info.parameter_status("standard_conforming_strings") == "on"


@pytest.mark.parametrize(
    ("options", "milliseconds"),
    [("", 2000), ("-c lock_timeout=7s", 7000), ("-clock_timeout=1min", 60_000)],
)
def test_the_lock_timeout_of_a_session_is_known_in_milliseconds(
    database: str, options: str, milliseconds: int
) -> None:
    url = psycopg.conninfo.make_conninfo(database, options=options)
    with connect(url, application_name="a test", options=Options()) as connection:
        assert lock_timeout_of(connection) == milliseconds


def test_an_orphan_of_another_role_is_waited_for_and_named(
    database: str, project_factory: ProjectFactory, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "ORPHAN_S", 0)
    query(database, f"GRANT pg_read_all_stats TO {role} WITH INHERIT TRUE")
    query(database, f"GRANT ALL ON SCHEMA public TO {role}")
    with psycopg.connect(database, application_name="turnback/r-frozen", autocommit=True) as orphan:
        orphan.execute("SELECT pg_advisory_lock(%s)", [lock.lock_key("public")])
        error = failure(as_role(database, role), project_factory(one_table(1)))
        assert isinstance(error, RunnerBusy)
        assert error.hint is not None
        assert f"pg_terminate_backend({orphan.info.backend_pid})" in error.hint


def test_a_run_whose_second_session_still_looks_at_it_is_not_gone(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the server sees a run that sends a large message through a slow network.
    monkeypatch.setattr(lock, "ORPHAN_S", 2)
    events: list[Event] = []
    with (
        psycopg.connect(database, application_name="turnback/r-slow", autocommit=True) as sender,
        psycopg.connect(
            database, application_name="turnback-monitor/r-slow", autocommit=True
        ) as monitor,
    ):
        sender.execute("BEGIN")
        sender.execute("SELECT pg_advisory_lock(%s)", [lock.lock_key("public")])
        while query(
            database,
            "SELECT clock_timestamp() - state_change < '2 s' FROM pg_stat_activity "
            f"WHERE pid = {sender.info.backend_pid}",
        ) == [(True,)]:
            time.sleep(0.1)
        monitor.execute("SELECT 1")
        with (
            engine_for(database, listener=events.append, runner_wait_s=0.1) as engine,
            pytest.raises(RunnerBusy),
        ):
            engine.session.lock()
        sender.execute("SELECT 1")
    assert EventKind.ORPHAN not in {event.kind for event in events}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize(("before", "after"), [("\n", "\r\n"), ("\r\n", "\n")])
def test_a_file_with_other_line_ends_only_is_named_as_that(
    database: str, project_factory: ProjectFactory, before: str, after: str, mark: str
) -> None:
    files = one_table(1)
    sql = f"{mark}CREATE TABLE t1 (id int);\n-- é\n"
    first = project_factory(files | {"sql/0001_t1.sql": sql.replace("\n", before)})
    assert apply(database, first).error is None
    for command in ("up", "down"):
        again = project_factory(files | {"sql/0001_t1.sql": sql.replace("\n", after)})
        answer = turnback(command, "0" if command == "down" else "0001", url=database, folder=again)
        assert answer.code == ChecksumMismatch.exit_code
        assert "other line ends than when it was applied" in answer.err
    changed = project_factory(files | {"sql/0001_t1.sql": sql.replace("t1", "t2")})
    assert "was edited after it was applied" in turnback("up", url=database, folder=changed).err


def test_the_schema_of_an_address_of_prisma_is_where_tables_are_made(
    database: str, server: EmbeddedServer, project_factory: ProjectFactory
) -> None:
    query(database, 'CREATE SCHEMA "My Shop"')
    folder = project_factory(
        {
            "sql/0001_users.sql": "CREATE TABLE users (id int);\n",
            "rollback/0001_rollback.sql": "DROP TABLE users;\n",
        }
    )
    url = f"{database}?schema=My%20Shop&connection_limit=5&pgbouncer=false"
    shadow = ("--shadow-url", server.url())
    assert turnback("rehearse", *shadow, url=url, folder=folder).code == 0
    answer = turnback("up", url=url, folder=folder)
    assert answer.code == 0
    assert "(DATABASE_URL) connection_limit: left out" in answer.err
    found = query(database, "SELECT schemaname FROM pg_tables WHERE tablename = 'users'")
    assert found == [("My Shop",)]
    assert turnback("backup", "--dry-run", url=url, folder=folder).code == 0
    assert turnback("down", "--yes", url=url, folder=folder).code == 0
