"""Status events: what a run tells the world, one JSON message for each status."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from turnback.errors import ConfigurationError

# SNS takes 256 KiB; a release of thousands of migrations is in the report, not in the message.
LISTED = 500
REQUIRED = ("run", "target", "status", "environment", "at", "trigger", "summary")


class Status(StrEnum):
    """The words of a run's life; the state machine uses the same."""

    STARTED = "started"
    REHEARSED = "rehearsed"
    AWAITING_APPROVAL = "awaiting_approval"
    SNAPSHOT_TAKEN = "snapshot_taken"
    APPLYING = "applying"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    ROLLED_BACK = "rolled_back"
    RESTORED = "restored"
    NEEDS_A_PERSON = "needs_a_person"

    @property
    def final(self) -> bool:
        """Whether the run ends with it."""
        return self not in (
            Status.STARTED,
            Status.REHEARSED,
            Status.AWAITING_APPROVAL,
            Status.SNAPSHOT_TAKEN,
            Status.APPLYING,
        )


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """One status of one run, as it is published.

    Attributes:
        run: the run's id.
        target: the database's name in turnback.
        release: its number; None when the artifact could not be read.
        status: what the run is at.
        environment: ``development``, ``staging`` or ``production``.
        at: when this was said, ISO 8601 in UTC.
        trigger: what started the run, and who.
        summary: all of it in one sentence.
        dry_run: whether the run was to stop at the plan.
        direction: ``up``, or ``down`` for a run that goes back to an older release.
        migration_count: how many migrations the plan has.
        done_count: how many of them the run did, whatever was undone since.
        migrations: the first 500 of them: ``version``, ``name``, ``status`` (``pending``,
            ``applied``, ``failed``, ``rolled_back``), ``execution_ms`` or None.
        progress: what goes on in the server while nobody waits for it, or None.
        rolled_back: versions that were rolled back, newest first.
        duration_ms: milliseconds since the run began.
        rehearsal: ``status`` (``proven`` or ``unproven``), how many ``migrations`` and how many
            ``irreversible`` among them, and the ``key`` of all that was found; or None.
        approval: of ``awaiting_approval``, what is asked: ``gate`` (``release`` or ``restore``),
            ``persons_needed``, ``approved_by``, ``reasons``, ``expires_at``, ``loss`` and the
            ``command`` that answers; afterwards ``gate`` and ``approved_by``; or None.
        snapshot: ``kind`` and ``id`` of the snapshot, or None.
        loss: what a restore loses or has lost: ``since`` (ISO 8601), ``seconds``, the rows
            ``inserted``, ``updated`` and ``deleted`` since then, whether these are ``approximate``,
            and the ``tables`` with most of them; ``reset`` where the server has counted anew
            since, and what ``others`` (runs) did that goes as well; or None.
        restore: ``kept``, where the old database is kept, and ``restored_to``, the time that the
            data is as of; or None.
        application: how many services were ``stopped``, whether they are ``started`` again, and
            the ``error`` if not; or None where none is stopped.
        checklist: of a final status, ``item``, ``answer`` (``yes``, ``no``, ``unknown``) and
            ``evidence`` of each; empty where there was nothing to do.
        error: what stopped the run, as of TurnbackError.to_dict, or None.
        rollback_error: what stopped the rollback, or None.
        restore_error: what stopped the restore, or why there was none, or None.
        execution_arn: the execution of the state machine, or None.
        version: of this message's form.
    """

    run: str
    target: str
    release: str | None
    status: Status
    environment: str
    at: str
    trigger: str
    summary: str
    dry_run: bool = False
    direction: str = "up"
    migration_count: int = 0
    done_count: int = 0
    migrations: tuple[dict[str, Any], ...] = ()
    progress: str | None = None
    rolled_back: tuple[str, ...] = ()
    duration_ms: int | None = None
    rehearsal: dict[str, Any] | None = None
    approval: dict[str, Any] | None = None
    snapshot: dict[str, Any] | None = None
    loss: dict[str, Any] | None = None
    restore: dict[str, Any] | None = None
    application: dict[str, Any] | None = None
    checklist: tuple[dict[str, str], ...] = ()
    error: dict[str, Any] | None = None
    rollback_error: dict[str, Any] | None = None
    restore_error: dict[str, Any] | None = None
    execution_arn: str | None = None
    version: int = 1

    def to_json(self) -> str:
        """The message."""
        shortened = asdict(self) | {
            "migrations": self.migrations[:LISTED],
            "rolled_back": self.rolled_back[:LISTED],
        }
        return json.dumps(shortened)

    def attributes(self) -> dict[str, str]:
        """What subscriptions can filter by."""
        return {
            "status": self.status.value,
            "target": self.target,
            "release": self.release or "",
        }


def read_status(message: str) -> dict[str, Any]:
    """A status event from the text of a message of the topic.

    Raises:
        ConfigurationError: it is not one; somebody else publishes to the topic.
    """
    try:
        event = json.loads(message)
        missing = [name for name in REQUIRED if not isinstance(event.get(name), str)]
        if not missing:
            Status(event["status"])
            datetime.fromisoformat(event["at"])
    except (ValueError, AttributeError, TypeError) as error:
        raise _not_ours(f"not a status event: {type(error).__name__}") from error
    if missing:
        raise _not_ours(f"a status event without {', '.join(missing)}")
    empty: dict[str, Any] = {
        name: [] if field.default == () else field.default
        for name, field in StatusEvent.__dataclass_fields__.items()
        if name not in REQUIRED and name != "release"
    }
    return {**empty, "release": None, **event}


def _not_ours(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"a message of the topic is {what}",
        hint="only turnback may publish to its status topic; look who else does",
    )
