"""How long readers wait behind a migration that has to wait for its lock.

One reader is idle in a transaction for 12 s. Meanwhile 90 others read the same table, one each
100 ms, and a migration adds a column. The server's own clock says how long each had to wait.

    .venv/bin/python bench/readers.py [--before PATH]

``--before`` is the program of an older turnback.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
from databases import embedded_server, fresh_database
from turnback.local.scratch import scratch
from ways import TURNBACK, Command, NotHere, install_dbmate

READERS = 90
EVERY_S = 0.1
BLOCKED_S = 12.0
UP = "ALTER TABLE busy ADD COLUMN extra int;\n"
DOWN = "ALTER TABLE busy DROP COLUMN extra;\n"
READ = (
    b"SELECT extract(epoch FROM clock_timestamp() - statement_timestamp()) * 1000 FROM busy LIMIT 1"
)
HEAD = """| | readers that waited over 5 ms | the longest | all together | applied |
|---|---:|---:|---:|---|"""


def main() -> None:
    """Print the table of bench/README.md."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--before")
    before = options.parse_args().before
    os.environ.pop("DATABASE_URL", None)
    with scratch("readers") as folder, embedded_server() as server:
        ways: dict[str, Callable[[str], Command]] = {}
        if before:
            ways["turnback before"] = turnback(folder / "before", before)
        ways["turnback"] = turnback(folder / "turnback", TURNBACK)
        try:
            program = install_dbmate(folder / "npm")
        except NotHere as error:
            print(error)
        else:
            ways["dbmate"] = dbmate(folder / "dbmate", program, "")
            setting = "SET lock_timeout = '2s';\n"
            ways["dbmate, `lock_timeout` 2 s"] = dbmate(folder / "timeout", program, setting)
        print(HEAD)
        for name, command in ways.items():
            url = server.url(fresh_database(server))
            print(f"| {name} | {measured(url, command(url))} |", flush=True)


def measured(url: str, command: Command) -> str:
    """Run the command beside the readers; the cells about them."""
    waited: list[float] = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE busy AS SELECT generate_series(1, 100) AS id")
    began = time.monotonic()

    def apply() -> tuple[int, float]:
        code = subprocess.run(command, capture_output=True, check=False).returncode
        return code, time.monotonic() - began - BLOCKED_S

    def read(connection: psycopg.Connection) -> None:
        row = connection.execute(READ).fetchone()
        assert row is not None
        waited.append(float(row[0]))

    others = [psycopg.connect(url, autocommit=True) for _ in range(READERS)]
    with psycopg.connect(url) as blocker, ThreadPoolExecutor(READERS + 1) as pool:
        blocker.execute("SELECT * FROM busy")
        began = time.monotonic()
        timer = threading.Timer(BLOCKED_S, blocker.rollback)
        timer.start()
        run = pool.submit(apply)
        # The tool has begun, and asked for its lock.
        time.sleep(1)
        for other in others:
            pool.submit(read, other)
            time.sleep(EVERY_S)
        code, late_s = run.result()
        timer.join()
    for other in others:
        other.close()
    late = sum(ms > 5 for ms in waited)
    ending = f"{late_s:.1f} s after the reader had gone" if not code else f"no: exit code {code}"
    longest, total = max(waited) / 1000, sum(waited) / 1000
    return f"{late} of {READERS} | {longest:.2f} s | {total:.1f} s | {ending}"


def turnback(folder: Path, program: str) -> Callable[[str], Command]:
    """``turnback up`` of a project with the migration."""
    write(folder / "sql" / "0001_extra.sql", UP)
    write(folder / "rollback" / "0001_rollback.sql", DOWN)
    subprocess.run([program, "check", "--fix", "--dir", str(folder)], check=False)
    return lambda url: [program, "up", "--dir", str(folder), "--database-url", url]


def dbmate(folder: Path, program: str, before: str) -> Callable[[str], Command]:
    """``dbmate up`` of the migration, with this before it."""
    write(folder / "0001_extra.sql", f"-- migrate:up\n{before}{UP}-- migrate:down\n{DOWN}")
    return lambda url: [
        program,
        "--url",
        f"{url}?sslmode=disable",
        "-d",
        str(folder),
        "--no-dump-schema",
        "up",
    ]


def write(path: Path, text: str) -> None:
    """Write a file, and the folder that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
