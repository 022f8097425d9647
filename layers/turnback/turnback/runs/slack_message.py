"""The chat message of a run: a status event as Slack's Block Kit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from turnback.runs.checklist import in_short

# Slack's limits: https://docs.slack.dev/reference/block-kit/blocks
HEADER_LENGTH = 150
SECTION_LENGTH = 3000
FIELD_LENGTH = 2000
LISTED = 20

_TITLES = {
    "succeeded": "succeeded",
    "refused": "was refused",
    "rolled_back": "failed and was rolled back",
    "needs_a_person": "failed: a person is needed",
}


def slack_message(event: Mapping[str, Any]) -> dict[str, Any]:
    """What to post: what, where, which migrations, how long, what failed, what was undone.

    Args:
        event: a status event, as published.
    """
    release = event.get("release") or "unknown release"
    title = f"{event['target']}: {release} {_TITLES.get(event['status'], event['status'])}"
    blocks: list[dict[str, Any]] = [
        {
            "type": "header",
            "text": {"type": "plain_text", "text": cut(title, HEADER_LENGTH), "emoji": False},
        },
        _section(escape(event["summary"])),
        {
            "type": "section",
            "fields": [
                {"type": "mrkdwn", "text": cut(f"*{name}*\n{escape(value)}", FIELD_LENGTH)}
                for name, value in _facts(event)
            ],
        },
    ]
    texts = [
        _list("Migrations", event["migrations"], event["migration_count"]),
        _error("What failed", event.get("error")),
        _undone(event),
        _error("Why the rollback failed", event.get("rollback_error")),
        _checklist(event),
        f"*What to do next*\n{escape(next_step(event))}" if event["status"] != "succeeded" else "",
    ]
    blocks += [_section(text) for text in texts if text]
    where = f"run `{escape(event['run'])}` · {escape(event['at'])}"
    blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": where}]})
    return {"text": cut(escape(title), SECTION_LENGTH), "blocks": blocks}


def next_step(event: Mapping[str, Any]) -> str:
    """What a person should do now, in one or two sentences."""
    error = event.get("error") or {}
    if event["status"] == "needs_a_person":
        snapshot = event.get("snapshot")
        back = f" The snapshot {snapshot['id']} is from before the run." if snapshot else ""
        return (
            "Look at what stands with `turnback status`, put it right, and record it with "
            f"`turnback repair`.{back}"
        )
    if event["status"] == "refused" and error.get("hint"):
        return f"{error['hint'][:1].upper()}{error['hint'][1:]}."
    what = error.get("file") or "what failed"
    return f"Correct {what} and release again; nothing has to be cleaned up."


def escape(text: object) -> str:
    """Text in which nothing is Slack's markup: no mention, no link."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, length: int) -> str:
    """Text of at most this many characters; an ellipsis says that it was longer."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut(text, SECTION_LENGTH)}}


def _facts(event: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = [
        ("Database", f"{event['target']} ({event['environment']})"),
        ("Release", event.get("release") or "unknown"),
        ("Started by", event["trigger"]),
    ]
    if event.get("duration_ms") is not None:
        facts.append(("Took", f"{event['duration_ms'] / 1000:.1f} s"))
    if event.get("snapshot"):
        facts.append(("Snapshot", event["snapshot"]["id"]))
    return facts


def _list(title: str, rows: Sequence[Mapping[str, Any]], count: int) -> str:
    if not rows:
        return ""
    lines = []
    for row in rows[:LISTED]:
        took = "" if row["execution_ms"] is None else f", {row['execution_ms']} ms"
        lines.append(f"• `{escape(cut(_name(row), 100))}` {row['status']}{took}")
    if count > LISTED:
        lines.append(f"… and {count - LISTED} more")
    return f"*{title}*\n" + "\n".join(lines)


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['version']} {row['name']}"


def _error(title: str, error: Mapping[str, Any] | None) -> str:
    if not error:
        return ""
    parts = [error.get("file"), error.get("line"), error.get("column")]
    where = ":".join(str(part) for part in parts if part is not None) if parts[0] else ""
    place = f" at `{escape(where)}`" if where else ""
    state = f" (SQLSTATE {escape(error['sqlstate'])})" if error.get("sqlstate") else ""
    message = cut(escape(error["message"]), SECTION_LENGTH - 1000).replace("```", "'''")
    hint = f"\n{cut(escape(error['hint']), 500)}" if error.get("hint") else ""
    return f"*{title}*{place}\n{escape(error['type'])}{state}\n```{message}```{hint}"


def _checklist(event: Mapping[str, Any]) -> str:
    items = event.get("checklist")
    return f"*Checklist*\n{cut(escape(in_short(items)), FIELD_LENGTH)}" if items else ""


def _undone(event: Mapping[str, Any]) -> str:
    if event["rolled_back"]:
        shown = ", ".join(f"`{escape(version)}`" for version in event["rolled_back"][:LISTED])
        more = len(event["rolled_back"]) - LISTED
        return f"*Rolled back*\n{shown}" + (f" and {more} more" if more > 0 else "")
    if event["status"] == "rolled_back":
        return "*Rolled back*\nthe failed migration itself; nothing else of this run was applied"
    return ""
