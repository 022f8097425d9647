"""A person's answer: a button in Slack, a signed link, or the command line."""

from typing import Any

from turnback.runtime import Wiring, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    return wiring.approvals.answers.respond(wiring.event)
