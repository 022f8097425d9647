"""How fast ``turnback up`` is, as a ratio to psql and to the limit, all measured in the same run.

Three ways bring the same small migrations (a table of five columns and an index) to a fresh
database, each as a whole process from start to exit:

* ``turnback up``: each migration atomic, with its history, its log and its stored rollback;
* ``psql -f``: one script with BEGIN and COMMIT around each file, and no record of any of it;
* the limit: the same SQL as one message in one transaction, sent by a few lines of Python.

The ways take turns, so that a slow minute of the machine falls on all of them. The server is the
embedded one, with PostgreSQL's own defaults for durability.

    python bench/apply.py --sizes 1 100 1000 --repeat 5 --write
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from statistics import median

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from turnback.local.binaries import binaries
from turnback.local.scratch import POSTGRES, scratch
from turnback.local.server import EmbeddedServer

HERE = Path(__file__).resolve().parent
EXAMPLE = HERE.parent / "migrations"
README = HERE / "README.md"
BEGIN, END = "<!-- apply.py begins -->", "<!-- apply.py ends -->"
TURNBACK = Path(sys.executable).with_name("turnback")

# Prints the seconds the one message took, so that Python's own start can be told from it.
LIMIT = """
import sys, time
import psycopg
with open(sys.argv[2], encoding="utf-8") as file:
    text = file.read()
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    started = time.perf_counter()
    connection.execute(text)
    print(time.perf_counter() - started)
"""

DATABASE_NUMBER = count(1)


@dataclass(frozen=True, slots=True)
class Finished:
    """A child process that ended well: wall-clock and CPU seconds, and what it printed."""

    seconds: float
    cpu: float
    output: str


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of each round for one number of migrations."""

    size: int
    turnback: list[float] = field(default_factory=list)
    psql: list[float] = field(default_factory=list)
    limit: list[float] = field(default_factory=list)
    message: list[float] = field(default_factory=list)


def run(command: Sequence[str]) -> Finished:
    """Run a command to its end and time the whole process; a failing one ends the benchmark."""
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        with subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as child:
            _, status, usage = os.wait4(child.pid, 0)
            seconds = time.perf_counter() - started
            child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}:\n{text}")
    return Finished(seconds, usage.ru_utime + usage.ru_stime, text)


@contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """The connection string of an empty database, which is dropped afterwards."""
    name = f"bench_{next(DATABASE_NUMBER)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
        )
        # What the way before left unwritten would otherwise be paid for by the one after it.
        connection.execute("CHECKPOINT")
    try:
        yield make_conninfo(server, dbname=name)
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )


def forward(number: int) -> str:
    """The SQL of one small migration."""
    return (
        f"CREATE TABLE item_{number} (\n"
        "    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
        "    name text NOT NULL,\n"
        "    amount numeric(12, 2),\n"
        "    active boolean NOT NULL DEFAULT true,\n"
        "    created_at timestamptz NOT NULL DEFAULT now()\n"
        ");\n"
        f"CREATE INDEX item_{number}_name_idx ON item_{number} (name);\n"
    )


def write_project(folder: Path, size: int) -> None:
    """A project of so many small migrations, with rollbacks and SHA256SUMS, and the two scripts."""
    for name in ("sql", "rollback"):
        (folder / name).mkdir(parents=True)
    sums = []
    for number in range(1, size + 1):
        files = {
            f"rollback/{number:04}_rollback.sql": f"DROP TABLE item_{number};\n",
            f"sql/{number:04}_item_{number}.sql": forward(number),
        }
        for path, text in files.items():
            (folder / path).write_text(text, encoding="utf-8")
            sums.append(f"{hashlib.sha256(text.encode()).hexdigest()}  {path}\n")
    sums.sort(key=lambda line: line[66:])
    (folder / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")


def write_scripts(folder: Path, size: int) -> tuple[Path, Path]:
    """The same SQL for psql, a transaction for each file, and for the limit, with none."""
    texts = [forward(number) for number in range(1, size + 1)]
    for_psql, for_limit = folder / "psql.sql", folder / "limit.sql"
    for_psql.write_text("".join(f"BEGIN;\n{text}COMMIT;\n" for text in texts), encoding="utf-8")
    for_limit.write_text("".join(texts), encoding="utf-8")
    return for_psql, for_limit


def expect_tables(database: str, size: int) -> None:
    """End the benchmark unless the way that ran has made every table."""
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname ~ '^item_[0-9]+$'"
        ).fetchone()
    if row != (size,):
        raise SystemExit(f"expected {size} tables, found {row}")


