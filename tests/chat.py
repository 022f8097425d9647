"""A chat for the tests, time that does not pass, and status events of every kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from turnback.demo.slack import FailedResponse, LocalSlack
from turnback.runs.notifications.slack import Deadline
from turnback.runs.reporting.report import Report
from turnback.runs.status import Status

NEVER = FailedResponse(0)

ERROR = {
    "type": "MigrationFailed",
    "message": 'relation "a" does not exist',
    "file": "sql/0003_c.sql",
    "line": 7,
    "column": 3,
    "sqlstate": "42P01",
    "hint": "nothing of 0003 was kept",
    "version": "0003",
}
LOSS = {
    "since": "2026-11-22T09:10:00+00:00",
    "seconds": 362,
    "inserted": 1200,
    "updated": 31,
    "deleted": 0,
    "approximate": True,
    "tables": [{"name": "public.users", "inserted": 1200, "updated": 31, "deleted": 0}],
}


def later(seconds: int = 0, body: str = "") -> FailedResponse:
    """429, asking for so many seconds; for none, without a Retry-After."""
    return FailedResponse(429, {"Retry-After": str(seconds)} if seconds else {}, body)


class Clock:
    """Time that passes only by waiting."""

    def __init__(self, seconds: float = 60) -> None:
        self.left = seconds
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.left -= seconds

    @property
    def deadline(self) -> Deadline:
        return Deadline(lambda: self.left, self.sleep)


@contextmanager
def chatting() -> Iterator[LocalSlack]:
    """Slack on 127.0.0.1 for as long as the block lasts."""
    with LocalSlack() as chat:
        yield chat


def row(number: int, word: str = "applied", took: int | None = 5) -> dict[str, Any]:
    return {"version": f"{number:04}", "name": "m" * 200, "status": word, "execution_ms": took}


def status_event(word: Status, **fields: Any) -> Report:
    """A status event of one run; what is not given is as of a run that begins."""
    whole: dict[str, Any] = {
        "run": "r-1",
        "target": "learning",
        "release": "1.0.0",
        "environment": "production",
        "at": "2026-11-22T09:16:02.871+00:00",
        "trigger": "upload:AWS:AIDA",
        "summary": "release 1.0.0 on learning",
        "duration_ms": 19469,
    }
    return Report.from_state(json.loads(json.dumps({"status": word, **whole, **fields})))


def status(word: Status, **fields: Any) -> Report:
    """The same, published and read again."""
    return Report.from_message(status_event(word, **fields).to_json())


def of_every_kind() -> dict[Status, Report]:
    """One event for each status, with what a run knows by then."""
    three = ("applied", "applied", "failed")
    rows = tuple(row(n + 1, word) for n, word in enumerate(three))
    planned: dict[str, Any] = {
        "migration_count": 3,
        "migrations": tuple(row(n, "pending", None) for n in (1, 2, 3)),
    }
    rehearsed = planned | {"rehearsal": {"status": "proven", "migrations": 3, "irreversible": 0}}
    asked = {
        "gate": "release",
        "persons_needed": 2,
        "approved_by": ["ann"],
        "reasons": ["0003 drops the table users"],
        "expires_at": "2026-11-23T09:16:02+00:00",
        "loss": None,
        "command": "turnback approve r-1",
    }
    approved = rehearsed | {"approval": {"gate": "release", "approved_by": ["ann", "bob"]}}
    saved = approved | {"snapshot": {"kind": "rds", "id": "turnback-learning-r-1"}}
    behind = saved | {"migrations": (row(1), row(2, "backfilling")), "done_count": 2}
    failed = saved | {"migrations": rows, "done_count": 2, "error": ERROR}
    worse = failed | {"rollback_error": {**ERROR, "file": "rollback/0002_rollback.sql"}}
    return {
        word: status(word, at=f"2026-11-22T09:16:{second:02}.000+00:00", **fields)
        for second, (word, fields) in enumerate(
            {
                Status.WAITING: {"waits_for": "waits for r-2 (1.3.0), 2 before it"},
                Status.STARTED: planned,
                Status.REHEARSED: rehearsed,
                Status.AWAITING_APPROVAL: rehearsed | {"approval": asked},
                Status.SNAPSHOT_TAKEN: saved,
                Status.APPLYING: saved
                | {"progress": "building index users_email: 40 %", "done_count": 1},
                Status.BACKFILLING: behind | {"progress": "0002: 50 %, 12,345 rows"},
                Status.BACKFILLED: behind | {"progress": "0002: 24,690 rows"},
                Status.BACKFILL_FAILED: behind | {"error": ERROR},
                Status.SUCCEEDED: saved | {"migrations": rows[:2], "done_count": 3},
                Status.SUPERSEDED: {"superseded_by": "1.5.0"},
                Status.REFUSED: {"error": ERROR},
                Status.ROLLED_BACK: failed | {"rolled_back": ("0002", "0001")},
                Status.RESTORED: worse
                | {
                    "loss": LOSS,
                    "restore": {"kept": "learning_old", "restored_to": LOSS["since"]},
                    "application": {"stopped": 2, "started": True, "error": None},
                },
                Status.NEEDS_A_PERSON: worse | {"restore_error": {**ERROR, "message": "full"}},
            }.items()
        )
    }
