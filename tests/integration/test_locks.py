"""``locks``: what it shows, and what it ends; poolers, and privileges."""

from __future__ import annotations

import psycopg
import pytest
from turnback.engine import Engine, RunContext
from turnback.engine.session.lock import lock_key

from tests.integration.command_line import turnback


@pytest.fixture
def waiting(database: str):
    """A session idle in a transaction with a table locked, and one that waits for that table."""
    with (
        psycopg.connect(database, application_name="the culprit") as holder,
        psycopg.connect(database, application_name="the victim") as waiter,
        psycopg.connect(database, autocommit=True) as setup,
    ):
        setup.execute("CREATE TABLE users (id int)")
        holder.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        waiter.execute("SELECT 1")
        waiter.pgconn.send_query(b"SELECT * FROM users")
        waiter.pgconn.flush()
        while not setup.execute(
            "SELECT FROM pg_locks WHERE NOT granted AND pid = %s", [waiter.info.backend_pid]
        ).fetchall():
            pass
        yield holder, waiter
        # Closed by hand: leaving the block would end a transaction that is still waiting.
        waiter.close()
        holder.close()


def test_locks_shows_who_waits_under_who_blocks(database: str, waiting) -> None:
    holder, waiter = waiting
    answer = turnback("locks", url=database)
    assert answer.code == 0
    first, second = (
        answer.out.index(f"pid {holder.info.backend_pid}"),
        answer.out.index(f"waits: pid {waiter.info.backend_pid}"),
    )
    assert first < second
    assert "holds AccessExclusiveLock on users" in answer.out
    assert "wants AccessShareLock on users" in answer.out
    assert "the culprit" in answer.out


def test_locks_as_json_names_pids_and_their_relations(database: str, waiting) -> None:
    holder, waiter = waiting
    document = turnback("locks", "--json", url=database).document
    by_pid = {session["pid"]: session for session in document["sessions"]}
    assert by_pid[waiter.info.backend_pid]["waits_for"] == [holder.info.backend_pid]
    assert by_pid[holder.info.backend_pid]["state"] == "idle in transaction"


def test_terminate_without_a_terminal_needs_yes(database: str, waiting) -> None:
    holder, _ = waiting
    pid = str(holder.info.backend_pid)
    refused = turnback("locks", "--terminate", pid, url=database)
    assert refused.code == 2
    assert "--yes" in refused.err
    assert turnback("locks", "--terminate", pid, "--yes", url=database).code == 0
    with pytest.raises(psycopg.OperationalError):
        holder.execute("SELECT 1")


def test_terminate_refuses_a_pid_that_is_in_nobodys_way(database: str) -> None:
    answer = turnback("locks", "--terminate", "1", "--yes", url=database)
    assert answer.code == 2


def test_terminate_idle_spares_runs_of_turnback(database: str) -> None:
    with (
        psycopg.connect(database, application_name="turnback/r-1") as ours,
        psycopg.connect(database, application_name="forgotten") as other,
    ):
        ours.execute("SELECT 1")
        other.execute("SELECT 1")
        answer = turnback("locks", "--terminate-idle", "0s", "--yes", "--json", url=database)
        assert answer.document["terminated"] == [other.info.backend_pid]
        assert ours.execute("SELECT 2").fetchone() == (2,)
        other.close()


@pytest.mark.parametrize("command", ["status", "up --dry-run", "health", "locks"])
def test_a_reading_command_needs_no_more_than_reading(
    database: str, admin: psycopg.Connection, project_factory, command: str
) -> None:
    folder = project_factory(
        {"sql/0001_a.sql": "CREATE TABLE a (id int);", "rollback/0001_rollback.sql": "DROP TABLE a"}
    )
    assert turnback("up", url=database, folder=folder).code == 0
    role = "reader_" + database.rsplit("/", 1)[1]
    admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'reading'")
    try:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(
                f"GRANT SELECT ON migrations, migration_log, migration_health TO {role};"
                f"ALTER ROLE {role} SET default_transaction_read_only = on"
            )
        url = psycopg.conninfo.make_conninfo(database, user=role, password="reading")
        assert turnback(*command.split(), url=url, folder=folder).code == 0
    finally:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY {role}")
        admin.execute(f"DROP ROLE {role}")


def test_the_lock_is_held_while_a_run_works_and_gone_afterwards(database: str) -> None:
    with Engine(database, context=RunContext(run="r-1")) as engine:
        engine.session.lock()
        with psycopg.connect(database) as other:
            (free,) = other.execute(
                "SELECT pg_try_advisory_lock(%s)", [lock_key("public")]
            ).fetchone()
            assert free is False
    with psycopg.connect(database) as other:
        (free,) = other.execute("SELECT pg_try_advisory_lock(%s)", [lock_key("public")]).fetchone()
        assert free is True