def measure(server: str, size: int, repeat: int, folder: Path) -> Times:
    """Let the three ways take turns, each on a fresh database, so many rounds."""
    project = folder / "migrations"
    write_project(project, size)
    for_psql, for_limit = write_scripts(folder, size)
    limit_script = folder / "limit.py"
    limit_script.write_text(LIMIT, encoding="utf-8")
    psql = str(binaries() / "psql")
    times = Times(size)

    def by_turnback(database: str) -> None:
        command = [str(TURNBACK), "up", "--dir", str(project), "--database-url", database]
        times.turnback.append(run([*command, "--yes", "--json"]).seconds)

    def by_psql(database: str) -> None:
        stop = ["-v", "ON_ERROR_STOP=1"]
        times.psql.append(run([psql, "-X", "-q", *stop, "-f", str(for_psql), database]).seconds)

    def by_limit(database: str) -> None:
        done = run([sys.executable, str(limit_script), database, str(for_limit)])
        times.limit.append(done.seconds)
        times.message.append(float(done.output))

    ways: list[Callable[[str], None]] = [by_turnback, by_psql, by_limit]
    for round_number in range(repeat):
        for way in ways[round_number % 3 :] + ways[: round_number % 3]:
            with fresh_database(server) as database:
                way(database)
                expect_tables(database, size)
        print(f"{size} migrations, round {round_number + 1} of {repeat}", file=sys.stderr)
    return times


def cpu_times(server: str, repeat: int) -> list[tuple[str, float]]:
    """CPU seconds (user and system, medians) of the commands that everyone waits for."""
    with fresh_database(server) as database:
        where = ["--dir", str(EXAMPLE), "--database-url", database]
        run([str(TURNBACK), "up", *where, "--yes"])
        commands = {
            "turnback --version": [str(TURNBACK), "--version"],
            "turnback status (the example project, applied)": [str(TURNBACK), "status", *where],
        }
        return [
            (name, median(run(command).cpu for _ in range(repeat)))
            for name, command in commands.items()
        ]


def report(results: Sequence[Times], cpu: Sequence[tuple[str, float]], version: str) -> str:
    """The Markdown of a run: when, by which command, on what, and the two tables."""
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, `python bench/apply.py {' '.join(sys.argv[1:])}`, "
        f"PostgreSQL {version}, Python {platform.python_version()}, {os.cpu_count()} CPUs. "
        "Seconds are medians of whole processes; ratios are of those medians.",
        "",
        "| migrations | `turnback up` | `psql -f` | limit | its message alone "
        "| turnback / psql | turnback / limit |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for times in results:
        ours, psql, limit = median(times.turnback), median(times.psql), median(times.limit)
        lines.append(
            f"| {times.size:,} | {ours:.3f} s | {psql:.3f} s | {limit:.3f} s "
            f"| {median(times.message):.3f} s | {ours / psql:.2f} | {ours / limit:.2f} |"
        )
    lines += ["", "| command | CPU time (user + system) |", "|---|---:|"]
    lines += [f"| `{name}` | {seconds:.3f} s |" for name, seconds in cpu]
    return "\n".join(lines) + "\n"


def write_section(text: str) -> None:
    """Put the tables between the two marks of bench/README.md."""
    page = README.read_text(encoding="utf-8")
    head, rest = page.split(BEGIN)
    tail = rest.split(END)[1]
    README.write_text(f"{head}{BEGIN}\n{text}{END}{tail}", encoding="utf-8")


def main() -> None:
    """Measure what the command line asks for and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 100, 1000], metavar="N")
    parser.add_argument("--repeat", type=int, default=5, metavar="ROUNDS")
    parser.add_argument("--write", action="store_true", help="put the tables into bench/README.md")
    options = parser.parse_args()
    with scratch("bench") as folder, EmbeddedServer.start(folder / POSTGRES) as server:
        url = server.url()
        results = [measure(url, size, options.repeat, folder / str(size)) for size in options.sizes]
        cpu = cpu_times(url, options.repeat)
        with psycopg.connect(url) as connection:
            version = connection.info.parameter_status("server_version") or "?"
    text = report(results, cpu, version)
    print(text, end="")
    if options.write:
        write_section(text)


if __name__ == "__main__":
    main()
