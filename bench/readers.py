"""How long readers wait behind a migration that has to wait for its lock.

One reader is idle in a transaction for 12 s. Meanwhile 90 others read the same table, one each
100 ms, and a migration adds a column. The server's own clock says how long each reader had to wait.

    python -m bench.readers [--dbmate PATH] [--before PATH]

``--before`` is the program of an older turnback. dbmate is installed by ``npm install dbmate``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
from turnback.local.scratch import scratch
from turnback.local.server import EmbeddedServer

READERS = 90
EVERY_S = 0.1
BLOCKED_S = 12.0
_READ = (
    b"SELECT extract(epoch FROM clock_timestamp() - statement_timestamp()) * 1000 FROM busy LIMIT 1"
)
_UP = "ALTER TABLE busy ADD COLUMN extra int;\n"


def main(arguments: Sequence[str]) -> None:
    """Print a row of bench/README.md for each way to apply the migration."""
    options = argparse.ArgumentParser()
    options.add_argument("--dbmate")
    options.add_argument("--before")
    chosen = options.parse_args(arguments)
    ours = str(Path(sys.executable).with_name("turnback"))
    ways: dict[str, Callable[[Path, str], list[str]]] = {}
    if chosen.before:
        ways["turnback before"] = lambda folder, url: _turnback(chosen.before, folder, url)
    ways["turnback"] = lambda folder, url: _turnback(ours, folder, url)
    if chosen.dbmate:
        ways["dbmate"] = lambda folder, url: _dbmate(chosen.dbmate, folder, url, "")
        ways["dbmate, lock_timeout 2s"] = lambda folder, url: _dbmate(
            chosen.dbmate, folder, url, "SET lock_timeout = '2s';\n"
        )
    with (
        scratch("readers") as folder,
        EmbeddedServer.start(folder / "server", tcp=True, fast=True) as server,
    ):
        for number, (name, way) in enumerate(ways.items()):
            with psycopg.connect(server.url(), autocommit=True) as admin:
                admin.execute(f"CREATE DATABASE readers_{number}".encode())
            url = server.url(f"readers_{number}")
            print(measure(name, url, way(folder / str(number), url)), flush=True)


def measure(name: str, url: str, command: list[str]) -> str:
    """Run the command beside the readers; a row of a table about them."""
    waited: list[float] = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE busy AS SELECT generate_series(1, 100) AS id")
    ended: list[float] = []
    began = time.monotonic()

    def apply() -> int:
        code = subprocess.run(command, capture_output=True, check=False).returncode
        ended.append(time.monotonic() - began)
        return code

    def read(connection: psycopg.Connection) -> None:
        row = connection.execute(_READ).fetchone()
        assert row is not None
        waited.append(float(row[0]))

    others = [psycopg.connect(url, autocommit=True) for _ in range(READERS)]
    with psycopg.connect(url) as blocker, ThreadPoolExecutor(READERS + 1) as pool:
        blocker.execute("SELECT * FROM busy")
        timer = threading.Timer(BLOCKED_S, blocker.rollback)
        timer.start()
        code = pool.submit(apply)
        time.sleep(0.7)
        for other in others:
            pool.submit(read, other)
            time.sleep(EVERY_S)
        result = code.result()
        timer.join()
    for other in others:
        other.close()
    late = sum(ms > 5 for ms in waited)
    applied = f"{ended[0] - BLOCKED_S:.1f} s after" if not result else f"no: exit {result}"
    return (
        f"| {name} | {late} of {READERS} | {max(waited) / 1000:.2f} s | {sum(waited) / 1000:.1f} s "
        f"| {applied} |"
    )


def _turnback(program: str, folder: Path, url: str) -> list[str]:
    _write(folder / "sql" / "0001_extra.sql", _UP)
    _write(folder / "rollback" / "0001_rollback.sql", "ALTER TABLE busy DROP COLUMN extra;\n")
    subprocess.run([program, "check", "--fix", "--dir", str(folder)], check=False)
    return [program, "up", "--dir", str(folder), "--database-url", url]


def _dbmate(program: str, folder: Path, url: str, before: str) -> list[str]:
    down = "-- migrate:down\nALTER TABLE busy DROP COLUMN extra;\n"
    _write(folder / "0001_extra.sql", f"-- migrate:up\n{before}{_UP}{down}")
    url += ("&" if "?" in url else "?") + "sslmode=disable"
    return [program, "--url", url, "-d", str(folder), "--no-dump-schema", "up"]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    os.environ.pop("DATABASE_URL", None)
    main(sys.argv[1:])
