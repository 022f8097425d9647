"""What the history says of repeatables: what is applied, and what was before it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from psycopg.rows import class_row, tuple_row

from turnback.engine.look.history import Entry, History
from turnback.engine.session.query import load, query

# Older histories have none.
_FORMAT = 2


@dataclass(frozen=True, slots=True)
class Application:
    """One time that a repeatable was applied, and that was not rolled back since.

    Attributes:
        id: of its row in the log.
        version: the path of its file.
        run: which applied it.
    """

    id: int
    version: str
    run: str


@dataclass(frozen=True, slots=True)
class Texts:
    """What a row of the log has stored of a repeatable.

    Attributes:
        script: what was applied.
        path: where ``undo`` is from.
        undo: what brings back what was before; None where the file said that nothing does.
    """

    id: int
    script: str | None
    path: str | None
    undo: str | None


def read(history: History) -> list[Entry]:
    """The rows of repeatables; empty where there is no history. Writes nothing."""
    if not history.exists() or history.format < _FORMAT:
        return []
    return query(history.connection, load("repeatables", history.schema), class_row(Entry))


def applications(history: History, versions: Collection[str]) -> dict[str, list[Application]]:
    """Version → what is applied of it: the last one is in force, the one before it comes next."""
    found: dict[str, list[Application]] = {version: [] for version in versions}
    if not versions:
        return found
    for number, version, direction, run in _ask(history, "repeatable_log", versions=list(versions)):
        if direction == "up":
            found[version].append(Application(number, version, run))
        elif found[version]:
            found[version].pop()
    return found


def texts(history: History, chosen: Iterable[Application]) -> Mapping[int, Texts]:
    """The id of a row of the log → what it has stored."""
    ids = [one.id for one in chosen]
    if not ids:
        return {}
    sql = load("repeatable_texts", history.schema)
    return {one.id: one for one in query(history.connection, sql, class_row(Texts), {"ids": ids})}


def last_applied(history: History, versions: Collection[str]) -> dict[str, int]:
    """Version of a migration → the row of the log in which it was last applied."""
    return dict(_ask(history, "last_applied", versions=list(versions)))


def _ask(history: History, name: str, **params: object) -> list[tuple]:  # type: ignore[type-arg]
    return query(history.connection, load(name, history.schema), tuple_row, params)
