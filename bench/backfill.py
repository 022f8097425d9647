"""A backfill against one UPDATE, and against batches by LIMIT, with an application beside it.

The application is pgbench: 200 transactions a second that read and change one row by its key. Its
own p99 is that of the same time without anything beside it. All ways in turns on one server.

The server's CPU seconds say how two ways compare where other work shares the machine.

    .venv/bin/python bench/backfill.py [--rows 5000000] [--seconds 20] [--without LIMIT]
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import psycopg
from databases import embedded_server, fresh_database
from readers import write
from turnback.local.programs import binaries
from turnback.local.scratch import scratch
from ways import TURNBACK

RATE = 200
CHANGE = "UPDATE users SET display_name = split_part(email, '@', 1)"
MAKE = """
CREATE TABLE users (id bigint PRIMARY KEY, email text, display_name text, seen int DEFAULT 0);
INSERT INTO users SELECT n, 'user' || n || '@example.org' FROM generate_series(1, {rows}) n;
"""
APPLICATION = """\\set id random(1, {rows})
SELECT email FROM users WHERE id = :id;
UPDATE users SET seen = seen + 1 WHERE id = :id;
"""
HEAD = """
| | seconds | rows a second | against one UPDATE | CPU seconds | heap at the end | p99 beside it |
|---|---:|---:|---:|---:|---:|---:|"""


def main() -> None:
    """Print the table of bench/README.md."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=5_000_000)
    options.add_argument("--seconds", type=int, default=20)
    options.add_argument("--without", default="-", help="leave out the ways with this in them")
    given = options.parse_args()
    os.environ.pop("DATABASE_URL", None)
    with scratch("backfill") as folder, embedded_server() as server:
        ways: dict[str, Callable[[str], None]] = {
            "one UPDATE": one_update,
            "turnback": backfill(folder / "plain", ""),
            "turnback, `vacuum=8MB`": backfill(folder / "vacuum", " vacuum=8MB"),
            "turnback, `parallel=2`": backfill(folder / "two", " parallel=2"),
            "turnback, 10 ms and 50 ms of pause": backfill(
                folder / "brakes", " vacuum=8MB", 'target = "10ms"\npause = "50ms"\n'
            ),
            "`IN (SELECT … LIMIT 10000)`": by_limit,
        }
        print(HEAD)
        first = 0.0
        for name, run in ways.items():
            if given.without in name:
                continue
            url = server.url(fresh_database(server))
            fill(url, given.rows)
            before = heap(url)
            began, used = time.monotonic(), cpu_seconds(server.pid)
            with watched(url, given.rows) as times:
                run(url)
            took, used = time.monotonic() - began, cpu_seconds(server.pid) - used
            check(url, given.rows)
            grown = heap(url) / before
            first = first or took
            if name.startswith("turnback"):
                parts(url)
                print(f"  the last fifth took {times[-1] / times[0]:.2f} × the first", flush=True)
            url = server.url(fresh_database(server))
            fill(url, given.rows)
            alone = p99(url, given.rows, given.seconds, lambda: time.sleep(given.seconds))
            beside = p99(url, given.rows, given.seconds, lambda run=run, url=url: run(url))
            print(
                f"| {name} | {took:.1f} | {given.rows / took:,.0f} | {first / took:.2f} | "
                f"{used:.1f} | {grown:.2f} × | "
                f"{beside:.1f} ms, alone {alone:.1f}: {beside / alone:.1f} × |",
                flush=True,
            )


def fill(url: str, rows: int) -> None:
    """Make the table, and let the server forget that it was made."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(MAKE.format(rows=rows).encode())
        connection.execute("VACUUM ANALYZE users")
        connection.execute("CHECKPOINT")


def cpu_seconds(postmaster: int) -> float:
    """The CPU time of a server's processes, those that have ended included."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if path.parent.name == str(postmaster):
            ticks += sum(map(int, fields[11:15]))
        elif fields[1] == str(postmaster):
            ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def heap(url: str) -> int:
    """Bytes of the table itself."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_relation_size('users')").fetchone()
    assert row is not None
    return int(row[0])


def check(url: str, rows: int) -> None:
    """End the benchmark unless every row was changed."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(display_name) FROM users").fetchone()
    if row != (rows,):
        raise SystemExit(f"expected {rows} rows, found {row}")


