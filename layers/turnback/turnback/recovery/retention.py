"""Retention: which snapshots may go, and their removal once a newer one is there.

Manual snapshots of RDS never expire by themselves, and there may be 100 of them in a Region
(RDS User Guide, "Quotas").
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from turnback.errors import TurnbackError
from turnback.recovery.model import SnapshotEntry, SnapshotList


def to_remove(
    kept: Iterable[SnapshotEntry], *, days: int, least: int, needed: Collection[str], now: datetime
) -> list[SnapshotEntry]:
    """The snapshots that may go, oldest first.

    Never among them: the newest available one, the ``least`` newest ones, one younger than
    ``days``, one of a run that may still need it, and one that is not available (it is being
    taken, or deleted, or a person should look at it).

    Args:
        kept: the snapshots of one target that turnback took.
        days: for how many days they are kept; 0 keeps all.
        least: how many of the newest available ones are kept, however old they are.
        needed: the runs that are not finished, or may be resumed.
        now: the time.
    """
    if days == 0:
        return []
    dated = [
        (datetime.fromisoformat(one.taken_at), one)
        for one in kept
        if one.available and one.taken_at
    ]
    newest_first = sorted(dated, key=lambda pair: pair[0], reverse=True)
    limit = now - timedelta(days=days)
    old = [one for taken_at, one in newest_first[max(least, 1) :] if taken_at < limit]
    return [one for one in reversed(old) if one.run not in needed]


@dataclass(frozen=True, slots=True)
class Retention:
    """The rule for one target, and its snapshots.

    Attributes:
        snapshots: those that turnback took of the target, and no others.
        days: for how many days; 0 keeps all.
        least: how many of the newest are kept in any case.
        needed: returns the runs that are not finished, or may be resumed.
    """

    snapshots: SnapshotList
    days: int
    least: int
    needed: Callable[[], Collection[str]]

    def prune(self, now: datetime | None = None) -> list[str]:
        """Remove what may go; the identifiers of what was removed.

        Raises:
            TurnbackError: a snapshot could not be listed or removed, or the runs that
                need theirs are not known; what was not removed is still there.
        """
        return list(self._removals(now))

    def report(self, now: datetime | None = None) -> dict[str, Any]:
        """Prune and report the result; no failure here stops a run.

        Returns:
            ``removed``, the identifiers, and ``error``, what kept it from removing more, or None.
        """
        removed: list[str] = []
        try:
            for identifier in self._removals(now):
                removed.append(identifier)
        except TurnbackError as error:
            return {"removed": removed, "error": error.message}
        return {"removed": removed, "error": None}

    def _removals(self, now: datetime | None) -> Iterator[str]:
        """Remove one at a time, and yield each after it is gone."""
        if self.days == 0:
            return
        rule = partial(to_remove, days=self.days, least=self.least, now=now or datetime.now(UTC))
        kept = self.snapshots.list()
        # Asking for the runs costs calls; most often there is nothing that it could save.
        if not rule(kept, needed=()):
            return
        for one in rule(kept, needed=self.needed()):
            self.snapshots.delete(one.id)
            yield one.id
