"""Backups and restores that a person asks for: one interface for dumps and for snapshots of RDS."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from turnback.errors import AwsError, DatabaseRefused, DatabaseUnreachable
from turnback.recovery.contents import written_since
from turnback.recovery.model import (
    NO_HISTORY,
    RestoreProgress,
    Restorer,
    RestoreRequest,
    RestoreState,
    SnapshotEntry,
)

# Shows a line of progress.
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BackupPlan:
    """What a backup would do.

    Attributes:
        lines: for a person.
        document: the snapshot, for ``--json``.
    """

    lines: Sequence[str]
    document: Mapping[str, Any]


class Backup(Protocol):
    """A snapshot that a person takes."""

    def plan(self) -> BackupPlan:
        """What would be taken; nothing is written."""

    def take(self, report: Report) -> SnapshotEntry:
        """Take it, and return when a restore can use it.

        Raises:
            SnapshotFailed: it cannot be taken, or not be read.
        """


@dataclass(frozen=True, slots=True)
class Loss:
    """What a restore loses.

    Attributes:
        since: ISO 8601 time that the restored data is as of; None if it is not known.
        seconds: how long ago that was.
        written: of ``written_since``; None if it is not known.
        problem: why it is not known, where the database said so.
        everything: whether the database is another one than the snapshot is of, so that all of it
            is replaced; the rows are then all that the server has counted.
    """

    since: str | None
    seconds: int | None = None
    written: Mapping[str, Any] | None = None
    problem: str | None = None
    everything: bool = False

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``: the numbers of rows are left out where they are not known."""
        known = {"since": self.since, "seconds": self.seconds, **(self.written or {})}
        return known | ({"counted": "everything"} if self.everything else {})


def loss_of_everything(now: Callable[[], Mapping[str, Any]] | None) -> Loss:
    """What a database holds that is replaced by another one.

    Args:
        now: reads the row counters of now; None where the database cannot be reached.
    """
    if now is None:
        return Loss(None, everything=True)
    try:
        return Loss(None, written=written_since({}, now()), everything=True)
    except (DatabaseUnreachable, DatabaseRefused) as error:
        return Loss(None, problem=error.message, everything=True)


def loss_since(
    since: str | None, before: Mapping[str, Any], now: Callable[[], Mapping[str, Any]] | None
) -> Loss:
    """What was written since a time.

    Args:
        since: ISO 8601; None if it is not known.
        before: the row counters of that time; empty if there are none.
        now: reads the counters of now; None where the database cannot be reached.
    """
    if since is None:
        return Loss(None)
    passed = datetime.now(UTC) - datetime.fromisoformat(since)
    seconds = max(int(passed.total_seconds()), 0)
    if not before or now is None:
        return Loss(since, seconds)
    try:
        return Loss(since, seconds, written_since(before, now()))
    except (DatabaseUnreachable, DatabaseRefused) as error:
        return Loss(since, seconds, problem=error.message)


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """A restore before it begins.

    Attributes:
        kept: the name that the old database is kept under.
        steps: what will be done, for a person.
        place: what the restored database replaces, for the question.
        request: what the restorer gets.
        begun: whether an earlier command began this restore.
        done: whether an earlier command ended it.
        another: how one sees that the snapshot is of another database; None where it is not.
    """

    kept: str
    steps: Sequence[str]
    place: str
    request: RestoreRequest
    begun: bool = False
    done: bool = False
    another: str | None = None


class Restore(Protocol):
    """One restore that a person asks for, from one source."""

    @property
    def restorer(self) -> Restorer:
        """Does the steps."""

    def plan(self) -> RestorePlan:
        """Which restore it is, and its steps; nothing is changed.

        Raises:
            RestoreFailed: it cannot succeed; names what is missing.
        """

    def loss(self, *, another: bool) -> Loss:
        """What was written since.

        Args:
            another: whether the snapshot is of another database; see RestorePlan.
        """

    def stopped(self, request: RestoreRequest, detail: str | None) -> Sequence[str]:
        """In which state an interrupted restore has left the databases, and what to do next.

        Args:
            request: of the plan.
            detail: how far it was, as it was last known.
        """

    def removal(self, kept: str) -> Sequence[str]:
        """How a person looks at the kept database, and removes it."""


def expected_history(version: str | None) -> str:
    """What the check of a restored database expects besides an answer; empty if not known."""
    if version == NO_HISTORY:
        return ", and have no history"
    return f", and its history must end at version {version}" if version else ""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a restore is asked how far it is, and for how long.

    Attributes:
        pause_s: seconds between two calls.
        report_every_s: seconds after which an unchanged state is reported again.
        lost_s: seconds for which AWS or the server may be out of reach: a laptop that was shut, a
            tunnel, a failover.
        unanswered_s: seconds for which the restored database may not answer its check.
        clock: seconds of a clock that only goes forward.
        sleep: waits for so many seconds.
    """

    pause_s: float
    report_every_s: float = 300.0
    lost_s: float = 600.0
    unanswered_s: float = 900.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def restore_to_end(
    restorer: Restorer,
    request: RestoreRequest,
    report: Report,
    *,
    pace: Pace,
    may_pass: Callable[[AwsError], bool],
    stopped: Callable[[RestoreRequest, str | None], Sequence[str]],
) -> RestoreProgress:
    """Call until it is restored, and report each change.

    Args:
        restorer: does the steps.
        request: what to restore.
        report: shows a line.
        pace: how often to call, and for how long.
        may_pass: whether a later call may succeed after this error.
        stopped: what to report after Ctrl-C; see Restore.

    Raises:
        RestoreFailed: it cannot succeed.
        DatabaseUnreachable: the restored database does not answer from here.
        AwsError: AWS refuses the call, or cannot be reached for too long.
    """
    reported, reported_at = "", pace.clock()
    lost_at: float | None = None
    silent_at: float | None = None
    detail: str | None = None
    try:
        while True:
            now = pace.clock()
            try:
                progress = restorer.advance(request)
            except (AwsError, DatabaseUnreachable) as error:
                lost_at = now if lost_at is None else lost_at
                final = isinstance(error, AwsError) and not may_pass(error)
                if final or now - lost_at > pace.lost_s:
                    raise
                report(f"{error.message}; asking again")
                pace.sleep(pace.pause_s)
                continue
            lost_at, detail = None, progress.detail
            if progress.state is RestoreState.RESTORED:
                return progress
            if detail != reported or now - reported_at >= pace.report_every_s:
                reported, reported_at = detail, now
                report(f"{progress.state}: {detail}")
            if progress.state is not RestoreState.CHECKING:
                silent_at = None
            elif now - (silent_at := now if silent_at is None else silent_at) > pace.unanswered_s:
                raise DatabaseUnreachable(
                    f"{detail}; the old one is unchanged",
                    hint="repeat the command where the database can be reached, or with "
                    "--no-check; it continues from there",
                )
            pace.sleep(pace.pause_s)
    except KeyboardInterrupt:
        for line in stopped(request, detail):
            report(line)
        raise
