"""The parts of a status event that are taken from the state machine's state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnback.runs.caught import error_of
from turnback.runs.status import Status


def approval(state: Mapping[str, Any]) -> dict[str, Any] | None:
    """Who approved, once somebody did; of the restore rather than of the release."""
    for gate, answer in (
        ("restore", state.get("restore_approval")),
        ("release", state.get("approval")),
    ):
        if answer:
            return {"gate": gate, "approved_by": answer.get("by", [])}
    return None


def loss(
    status: Status, state: Mapping[str, Any], report: Mapping[str, Any]
) -> dict[str, Any] | None:
    """What a restore loses, once that was assessed; of one that was done, as counted at its end."""
    if status is Status.RESTORED and report.get("loss"):
        return dict(report["loss"])
    return (state.get("assessment") or {}).get("loss")


def restore(status: Status, state: Mapping[str, Any]) -> dict[str, Any] | None:
    """Where the old database is kept, and what time the data is as of."""
    done = state.get("restore")
    if status is not Status.RESTORED or not done:
        return None
    return {"kept": done["kept"], "restored_to": done["restored_to"]}


def restore_error(status: Status, state: Mapping[str, Any]) -> dict[str, Any] | None:
    """What stopped the restore; where none was begun, why."""
    caught = error_of(state.get("restore_error"))
    assessment = state.get("assessment") or {}
    if caught or status is not Status.NEEDS_A_PERSON or assessment.get("decision") != "no":
        return caught
    return {"type": "NotRestored", "message": f"not restored: {assessment['reason']}"}


def application(state: Mapping[str, Any]) -> dict[str, Any] | None:
    """What became of the application; None where none is stopped."""
    looked = state.get("application") or {}
    error = error_of(state.get("application_error"))
    if not looked.get("stopped") and not error:
        return None
    return {
        "stopped": len(looked.get("stopped", [])),
        "started": bool((state.get("starting") or {}).get("done")),
        "error": error,
    }


def migrations(
    status: Status,
    plan: Mapping[str, Any],
    report: Mapping[str, Any],
    error: Mapping[str, Any] | None,
) -> list[dict[str, Any]]:
    """The plan's migrations, and where each stands."""
    times = {row["version"]: row["execution_ms"] for row in report.get("applied", [])}
    undone = {row["version"]: row["execution_ms"] for row in report.get("rolled_back", [])}
    down = plan.get("direction") == "down"
    succeeded = status is Status.SUCCEEDED and ("rolled_back" if down else "applied") in report
    if succeeded:
        # An invocation that was cut off did migrations that it could not report.
        word = dict.fromkeys(_versions(plan), "rolled_back" if down else "applied")
    else:
        word = dict.fromkeys(_versions(plan), "applied" if down else "pending")
        word |= dict.fromkeys(times, "applied")
        word |= dict.fromkeys(undone, "rolled_back")
    if status is Status.RESTORED:
        word = dict.fromkeys(word, "restored")
    failed = (error or {}).get("version")
    if failed in word and (status is Status.RESTORED or word[failed] in ("pending", "applied")):
        word[failed] = "failed"
    return [
        {
            "version": step["version"],
            "name": step["name"],
            "status": word[step["version"]],
            "execution_ms": (undone if down else times).get(step["version"]),
        }
        for step in plan.get("migrations", [])
    ]


def destroyed(plan: Mapping[str, Any], report: Mapping[str, Any]) -> list[str]:
    """The data that went with what was rolled back since, and that no script brings back."""
    planned = plan.get("destroys") or {}
    undone = [row["version"] for row in report.get("rolled_back", [])]
    return [lost for version in undone for lost in planned.get(version, [])]


def done_count(status: Status, plan: Mapping[str, Any], report: Mapping[str, Any]) -> int:
    """How many of the plan's migrations the run did, whatever was undone since."""
    word = "rolled_back" if plan.get("direction") == "down" else "applied"
    if status is Status.SUCCEEDED and word in report:
        # An invocation that was cut off did migrations that it could not report.
        return len(_versions(plan))
    return len(report.get(word, []))


def _versions(plan: Mapping[str, Any]) -> list[str]:
    return [step["version"] for step in plan.get("migrations", [])]
