"""Where a fault is tried: a fresh database, a run through a proxy, a fault, and the next run."""

from __future__ import annotations

import contextlib
import itertools
import queue
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psycopg
from turnback.engine import Engine, Event, Options, Report, RunContext, RunControl
from turnback.engine.session.message import ServerError
from turnback.errors import TurnbackError
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project

from tests.faults.aftermath import Whole, look, recorded, wrong
from tests.faults.proxy import Fault, Link, Proxy, When
from tests.faults.table import Table
from tests.faults.the_run import VERSIONS

PATIENT = Options(lock_timeout_ms=2000, lock_retry_s=20, runner_wait_s=30)
AS_IF = "the next run ended as one that was never disturbed"
_numbers = itertools.count(1)

# Prime, so that what comes regularly, as the moments of a message do, is met in every phase.
_EACH = 17

Act = Callable[[Link], None]
Place = tuple[int, When]
# The run that is hurt: gets an address and the folder, and returns what it said was applied.
Client = Callable[[str, Path], list[str]]


@dataclass(frozen=True, slots=True)
class Course:
    """A run to disturb: its files, the messages it sends, and what it leaves undisturbed."""

    folder: Path
    seen: str
    whole: Whole

    def places(self, *moments: When, only: str = "QPBDES") -> list[Place]:
        """Each message of these kinds, with these moments of it.

        Only a query and the end of a pipeline are answered: behind any other message the next
        one follows at once, so what comes after it is what comes before the next.
        """
        return [
            (number, when)
            for number, kind in enumerate(self.seen, 1)
            for when in moments
            if kind in only and (when is When.BEFORE or kind in "QS")
        ]


# Gets the messages that were seen, and the places where a fault could be tried.
Sweep = Callable[[str, Sequence[Place]], Sequence[Place]]


def every_place(_: str, places: Sequence[Place]) -> Sequence[Place]:
    """All of them."""
    return places


def some_places(seen: str, places: Sequence[Place]) -> Sequence[Place]:
    """The first of each kind of message and moment, and of the others one in seventeen."""
    kinds = {(seen[at - 1], when): (at, when) for at, when in reversed(places)}
    chosen = {*kinds.values(), *places[::_EACH]}
    return [place for place in places if place in chosen]


class Arena:
    """Databases in a server, each empty when it is taken.

    Args:
        server: over TCP.
        table: what was tried and what held.
        at_once: how many places are tried at a time.
        suffix: of CREATE DATABASE.
    """

    def __init__(
        self, server: EmbeddedServer, table: Table, *, at_once: int = 2, suffix: str = ""
    ) -> None:
        self.server = server
        self._table = table
        self._at_once = at_once
        self._suffix = suffix
        self._free: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._made: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._made:
            self.admin(f"DROP DATABASE {name} WITH (FORCE)")

    def admin(self, sql: str) -> None:
        """A statement of the superuser, in the database ``postgres``."""
        with psycopg.connect(self.server.socket_url(), autocommit=True) as connection:
            connection.execute(sql.encode())

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The name of an empty database."""
        try:
            name = self._free.get_nowait()
        except queue.Empty:
            name = f"fault_{next(_numbers)}"
            # Quicker than WAL_LOG where nothing is waited for.
            self.admin(f"CREATE DATABASE {name} STRATEGY file_copy {self._suffix}")
            self._made.append(name)
        # Ten times as quick as a new database. Nothing of a run lies outside this schema.
        with psycopg.connect(self.server.socket_url(name), autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        yield name
        self._free.put(name)

    def course(self, folder: Path) -> Course:
        """Run undisturbed, and keep what it sent and what it left."""
        with self.database() as name, Proxy(self.server.url()) as proxy:
            report = up(proxy.url(name), folder)
            assert report.error is None, report.error
            seen = proxy.seen
            whole = look(self.server, name)
            assert wrong(self.server, name, whole) == []
        return Course(folder, seen, whole)

    def each(
        self,
        fault: str,
        course: Course,
        places: Iterable[Place],
        try_at: Callable[[Course, int, When], list[str]],
        what: Callable[[], str] = lambda: AS_IF,
    ) -> None:
        """Try a fault at places, put it into the table, and fail if anything was wrong after.

        Args:
            try_at: gets the course, the number of the message and the moment; returns what was
                wrong afterwards.
            what: says, when all are tried, what held.
        """
        places = list(places)
        with ThreadPoolExecutor(self._at_once) as pool:
            found = list(pool.map(lambda place: try_at(course, *place), places))
        reported = [
            f"{fault}, {course.seen[at - 1]} {at} of {len(course.seen)}, {when.value}: {text}"
            for (at, when), texts in zip(places, found, strict=True)
            for text in texts
        ]
        held = sum(not texts for texts in found)
        self._table.add(fault, what(), tried=len(places), held=held)
        assert not reported, "\n".join(reported[:40])

    def once(
        self, course: Course, at: int, when: When, act: Act, client: Client | None = None
    ) -> list[str]:
        """A run with a fault, then a run without; what is wrong in the end, as sentences."""
        with self.database() as name, Proxy(self.server.url()) as proxy:
            found = self.hurt(proxy, name, course.folder, Fault(at, when, act), client)
            return found + self.next_run(name, course) + wrong(self.server, name, course.whole)

    def hurt(
        self, proxy: Proxy, name: str, folder: Path, fault: Fault, client: Client | None = None
    ) -> list[str]:
        """A run that meets a fault; what is wrong with it, as sentences."""
        proxy.arm(fault)
        try:
            reported = (client or in_process)(proxy.url(name), folder)
        except (ServerError, psycopg.Error) as error:
            return [f"not an error of ours: {error!r}"]
        if not proxy.fired:
            return [f"it did not come to the fault: {proxy.seen}"]
        lost = set(reported) - recorded(self.server, name)
        return [f"reported as applied, but not kept: {sorted(lost)}"] if lost else []

    def next_run(self, name: str, course: Course) -> list[str]:
        """Run again, as anybody would, with no other command; what went wrong, as sentences."""
        url = self.server.url(name)
        try:
            report = up(url, course.folder)
            if report.error or report.remaining or report.running:
                return [f"the next run left {report.remaining}: {report.error!r}, {report.running}"]
            with Engine(url, context=RunContext(run="r-look")) as engine:
                engine.verify(load_project(course.folder), VERSIONS)
        except TurnbackError as error:
            return [f"the next run was refused: {error!r}"]
        return []


def in_process(url: str, folder: Path, *, target: str | None = None) -> list[str]:
    """A run in this process, which may end in an error of ours; what it said it had applied."""
    reported: list[str] = []

    def listen(event: Event) -> None:
        if event.kind == "applied" and event.version:
            reported.append(event.version)

    with contextlib.suppress(TurnbackError):
        report = up(url, folder, "r-hurt", target=target, listener=listen)
        assert set(reported) == {done.version for done in report.applied}
    return reported


def up(
    url: str,
    folder: Path,
    run: str = "r-next",
    *,
    target: str | None = None,
    options: Options = PATIENT,
    listener: Callable[[Event], None] = lambda _: None,
    keep_going: Callable[[], bool] = lambda: True,
) -> Report:
    """One ``turnback up`` in this process."""
    context = RunContext(run=run, actor="a test")
    with Engine(url, context=context, options=options, listener=listener) as engine:
        plan = engine.plan_up(load_project(folder), target=target)
        return engine.run(plan, RunControl(keep_going=keep_going))
