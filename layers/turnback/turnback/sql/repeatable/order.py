"""The order in which repeatables are applied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush

from turnback.errors import InvalidMigration
from turnback.migrations.model import Migration
from turnback.sql.repeatable.content import read


def in_order(repeatables: Iterable[Migration]) -> list[Migration]:
    """Repeatables in an order in which each comes after those that it needs.

    Of those that could be next, the one whose path sorts first is.

    Raises:
        InvalidMigration: one of them cannot be run, or some need each other in a circle.
    """
    chosen = {one.version: one for one in sorted(repeatables, key=lambda one: one.version)}
    if len(chosen) < 2:
        return list(chosen.values())
    contents = {path: read(one.forward) for path, one in chosen.items()}
    makers: dict[str, list[str]] = {}
    for path, content in contents.items():
        for name in content.names:
            # Of two names of which only one has its schema, nobody can say whether they differ.
            for key in {name, name.rpartition(".")[2]}:
                makers.setdefault(key, []).append(path)
    graph = {
        path: sorted({one for name in content.needs for one in _makers(makers, name)} - {path})
        for path, content in contents.items()
    }
    sorter = TopologicalSorter(graph)
    try:
        sorter.prepare()
    except CycleError as error:
        circle = list(reversed(error.args[1]))
        raise InvalidMigration(
            f"repeatables need each other in a circle: {' needs '.join(circle)}",
            file=circle[0],
            hint="write what they share in one file of its own, or all of them in one file",
        ) from None
    found, ready = list[Migration](), list[str]()
    while sorter:
        for path in sorter.get_ready():
            heappush(ready, path)
        path = heappop(ready)
        sorter.done(path)
        found.append(chosen[path])
    return found


def _makers(makers: Mapping[str, list[str]], name: str) -> list[str]:
    return makers.get(name, []) or makers.get(name.rpartition(".")[2], [])
