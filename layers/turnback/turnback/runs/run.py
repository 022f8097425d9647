"""One run at one of its steps, with everything that every step works with."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from turnback.errors import ChecksumMismatch, RunCancelled, TurnLost
from turnback.migrations.release import parse_release
from turnback.runs.order import ARTIFACT_KEY, Order
from turnback.runs.records import Records
from turnback.runs.state import RunState
from turnback.runs.turn import read_turns
from turnback.settings import Policy
from turnback.store import ObjectStore

if TYPE_CHECKING:
    from turnback.engine import Engine
    from turnback.migrations.artifact import Artifact
    from turnback.recovery.model import Place

FIRST_WAIT_S = 2
# A wait that doubles to this, and grows by a tenth from here on.
_DOUBLED_WAIT_S = 300
# Executions have 25,000 events and last 19 days: no run may look more often for so long.
LONGEST_WAIT_S = 1800


class TargetDatabase(Protocol):
    """The database that the run works on."""

    @property
    def runner_wait_s(self) -> float:
        """How long one call waits for another of the same run, in seconds."""

    @property
    def given_history_schema(self) -> str:
        """The schema of the history as the stack's parameter names it; "" where it names none."""

    def connect(
        self, release: str | None, history_schema: str = ""
    ) -> AbstractContextManager[Engine]:
        """A session for the ``with`` block, whose history rows name this release.

        The schema of the history is that of the run's plan, if it is not given.
        """

    def connect_at(self, place: Place) -> AbstractContextManager[Engine]:
        """A session with a restored database, before it has the name of the old one."""

    def counters(self) -> dict[str, Any]:
        """How many rows each table has seen written; see recovery.counters."""

    def dump_schemas(self, names: Sequence[str]) -> str:
        """The SQL of some schemas; see recovery.dumps.schemas."""


@dataclass(frozen=True, slots=True)
class FetchedArtifact:
    """An artifact on this machine, checked, and the SHA-256 of its zip in hex."""

    artifact: Artifact
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run at one of its steps.

    Attributes:
        order: what was ordered.
        state: what the steps before this one left.
        records: the run's records in the bucket.
        artifacts: the bucket with the run's artifact.
        database: the database.
        policy: what the environment demands.
        keep_going: returns whether there is time for another migration in this call.
        now: the time of this call.
        execution: the ARN of its execution.
        started_at: when that began, ISO 8601.
    """

    order: Order
    state: RunState
    records: Records
    artifacts: ObjectStore
    database: TargetDatabase
    policy: Policy
    keep_going: Callable[[], bool]
    now: datetime
    execution: str = ""
    started_at: str = ""

    @property
    def id(self) -> str:
        """The run's id."""
        return self.order.run

    @property
    def release(self) -> str | None:
        """The release, once it was validated."""
        return (self.state.plan.release or None) if self.state.plan else None

    @property
    def saved(self) -> Records:
        """The records of the run's snapshot.

        A snapshot from before others changed the database is not the one of a later plan.
        """
        number = self.records.plan().number
        return self.records if number == 1 else replace(self.records, run=f"{self.id}-{number}")

    def refuse_cancelled(self) -> None:
        """Stop here if somebody cancelled the run.

        Raises:
            RunCancelled: somebody did; nothing was changed so far.
        """
        reason = self.records.cancelled()
        if reason:
            raise RunCancelled(
                f"{reason}; nothing was changed", hint="release again when you are ready"
            )

    def refuse_lost_turn(self, *, changed: bool = False) -> None:
        """Stop here if the run's turn has passed, because its execution was redriven.

        Args:
            changed: whether the step undoes what the run has changed, which needs a turn only
                against another run that has it.

        Raises:
            TurnLost: another run has the turn, or the run has to ask for it again.
            AwsError: the bucket does not answer.
        """
        if self.state.turn is None or not self.state.turn.mine:
            return
        holder = read_turns(self.records.store, self.order.target).holder
        if holder and holder.run != self.id:
            raise TurnLost(
                f"the run was taken up again after its turn had passed to {holder}",
                hint=f"nothing was done in this step; it goes on when {holder.run} has ended",
            )
        if holder is None and not changed:
            raise TurnLost("the run was taken up again after its turn had passed")

    @contextmanager
    def artifact(self) -> Iterator[FetchedArtifact]:
        """The run's artifact, which can be read in the ``with`` block.

        Raises:
            ChecksumMismatch: the zip, or a file in it, is not the expected one.
            InvalidArtifact: the zip is refused.
            AwsError: it cannot be read.
            OutOfSpace: it is too large for what is free here.
        """
        from turnback.migrations.artifact import open_artifact

        location = self.order.location
        named = ARTIFACT_KEY.fullmatch(location.key)
        with tempfile.TemporaryDirectory(prefix="turnback-") as folder:
            archive = Path(folder) / "artifact.zip"
            self.artifacts.download(location.key, location.version_id, archive)
            with archive.open("rb") as file:
                digest = file_digest(file, "sha256").hexdigest()
            if location.sha256 and location.sha256.lower() != digest:
                raise ChecksumMismatch(
                    f"the artifact's SHA-256 is {digest}, expected {location.sha256}",
                    file=location.key,
                    hint="upload it again, or start the run with the right checksum",
                )
            release = named["release"] if named else None
            opened = open_artifact(archive, Path(folder), release=release)
            try:
                yield FetchedArtifact(opened, digest)
            finally:
                # An error keeps what it met on its way, and a function that is warm keeps its disk.
                opened.files.close()


def applied(engine: Engine) -> tuple[tuple[str, ...], ...]:
    """Version and checksum of what is applied now: repeatables, then the migrations in order."""
    rows = (*engine.repeatable_entries(), *engine.entries())
    return tuple((entry.version, entry.checksum) for entry in rows if entry.applied)


def last_row(engine: Engine, release: str) -> int:
    """The last row of the log in which a release up to this one applied something."""
    wanted = parse_release(release)
    rows = engine.release_rows()
    return max((row for name, row in rows.items() if parse_release(name) <= wanted), default=0)


def next_wait(waited_s: int) -> int:
    """Seconds to wait before the next look at what runs without us: longer each time."""
    if waited_s < _DOUBLED_WAIT_S:
        return min(max(2 * waited_s, FIRST_WAIT_S), _DOUBLED_WAIT_S)
    return next_poll(waited_s, FIRST_WAIT_S)


def next_poll(waited_s: int, least_s: int) -> int:
    """Seconds until the next look at what AWS does: a tenth more each time.

    So it is seen some seconds, or a tenth of its time, after it has ended.

    Args:
        waited_s: seconds before the last look; 0 before the first.
        least_s: as the stack's parameter says.
    """
    return max(least_s, min(math.ceil(waited_s * 1.1), LONGEST_WAIT_S))
