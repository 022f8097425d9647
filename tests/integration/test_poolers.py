"""PgBouncer in both modes, and the addresses of poolers that are known by their names."""

from __future__ import annotations

import psycopg
import pytest
from turnback.engine.session.connect_errors import explain
from turnback.engine.session.connection import connect
from turnback.engine.session.events import Options
from turnback.engine.session.pooler import refuse_pooler
from turnback.errors import DatabaseNotReady, DatabaseRefused

from tests.conftest import ProjectFactory
from tests.integration.command_line import turnback
from tests.poolers import pgbouncer

# Each finds the settings of turnback, though one before it has changed and reset them.
CHECKED = (
    "DO $$ BEGIN IF current_setting('DateStyle') <> 'ISO, MDY' OR "
    "current_setting('idle_session_timeout') <> '0' OR current_setting('lock_timeout') = '0' "
    "THEN RAISE 'not ours'; END IF; END $$;\n"
)
FILES = {
    "sql/0001_a.sql": f"{CHECKED}CREATE TABLE a (id int);\nSET DateStyle = 'German';\nRESET ALL;\n",
    "rollback/0001_rollback.sql": "DROP TABLE a;\n",
    "sql/0002_index.sql": "-- turnback: no-transaction\n"
    f"{CHECKED}CREATE INDEX CONCURRENTLY a_id ON a (id);\n",
    "rollback/0002_rollback.sql": "DROP INDEX CONCURRENTLY a_id;\n",
    "sql/0003_b.sql": f"{CHECKED}CREATE TABLE b (id int);\n",
    "rollback/0003_rollback.sql": "DROP TABLE b;\n",
}


@pytest.fixture
def german(database: str) -> str:
    """A database whose sessions read text otherwise than turnback, and end when they are idle."""
    with psycopg.connect(database, autocommit=True) as connection:
        name = connection.info.dbname
        for setting in ("DateStyle = 'German'", "idle_session_timeout = '1h'"):
            connection.execute(f"ALTER DATABASE {name} SET {setting}".encode())
    return database


