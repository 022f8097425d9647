"""What the fault tests share: databases to try a fault on, and the table of what held."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from turnback.engine import Engine, Event, Options, Report, RunContext
from turnback.errors import TurnbackError
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project

from tests.faults.aftermath import Whole, look, recorded, wrong
from tests.faults.proxy import Fault, Link, Proxy, When

PATIENT = Options(lock_timeout_ms=2000, lock_retry_s=20, runner_wait_s=30)
_numbers = itertools.count(1)
_ROWS = pytest.StashKey[list["Row"]]()


@dataclass(frozen=True, slots=True)
class Row:
    """A fault, at how many places it was tried, and at how many it held."""

    fault: str
    tried: int
    held: int
    what: str


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ROWS] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = terminalreporter.config.stash[_ROWS]
    if not rows:
        return
    terminalreporter.section("faults: what was tried, and what held")
    width = max(len(row.fault) for row in rows)
    for row in rows:
        counted = f"{row.held} of {row.tried}"
        terminalreporter.write_line(f"{row.fault:<{width}}  {counted:>10}  {row.what}")


def up(
    url: str,
    folder: Path,
    run: str = "r-next",
    *,
    options: Options = PATIENT,
    listener: Callable[[Event], None] = lambda _: None,
    **arguments: Callable[[], bool],
) -> Report:
    """One ``turnback up`` in this process."""
    context = RunContext(run=run, actor="a test")
    with Engine(url, context=context, options=options, listener=listener) as engine:
        return engine.up(engine.plan_up(load_project(folder)), **arguments)


@dataclass
class Arena:
    """A server, and fresh databases in it."""

    server: EmbeddedServer
    rows: list[Row] = field(default_factory=list)

    def fresh(self) -> str:
        """The name of a new, empty database."""
        name = f"fault_{next(_numbers)}"
        # Quicker by far than WAL_LOG where nothing is waited for.
        self.admin(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy")
        return name

    def drop(self, name: str) -> None:
        """Remove a database."""
        self.admin(f"DROP DATABASE {name} WITH (FORCE)")

    def admin(self, sql: str) -> None:
        """A statement of the superuser, in the database ``postgres``."""
        with psycopg.connect(self.server.socket_url(), autocommit=True) as connection:
            connection.execute(sql.encode())

    def whole(self, folder: Path) -> tuple[Whole, str]:
        """What an undisturbed run leaves, and the messages it sends, a letter each."""
        name = self.fresh()
        with Proxy(self.server.url()) as proxy:
            report = up(proxy.url(name), folder)
            assert report.error is None, report.error
            seen = proxy.seen
        expected = look(self.server, name)
        assert wrong(self.server, name, expected) == []
        self.drop(name)
        return expected, seen

    def hurt(
        self,
        name: str,
        folder: Path,
        at: int,
        when: When,
        act: Callable[[Link], None],
    ) -> list[str]:
        """Run up to a fault; what is wrong with it afterwards, as sentences."""
        told: list[str] = []
        with Proxy(self.server.url()) as proxy:
            proxy.arm(Fault(at, when, act))
            try:
                report = up(
                    proxy.url(name),
                    folder,
                    "r-hurt",
                    listener=lambda event: told.append(event.version or "")
                    if event.kind == "applied"
                    else None,
                )
                told += [done.version for done in report.applied]
            except TurnbackError:
                # It came before there was a plan.
                pass
            if not proxy.fired:
                return [f"there was no message {at} this time, only {len(proxy.seen)}"]
        return told_but_not_kept(self.server, name, told)

    def held(
        self,
        fault: str,
        failures: dict[str, list[str]],
        what: str = "the next run ended as one that was never disturbed",
    ) -> None:
        """Put the places, and what went wrong at them, into the table; fail if anything did."""
        held = sum(not found for found in failures.values())
        self.rows.append(Row(fault, len(failures), held, what))
        told = [f"{place}: {text}" for place, found in failures.items() for text in found]
        assert not told, "\n".join(told[:40])


def told_but_not_kept(server: EmbeddedServer, name: str, told: list[str]) -> list[str]:
    """Migrations that a run has reported as applied and that the database does not have."""
    lost = set(told) - recorded(server, name)
    return [f"reported as applied, and not kept: {sorted(lost)}"] if lost else []


def after_next_run(server: EmbeddedServer, name: str, folder: Path, expected: Whole) -> list[str]:
    """Run again, as anybody would; what is not as it should be then, as sentences."""
    try:
        report = up(server.url(name), folder)
    except TurnbackError as error:
        return [f"the next run was refused: {error!r}"]
    if report.error or report.remaining or report.running:
        return [f"the next run left {report.remaining}: {report.error!r}, {report.running}"]
    return wrong(server, name, expected)


@pytest.fixture
def arena(server: EmbeddedServer, request: pytest.FixtureRequest) -> Iterator[Arena]:
    """The session's server, to hurt the sessions of."""
    yield Arena(server, request.config.stash[_ROWS])
