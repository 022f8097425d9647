"""A report as Amazon Q Developer in chat applications shows it: its custom notification.

Q drops what has another form ("Custom notifications" in its administrator guide). It returns no
answer, so there are no buttons: the command that approves is in the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from turnback.runs.reporting.report import Report
from turnback.runs.reporting.steps import steps
from turnback.runs.reporting.words import lost, next_step, outcome, place, title
from turnback.wording import cut, sentence, visible

TITLE_LENGTH = 250
DESCRIPTION_LENGTH = 3000
STEP_LENGTH = 800


def notification(report: Report) -> dict[str, Any]:
    """The notification: a thread for each run, with title, description and next step."""
    return {
        "version": "1.0",
        "source": "custom",
        "id": f"{report.run}-{report.status}-{report.at}",
        "content": {
            "textType": "client-markdown",
            "title": cut(plain(title(report)), TITLE_LENGTH),
            "description": cut("\n".join(_lines(report)), DESCRIPTION_LENGTH),
            "nextSteps": [cut(plain(next_step(report)), STEP_LENGTH)],
            "keywords": [plain(report.target), plain(report.release or "unknown"), report.status],
        },
        "metadata": {
            "threadId": report.run,
            "summary": cut(plain(report.summary), TITLE_LENGTH),
            "eventType": "Run status",
            "relatedResources": [report.execution_arn] if report.execution_arn else [],
            "additionalContext": {"run": report.run, "environment": report.environment},
            "enableCustomActions": False,
        },
    }


def plain(text: str) -> str:
    """Text in which nothing mentions or links, in Slack's markdown or that of Teams."""
    safe = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return safe.replace("](", "] (")


def _lines(report: Report) -> Iterator[str]:
    yield plain(sentence(outcome(report)))
    yield f"*Release* {plain(report.release or 'unknown')} · *run* `{plain(report.run)}`"
    for step in steps(report):
        yield f"{step.mark} *{step.name}*: {plain(cut(step.text, 300))}"
    for headline, error in report.errors:
        at = f" at `{plain(place(error))}`" if place(error) else ""
        yield f"*{headline}*{at}: {plain(cut(error.message, 600))}"
    if lost(report):
        yield f"*What a restore loses*: {plain(cut(lost(report), 600))}"
