"""A run's status, to whoever subscribed to the topic."""

from typing import Any

from turnback.runs.state import RunState
from turnback.runs.status import Status
from turnback.runtime import Wiring, count, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    count(f"runs_{wiring.event['status']}")
    report = wiring.notifications.announcer.announce(
        Status(wiring.event["status"]),
        RunState.from_state({**wiring.event["state"], "run": wiring.run_id}),
    )
    return {"status": report.status, "summary": report.summary}
