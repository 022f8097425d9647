"""What a status means to a person: a title, what to do next, what a restore costs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from turnback.runs.status import Status

_TITLES = {
    "started": "has started",
    "rehearsed": "is rehearsed",
    "awaiting_approval": "waits for approval",
    "snapshot_taken": "has its snapshot",
    "applying": "is being applied",
    "succeeded": "succeeded",
    "refused": "was refused",
    "rolled_back": "failed and was rolled back",
    "restored": "failed and was restored",
    "needs_a_person": "failed: a person is needed",
}


def title(event: Mapping[str, Any]) -> str:
    """Target, release and what became of it, in one line."""
    word = _TITLES.get(event["status"], event["status"])
    if event["status"] == Status.AWAITING_APPROVAL and _gate(event) == "restore":
        word = "failed: its restore waits for approval"
    if event["status"] == Status.SUCCEEDED and event.get("dry_run"):
        word = "would be applied (dry run)"
    release = event.get("release") or "unknown release"
    back = "back to " if event.get("direction") == "down" else ""
    return f"{event['target']}: {back}{release} {word}"


def reminder(event: Mapping[str, Any]) -> str:
    """``Reminder: `` before a question that is put again; else nothing."""
    asked = event.get("approval") or {}
    again = event["status"] == Status.AWAITING_APPROVAL and asked.get("reminders")
    return "Reminder: " if again else ""


def is_worth_a_message(event: Mapping[str, Any]) -> bool:
    """Whether to tell it where no message can be changed: begin, what waits for a person, end."""
    status = Status(event["status"])
    return status.final or status in (Status.STARTED, Status.AWAITING_APPROVAL)


def next_step(event: Mapping[str, Any]) -> str:
    """What a person should do now, in a few sentences."""
    stopped = event.get("application") or {}
    if Status(event["status"]).final and stopped and not stopped.get("started"):
        return f"{_next_step(event)} The application is still stopped: start it by hand."
    return _next_step(event)


def where(error: Mapping[str, Any]) -> str:
    """``file:line:column`` as far as an error knows it, or an empty string."""
    parts = [error.get("file"), error.get("line"), error.get("column")]
    return ":".join(str(part) for part in parts if part is not None) if parts[0] else ""


def loss_of(event: Mapping[str, Any]) -> str:
    """What a restore loses, or has lost, in one sentence; empty where nothing is known of it."""
    loss = (event.get("approval") or {}).get("loss") or event.get("loss")
    if not loss:
        return ""
    about = "about " if loss.get("approximate", True) else ""
    rows = ", ".join(
        f"{loss[name]:,} {name}" for name in ("inserted", "updated", "deleted") if loss.get(name)
    )
    since = f"since {clock(str(loss['since']))}" if loss.get("since") else "since the snapshot"
    if loss.get("seconds") is not None:
        since += f" ({duration(float(loss['seconds']))})"
    if "inserted" not in loss:
        told = "how much is not known"
    elif loss.get("reset"):
        told = f"at least {rows or 'no'} rows; the server has counted anew since, so how much more"
        told += " is not known"
    else:
        told = f"{about}{rows} rows" if rows else "no row, as far as the server counted"
    if others := loss.get("others"):
        told += f"; and what other runs did: {'; '.join(others)}"
    tables = [
        f"{table['name']} (+{table.get('inserted', 0):,} ~{table.get('updated', 0):,} "
        f"-{table.get('deleted', 0):,})"
        for table in loss.get("tables") or ()
    ]
    return f"What was written {since}: {told}." + (f" {', '.join(tables)}." if tables else "")


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``19.5 s``, ``1 min 12 s``, ``3 h 05 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def clock(at: str) -> str:
    """A time as a person reads it: ``2026-11-22 15:04:05 UTC``; what is no time stays as it is."""
    try:
        when = datetime.fromisoformat(at)
    except ValueError:
        return at
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if when.tzinfo else at


def sentence(text: str) -> str:
    """The text with a capital at its begin and a full stop at its end."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "!", "?")) else ".")


def cut(text: str, length: int) -> str:
    """Text of at most this many characters; an ellipsis says that it was longer."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _next_step(event: Mapping[str, Any]) -> str:
    status = event["status"]
    error = event.get("error") or {}
    watch = f"`turnback watch {event['run']}` shows it live."
    if status == Status.AWAITING_APPROVAL:
        return _answer(event)
    if status == Status.NEEDS_A_PERSON:
        return _by_hand(event)
    if status == Status.RESTORED:
        return _after_restore(event)
    if status == Status.REFUSED and error.get("hint"):
        return sentence(str(error["hint"]))
    if status in (Status.REFUSED, Status.ROLLED_BACK):
        what = error.get("file") or "what failed"
        if "may not be back" in str(event.get("summary")):
            return f"Look at what was dropped, and bring it back; correct {what}, release again."
        return f"Correct {what} and release again; nothing has to be cleaned up."
    if status == Status.SUCCEEDED and event.get("dry_run"):
        return "Release again without the dry run to apply it."
    if status == Status.SUCCEEDED:
        return "Nothing is left to do."
    return f"Nothing now: turnback tells when it has ended or waits for somebody. {watch}"


def _gate(event: Mapping[str, Any]) -> str:
    return str((event.get("approval") or {}).get("gate") or "release")


def _answer(event: Mapping[str, Any]) -> str:
    asked = event.get("approval") or {}
    needed = int(asked.get("persons_needed") or 1)
    by = [str(name) for name in asked.get("approved_by") or ()]
    people = "1 person" if needed == 1 else f"{needed} persons"
    command = asked.get("command") or f"turnback approve {event['run']}"
    until = f" until {clock(str(asked['expires_at']))}" if asked.get("expires_at") else ""
    so_far = f" So far: {', '.join(by)}." if by else ""
    return (
        f"Approve or deny{until}: `{command}`. It needs {people}, not the one who started "
        f"the run.{so_far}"
    )


def _after_restore(event: Mapping[str, Any]) -> str:
    error, back = event.get("error") or {}, event.get("restore") or {}
    what = error.get("file") or "what failed"
    # What a dump replaced lets nobody in, so that nothing writes to it by mistake.
    shut = (event.get("snapshot") or {}).get("kind") == "dump"
    opened = f" (ALTER DATABASE {back.get('kept')} ALLOW_CONNECTIONS true)" if shut else ""
    kept = (
        f" The database as it failed is kept as {back['kept']}: take from it what was written "
        f"after the snapshot{opened}, then drop it."
        if back.get("kept")
        else ""
    )
    return f"Correct {what} and release again; the database is as before the run.{kept}"


def _by_hand(event: Mapping[str, Any]) -> str:
    snapshot = event.get("snapshot")
    back = (
        f" The snapshot {snapshot['id']} is from before the run: `turnback restore` brings it back."
        if snapshot
        else ""
    )
    return (
        "Look at what stands with `turnback status`, put it right, and record it with "
        f"`turnback repair`.{back}"
    )
