"""A table swap, and the swap back, beside an application of 500 transactions a second.

The application is pgbench: a new row, a change of one and a look at another in each transaction,
and the same rows in a twin of the table, which nobody swaps: both have the same rows at the end, or
the benchmark fails. Its longest stall is held against that of the same time without a swap.

    .venv/bin/python bench/swap.py [--rows 5000000]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from databases import embedded_server, fresh_database
from readers import write
from turnback.local.programs import binaries
from turnback.local.scratch import scratch
from ways import TURNBACK

RATE = 500
COLUMNS = "(id int PRIMARY KEY, email text, seen int DEFAULT 0, note text)"
MAKE = f"""
CREATE TABLE users {COLUMNS};
CREATE TABLE twin {COLUMNS};
CREATE SEQUENCE news START {{rows}};
INSERT INTO users
    SELECT n, 'user' || n || '@example.org', 0, NULL FROM generate_series(1, {{rows}}) n;
CREATE INDEX ON users (email);
INSERT INTO twin SELECT * FROM users;
"""
APPLICATION = """\\set id random(1, {rows})
\\set other random(1, {rows})
BEGIN;
SELECT nextval('news') AS new \\gset
INSERT INTO users VALUES (:new + 1, 'new', 1, NULL);
INSERT INTO twin VALUES (:new + 1, 'new', 1, NULL);
UPDATE users SET seen = seen + 1, note = CASE WHEN seen % 2 = 0 THEN 'odd' END WHERE id = :id;
UPDATE twin SET seen = seen + 1, note = CASE WHEN seen % 2 = 0 THEN 'odd' END WHERE id = :id;
SELECT email FROM users WHERE id = :other;
COMMIT;
"""
HASH = (
    "(SELECT ROW(count(*), sum(hashtextextended(ROW(id::bigint, email, seen, note)::text, 0)"
    "::numeric))::text FROM {})"
)
UP = """-- turnback: swap table=users
ALTER TABLE users ALTER COLUMN id TYPE bigint;
ALTER TABLE users ADD COLUMN domain text;
UPDATE users SET domain = split_part(email, '@', 2);
"""
DOWN = """-- turnback: swap table=users
ALTER TABLE users DROP COLUMN domain;
ALTER TABLE users ALTER COLUMN id TYPE int;
"""


def main() -> None:
    """Print the table of bench/README.md."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=5_000_000)
    given = options.parse_args()
    os.environ.pop("DATABASE_URL", None)
    with scratch("swap") as folder, embedded_server() as server:
        write(folder / "migrations/sql/0001_wider.sql", UP)
        write(folder / "migrations/rollback/0001_rollback.sql", DOWN)
        url = server.url(fresh_database(server))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(MAKE.format(rows=given.rows).encode())
            connection.execute("VACUUM ANALYZE")
        up, down = command("up", folder, url), command("down", folder, url)
        took = timed(up)
        timed(down)
        print("| | seconds | transactions | failed | longest stall | without a swap |")
        print("|---|---:|---:|---:|---:|---:|")
        for name, run in (("swap", up), ("swap back", down)):
            alone, _, _ = beside(url, given.rows, lambda: time.sleep(max(took, 10)))
            seconds = [0.0]

            def work(run: Callable[[], None] = run, seconds: list[float] = seconds) -> None:
                time.sleep(2)
                seconds[0] = timed(run)
                time.sleep(2)

            stall, transactions, failed = beside(url, given.rows, work)
            print(
                f"| {name} | {seconds[0]:.1f} | {transactions:,} | {failed} | {stall:.0f} ms | "
                f"{alone:.0f} ms |",
                flush=True,
            )
            same(url)


def command(word: str, folder: Path, url: str) -> Callable[[], None]:
    """``turnback up``, or ``down`` of all."""
    more = ["0", "--yes"] if word == "down" else []
    line = [TURNBACK, word, *more, "--dir", str(folder / "migrations"), "--database-url", url]

    def run() -> None:
        done = subprocess.run(line, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)

    return run


def timed(run: Callable[[], None]) -> float:
    """How long it takes, seconds."""
    began = time.monotonic()
    run()
    return time.monotonic() - began


def beside(url: str, rows: int, work: Callable[[], None]) -> tuple[float, int, int]:
    """The longest transaction, milliseconds, how many there were, how many failed."""
    with application(url, rows) as folder:
        work()
    latencies, failed = list[float](), 0
    for log in folder.glob("pgbench_log.*"):
        for line in log.read_text().splitlines():
            # client, transaction, latency in µs, …; a failed one has a word in place of it. The
            # last column is the wait for its turn, which a stall before it has caused. The end cuts
            # off the last line.
            fields = line.split()
            if len(fields) < 7:
                continue
            if fields[2].isdigit():
                latencies.append((int(fields[2]) - int(fields[6])) / 1000)
            else:
                failed += 1
    failed += (folder / "errors").read_text().count("ERROR")
    return max(latencies), len(latencies), failed


@contextmanager
def application(url: str, rows: int) -> Iterator[Path]:
    """The application at work, in a folder with its log."""
    folder = Path(tempfile.mkdtemp())
    script = folder / "application.sql"
    script.write_text(APPLICATION.format(rows=rows))
    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen(
            [
                *(str(binaries() / "pgbench"), "-n", "-c", "8", "-j", "2", "-R", str(RATE)),
                *("-T", "86400", "-l", "-f", str(script), url),
            ],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        time.sleep(1)
        yield folder
        if process.poll() is not None:
            raise SystemExit((folder / "errors").read_text())
        process.terminate()
        process.wait()


def same(url: str) -> None:
    """End the benchmark unless both tables have the same rows."""
    # As of one moment: the last transaction of the application may still be on its way.
    both = ", ".join(map(HASH.format, ("users", "twin")))
    with psycopg.connect(url) as connection:
        users, twin = connection.execute(f"SELECT {both}".encode()).fetchone() or (None, "")
    if users != twin:
        raise SystemExit(f"rows were lost: {users}, {twin}")


if __name__ == "__main__":
    main()
