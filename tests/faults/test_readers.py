"""A migration that has to wait for a long reader does not make the others queue behind it."""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from turnback.engine import Options

from tests.conftest import ProjectFactory
from tests.faults.arena import up
from tests.faults.table import Table
from tests.faults.watching import transaction

LOCK_TIMEOUT_MS = 500
# The only time that is asserted in these tests: of a wait that is meant to be milliseconds.
LONGEST_WAIT_MS = 200
# Nobody knows beforehand which tables it comes to, and each attempt begins with the first of them.
LOCKS_UNKNOWN = {"REINDEX SCHEMA"}
READERS_EVERY_S = 0.05
LONG_READER_S = 1.5
READERS = 40
SETUP = """
CREATE TABLE part (id int, body text, year int NOT NULL) PARTITION BY LIST (year);
CREATE TABLE busy PARTITION OF part FOR VALUES IN (1);
CREATE INDEX lone ON busy (body);
INSERT INTO part SELECT n, n, 1 FROM generate_series(1, 100) n;
"""
KINDS = {
    "ALTER TABLE": "ALTER TABLE part ADD COLUMN extra int",
    "VACUUM FULL": "VACUUM FULL busy",
    "REINDEX SCHEMA": "REINDEX SCHEMA public",
    "DETACH PARTITION CONCURRENTLY": "ALTER TABLE part DETACH PARTITION busy CONCURRENTLY",
    "DROP INDEX CONCURRENTLY": "DROP INDEX CONCURRENTLY lone",
    "CREATE INDEX CONCURRENTLY": "CREATE INDEX CONCURRENTLY ON busy (id)",
    "REINDEX TABLE CONCURRENTLY": "REINDEX TABLE CONCURRENTLY busy",
}


class Readers:
    """Somebody reads the table, again and again, and notes how long the server let them wait."""

    def __init__(self, url: str) -> None:
        self._free: queue.SimpleQueue[psycopg.Connection] = queue.SimpleQueue()
        self._all = [psycopg.connect(url, autocommit=True) for _ in range(READERS)]
        for connection in self._all:
            self._free.put(connection)
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(READERS)
        self._arrivals = threading.Thread(target=self._arrive)
        self.waited_ms: list[float] = []

    def __enter__(self) -> Readers:
        self._arrivals.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._arrivals.join()
        self._pool.shutdown()
        for connection in self._all:
            connection.close()

    def _arrive(self) -> None:
        while not self._stop.wait(READERS_EVERY_S):
            self._pool.submit(self._read)

    def _read(self) -> None:
        connection = self._free.get()
        # The server's own clock: from the arrival of the message to the first row.
        query = (
            "SELECT extract(epoch FROM clock_timestamp() - statement_timestamp()) * 1000 "
            "FROM busy LIMIT 1"
        )
        ((waited,),) = connection.execute(query.encode()).fetchall()
        self.waited_ms.append(float(waited))
        self._free.put(connection)


@pytest.mark.parametrize("name", KINDS)
def test_no_reader_waits_for_long_behind_a_migration_that_waits_for_its_lock(
    database: str, project_factory: ProjectFactory, table: Table, name: str
) -> None:
    folder = project_factory(
        {
            "sql/0001_setup.sql": SETUP,
            "sql/0002_before.sql": "CREATE TABLE before (id int)",
            "sql/0003_kind.sql": KINDS[name],
            "sql/0004_after.sql": "CREATE TABLE after (id int)",
            **{f"rollback/{n:04}_rollback.sql": "SELECT 1" for n in range(1, 5)},
        }
    )
    assert up(database, folder, target="0001").error is None
    options = Options(lock_timeout_ms=LOCK_TIMEOUT_MS, lock_retry_s=60)
    with Readers(database) as readers, ThreadPoolExecutor(1) as pool:
        with transaction(database, "SELECT count(*) FROM busy"):
            run = pool.submit(up, database, folder, options=options)
            time.sleep(LONG_READER_S)
        report = run.result()
    longest = max(readers.waited_ms)
    bound = LONGEST_WAIT_MS + (LOCK_TIMEOUT_MS if name in LOCKS_UNKNOWN else 0)
    what = f"of readers that came every 50 ms none waited over {bound} ms"
    with table.row(f"long reader, {name}", what):
        assert report.error is None, report.error
        assert longest <= bound
