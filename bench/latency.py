"""turnback, psql and dbmate at several distances from the server, all measured in the same run.

In each round every tool gets a fresh database, a whole process for each command:

* **up**: applies all migrations;
* **nothing to do**: the same command again;
* **down**: takes the last ones back.

Between tool and server stands a proxy of ours (proxy.py), which makes the round trip longer and
counts how many were waited for. At 0 ms there is no proxy, for its own time would fall on the
tool with the most round trips.

    python bench/latency.py --round-trips 0 1 5 --repeat 3 --write
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

import psycopg
from child import Finished, run
from databases import embedded_server, expect_tables, fresh_database, server_version
from page import heading, publish, table
from proxy import Proxy
from turnback.local.scratch import scratch
from turnback.local.server import EmbeddedServer
from ways import Command, NotHere, Way, dbmate, psql, turnback

# Behind the proxy waiting outweighs the noise of the machine, and takes a minute and more a round.
DELAYED_ROUNDS = 2
JOBS = ("up", "again", "down", "status")


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything measured at one distance: by tool and job, one figure a round."""

    round_trip_ms: float
    measured_ms: float
    seconds: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    peak: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    exchanges: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))


class Line:
    """The way to the server: direct, or through a proxy that delays and counts."""

    def __init__(self, server: EmbeddedServer, proxy: Proxy | None) -> None:
        self._server = server
        self.proxy = proxy

    def url(self, database: str) -> str:
        """The database's address on this way, in the form that every tool reads."""
        url = f"{self._server.url(database)}?sslmode=disable"
        port = self.proxy.port if self.proxy else self._server.port
        return url.replace(f":{self._server.port}/", f":{port}/")

    def round_trip(self) -> float:
        """Milliseconds from a small query to its answer."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            taken = []
            for _ in range(50):
                started = time.perf_counter()
                connection.execute("SELECT 1")
                taken.append(time.perf_counter() - started)
        return median(taken) * 1000


@contextlib.contextmanager
def line(server: EmbeddedServer, round_trip_ms: float) -> Iterator[Line]:
    """The way to the server at this distance."""
    if not round_trip_ms:
        yield Line(server, None)
        return
    with Proxy(server.port, round_trip_ms / 1000) as proxy:
        yield Line(server, proxy)


def measure(
    server: EmbeddedServer,
    ways: Sequence[Way],
    round_trip_ms: float,
    size: int,
    back: int,
    repeat: int,
) -> Figures:
    """Let the tools take turns at this distance, so many rounds."""
    with line(server, round_trip_ms) as there:
        figures = Figures(round_trip_ms, there.round_trip())
        for number in range(repeat):
            turn = number % len(ways)
            for way in (*ways[turn:], *ways[:turn]):
                database = fresh_database(server)
                url = there.url(database)
                work(figures, there, way, "up", [way.up(url)])
                expect_tables(server, database, size)
                work(figures, there, way, "again", [way.again(url)])
                if way.status:
                    work(figures, there, way, "status", [way.status(url)])
                work(figures, there, way, "down", way.down(url))
                expect_tables(server, database, size - back)
            print(f"{round_trip_ms:g} ms, round {number + 1} of {repeat}", file=sys.stderr)
    return figures


def work(figures: Figures, there: Line, way: Way, job: str, commands: Sequence[Command]) -> None:
    """Run the commands of one job and note what they took."""
    key = (way.name, job)
    before = there.proxy.exchanges if there.proxy else 0
    done: list[Finished] = [run(command) for command in commands]
    figures.seconds[key].append(sum(one.seconds for one in done))
    figures.peak[key].append(max(one.peak for one in done))
    if there.proxy:
        figures.exchanges[key].append(there.proxy.exchanges - before)


def report(results: Sequence[Figures], names: Sequence[str], size: int, back: int) -> str:
    """The three tables of a run: seconds and ratios, round trips, memory."""
    what = {"up": f"up, {size:,}", "again": f"nothing to do, {size:,} applied"}
    what |= {"down": f"down, {back:,}", "status": "status"}
    first, others = names[0], names[1:]
    rows = []
    for job in ("up", "again", "down"):
        for figures in results:
            taken = {name: median(figures.seconds[name, job]) for name in names}
            ratios = [f"{taken[first] / taken[name]:.2f}" for name in others]
            away = f"{figures.round_trip_ms:g} ms ({figures.measured_ms:.2f})"
            rows.append([what[job], away, *(f"{taken[name]:.3f} s" for name in names), *ratios])
    columns = ["job", "round trip (measured)", *names, *(f"{first} / {name}" for name in others)]
    parts = [table(columns, rows)]
    if counted := [figures.exchanges for figures in results if figures.exchanges]:
        rows = [[what[job], *(trips(counted[0], name, job) for name in names)] for job in JOBS]
        parts.append(table(["round trips, with those of connecting", *names], rows))
    rows = [
        [what[job], *(f"{median(results[0].peak[name, job]) / 2**20:.0f} MB" for name in names)]
        for job in ("up", "again")
    ]
    parts.append(table(["peak memory of the process", *names], rows))
    return "\n".join(parts)


def trips(counted: dict[tuple[str, str], list[int]], name: str, job: str) -> str:
    """How many round trips a tool waited for; a dash where it has no such command."""
    return f"{median(counted[name, job]):,.0f}" if (name, job) in counted else "–"


def bench(
    server: EmbeddedServer,
    command: str,
    round_trips: Sequence[float],
    repeat: int,
    size: int,
    back: int,
) -> str:
    """Measure, and return the section of the page."""
    missing = ""
    with scratch("bench-latency") as folder:
        ways = [turnback(folder, size, back), psql(folder, size, back)]
        try:
            ways.append(dbmate(folder, size, back))
        except NotHere as reason:
            missing = f"\n{reason}\n"
        results = []
        for round_trip in round_trips:
            rounds = min(repeat, DELAYED_ROUNDS) if round_trip else repeat
            results.append(measure(server, ways, round_trip, size, back, rounds))
    tables = report(results, [way.name for way in ways], size, back)
    return f"{heading(command, server_version(server))}{missing}\n{tables}"


def main() -> None:
    """Measure what the command line asks for and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--round-trips", type=float, nargs="+", default=[0, 1, 5], metavar="MS")
    parser.add_argument("--repeat", type=int, default=3, metavar="ROUNDS")
    parser.add_argument("--size", type=int, default=1000, metavar="MIGRATIONS")
    parser.add_argument("--back", type=int, default=100, metavar="MIGRATIONS")
    parser.add_argument("--write", action="store_true", help="put the tables into bench/README.md")
    options = parser.parse_args()
    command = " ".join(["python bench/latency.py", *sys.argv[1:]])
    with embedded_server() as server:
        text = bench(
            server, command, options.round_trips, options.repeat, options.size, options.back
        )
    publish("latency.py", text, write=options.write)


if __name__ == "__main__":
    main()