def test_a_pooler_in_session_mode_is_used_with_the_settings_of_turnback(
    german: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(FILES)
    with pgbouncer(german, "session") as url:
        answer = turnback("up", "--json", url=url, folder=folder)
        assert answer.code == 0, answer.out + answer.err
        assert turnback("status", url=url, folder=folder).code == 0
        # pg_dump, and pg_restore of it into a database beside.
        answer = turnback("backup", url=url, folder=folder)
        assert answer.code == 0, answer.out
        assert turnback("down", "0", "--yes", url=url, folder=folder).code == 0
        with connect(url, application_name="a test", options=Options()) as connection:
            refuse_pooler(connection, 0, "here")
            assert connection.execute("SHOW statement_timeout").fetchone() == ("0",)
    with psycopg.connect(german) as connection:
        left = connection.execute("SELECT count(*) FROM pg_tables WHERE tablename IN ('a', 'b')")
        assert left.fetchone() == (0,)


@pytest.mark.parametrize(
    "more",
    ["", pytest.param("server_round_robin = 1", marks=pytest.mark.slow)],
    ids=["the last one first", "each in turn"],
)
def test_a_pooler_in_transaction_mode_is_refused_before_anything_is_written(
    database: str, project_factory: ProjectFactory, more: str
) -> None:
    with pgbouncer(database, "transaction", more) as url:
        # Sessions that somebody has used, and left idle.
        others = [psycopg.connect(url, autocommit=True) for _ in range(3)]
        for other in others:
            other.execute("BEGIN")
            other.execute("SELECT 1")
        for other in others:
            other.execute("COMMIT")
        answer = turnback("up", "--json", url=url, folder=project_factory(FILES))
        for other in others:
            other.close()
    assert answer.code == 5
    error = answer.document["error"]
    assert (error["type"], "transaction mode" in error["message"]) == ("DatabaseRefused", True)
    assert "pool_mode = session" in error["hint"]
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT to_regclass('migrations')").fetchone() == (None,)


def test_a_pooler_that_ignores_the_settings_is_refused_before_anything_is_written(
    database: str, project_factory: ProjectFactory
) -> None:
    with pgbouncer(database, "session", "ignore_startup_parameters = options") as url:
        answer = turnback("up", "--json", url=url, folder=project_factory(FILES))
    assert answer.code == 5
    assert "ignores the settings" in answer.document["error"]["message"]
    assert "ignore_startup_parameters" in answer.document["error"]["hint"]


def test_a_session_whose_number_is_not_the_servers_is_a_pooler(database: str) -> None:
    with connect(database, application_name="a test", options=Options()) as connection:
        refuse_pooler(connection, connection.info.backend_pid, "here")
        with pytest.raises(DatabaseRefused, match="here is a connection pooler"):
            refuse_pooler(connection, connection.info.backend_pid + 1, "here")


def test_a_pool_without_a_second_session_is_named(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnback.engine.session.pooler._TEST_S", 0.2)
    with (
        pgbouncer(database, "session", "default_pool_size = 1") as url,
        pytest.raises(DatabaseNotReady, match="no second session"),
    ):
        connect(url, application_name="a test", options=Options())


def test_a_function_does_not_leave_its_statement_to_a_pooler(database: str) -> None:
    with (
        pgbouncer(database, "session") as url,
        pytest.raises(DatabaseRefused, match="connection pooler"),
    ):
        connect(url, application_name="a test", options=Options(detachable=True))


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("app.proxy-c1abc.eu-west-1.rds.amazonaws.com", "direct endpoint"),
        ("ep-cool-1-pooler.eu-central-1.aws.neon.tech", "direct endpoint"),
        (
            "aws-0-eu-west-1.pooler.supabase.com:6543",
            "use aws-0-eu-west-1.pooler.supabase.com:5432",
        ),
        ("db.abcdefgh.supabase.co:6543", "use db.abcdefgh.supabase.co:5432"),
    ],
)
def test_a_pooler_known_to_share_sessions_is_refused_before_a_connection_is_tried(
    address: str, hint: str
) -> None:
    with pytest.raises(DatabaseRefused) as refused:
        connect(f"postgresql://u@{address}/app", application_name="a test", options=Options())
    assert hint in str(refused.value.hint)


# As libpq says it (fe-connect.c), of a machine without a route and of one without IPv6.
UNREACHABLE = (
    'connection failed: connection to server at "{host}" (2a05:d018:135e::1), port 5432 failed: '
    "Network is unreachable\n\tIs the server running on that host and accepting TCP/IP connections?"
)
NO_NAME = 'could not translate host name "{host}" to address: No address associated with hostname'


@pytest.mark.parametrize("said", [UNREACHABLE, NO_NAME], ids=["route", "name"])
def test_the_direct_host_of_supabase_is_explained_where_there_is_no_ipv6(said: str) -> None:
    host = "db.abcdefgh.supabase.co"
    failed = psycopg.OperationalError(said.format(host=host))
    hint = explain(failed, {"host": host}, "", "here").hint
    assert "IPv6 address only" in str(hint)
    assert "postgres.abcdefgh" in str(hint)


def test_another_server_of_ipv6_without_a_route_is_explained() -> None:
    failed = psycopg.OperationalError(UNREACHABLE.format(host="db.example.com"))
    hint = str(explain(failed, {"host": "db.example.com"}, "", "here").hint)
    assert hint.startswith("the address of db.example.com is IPv6")
    refused = psycopg.OperationalError(
        'connection failed: connection to server at "db.example.com" (10.0.0.1), port 5432 failed: '
        "Connection refused"
    )
    assert "IPv6" not in str(explain(refused, {"host": "db.example.com"}, "", "here").hint)
