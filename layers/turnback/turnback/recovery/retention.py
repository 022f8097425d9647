"""Retention: which snapshots may go, and their removal once a newer one is there.

Manual snapshots of RDS never expire by themselves, and there may be 100 of them in a Region
(RDS User Guide, "Quotas").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from turnback.errors import TurnbackError
from turnback.recovery.model import SnapshotEntry, SnapshotList

_LATER = re.compile(r"-[1-9]$")


def to_remove(
    kept: Iterable[SnapshotEntry], *, days: int, least: int, needed: Collection[str], now: datetime
) -> list[SnapshotEntry]:
    """The snapshots that may go, oldest first.

    Never among them: the newest available one of each source, the ``least`` newest ones, one
    younger than ``days``, one of a run that may still need it, and one that is not available (it
    is being taken, or deleted, or a person should look at it).

    Args:
        kept: the snapshots that one stack took of its target.
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
    newest_of = {one.source: one.id for _, one in reversed(newest_first)}
    limit = now - timedelta(days=days)
    old = [
        one
        for taken_at, one in newest_first[max(least, 1) :]
        if taken_at < limit and one.id != newest_of[one.source]
    ]
    return [one for one in reversed(old) if not _is_needed(one.run or "", needed)]


def _is_needed(run: str, needed: Collection[str]) -> bool:
    """A run takes a second snapshot, named ``<run>-2``, if others change the database first."""
    return run in needed or _LATER.sub("", run) in needed


@dataclass(frozen=True, slots=True)
class Retention:
    """The rule for one target, and its snapshots.

    Attributes:
        snapshots: those that turnback took of the target, whichever stack did.
        days: for how many days; 0 keeps all.
        least: how many of the newest are kept in any case.
        needed: returns the runs that are not finished, or may be resumed.
        stack: the stack whose snapshots may go; None where all that are listed are its own.
    """

    snapshots: SnapshotList
    days: int
    least: int
    needed: Callable[[], Collection[str]]
    stack: str | None = None

    def prune(self, now: datetime | None = None) -> list[str]:
        """Remove what may go; the identifiers of what was removed.

        Raises:
            TurnbackError: a snapshot could not be listed or removed, or the runs that
                need theirs are not known; what was not removed is still there.
        """
        return list(self._removals(self._listed(), now))

    def report(self, now: datetime | None = None) -> dict[str, Any]:
        """Prune and report the result; no failure here stops a run.

        Returns:
            ``removed``, the identifiers; ``error``, what kept it from removing more, or None; and
            ``without_stack``, those that no stack removes, because they do not name theirs.
        """
        removed: list[str] = []
        without_stack: list[str] = []
        message = None
        try:
            found = self._listed()
            if self.stack is not None:
                without_stack += [one.id for one in found if not one.stack]
            for identifier in self._removals(found, now):
                removed.append(identifier)
        except TurnbackError as error:
            message = error.message
        return {"removed": removed, "error": message, "without_stack": without_stack}

    def _listed(self) -> Sequence[SnapshotEntry]:
        return self.snapshots.list() if self.days else []

    def _removals(self, found: Sequence[SnapshotEntry], now: datetime | None) -> Iterator[str]:
        """Remove one at a time, and yield each after it is gone."""
        rule = partial(to_remove, days=self.days, least=self.least, now=now or datetime.now(UTC))
        kept = [one for one in found if self.stack is None or (one.stack or None) == self.stack]
        # Asking for the runs costs calls; most often there is nothing that it could save.
        if not rule(kept, needed=()):
            return
        for one in rule(kept, needed=self.needed()):
            self.snapshots.delete(one.id)
            yield one.id
