"""A swap while an application writes, and cut off at its messages; a second table is the judge.

The application writes each change to the table and, in the same transaction, to a twin that nobody
swaps.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from turnback.errors import TurnbackError
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project

from tests.conftest import ProjectFactory
from tests.faults.proxy import Fault, Link, Proxy, When
from tests.integration.test_engine import apply, engine_for, query
from tests.integration.test_swap import WIDER, down, files, schema

COLUMNS = "(id int PRIMARY KEY, email text, seen int, note text, code int UNIQUE)"
TABLES = f"""
CREATE TABLE users {COLUMNS};
CREATE TABLE twin {COLUMNS};
INSERT INTO users
    SELECT n, 'u' || n || '@example.org', 0, 'n', n FROM generate_series(1, {{rows}}) n;
INSERT INTO twin SELECT * FROM users;
CREATE TABLE orders (
    id serial PRIMARY KEY, u int REFERENCES users ON DELETE CASCADE ON UPDATE CASCADE
);
INSERT INTO orders (u) SELECT id FROM users;
CREATE VIEW notes AS SELECT id, note FROM users;
"""
ROWS = 20_000
SAME = (
    "SELECT count(*) FROM (SELECT id, email, seen, note, code FROM users) u "
    "FULL JOIN twin t USING (id) WHERE (u.email, u.seen, u.note, u.code) "
    "IS DISTINCT FROM (t.email, t.seen, t.note, t.code)"
)


class Application(threading.Thread):
    """Writes rows whose keys are its own, until it is stopped.

    Attributes:
        transactions: how many were committed.
        error: what a statement of it failed with.
    """

    def __init__(self, url: str, number: int, isolation: psycopg.IsolationLevel) -> None:
        super().__init__(daemon=True)
        self._url, self._number, self._isolation = url, number, isolation
        self._chance = random.Random(number)
        self._ending = threading.Event()
        self.transactions = 0
        self.error: Exception | None = None

    def run(self) -> None:
        new = 10 * ROWS
        with psycopg.connect(self._url) as connection:
            connection.isolation_level = self._isolation
            while not self._ending.is_set():
                new += 2
                try:
                    for sql in self._changes(new):
                        for table in ("users", "twin"):
                            connection.execute(sql.replace("users", table).encode())
                    if self._chance.random() < 0.2:
                        connection.execute(
                            "INSERT INTO orders (u) VALUES (%s)", [new + self._number]
                        )
                    connection.commit() if self._chance.random() < 0.9 else connection.rollback()
                    self.transactions += 1
                except psycopg.Error as error:
                    self.error = error
                    return

    def _changes(self, new: int) -> Iterator[str]:
        """A new row, and some change of an old one."""
        mine, chance = self._number, self._chance
        yield (
            f"INSERT INTO users VALUES ({new + mine}, 'new', 1, NULL, {new + mine}) "
            "ON CONFLICT (id) DO UPDATE SET seen = 7"
        )
        old = 2 * chance.randrange(1, ROWS // 2) + mine
        match chance.randrange(6):
            case 0:
                yield f"UPDATE users SET note = NULL, email = NULL WHERE id = {old}"
            case 1:
                yield f"UPDATE users SET id = id + {50 * ROWS} WHERE id = {old}"
            case 2:
                yield f"DELETE FROM users WHERE id = {old}"
            case 3:
                # A pair of rows that exchange their unique values, and many rows at once.
                yield f"UPDATE users SET code = -code WHERE id IN ({old}, {old + 2})"
            case 4:
                high = old + 400
                yield (
                    f"UPDATE users SET seen = seen + 1 WHERE id BETWEEN {old} AND {high} "
                    f"AND id % 2 = {mine}"
                )
            case _:
                yield f"UPDATE users SET seen = seen + 1, note = 'x' WHERE id = {old}"

    def stop(self) -> None:
        self._ending.set()
        self.join()


@contextmanager
def application(url: str) -> Iterator[list[Application]]:
    levels = [psycopg.IsolationLevel.READ_COMMITTED, psycopg.IsolationLevel.REPEATABLE_READ]
    threads = [Application(url, number, level) for number, level in enumerate(levels)]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for thread in threads:
            thread.stop()


def test_the_application_loses_no_row_and_gets_no_error(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(files(TABLES.format(rows=ROWS), WIDER))
    with engine_for(database) as engine:
        assert engine.run(engine.plan_up(load_project(folder), target="0001")).error is None
    before = schema(database)
    with application(database) as threads:
        report = apply(database, folder, lock_timeout_ms=1000, lock_retry_s=30)
        assert report.error is None, (report.error, vars(report.error))
        assert query(database, SAME) == [(0,)]
        report = down(database, folder)
        assert report.error is None, (report.error, vars(report.error))
    assert [thread.error for thread in threads] == [None, None]
    assert all(thread.transactions > 50 for thread in threads)
    assert query(database, SAME) == [(0,)]
    assert schema(database) == before


@pytest.mark.parametrize("every", [41, pytest.param(1, marks=pytest.mark.slow)])
def test_a_run_that_was_cut_off_goes_on_or_is_undone(
    server: EmbeddedServer, database: str, project_factory: ProjectFactory, every: int
) -> None:
    folder = project_factory(files(TABLES.format(rows=50), WIDER))
    with engine_for(database) as engine:
        assert engine.run(engine.plan_up(load_project(folder), target="0001")).error is None
    before = schema(database)
    with Proxy(server.url()) as proxy:
        through = proxy.url(database.rsplit("/", 1)[1])
        proxy.arm()
        assert apply(through, folder).error is None
        swapped, up = schema(database), len(proxy.seen)
        proxy.arm()
        assert down(through, folder).error is None
        assert schema(database) == before
        cuts = [("up", n) for n in range(3, up, every)]
        cuts += [("down", n) for n in range(3, len(proxy.seen), every)]
        for number, (direction, at) in enumerate(cuts):
            for when in (When.BEFORE, When.AFTER):
                if direction == "down":
                    assert apply(database, folder).error is None
                proxy.arm(Fault(at, when, Link.cut))
                cut(through, folder, direction)
                if direction == "up" and number % 2:
                    report = apply(database, folder, runner_wait_s=10)
                    assert report.error is None, (at, when, vars(report.error))
                    assert schema(database) == swapped, (at, when)
                report = down(database, folder)
                assert report.error is None, (direction, at, when, vars(report.error))
                assert schema(database) == before, (direction, at, when)
                assert query(database, SAME) == [(0,)]


def cut(url: str, folder: Path, direction: str) -> None:
    """A run whose connection breaks; which error that is depends on the moment."""
    with suppress(TurnbackError):
        (apply if direction == "up" else down)(url, folder)
