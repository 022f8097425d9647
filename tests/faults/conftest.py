"""What the fault tests share: servers to hurt, and the table of what was tried and what held."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from turnback.local.server import EmbeddedServer

from tests.faults.arena import Arena, Sweep, every_place, some_places
from tests.faults.table import Table

_TABLE = pytest.StashKey[Table]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TABLE] = Table()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = terminalreporter.config.stash[_TABLE].lines()
    if lines:
        terminalreporter.section("faults: what was tried, and what held")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def table(pytestconfig: pytest.Config) -> Table:
    """What was tried and what held; printed at the end."""
    return pytestconfig.stash[_TABLE]


@pytest.fixture
def arena(server: EmbeddedServer, table: Table) -> Iterator[Arena]:
    """Databases in the session's server, whose clients and sessions can be hurt."""
    with Arena(server, table) as made:
        yield made


@pytest.fixture(params=["some", pytest.param("every", marks=pytest.mark.slow)])
def sweep(request: pytest.FixtureRequest) -> Sweep:
    """At which of a course's places a fault is tried: at every one by ``make slow``."""
    return every_place if request.param == "every" else some_places
