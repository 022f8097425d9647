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
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from child import run
from corpus import forward, write_script
from databases import embedded_server, expect_tables, fresh_database, server_version
from page import heading, publish, table
from turnback.local.scratch import scratch
from turnback.local.server import EmbeddedServer
from ways import TURNBACK, psql, turnback

EXAMPLE = Path(__file__).resolve().parent.parent / "migrations"

# Prints the seconds the one message took, so that Python's start-up time can be subtracted.
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


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of each round for one number of migrations."""

    size: int
    turnback: list[float] = field(default_factory=list)
    psql: list[float] = field(default_factory=list)
    limit: list[float] = field(default_factory=list)
    message: list[float] = field(default_factory=list)


def measure(server: EmbeddedServer, size: int, repeat: int, folder: Path) -> Times:
    """Let the three ways take turns, each on a fresh database, so many rounds."""
    ours, theirs = turnback(folder, size, 0), psql(folder, size, 0)
    everything = [forward(number) for number in range(1, size + 1)]
    for_limit = write_script(folder / "limit.sql", everything, transactions=False)
    times = Times(size)

    def by_turnback(url: str) -> None:
        times.turnback.append(run(ours.up(url)).seconds)

    def by_psql(url: str) -> None:
        times.psql.append(run(theirs.up(url)).seconds)

    def by_limit(url: str) -> None:
        done = run([sys.executable, "-c", LIMIT, url, str(for_limit)])
        times.limit.append(done.seconds)
        times.message.append(float(done.output))

    ways: list[Callable[[str], None]] = [by_turnback, by_psql, by_limit]
    for round_number in range(repeat):
        for way in ways[round_number % 3 :] + ways[: round_number % 3]:
            database = fresh_database(server)
            way(server.socket_url(database))
            expect_tables(server, database, size)
        print(f"{size} migrations, round {round_number + 1} of {repeat}", file=sys.stderr)
    return times


def cpu_times(server: EmbeddedServer, repeat: int) -> list[tuple[str, float]]:
    """CPU seconds (user and system, medians) of the commands that everyone waits for."""
    url = server.socket_url(fresh_database(server))
    where = ["--dir", str(EXAMPLE), "--database-url", url]
    run([TURNBACK, "up", *where])
    commands = {
        "turnback --version": [TURNBACK, "--version"],
        "turnback status": [TURNBACK, "status", *where],
        "python -c 'import psycopg, click'": [sys.executable, "-c", "import psycopg, click"],
    }
    rounds = [{name: run(command).cpu for name, command in commands.items()} for _ in range(repeat)]
    return [(name, median(cpu[name] for cpu in rounds)) for name in commands]


def report(results: Sequence[Times], cpu: Sequence[tuple[str, float]]) -> str:
    """The two tables of a run."""
    rows = []
    for times in results:
        ours, theirs, limit = median(times.turnback), median(times.psql), median(times.limit)
        seconds = (ours, theirs, limit, median(times.message))
        ratios = (ours / theirs, ours / limit)
        rows.append(
            [f"{times.size:,}", *(f"{s:.3f} s" for s in seconds), *(f"{r:.2f}" for r in ratios)]
        )
    columns = ["migrations", "`turnback up`", "`psql -f`", "limit", "its message alone"]
    first = table([*columns, "turnback / psql", "turnback / limit"], rows)
    libraries = cpu[-1][1]
    second = [[f"`{name}`", f"{s:.3f} s", f"{s / libraries:.2f}"] for name, s in cpu]
    columns = ["command", "CPU time (user + system)", "to its libraries alone"]
    return f"{first}\n{table(columns, second)}"


def bench(server: EmbeddedServer, command: str, sizes: Sequence[int], repeat: int) -> str:
    """Measure, and return the section of the page."""
    with scratch("bench-apply") as folder:
        results = [measure(server, size, repeat, folder / str(size)) for size in sizes]
    cpu = cpu_times(server, repeat)
    return f"{heading(command, server_version(server))}\n{report(results, cpu)}"


def main() -> None:
    """Measure what the command line asks for and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 100, 1000], metavar="N")
    parser.add_argument("--repeat", type=int, default=5, metavar="ROUNDS")
    parser.add_argument("--write", action="store_true", help="put the tables into bench/README.md")
    options = parser.parse_args()
    command = " ".join(["python bench/apply.py", *sys.argv[1:]])
    with embedded_server() as server:
        text = bench(server, command, options.sizes, options.repeat)
    publish("apply.py", text, write=options.write)


if __name__ == "__main__":
    main()
