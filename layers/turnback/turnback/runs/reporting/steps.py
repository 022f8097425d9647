"""The steps of a run as a person reads them: what is done, what goes on, what failed, what waits.

Everything is read from one status event, so a message that was missed leaves no gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from turnback.runs.reporting.words import clock, duration
from turnback.runs.status import Status


class Mark(StrEnum):
    """How a step stands; a sign that reads the same in a chat, an e-mail and a terminal."""

    DONE = "✓"
    NOW = "▸"
    WAITS = "‖"
    FAILED = "✗"
    UNDONE = "↩"


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step.

    Attributes:
        mark: how it stands.
        name: what it is.
        told: what is known of it.
    """

    mark: Mark
    name: str
    told: str


def steps(event: Mapping[str, Any]) -> list[StepLine]:
    """The run's steps so far, oldest first; none for a run that was refused before its plan."""
    return [
        *_planned(event),
        *_rehearsed(event),
        *_approved(event, "release"),
        *_saved(event),
        *_applied(event),
        *_rolled_back(event),
        *_approved(event, "restore"),
        *_restored(event),
        *_application(event),
    ]


def counted(number: int, noun: str = "migration") -> str:
    """``1 migration``, ``2 migrations``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _planned(event: Mapping[str, Any]) -> Iterator[StepLine]:
    if event.get("migration_count"):
        yield StepLine(Mark.DONE, "Planned", counted(event["migration_count"]))


def _rehearsed(event: Mapping[str, Any]) -> Iterator[StepLine]:
    found = event.get("rehearsal")
    if not found:
        return
    proven = found.get("status") == "proven"
    one_way = int(found.get("irreversible") or 0)
    told = "every rollback is proven" if proven else "not every rollback is proven"
    yield StepLine(
        Mark.DONE if proven else Mark.FAILED,
        "Rehearsed",
        told + (f", {one_way} irreversible by intent" if one_way else ""),
    )


def _approved(event: Mapping[str, Any], gate: str) -> Iterator[StepLine]:
    asked = event.get("approval") or {}
    if (asked.get("gate") or "release") != gate or not asked:
        return
    what = "Restore approved" if gate == "restore" else "Approved"
    by = [str(name) for name in asked.get("approved_by") or ()]
    if event["status"] == Status.AWAITING_APPROVAL:
        needed = int(asked.get("persons_needed") or 1)
        what = "Restore waits for approval" if gate == "restore" else "Waits for approval"
        so_far = f": {', '.join(by)}" if by else ""
        yield StepLine(Mark.WAITS, what, f"{len(by)} of {needed}{so_far}")
    elif by:
        yield StepLine(Mark.DONE, what, f"by {', '.join(by)}")


def _saved(event: Mapping[str, Any]) -> Iterator[StepLine]:
    snapshot = event.get("snapshot")
    if snapshot:
        yield StepLine(Mark.DONE, "Snapshot", f"{snapshot['kind']}, {snapshot['id']}")


def _applied(event: Mapping[str, Any]) -> Iterator[StepLine]:
    """How far the migrations came, and at which one they stopped."""
    status, total = event["status"], int(event.get("migration_count") or 0)
    if not total or event.get("dry_run") or status == Status.REFUSED:
        return
    down = event.get("direction") == "down"
    done, doing = ("Rolled back", "Rolling back") if down else ("Applied", "Applying")
    if status == Status.SUCCEEDED:
        yield StepLine(Mark.DONE, done, counted(total))
    elif status == Status.SNAPSHOT_TAKEN:
        yield StepLine(Mark.NOW, doing, counted(total))
    elif status == Status.APPLYING:
        progress = f"; {event['progress']}" if event.get("progress") else ""
        yield StepLine(Mark.NOW, doing, f"{event['done_count']} of {total}{progress}")
    elif event.get("error"):
        # By the error and not by the list, which of a large release is cut.
        failed = event["error"].get("version")
        at = f", {failed} failed" if failed else ""
        yield StepLine(Mark.FAILED, done, f"{event['done_count']} of {total}{at}")


def _rolled_back(event: Mapping[str, Any]) -> Iterator[StepLine]:
    undone = len(event["rolled_back"])
    if event.get("direction") == "down":
        return
    if event.get("rollback_error"):
        left = f"{counted(undone)} undone, then it failed" if undone else "it failed"
        yield StepLine(Mark.FAILED, "Rolled back", left)
    elif event["status"] == Status.ROLLED_BACK:
        told = counted(undone) if undone else "the failed migration itself, nothing else"
        yield StepLine(Mark.UNDONE, "Rolled back", told)


def _restored(event: Mapping[str, Any]) -> Iterator[StepLine]:
    back = event.get("restore") or {}
    if event.get("restore_error"):
        yield StepLine(
            Mark.FAILED, "Restored", str(event["restore_error"].get("message") or "failed")
        )
    elif event["status"] == Status.RESTORED:
        as_of = (
            f"as of {clock(str(back['restored_to']))}"
            if back.get("restored_to")
            else "from the snapshot"
        )
        lost = (event.get("loss") or {}).get("seconds")
        gap = f", {duration(float(lost))} of writes lost" if lost else ""
        yield StepLine(Mark.UNDONE, "Restored", as_of + gap)


def _application(event: Mapping[str, Any]) -> Iterator[StepLine]:
    told = event.get("application")
    if not told:
        return
    error = told.get("error")
    stopped = counted(int(told.get("stopped") or 0), "service")
    if error:
        text = error.get("message") if isinstance(error, Mapping) else error
        yield StepLine(Mark.FAILED, "Application", f"{stopped} stopped; {text}")
    elif told.get("started"):
        yield StepLine(Mark.DONE, "Application", f"{stopped} stopped and started again")
    else:
        yield StepLine(Mark.NOW, "Application", f"{stopped} stopped")
