"""Other people's sessions: who is in our way, and what ours is seen to do."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self

import psycopg

# Far longer than anything here takes: reached only where something is wrong.
_LONGEST_S = 60.0
OURS = "application_name LIKE 'turnback/%'"


def rows(url: str, sql: str) -> list[tuple]:
    """The rows of a query."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(sql.encode()).fetchall()


def execute(url: str, sql: str) -> None:
    """A statement, outside a transaction."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.encode())


def value(url: str, sql: str) -> object:
    """The only field of a query's only row."""
    ((found,),) = rows(url, sql)
    return found


@contextlib.contextmanager
def transaction(url: str, sql: str, *, isolation: str = "read committed") -> Iterator[None]:
    """Somebody's transaction that has done this and stays open."""
    with psycopg.connect(url) as connection:
        connection.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}".encode())
        connection.execute(sql.encode())
        yield
        connection.rollback()


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for something that must come."""
    deadline = time.monotonic() + _LONGEST_S
    while not true():
        assert time.monotonic() < deadline, f"it never came: {what}"
        time.sleep(0.02)


class Eye:
    """Looks at the session of ours that works in a database."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True, application_name="eye")
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def waiting(self, sql: str = "") -> list[int]:
        """The processes of ours that wait for somebody's lock, or sleep, in this statement.

        Args:
            sql: part of the first 1,000 characters of what they were sent; the server keeps more
                of none.
        """
        query = (
            f"SELECT pid FROM pg_stat_activity WHERE {OURS} AND datname = current_database() "
            "AND state = 'active' AND (wait_event_type = 'Lock' OR wait_event = 'PgSleep') "
            f"AND position($${sql}$$ IN query) > 0"
        )
        with self._lock:
            return [pid for (pid,) in self._connection.execute(query.encode()).fetchall()]

    def gone(self) -> bool:
        """Whether no session of ours is left."""
        query = f"SELECT FROM pg_stat_activity WHERE {OURS} AND datname = current_database()"
        with self._lock:
            return not self._connection.execute(query.encode()).fetchall()

    def end(self, sql: str, how: str) -> None:
        """Cancel or terminate the session of ours that waits in this statement, once it does."""
        found: list[int] = []
        until(lambda: bool(found.extend(self.waiting(sql)) or found), f"ours waits in {sql}")
        with self._lock:
            self._connection.execute(f"SELECT pg_{how}_backend({found[0]})".encode())
