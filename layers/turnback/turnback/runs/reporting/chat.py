"""The chat message of a run: a status event as Slack's Block Kit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from turnback.runs.checklist import in_short
from turnback.runs.reporting.steps import steps
from turnback.runs.reporting.words import clock, cut, duration, loss_of, next_step, title, where
from turnback.runs.status import Status

# Slack's limits: https://docs.slack.dev/reference/block-kit/blocks
HEADER_LENGTH = 150
SECTION_LENGTH = 3000
FIELD_LENGTH = 2000
# Not in its reference: from about 13,000 characters of blocks on it answers msg_blocks_too_long.
WHOLE_LENGTH = 11_000
LISTED = 20
MIGRATIONS = 12


def slack_message(event: Mapping[str, Any], *, buttons: bool = False) -> dict[str, Any]:
    """What to post: how far the run is, what waits for a person, what failed, what to do next.

    Args:
        event: a status event, as published.
        buttons: whether somebody answers Slack's buttons; the command is named in any case.
    """
    blocks: list[dict[str, Any]] = [
        {
            "type": "header",
            "text": {
                "type": "plain_text",
                "text": cut(title(event), HEADER_LENGTH),
                "emoji": False,
            },
        },
        _section(cut(escape(event["summary"]), 1000)),
        {
            "type": "section",
            "fields": [
                {"type": "mrkdwn", "text": cut(f"*{name}*\n{escape(cut(value, 300))}", 900)}
                for name, value in _facts(event)
            ],
        },
    ]
    before = [
        _steps(event),
        _error("What failed", event.get("error")),
        _error("Why the rollback failed", event.get("rollback_error")),
        _error("Why there was no restore", event.get("restore_error")),
        _reasons(event),
        _loss(event),
        f"*What to do next*\n{escape(cut(next_step(event), 1200))}",
    ]
    after = [_migrations(event), _checklist(event)]
    texts = _within([*before, *after])
    blocks += [_section(text) for text in texts[: len(before)] if text]
    if buttons and event["status"] == Status.AWAITING_APPROVAL:
        blocks.append(_buttons(event))
    blocks += [_section(text) for text in texts[len(before) :] if text]
    footer = f"run `{escape(event['run'])}` · {escape(clock(event['at']))}"
    blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": footer}]})
    return {"text": cut(escape(title(event)), SECTION_LENGTH), "blocks": blocks}


def escape(text: object) -> str:
    """Text in which nothing is Slack's markup: no mention, no link, no end of a block of code."""
    safe = str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return safe.replace("```", "'''")


def _code(text: str) -> str:
    inside = escape(text.replace("`", "'"))
    return f"`{inside}`"


def _within(texts: list[str]) -> list[str]:
    """The texts; the longest give way until the whole is short enough for Slack."""
    found = [cut(text, SECTION_LENGTH) for text in texts]
    while sum(map(len, found)) > WHOLE_LENGTH:
        longest = max(range(len(found)), key=lambda index: len(found[index]))
        half = found[longest][: len(found[longest]) // 2]
        found[longest] = half + ("…\n```" if half.count("```") % 2 else "…")
    return found


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut(text, SECTION_LENGTH)}}


def _facts(event: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = [
        ("Database", f"{event['target']} ({event['environment']})"),
        ("Release", event.get("release") or "unknown"),
        ("Started by", str(event["trigger"])),
    ]
    if event.get("duration_ms") is not None:
        facts.append(("Took", duration(event["duration_ms"] / 1000)))
    return facts


def _steps(event: Mapping[str, Any]) -> str:
    lines = [f"{step.mark} *{step.name}*: {escape(cut(step.told, 300))}" for step in steps(event)]
    return "\n".join(lines)


def _migrations(event: Mapping[str, Any]) -> str:
    rows, count = event["migrations"], event["migration_count"]
    if not rows:
        return ""
    # Of many, those that say something: what failed, and what came last before it.
    first = next((n for n, row in enumerate(rows) if row["status"] == "failed"), 0)
    begin = max(0, min(first - MIGRATIONS // 2, len(rows) - MIGRATIONS))
    shown = rows[begin : begin + MIGRATIONS]
    lines = [f"… {begin:,} before"] if begin else []
    for row in shown:
        took = "" if row["execution_ms"] is None else f", {row['execution_ms']} ms"
        name = _code(cut(f"{row['version']} {row['name']}", 100))
        lines.append(f"• {name} {row['status']}{took}")
    if count > begin + len(shown):
        lines.append(f"… and {count - begin - len(shown):,} more")
    return "*Migrations*\n" + "\n".join(lines)


def _error(head: str, error: Mapping[str, Any] | None) -> str:
    if not error:
        return ""
    place = f" at {_code(cut(where(error), 300))}" if where(error) else ""
    state = f" (SQLSTATE {escape(error['sqlstate'])})" if error.get("sqlstate") else ""
    message = cut(escape(error.get("message") or ""), SECTION_LENGTH - 1000)
    hint = f"\n{cut(escape(error['hint']), 500)}" if error.get("hint") else ""
    kind = escape(error.get("type") or "unknown")
    return f"*{head}*{place}\n{kind}{state}\n```{message}```{hint}"


def _reasons(event: Mapping[str, Any]) -> str:
    reasons = [str(reason) for reason in (event.get("approval") or {}).get("reasons") or ()]
    if not reasons or event["status"] != Status.AWAITING_APPROVAL:
        return ""
    lines = [f"• {escape(cut(reason, 200))}" for reason in reasons[:LISTED]]
    if len(reasons) > LISTED:
        lines.append(f"… and {len(reasons) - LISTED} more")
    return "*Why it needs approval*\n" + "\n".join(lines)


def _loss(event: Mapping[str, Any]) -> str:
    lost = loss_of(event)
    head = "What the restore lost" if event["status"] == Status.RESTORED else "A restore would lose"
    return f"*{head}*\n{escape(cut(lost, 1500))}" if lost else ""


def _checklist(event: Mapping[str, Any]) -> str:
    items = event.get("checklist")
    return f"*Checklist*\n{cut(escape(in_short(items)), FIELD_LENGTH)}" if items else ""


def _buttons(event: Mapping[str, Any]) -> dict[str, Any]:
    gate = (event.get("approval") or {}).get("gate") or "release"
    value = json.dumps({"run": event["run"], "gate": gate})
    what = "the restore" if gate == "restore" else f"release {event.get('release') or ''}".strip()
    return {
        "type": "actions",
        "block_id": "turnback_approval",
        "elements": [
            _button("Approve", "approve", "primary", value, f"{what} goes on."),
            _button("Deny", "deny", "danger", value, f"{what} does not go on."),
        ],
    }


def _button(name: str, action: str, style: str, value: str, effect: str) -> dict[str, Any]:
    def said(text: str) -> dict[str, str]:
        return {"type": "plain_text", "text": text}

    return {
        "type": "button",
        "text": said(name),
        "action_id": action,
        "style": style,
        "value": value,
        "confirm": {
            "title": said(f"{name}?"),
            "text": said(cut(f"{effect[:1].upper()}{effect[1:]}", 300)),
            "confirm": said(name),
            "deny": said("Back"),
        },
    }