@contextmanager
def watched(url: str, rows: int):  # type: ignore[no-untyped-def]
    """Gives how long each fifth of the rows took, seconds, which is there afterwards."""
    found: list[tuple[float, int]] = []
    stop = threading.Event()

    def look() -> None:
        sql = "SELECT sum(keys) FROM public.migration_backfills"
        with psycopg.connect(url, autocommit=True) as connection:
            while not stop.wait(0.05):
                try:
                    row = connection.execute(sql).fetchone()
                except psycopg.errors.UndefinedTable:
                    continue
                found.append((time.monotonic(), int(row[0] or 0) if row else 0))

    thread = threading.Thread(target=look)
    thread.start()
    times: list[float] = []
    yield times
    stop.set()
    thread.join()
    ends = [reached(found, rows * part // 5) for part in range(6)]
    times += [end - start for start, end in itertools.pairwise(ends)]


def reached(found: list[tuple[float, int]], keys: int) -> float:
    """When so many keys were done, between two looks as if at one speed."""
    for (before, done), (after, more) in itertools.pairwise(found):
        if more > keys or more == keys > done:
            return before + (after - before) * (keys - done) / (more - done)
    return found[-1][0] if found else 0.0


def parts(url: str) -> None:
    """Print how the batches went, as far as the records say it."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT part, batches, batch_rows, work_ms FROM public.migration_backfills ORDER BY 1"
        ).fetchall()
    for part, batches, size, work_ms in found:
        print(f"  part {part}: {batches} batches, the last of {size} rows, {work_ms} ms of work")


def one_update(url: str) -> None:
    """What a migration without batches does."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(CHANGE)


def by_limit(url: str) -> None:
    """The batches that are written by hand most often: each looks for its rows from the start."""
    batch = f"{CHANGE} WHERE id IN (SELECT id FROM users WHERE display_name IS NULL LIMIT 10000)"
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(batch.encode()).rowcount:
            pass


def backfill(folder: Path, more: str, pace: str = "") -> Callable[[str], None]:
    """``turnback up`` of a project with the backfill."""
    directive = f"-- turnback: backfill table=users key=id{more}\n"
    write(folder / "migrations/sql/0001_fill.sql", f"{directive}{CHANGE} WHERE {{batch}};\n")
    write(
        folder / "migrations/rollback/0001_rollback.sql",
        f"{directive}UPDATE users SET display_name = NULL WHERE {{batch}};\n",
    )
    write(folder / "turnback.toml", f"[backfill]\n{pace}")

    def run(url: str) -> None:
        command = [TURNBACK, "up", "--dir", str(folder / "migrations"), "--database-url", url]
        subprocess.run(command, check=True, capture_output=True)

    return run


def p99(url: str, rows: int, seconds: int, work: Callable[[], None]) -> float:
    """The latency, in milliseconds, that 99 of 100 transactions of the application kept."""
    with application(url, rows) as latencies:
        timer = threading.Event()
        thread = threading.Thread(target=lambda: (work(), timer.set()))
        thread.start()
        timer.wait()
        thread.join()
    if len(latencies) < seconds:
        raise SystemExit("the application did too little to be measured")
    return statistics.quantiles(latencies, n=100)[98]


@contextmanager
def application(url: str, rows: int):  # type: ignore[no-untyped-def]
    """The application at work; gives its latencies, which are there afterwards."""
    latencies: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "application.sql"
        script.write_text(APPLICATION.format(rows=rows))
        process = subprocess.Popen(
            [
                *(str(binaries() / "pgbench"), "-n", "-c", "4", "-R", str(RATE), "-T", "86400"),
                *("-l", "-f", str(script), url),
            ],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(1)
        yield latencies
        process.terminate()
        process.wait()
        for log in Path(folder).glob("pgbench_log.*"):
            for line in log.read_text().splitlines():
                # client, transaction, latency in µs including the wait for its turn, ….
                fields = line.split()
                if len(fields) > 2 and fields[2].isdigit():
                    latencies.append(int(fields[2]) / 1000)


if __name__ == "__main__":
    main()
