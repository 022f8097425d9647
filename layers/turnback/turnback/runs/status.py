"""The statuses of a run, and the one table of words for them."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """What a run is at; the state machine uses the same words."""

    WAITING = "waiting"
    STARTED = "started"
    REHEARSED = "rehearsed"
    AWAITING_APPROVAL = "awaiting_approval"
    SNAPSHOT_TAKEN = "snapshot_taken"
    APPLYING = "applying"
    BACKFILLING = "backfilling"
    BACKFILLED = "backfilled"
    BACKFILL_FAILED = "backfill_failed"
    SUCCEEDED = "succeeded"
    SUPERSEDED = "superseded"
    REFUSED = "refused"
    ROLLED_BACK = "rolled_back"
    RESTORED = "restored"
    NEEDS_A_PERSON = "needs_a_person"

    @property
    def final(self) -> bool:
        """Whether the run ends with it."""
        return self not in (
            Status.WAITING,
            Status.STARTED,
            Status.REHEARSED,
            Status.AWAITING_APPROVAL,
            Status.SNAPSHOT_TAKEN,
            Status.APPLYING,
            Status.BACKFILLING,
            Status.BACKFILLED,
            Status.BACKFILL_FAILED,
        )

    @property
    def words(self) -> str:
        """The same as the end of a sentence that begins with the release."""
        return _WORDS[self]


_WORDS = {
    Status.WAITING: "waits for its turn",
    Status.STARTED: "has started",
    Status.REHEARSED: "is rehearsed",
    Status.AWAITING_APPROVAL: "waits for approval",
    Status.SNAPSHOT_TAKEN: "has its snapshot",
    Status.APPLYING: "is being applied",
    Status.BACKFILLING: "goes on with its backfill",
    Status.BACKFILLED: "has done its backfill",
    Status.BACKFILL_FAILED: "cannot go on with its backfill",
    Status.SUCCEEDED: "succeeded",
    Status.SUPERSEDED: "was superseded",
    Status.REFUSED: "was refused",
    Status.ROLLED_BACK: "failed and was rolled back",
    Status.RESTORED: "failed and was restored",
    Status.NEEDS_A_PERSON: "failed: a person is needed",
}

# Of the background backfills of a run that has ended.
BACKFILL_STATUSES = (Status.BACKFILLING, Status.BACKFILLED, Status.BACKFILL_FAILED)
