"""A run's status in one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from turnback.runs.reporting.words import clock
from turnback.runs.status import Status

_LISTED = 5
_WORDS = ("inserted", "updated", "deleted")


def progress_of(status: Status, state: Mapping[str, Any]) -> str | None:
    """What goes on in the server while nobody waits for it; None with any other status."""
    return (state.get("apply") or {}).get("running") if status is Status.APPLYING else None


def summary(
    status: Status,
    state: Mapping[str, Any],
    rows: list[dict[str, Any]],
    known: Mapping[str, Any],
    *,
    approval: Mapping[str, Any] | None = None,
    gone: Sequence[str] = (),
    loss: Mapping[str, Any] | None = None,
) -> str:
    """The status as people read it.

    Args:
        status: what the run is at.
        state: the state machine's state.
        rows: the migrations of the plan, as in the status event.
        known: ``target`` and ``release``.
        approval: what is asked of a person, with ``awaiting_approval``.
        loss: what a restore loses, or has lost.
        gone: data that went with what was rolled back, and did not come back with it.
    """
    plan = state.get("plan") or {}
    down = plan.get("direction") == "down"
    where = f"on {known['target']}"
    release = known["release"] or "of unknown number"
    what = f"the way back to release {release} {where}" if down else f"release {release} {where}"
    count = f"{len(rows)} migration{'' if len(rows) == 1 else 's'}"
    undone = sum(row["status"] == "rolled_back" for row in rows)
    verb = "to roll back" if down else "to apply"
    match status:
        case Status.STARTED:
            return f"{what} started: {count} {verb}"
        case Status.REHEARSED:
            return f"{what} is rehearsed: {_proof(state)}"
        case Status.AWAITING_APPROVAL:
            return f"{what} {_question(approval or {})}"
        case Status.SNAPSHOT_TAKEN:
            return f"{what}: snapshot taken, {'rolling back' if down else 'applying'} {count}"
        case Status.APPLYING:
            return f"{what}: {progress_of(status, state)}"
        case Status.SUCCEEDED:
            return _success(state, what, count, down=down)
        case Status.REFUSED:
            return f"{what} was refused: nothing was changed"
        case Status.ROLLED_BACK:
            return f"{what} failed and was rolled back: {_back(state, gone)}" + (
                f", {undone} of {count} undone" if undone and not down else ""
            )
        case Status.RESTORED:
            return f"{what} failed and the database was restored{_as_of(state)}{_lost(state, loss)}"
        case Status.NEEDS_A_PERSON:
            return f"{what} failed and could not be rolled back: a person is needed"


def _back(state: Mapping[str, Any], gone: Sequence[str]) -> str:
    """What is as before: a rollback script makes a column again, and not the values it had."""
    if not gone:
        return "the database is as before"
    snapshot = (state.get("snapshot") or {}).get("id")
    more = f" and {len(gone) - _LISTED} more" if len(gone) > _LISTED else ""
    where = f" (the snapshot {snapshot} has it)" if snapshot else ""
    return (
        f"the schema is as before, but what was dropped may not be back: "
        f"{'; '.join(gone[:_LISTED])}{more}{where}"
    )


def loss_in_words(loss: Mapping[str, Any] | None) -> str:
    """What a restore loses, in words; says so where nothing is known."""
    if not loss or not loss.get("since"):
        return "everything written since the snapshot is lost; how much is not known"
    minutes, seconds = divmod(int(loss.get("seconds") or 0), 60)
    time = f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    lost = f"what was written in {time}, since {clock(str(loss['since']))}, is lost"
    if "inserted" not in loss:
        lost += "; how much is not known"
    elif loss.get("reset"):
        lost += "; how much is not known, for the server has counted anew since"
    else:
        lost += ": about " + ", ".join(f"{loss[word]} {word}" for word in _WORDS) + " rows"
    others = loss.get("others")
    return f"{lost}; and so is what other runs did: {'; '.join(others)}" if others else lost


def _success(state: Mapping[str, Any], what: str, count: str, *, down: bool) -> str:
    decision = (state.get("plan") or {}).get("decision")
    if decision == "nothing_to_do":
        every = "no migration is applied after it" if down else "every migration is already applied"
        return f"{what}: nothing to do, {every}"
    if decision == "dry_run":
        proof = f"; rehearsed: {_proof(state)}" if state.get("rehearsal") else ""
        would = "rolled back" if down else "applied"
        return f"{what}: dry run, {count} would be {would}, nothing was changed{proof}"
    return f"{what} succeeded: {count} {'rolled back' if down else 'applied'}"


def _question(approval: Mapping[str, Any]) -> str:
    persons = int(approval.get("persons_needed") or 1)
    who = "a person" if persons == 1 else f"{persons} persons"
    if approval.get("gate") == "restore":
        loss = loss_in_words(approval.get("loss"))
        return (
            f"failed and waits for {who} to approve the restore: {loss}; what is written until "
            "then is lost as well"
        )
    return f"waits for {who} to approve it"


def _as_of(state: Mapping[str, Any]) -> str:
    time = (state.get("restore") or {}).get("restored_to")
    return f" as of {clock(time)}" if time else " from its snapshot"


def _lost(state: Mapping[str, Any], loss: Mapping[str, Any] | None) -> str:
    kept = (state.get("restore") or {}).get("kept")
    return f"; {loss_in_words(loss)}" + (f"; the old database is kept as {kept}" if kept else "")


def _proof(state: Mapping[str, Any]) -> str:
    found = state.get("rehearsal") or {}
    one_way = int(found.get("irreversible") or 0)
    if found.get("status") != "proven":
        return "not every rollback is proven"
    return "every rollback is proven" + (f", {one_way} irreversible by intent" if one_way else "")
