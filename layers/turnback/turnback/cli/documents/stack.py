"""The documents of the commands for snapshots, and for a stack on AWS."""

from __future__ import annotations

from typing import Literal, Required, TypedDict

from turnback.cli.documents.parts import (
    Document,
    DumpSnapshot,
    ErrorReport,
    Plain,
    RdsSnapshot,
    Unfinished,
)
from turnback.runs.approvals.record import Answer, QuestionOutcome
from turnback.runs.state import ArtifactLocation, RestoreLoss
from turnback.runs.status import Status
from turnback.runs.watching.listing import RunRow


class Backup(Document, total=False):
    """`backup`.

    Attributes:
        run: what `restore` takes.
    """

    status: Required[Literal["succeeded", "dry_run"] | Unfinished]
    run: str
    database: str | None
    snapshot: DumpSnapshot | RdsSnapshot | None


class Snapshots(Document, total=False):
    """`snapshots`, newest first.

    Attributes:
        stack: whose snapshots of RDS they are.
    """

    status: Required[Literal["succeeded"] | Unfinished]
    snapshots: list[DumpSnapshot] | list[RdsSnapshot]
    stack: str


class TableWrites(TypedDict):
    """Rows written to one table."""

    name: str
    inserted: int
    updated: int
    deleted: int


class Lost(TypedDict, total=False):
    """What a restore loses; the numbers of rows are left out where they are not known.

    Attributes:
        since: ISO 8601 time that the restored data is as of; null where it is not known.
        seconds: how long ago that was.
        approximate: always true: the server does not count exactly.
        reset: whether the server has counted anew since the snapshot.
        counted: what the numbers are of: `since_reset` if the server has reset its counters after
            the snapshot; `since_made` if the database was restored or made after it, so that the
            rows of that are among them; `everything` if the snapshot is of another database, all of
            which is replaced.
        tables: those written most, twenty at most.
    """

    since: Required[str | None]
    seconds: Required[int | None]
    inserted: int
    updated: int
    deleted: int
    approximate: bool
    reset: bool
    counted: Literal["since_snapshot", "since_reset", "since_made", "everything"]
    tables: list[TableWrites]


class Forced(TypedDict):
    """Runs that a restore was begun in spite of."""

    runs: list[str]
    reason: str


class Restore(Document, total=False):
    """`restore`.

    Attributes:
        kept: the name of the old database, which is kept.
        restored_to: ISO 8601 time that the data is as of.
        into: with `--into`, the new database; there is no `kept` then.
        already: whether an earlier command has restored it, and nothing was done.
    """

    status: Required[Literal["restored", "dry_run"] | Unfinished]
    database: str | None
    snapshot: DumpSnapshot | RdsSnapshot | None
    until: str | None
    loss: Lost | None
    run: str
    kept: str
    already: bool
    restored_to: str | None
    into: str
    stack: str
    forced: Forced


class Step(TypedDict):
    """A step of a run.

    Attributes:
        name: its state of the state machine.
        tries: how often it was tried.
        result: in a few words.
    """

    name: str
    began_at: str
    seconds: float | None
    tries: int
    result: str
    error: ErrorReport | None


class Watched(Document, total=False):
    """What `watch`, and those who follow a run as it does, say at its end.

    Attributes:
        status: the last status of the run; `running` where the command was interrupted before.
        execution: in the words of Step Functions.
        left_applied: with `needs_a_person`, versions that the run applied and did not roll back.
    """

    status: Required[Status | Literal["running"] | Unfinished]
    run: str
    release: str | None
    execution: str
    started_at: str | None
    duration_ms: int | None
    steps: list[Step]
    left_applied: list[str]


class Watch(Watched, total=False):
    """`watch`."""


class Cancel(Watched, total=False):
    """`cancel`."""

    cancelled: bool
    rolled_back: list[str]


class Release(Watched, total=False):
    """`release`; without `--watch` its status is `started`."""

    artifact: ArtifactLocation
    rollback_to: str | None
    dry_run: bool


class Runs(Document, total=False):
    """`runs`, newest first."""

    status: Required[Literal["succeeded"] | Unfinished]
    stack: str
    target: str
    runs: list[RunRow]


class Resume(Plain, total=False):
    """`resume`."""

    stack: str


class Question(TypedDict):
    """What a run asks.

    Attributes:
        persons: how many must approve.
        loss: of a restore.
        trigger: what started the run, and who.
        reminders: how often it was asked again.
        plan: digest of the plan that is approved.
        rehearsal: the verdict on it.
        number: which question of this gate it is, from 1.
    """

    gate: Literal["release", "restore"]
    asked_at: str
    expires_at: str
    persons: int
    reasons: list[str]
    loss: RestoreLoss | None
    trigger: str
    target: str
    release: str
    reminders: int
    execution: str
    plan: str
    rehearsal: str
    number: int


class Approve(Document, total=False):
    """`approve`.

    Attributes:
        gate: which question; of a later one with its number, `release-2`.
        recorded: false where you have given the same answer before, or only look.
        told: what became of the answer, in a sentence.
        sql: of the migrations that are asked about.
        outcome: null while the run waits.
    """

    status: Required[Literal["waits", "approved"] | Unfinished]
    run: str
    gate: str
    recorded: bool
    told: str
    question: Question
    sql: str
    answers: list[Answer]
    approved_by: list[str]
    outcome: QuestionOutcome | None


class Emergency(Plain, total=False):
    """`emergency start`."""

    stack: str
    run: str
    started: list[str]
