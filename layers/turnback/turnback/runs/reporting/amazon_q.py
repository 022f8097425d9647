"""A status as Amazon Q Developer in chat applications shows it: its custom notification.

Q drops what has another form ("Custom notifications" in its administrator guide). It answers
nothing back, so there are no buttons: the command that approves is in the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from turnback.runs.reporting.steps import steps
from turnback.runs.reporting.words import cut, loss_of, next_step, title, where

TITLE_LENGTH = 250
DESCRIPTION_LENGTH = 3000
STEP_LENGTH = 800


def notification(event: Mapping[str, Any]) -> dict[str, Any]:
    """The notification: a thread for each run, with title, description and next step.

    Args:
        event: a status event, as published.
    """
    resources = [event["execution_arn"]] if event.get("execution_arn") else []
    return {
        "version": "1.0",
        "source": "custom",
        "id": f"{event['run']}-{event['status']}-{event['at']}",
        "content": {
            "textType": "client-markdown",
            "title": cut(plain(title(event)), TITLE_LENGTH),
            "description": cut("\n".join(_lines(event)), DESCRIPTION_LENGTH),
            "nextSteps": [cut(plain(next_step(event)), STEP_LENGTH)],
            "keywords": [event["target"], event.get("release") or "unknown", event["status"]],
        },
        "metadata": {
            "threadId": event["run"],
            "summary": cut(plain(event["summary"]), TITLE_LENGTH),
            "eventType": "Run status",
            "relatedResources": resources,
            "additionalContext": {"run": event["run"], "environment": event["environment"]},
            "enableCustomActions": False,
        },
    }


def plain(text: object) -> str:
    """Text in which nothing mentions or links, in Slack's markdown or that of Teams."""
    safe = str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return safe.replace("](", "] (")


def _lines(event: Mapping[str, Any]) -> Iterator[str]:
    yield f"{plain(event['summary'])}"
    yield f"*Release* {plain(event.get('release') or 'unknown')} · *run* `{plain(event['run'])}`"
    for step in steps(event):
        yield f"{step.mark} *{step.name}*: {plain(cut(step.told, 300))}"
    for head, name in (
        ("What failed", "error"),
        ("Why the rollback failed", "rollback_error"),
        ("Why there was no restore", "restore_error"),
    ):
        error = event.get(name)
        if error:
            at = f" at `{plain(where(error))}`" if where(error) else ""
            yield f"*{head}*{at}: {plain(cut(str(error.get('message') or ''), 600))}"
    if loss_of(event):
        yield f"*What a restore costs*: {plain(cut(loss_of(event), 600))}"
