"""What happened in a run: the one model that every renderer reads.

It is published as JSON, the status event of docs/reference/aws.md, and read from that
JSON by the function that posts to Slack. Attributes are named after their keys.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from turnback.errors import (
    ConfigurationError,
    MigrationIncomplete,
    RollbackFailed,
    VerificationFailed,
)
from turnback.runs.state import ArtifactLocation, RestoreLoss, RunError, RunRehearsal
from turnback.runs.stated import Stated
from turnback.runs.status import Status

# SNS takes 256 KiB; a release of thousands of migrations is in the report, not in the message.
LISTED = 500
_REQUIRED = ("run", "target", "status", "environment", "at", "trigger", "summary")


@dataclass(frozen=True, slots=True)
class ReportMigration(Stated):
    """A migration of the plan.

    Attributes:
        version: its version.
        name: its name.
        status: ``pending``, ``applied``, ``backfilling`` (applied, and its rows are changed in
            the background), ``failed``, ``rolled_back`` or ``restored``.
        execution_ms: how long it took, milliseconds; or None.
    """

    version: str
    name: str = ""
    status: str = "pending"
    execution_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ReportUpload(Stated):
    """The artifact that a run was started with, as far as its order says it.

    Attributes:
        bucket: the bucket.
        key: the object's key.
        version_id: its version, or None.
        size: in bytes, or None.
        by: who uploaded it, as S3 names them; None for a run that no upload started.
    """

    bucket: str
    key: str
    version_id: str | None = None
    size: int | None = None
    by: str | None = None

    @classmethod
    def of(cls, artifact: ArtifactLocation | None, trigger: str) -> Self | None:
        """The upload of an order; None for a run that has no artifact."""
        if artifact is None:
            return None
        how, _, who = trigger.partition(":")
        by = who if how == "upload" else None
        return cls(artifact.bucket, artifact.key, artifact.version_id, artifact.size, by)

    def __str__(self) -> str:
        version = f", version {self.version_id}" if self.version_id else ""
        size = f", {self.size:,} bytes" if self.size is not None else ""
        return f"s3://{self.bucket}/{self.key}{version}{size}"


@dataclass(frozen=True, slots=True)
class ReportApproval(Stated):
    """What is asked of people, or who approved.

    Attributes:
        gate: ``release`` or ``restore``.
        question: the gate; ``release-2`` where a release is asked about for the second time.
        persons_needed: how many must approve; None once it is decided.
        approved_by: who approved so far.
        reasons: why they are asked.
        expires_at: until when they can answer, ISO 8601.
        loss: what a restore would lose.
        command: what answers in a terminal.
        reminders: how often the question was asked again.
    """

    gate: str = "release"
    question: str = ""
    persons_needed: int | None = None
    approved_by: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    expires_at: str | None = None
    loss: RestoreLoss | None = None
    command: str = ""
    reminders: int = 0

    def to_state(self) -> dict[str, Any]:
        """As JSON; once it is decided, only the gate and who approved."""
        whole = Stated.to_state(self)
        decided = {name: whole[name] for name in ("gate", "approved_by")}
        return decided if self.persons_needed is None else whole


@dataclass(frozen=True, slots=True)
class ReportSnapshot(Stated):
    """The snapshot from before the run."""

    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class ReportRestore(Stated):
    """Where the old database is kept, and the time that the data is as of."""

    kept: str | None = None
    restored_to: str | None = None


@dataclass(frozen=True, slots=True)
class ReportApplication(Stated):
    """How many services were stopped, whether they run again, and the error if they do not."""

    stopped: int = 0
    started: bool = False
    error: RunError | None = None


@dataclass(frozen=True, slots=True)
class Report(Stated):
    """One run at one status.

    Attributes:
        run: the run's id.
        target: the database's name in turnback.
        release: its number; None when the artifact could not be read.
        status: what the run is at.
        environment: ``development``, ``staging`` or ``production``.
        at: when this was reported, ISO 8601 in UTC.
        trigger: what started the run, and who.
        summary: the outcome in one sentence.
        dry_run: whether the run was to stop at the plan.
        direction: ``up``, or ``down`` for a run that goes back to an older release.
        migration_count: how many migrations the plan has.
        done_count: how many of them the run did, whatever was undone since.
        migrations: the first 500 of them.
        progress: what is running in the server while no function waits for it, or how far a
            background backfill is; or None.
        rolled_back: versions that were rolled back, newest first.
        verified: what the schema after the rollback is, compared with the one before the run:
            ``exact``, ``column_order``, ``names`` or ``unknown``; None where it was not compared.
        destroyed: the data that was destroyed by migrations which were rolled back since, and
            which no rollback script brings back.
        duration_ms: milliseconds since the run began.
        rehearsal: what the rehearsal found, or None.
        approval: what is asked of people, or who approved; or None.
        snapshot: the snapshot, or None.
        loss: what a restore loses or has lost, or None.
        restore: of a run that was restored, or None.
        application: what became of the application; None where none was stopped.
        checklist: of a final status, ``item``, ``answer`` (``yes``, ``no``, ``unknown``) and
            ``evidence`` of each; empty where there was nothing to do.
        upload: the artifact that the run was started with; None where it has none.
        waits_for: what a run waits for before its turn, as the end of a sentence; or None.
        superseded_by: the newer release that has brought all of its migrations, or None.
        notes: what a person should know besides, such as what would delay a restore.
        error: what stopped the run, or None.
        rollback_error: what stopped the rollback, or None.
        restore_error: what stopped the restore, or why there was none, or None.
        execution_arn: the execution of the state machine, or None.
        shortened: where the message has no room for all of it, the key of the whole in the bucket.
        version: of this message's form.
    """

    run: str
    target: str
    status: Status
    environment: str
    at: str
    trigger: str
    release: str | None = None
    summary: str = ""
    dry_run: bool = False
    direction: str = "up"
    migration_count: int = 0
    done_count: int = 0
    migrations: tuple[ReportMigration, ...] = ()
    progress: str | None = None
    rolled_back: tuple[str, ...] = ()
    verified: str | None = None
    destroyed: tuple[str, ...] = ()
    duration_ms: int | None = None
    rehearsal: RunRehearsal | None = None
    approval: ReportApproval | None = None
    snapshot: ReportSnapshot | None = None
    loss: RestoreLoss | None = None
    restore: ReportRestore | None = None
    application: ReportApplication | None = None
    checklist: tuple[dict[str, str], ...] = ()
    upload: ReportUpload | None = None
    waits_for: str | None = None
    superseded_by: str | None = None
    notes: tuple[str, ...] = ()
    error: RunError | None = None
    rollback_error: RunError | None = None
    restore_error: RunError | None = None
    execution_arn: str | None = None
    shortened: str | None = None
    version: int = 1

    @classmethod
    def from_message(cls, message: str) -> Report:
        """Read the text of a message of the topic.

        Raises:
            ConfigurationError: it is not a status event; somebody else publishes to the topic.
        """
        try:
            event = json.loads(message)
            missing = [name for name in _REQUIRED if not isinstance(event.get(name), str)]
            if not missing:
                datetime.fromisoformat(event["at"])
                return cls.from_state(event)
        except (ValueError, AttributeError, TypeError, VerificationFailed) as error:
            raise _not_ours(f"not a status event: {type(error).__name__}") from error
        raise _not_ours(f"a status event without {', '.join(missing)}")

    @property
    def down(self) -> bool:
        """Whether the run goes back to an older release."""
        return self.direction == "down"

    @property
    def backfilling(self) -> list[str]:
        """The versions whose backfills continue in the background."""
        return [one.version for one in self.migrations if one.status == "backfilling"]

    @property
    def asking(self) -> ReportApproval | None:
        """What is asked of people now; None with any other status."""
        waits = self.status is Status.AWAITING_APPROVAL
        return (self.approval or ReportApproval(persons_needed=1)) if waits else None

    @property
    def restore_loss(self) -> RestoreLoss | None:
        """What a restore loses or has lost, from the question or from the run."""
        return (self.approval.loss if self.approval else None) or self.loss

    @property
    def errors(self) -> list[tuple[str, RunError]]:
        """The errors, each with its headline."""
        found = (
            ("What failed", self.error),
            ("Why the rollback failed", self.rollback_error),
            ("Why it was not restored", self.restore_error),
        )
        return [(headline, error) for headline, error in found if error]

    def to_json(self) -> str:
        """The message."""
        event = self.to_state()
        return json.dumps(
            event
            | {
                "migrations": event["migrations"][:LISTED],
                "rolled_back": event["rolled_back"][:LISTED],
            }
        )

    def attributes(self) -> dict[str, str]:
        """What subscriptions can filter by."""
        return {
            "status": self.status.value,
            "target": self.target,
            "release": self.release or "",
        }


def undone(error: RunError | None, status: Status) -> RunError | None:
    """The error as it reads once the run was undone.

    The hint of a failure half way says what is still there, and how to go on from it. After a
    rollback or a restore neither is true any more.
    """
    file = error.file if error and error.file else "the file"
    hints = {MigrationIncomplete.__name__: f"all of it was undone; fix {file} and release again"}
    if status is Status.RESTORED:
        hints[RollbackFailed.__name__] = f"the restore undid it; fix {file} all the same"
    after = status in (Status.ROLLED_BACK, Status.RESTORED)
    if error is None or not after or error.type not in hints:
        return error
    return replace(error, hint=hints[error.type])


def _not_ours(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"a message of the topic is {what}",
        hint="only turnback may publish to its status topic; look who else does",
    )
