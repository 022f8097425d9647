"""A report as one short message in Slack's Block Kit."""

from __future__ import annotations

import json
from typing import Any

from turnback.runs.checklist import in_short
from turnback.runs.reporting.report import Report, ReportApproval
from turnback.runs.reporting.steps import steps
from turnback.runs.reporting.words import lost, next_step, outcome, place, title
from turnback.runs.state import RunError
from turnback.runs.status import Status
from turnback.wording import capped, clock, cut, duration, sentence, visible

# Slack's limits: https://docs.slack.dev/reference/block-kit/blocks
HEADER_LENGTH = 150
SECTION_LENGTH = 3000
# Not in its reference: from about 13,000 characters of blocks on it answers msg_blocks_too_long.
WHOLE_LENGTH = 11_000
LISTED = 10


def slack_message(report: Report, *, buttons: bool = False) -> dict[str, Any]:
    """What to post: the outcome, the error with its line, what was lost, what to do, buttons.

    Args:
        report: the run at its present status.
        buttons: whether somebody answers Slack's buttons; the command is named in any case.
    """
    texts = [
        cut(escape(sentence(outcome(report))), 1000),
        *(_error(headline, error) for headline, error in report.errors),
        _lost(report),
        _reasons(report),
        f"*What to do*\n{escape(cut(next_step(report), 1200))}",
    ]
    header = {
        "type": "plain_text",
        "text": cut(visible(title(report)), HEADER_LENGTH),
        "emoji": False,
    }
    blocks: list[dict[str, Any]] = [{"type": "header", "text": header}]
    for text in _within([text for text in texts if text]):
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": text}})
    if buttons and report.asking:
        blocks.append(_buttons(report, report.asking))
    for line in (_steps(report), _notes(report), _checklist(report), _footer(report)):
        if line:
            blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": line}]})
    return {"text": cut(escape(title(report)), SECTION_LENGTH), "blocks": blocks}


def escape(text: object) -> str:
    """Text in which all is seen and nothing is Slack's markup: no mention, link or end of code."""
    safe = visible(str(text)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return safe.replace("```", "'''")


def _code(text: str) -> str:
    inside = escape(text.replace("`", "'"))
    return f"`{inside}`"


def _within(texts: list[str]) -> list[str]:
    """The texts; the longest are cut until the whole is short enough for Slack."""
    found = [cut(text, SECTION_LENGTH) for text in texts]
    while sum(map(len, found)) > WHOLE_LENGTH:
        longest = max(range(len(found)), key=lambda index: len(found[index]))
        half = found[longest][: len(found[longest]) // 2]
        found[longest] = half + ("…\n```" if half.count("```") % 2 else "…")
    return found


def _error(headline: str, error: RunError) -> str:
    at = f" at {_code(cut(place(error), 300))}" if place(error) else ""
    state = f", SQLSTATE {escape(error.sqlstate)}" if error.sqlstate else ""
    message = cut(escape(error.message), SECTION_LENGTH - 1000)
    return f"*{headline}*{at} ({escape(cut(error.type, 100))}{state})\n```{message}```"


def _lost(report: Report) -> str:
    text = lost(report)
    headline = "What was lost" if report.status is Status.RESTORED else "A restore would lose"
    return f"*{headline}*\n{escape(cut(text, 1500))}" if text else ""


def _reasons(report: Report) -> str:
    if not report.asking or not report.asking.reasons:
        return ""
    reasons = [escape(cut(reason, 200)) for reason in report.asking.reasons]
    return "\n".join(["*Why it needs approval*", *(f"• {one}" for one in capped(reasons, LISTED))])


def _steps(report: Report) -> str:
    line = "  ".join(f"{step.mark} {step.name}: {cut(step.text, 100)}" for step in steps(report))
    return cut(escape(line), 1500)


def _notes(report: Report) -> str:
    return cut(escape("\n".join(report.notes)), 1500)


def _checklist(report: Report) -> str:
    if not report.checklist:
        return ""
    return cut(escape(f"Checklist: {in_short(report.checklist)}"), 500)


def _footer(report: Report) -> str:
    facts = [
        f"{report.target} ({report.environment})",
        f"started by {cut(report.trigger, 200)}",
        f"took {duration(report.duration_ms / 1000)}" if report.duration_ms is not None else "",
        clock(report.at),
    ]
    if report.upload:
        facts.append(cut(str(report.upload), 400))
    line = " · ".join(escape(fact) for fact in facts if fact)
    return f"run {_code(report.run)} · {line}"


def _buttons(report: Report, asked: ReportApproval) -> dict[str, Any]:
    value = json.dumps({"run": report.run, "gate": asked.question or asked.gate})
    what = "the restore" if asked.gate == "restore" else f"release {report.release or ''}".strip()
    return {
        "type": "actions",
        "block_id": "turnback_approval",
        "elements": [
            _button("Approve", "approve", "primary", value, f"{what} goes on."),
            _button("Deny", "deny", "danger", value, f"{what} does not go on."),
        ],
    }


def _button(name: str, action: str, style: str, value: str, effect: str) -> dict[str, Any]:
    def plain(text: str) -> dict[str, str]:
        return {"type": "plain_text", "text": visible(text)}

    return {
        "type": "button",
        "text": plain(name),
        "action_id": action,
        "style": style,
        "value": value,
        "confirm": {
            "title": plain(f"{name}?"),
            "text": plain(cut(sentence(effect), 300)),
            "confirm": plain(name),
            "deny": plain("Back"),
        },
    }
