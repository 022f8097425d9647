"""The steps of a run in words: all of them from a report, or one from the state it left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from turnback.runs.reporting.report import Report
from turnback.runs.reporting.words import as_of, loss_in_words, proof
from turnback.runs.state import RunApproval, RunState
from turnback.runs.status import BACKFILL_STATUSES, Status
from turnback.wording import counted, duration


class Mark(StrEnum):
    """How a step stands; a sign that reads the same in a chat, an e-mail and a terminal."""

    DONE = "✓"
    NOW = "▸"
    WAITS = "‖"
    FAILED = "✗"
    UNDONE = "↩"


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step: how it stands, its name, and what is known of it."""

    mark: Mark
    name: str
    text: str


def steps(report: Report) -> list[StepLine]:
    """The run's steps so far, oldest first; none for a run that was refused before its plan."""
    return [
        *_planned(report),
        *_rehearsed(report),
        *_approved(report, "release"),
        *_saved(report),
        *_applied(report),
        *_backfilled(report),
        *_rolled_back(report),
        *_approved(report, "restore"),
        *_restored(report),
        *_application(report),
    ]


def _migrations(count: int) -> str:
    return counted(count, "migration")


def _planned(report: Report) -> Iterator[StepLine]:
    if report.migration_count:
        yield StepLine(Mark.DONE, "Planned", _migrations(report.migration_count))


def _rehearsed(report: Report) -> Iterator[StepLine]:
    if report.rehearsal:
        mark = Mark.DONE if report.rehearsal.proven else Mark.FAILED
        yield StepLine(mark, "Rehearsed", proof(report.rehearsal))


def _approved(report: Report, gate: str) -> Iterator[StepLine]:
    asked = report.approval
    if asked is None or asked.gate != gate:
        return
    by = ", ".join(asked.approved_by)
    if report.asking:
        name = "Restore waits for approval" if gate == "restore" else "Waits for approval"
        so_far = f"{len(asked.approved_by)} of {asked.persons_needed or 1}"
        yield StepLine(Mark.WAITS, name, f"{so_far}: {by}" if by else so_far)
    elif by:
        name = "Restore approved" if gate == "restore" else "Approved"
        yield StepLine(Mark.DONE, name, f"by {by}")


def _saved(report: Report) -> Iterator[StepLine]:
    if report.snapshot:
        yield StepLine(Mark.DONE, "Snapshot", f"{report.snapshot.kind}, {report.snapshot.id}")


def _applied(report: Report) -> Iterator[StepLine]:
    """How far the migrations came, and at which one they stopped."""
    total = report.migration_count
    if not total or report.dry_run or report.status is Status.REFUSED:
        return
    done, doing = ("Rolled back", "Rolling back") if report.down else ("Applied", "Applying")
    if report.status is Status.SUCCEEDED or report.status in BACKFILL_STATUSES:
        yield StepLine(Mark.DONE, done, _migrations(report.done_count))
    elif report.status is Status.SNAPSHOT_TAKEN:
        yield StepLine(Mark.NOW, doing, _migrations(total))
    elif report.status is Status.APPLYING:
        progress = f"; {report.progress}" if report.progress else ""
        yield StepLine(Mark.NOW, doing, f"{report.done_count} of {total}{progress}")
    elif report.error:
        # From the error and not from the list, which is cut for a large release.
        at = f", {report.error.version} failed" if report.error.version else ""
        yield StepLine(Mark.FAILED, done, f"{report.done_count} of {total}{at}")


def _backfilled(report: Report) -> Iterator[StepLine]:
    """The background backfill of the run."""
    marks = {Status.BACKFILLED: Mark.DONE, Status.BACKFILL_FAILED: Mark.FAILED}
    if report.status in BACKFILL_STATUSES:
        yield StepLine(marks.get(report.status, Mark.NOW), "Backfill", report.progress or "")
    elif report.status is Status.SUCCEEDED and report.backfilling and not report.dry_run:
        yield StepLine(Mark.NOW, "Backfill", f"{', '.join(report.backfilling)} goes on")


