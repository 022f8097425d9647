"""A run's question to people: put it, or put it again."""

from typing import Any

from turnback.runs.approvals.ask import ask
from turnback.runtime import Wiring, count, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    count("approvals_asked")
    return ask(
        wiring.order,
        wiring.event,
        questions=wiring.approvals.questions,
        records=wiring.records,
        mail=wiring.approvals.mail,
        announcer=wiring.notifications.announcer,
    )
