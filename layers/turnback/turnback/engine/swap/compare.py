"""Compares two tables range by range, and writes again what differs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence

from psycopg.rows import scalar_row

from turnback.engine.run.ladder import Ladder
from turnback.engine.session.events import EventKind
from turnback.engine.session.message import ServerError, rows, send
from turnback.engine.session.query import OURSELVES, query
from turnback.engine.swap.mirror import Mirror
from turnback.engine.swap.work import Work
from turnback.sql.quoting import literal

_ROWS = 10_000
_PASSES = 3
_MOST_FAILED = 100
# A value that does not fit the type (SQLSTATE, class 22).
_DATA_EXCEPTION = "22"
Failed = dict[tuple[str, ...], str]


def compare(work: Work, mirror: Mirror) -> None:
    """Compare all rows, and correct what differs.

    Raises:
        MigrationIncomplete: the target does not take some rows; it names them.
    """
    # A row that is gone may be in the way of one that comes earlier: the second time it is not.
    for _ in range(2):
        _repair_missed(work, mirror)
        failed = _compare_all(work, mirror) | _repair_missed(work, mirror)
        if not failed:
            return
    raise work.named(failed)


def repair_missed(work: Work, mirror: Mirror) -> None:
    """Write the rows that a trigger could not write.

    Raises:
        MigrationIncomplete: the target does not take some of them; it names them.
    """
    if failed := _repair_missed(work, mirror):
        raise work.named(failed)


def _repair_missed(work: Work, mirror: Mirror) -> Failed:
    missed = work.names.missed
    failed: Failed = {}
    for number in range(_PASSES):
        rows_missed = query(work.connection, f"SELECT key FROM {missed}", scalar_row)
        found = {tuple(key) for key in rows_missed}
        if not found:
            return {}
        if () in found:
            # A TRUNCATE, of which no key is known.
            empty = "key OPERATOR(pg_catalog.=) '{}'::pg_catalog.text[]"
            _send(work, f"DELETE FROM {missed} WHERE {empty}")
            if failed := _compare_all(work, mirror):
                return failed
            found.discard(())
        failed = _repair(work, mirror, sorted(found), anew=number > 0)
    return failed


def _compare_all(work: Work, mirror: Mirror) -> Failed:
    """Compare range by range; what the target does not take."""
    failed: Failed = {}
    after: list[str] | None = None
    done, total = 0, max(mirror.keys.size(work.connection)[0], 1)
    while len(failed) < _MOST_FAILED:
        work.ladder.meanwhile()
        upto = mirror.keys.at(work.connection, after, None, _ROWS)
        failed |= _compare_range(work, mirror, after, upto)
        if upto is None:
            break
        after, done = upto, done + _ROWS
        work.say(EventKind.PROGRESS, "comparing the rows", min(99, 100 * done // total))
    return failed


def _compare_range(
    work: Work, mirror: Mirror, after: Sequence[str] | None, upto: Sequence[str] | None
) -> Failed:
    failed: Failed = {}
    for number in range(_PASSES):
        if _ask(work, mirror, mirror.equal(after, upto)) == ["t"]:
            return {}
        # One row may be in the way of another.
        failed = _repair(work, mirror, _differing(work, mirror, after, upto), anew=number > 0)
    if _ask(work, mirror, mirror.equal(after, upto)) == ["t"]:
        return {}
    left = _differing(work, mirror, after, upto)
    return failed or {tuple(key): "it differs" for key in left}


def _differing(
    work: Work, mirror: Mirror, after: Sequence[str] | None, upto: Sequence[str] | None
) -> list[list[str]]:
    return [json.loads(key or "[]") for key in _ask(work, mirror, mirror.differing(after, upto))]


def _ask(work: Work, mirror: Mirror, sql: str) -> list[str | None]:
    """The first column of a query, which sees what the expressions of the mirror name."""
    text = f"{OURSELVES} SET LOCAL search_path = {mirror.path}; {sql}"
    return [row[0] for row in rows(send(work.connection, text)[-1])]


def _repair(work: Work, mirror: Mirror, keys: Iterable[Sequence[str]], *, anew: bool) -> Failed:
    """Write these rows again, each in a transaction of its own; what failed, by key.

    Args:
        work: the swap.
        mirror: to which table they are written.
        keys: of the rows, as text.
        anew: whether all of them are removed before the first is written.
    """
    failed: Failed = {}
    steps = [_removed, _written] if anew else [_written]
    for step, key in itertools.product(steps, list(keys)):
        if len(failed) >= _MOST_FAILED:
            break
        try:
            step(work, mirror, key)
        except ServerError as error:
            if not _is_gone(work, mirror, key, error):
                failed[tuple(key)] = str(error)
    return failed


def _is_gone(work: Work, mirror: Mirror, key: Sequence[str], error: ServerError) -> bool:
    """Whether the target has no such key, because it cannot, and the source has none any more."""
    if not error.sqlstate.startswith(_DATA_EXCEPTION):
        return False
    if _ask(work, mirror, mirror.exists(key)) == ["t"]:
        return False
    _send(work, _forgotten(work, key))
    return True


def _forgotten(work: Work, key: Sequence[str]) -> str:
    array = f"ARRAY[{', '.join(map(literal, key))}]::pg_catalog.text[]"
    return f"DELETE FROM {work.names.missed} WHERE key OPERATOR(pg_catalog.=) {array}"


def _removed(work: Work, mirror: Mirror, key: Sequence[str]) -> None:
    _send(work, mirror.removed(key))


def _written(work: Work, mirror: Mirror, key: Sequence[str]) -> None:
    # First the lock on the row: whoever has it may still note it as missed.
    lock, *written = mirror.repaired(key)
    _send(work, "; ".join([lock, _forgotten(work, key), *written]), mirror.path)


def _send(work: Work, sql: str, path: str = "pg_catalog") -> None:
    def attempt(ladder: Ladder) -> None:
        send(work.connection, f"{work.own(ladder, path)} {sql}")

    work.with_locks(attempt)