def _rolled_back(report: Report) -> Iterator[StepLine]:
    undone = _migrations(len(report.rolled_back)) if report.rolled_back else ""
    if report.down:
        return
    if report.rollback_error:
        text = f"{undone} undone, then it failed" if undone else "it failed"
        yield StepLine(Mark.FAILED, "Rolled back", text)
    elif report.status is Status.ROLLED_BACK:
        yield StepLine(Mark.UNDONE, "Rolled back", undone or "only the failed migration itself")


def _restored(report: Report) -> Iterator[StepLine]:
    if report.restore_error:
        yield StepLine(Mark.FAILED, "Restored", report.restore_error.message)
    elif report.status is Status.RESTORED:
        seconds = report.loss.seconds if report.loss else None
        gap = f", {duration(seconds)} of writes lost" if seconds else ""
        yield StepLine(Mark.UNDONE, "Restored", as_of(report) + gap)


def _application(report: Report) -> Iterator[StepLine]:
    if report.application is None:
        return
    stopped = f"{counted(report.application.stopped, 'service')} stopped"
    if report.application.error:
        text = f"{stopped}; {report.application.error.message}"
        yield StepLine(Mark.FAILED, "Application", text)
    elif report.application.started:
        yield StepLine(Mark.DONE, "Application", f"{stopped} and started again")
    else:
        yield StepLine(Mark.NOW, "Application", stopped)


def result_of(step: str, state: RunState) -> str:
    """What a step of the state machine left, in a few words; empty where it left nothing.

    Args:
        step: the state's name in the definition.
        state: the state machine's state after the step.
    """
    tell = _RESULTS.get(step)
    return tell(state) if tell else ""


def _validate(state: RunState) -> str:
    if state.plan is None:
        return ""
    if state.plan.decision in ("nothing_to_do", "superseded"):
        return state.plan.decision.replace("_", " ")
    verb = "to roll back" if state.down else "to apply"
    text = f"{_migrations(state.plan.migration_count)} {verb}"
    dry = "; a dry run, nothing is changed" if state.plan.decision == "dry_run" else ""
    return text + dry


def _rehearse(state: RunState) -> str:
    return proof(state.rehearsal) if state.rehearsal else ""


def _snapshot(state: RunState) -> str:
    taken = state.snapshot
    if taken is None or not taken.id:
        return "none taken"
    return f"{taken.kind} {taken.id}: {taken.state}"


def _apply(state: RunState) -> str:
    if state.plan is None or state.apply is None:
        return ""
    planned, verb = state.plan.migration_count, "rolled back" if state.down else "applied"
    text = f"{max(planned - state.apply.remaining, 0)} of {planned} {verb}"
    return f"{text}; {state.apply.running}" if state.apply.running else text


def _verify(state: RunState) -> str:
    return f"{_migrations(state.verify.verified)} as planned" if state.verify else ""


def _roll_back(state: RunState) -> str:
    if state.roll_back is None:
        return ""
    left = f", {state.roll_back.remaining} remaining" if state.roll_back.remaining else ""
    return f"{_migrations(state.roll_back.rolled_back)} rolled back{left}"


def _by(approval: RunApproval | None) -> str:
    return f"approved by {', '.join(approval.by)}" if approval and approval.by else ""


def _assess(state: RunState) -> str:
    found = state.assessment
    if found is None or found.decision == "as_before":
        return "the schema is as before the run" if found else ""
    loss = f"a restore would lose {loss_in_words(found.loss)}" if found.loss else ""
    return "; ".join(filter(None, [found.reason, loss]))


def _restore(state: RunState) -> str:
    found = state.restore
    return ": ".join(filter(None, [found.state, found.detail])) if found else ""


def _stopped(state: RunState, verb: str) -> str:
    return f"{len(state.application.stopped)} {verb}" if state.application else ""


_RESULTS: dict[str, Callable[[RunState], str]] = {
    "Validate": _validate,
    "Rehearse": _rehearse,
    "AskApproval": lambda state: _by(state.approval),
    "Snapshot": _snapshot,
    "Apply": _apply,
    "Verify": _verify,
    "StopApplication": lambda state: _stopped(state, "stopped"),
    "RollBack": _roll_back,
    "Assess": _assess,
    "AskRestore": lambda state: _by(state.restore_approval),
    "Restore": _restore,
    "StartApplication": lambda state: _stopped(state, "started again"),
}
