"""Releases for the tests of the state machine, and questions about what they did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg

from tests.integration.moto_stack import Stack
from tests.real_events import event

Deploy = Callable[..., Stack]
Interrupt = Callable[[str, Callable[[], Any]], None]

FIRST = {
    "sql/0001_users.sql": "CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL);\n",
    "rollback/0001_rollback.sql": "DROP TABLE users;\n",
    "sql/0002_nodes.sql": "CREATE TABLE nodes (id bigint PRIMARY KEY);\n",
    "rollback/0002_rollback.sql": "DROP TABLE nodes;\n",
}

GOOD = {
    **FIRST,
    "sql/0003_edges.sql": "CREATE TABLE edges (a bigint, b bigint);\n",
    "rollback/0003_rollback.sql": "DROP TABLE edges;\n",
}

BROKEN = {
    **GOOD,
    "sql/0004_tags.sql": "CREATE TABLE tags (id bigint);\nALTER TABLE tags ADD FOREIGN KEY (x) "
    "REFERENCES users;\n",
    "rollback/0004_rollback.sql": "DROP TABLE tags;\n",
}

LEFT_HALF_DONE = {
    **GOOD,
    "sql/0004_tags.sql": "-- turnback: no-transaction\n"
    "CREATE TABLE tags (id bigint);\nCREATE INDEX CONCURRENTLY tags_x ON tags (x);\n",
    "rollback/0004_rollback.sql": "DROP TABLE tags;\n",
}

NO_WAY_BACK = {**BROKEN, "rollback/0003_rollback.sql": "DROP TABLE edgse;\n"}

# Each an index built outside a transaction, so that no two travel in one message.
SLOW = {
    **FIRST,
    **{
        f"sql/{n:04}_index.sql": f"CREATE INDEX CONCURRENTLY users_{n} ON users (id);\n"
        for n in range(3, 6)
    },
    **{
        f"rollback/{n:04}_rollback.sql": f"DROP INDEX CONCURRENTLY users_{n};\n"
        for n in range(3, 6)
    },
}


def tables(database: str) -> set[str]:
    """The tables of the application; those of the history are not among them."""
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' "
            "AND tablename NOT LIKE 'migration%'"
        )
        return {name for (name,) in rows}


def health(database: str) -> dict[str, str]:
    """The history: version and status."""
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT version, status FROM migration_health")
        return {version: status for version, status in rows}


def by_version(message: dict[str, Any]) -> dict[str, str]:
    return {row["version"]: row["status"] for row in message["migrations"]}


def assert_untouched(database: str) -> None:
    """There is not even a history."""
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT relname FROM pg_class WHERE relnamespace = 2200")
        assert rows.fetchall() == []


def rollback_of(stack: Stack, run: str) -> dict[str, Any]:
    """What the state machine asks of roll_back for a run that has no records."""
    asked = event("roll_back")
    asked["state"] |= {"run": run, "artifact": {"bucket": stack.bucket, "key": "k"}}
    return asked | {"execution": execution_of(stack, run)}


def execution_of(stack: Stack, run: str) -> str:
    """The ARN of a run's execution, which has its name."""
    return f"{stack.machine.replace(':stateMachine:', ':execution:')}:{run}"


def read_secret(stack: Stack) -> str:
    answer = stack.client("secretsmanager").get_secret_value(SecretId="database")
    return str(answer["SecretString"])


def await_busy(database: str, run: str) -> None:
    """Until the run has asked for the lock, which it does in a session under its name."""
    with psycopg.connect(database, autocommit=True) as connection:
        query = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE application_name = %s AND query LIKE '%%advisory%%'"
        )
        for _ in range(6000):
            (found,) = connection.execute(query, [f"turnback/{run}"]).fetchone() or (0,)
            if found:
                return
    raise AssertionError(f"{run} never asked for the lock")
