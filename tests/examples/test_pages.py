"""Every page of the documentation, run as a reader does, and its output compared."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from turnback.local.scratch import scratch
from turnback.local.server import EmbeddedServer

from tests.examples.conftest import OUTCOMES
from tests.examples.page import Outcome, Page

ROOT = Path(__file__).resolve().parents[2]
# The rules have tests of their own (tests/contract/test_rules.py); decisions have no commands.
PAGES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("docs/reference/*.md")),
]
PAGES = [page for page in PAGES if "```" in page.read_text()]


@pytest.fixture(scope="session")
def outcomes(
    server: EmbeddedServer, admin: psycopg.Connection, request: pytest.FixtureRequest
) -> Iterator[dict[Path, Future[Outcome]]]:
    """All pages, two at a time, the longest first."""
    by_length = sorted(PAGES, key=lambda page: -page.read_text().count("\n$ "))
    with scratch("examples") as folder, ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        found = {}
        for number, path in enumerate(by_length):
            place = folder / str(number)
            place.mkdir()
            admin.execute(f"CREATE DATABASE example_{number}".encode())
            page = Page(path, place, server.url(f"example_{number}"))
            found[path] = pool.submit(page.run)
        yield found
        request.config.stash[OUTCOMES] = {
            path.relative_to(ROOT).as_posix(): one.result() for path, one in found.items()
        }


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_a_page_shows_is_what_its_commands_print(
    path: Path, outcomes: dict[Path, Future[Outcome]]
) -> None:
    found = outcomes[path].result()
    assert found.problems == [], "\n\n".join(found.problems)
