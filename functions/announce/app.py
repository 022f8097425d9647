"""A run's status, to whoever subscribed to the topic."""

from typing import Any

from turnback.runs.status import Status
from turnback.runtime import Wiring, count, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    count(f"runs_{wiring.event['status']}")
    event = wiring.notifications.announcer.announce(
        Status(wiring.event["status"]), {**wiring.event["state"], "run": wiring.run_id}
    )
    return {"status": event.status, "summary": event.summary}
