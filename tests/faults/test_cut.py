"""The connection breaks, at every message of a run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from turnback.engine import transaction

from tests.conftest import ProjectFactory
from tests.faults.conftest import Arena, after_next_run
from tests.faults.proxy import Link, When
from tests.faults.the_run import MIXED_LEDGER, PLAIN_LEDGER, mixed, plain

RUNS = {"mixed": (mixed, MIXED_LEDGER), "plain": (plain, PLAIN_LEDGER)}


def places(seen: str) -> list[tuple[int, When]]:
    """Every moment that differs for the server.

    Only a query and the end of a pipeline are answered; behind any other message, the next one
    comes at once.
    """
    return [
        (number, when)
        for number, kind in enumerate(seen, 1)
        for when in When
        if when is When.BEFORE or kind in "QS"
    ]


@pytest.mark.parametrize("files", [mixed, plain])
def test_after_a_cut_at_any_message_the_next_run_completes_the_work(
    arena: Arena, project_factory: ProjectFactory, files: Callable[[], dict[str, str]]
) -> None:
    folder = project_factory(files())
    expected, seen = arena.whole(folder)
    print(seen, len(seen), len(places(seen)))
    failures = {}
    for at, when in places(seen):
        name = arena.fresh()
        found = arena.hurt(name, folder, at, when, Link.cut)
        failures[f"{files.__name__} {at}{seen[at-1]} {when.value}"] = found + after_next_run(arena.server, name, folder, expected)
        arena.drop(name)
    arena.held(f"cut ({files.__name__})", failures)
