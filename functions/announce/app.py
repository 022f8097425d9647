"""A run's status, to whoever subscribed to the topic."""

from typing import Any

from turnback.runs.announce import announce
from turnback.runs.status import Status
from turnback.runtime import Wiring, count, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    count(f"runs_{wiring.event['status']}")
    told = announce(
        Status(wiring.event["status"]),
        {**wiring.state, "run": wiring.run},
        execution_arn=wiring.event["execution"],
        started_at=wiring.started_at,
        environment=wiring.policy.environment,
        records=wiring.records,
        channels=wiring.telling.channels,
        untold=wiring.warn,
        subscribers=wiring.telling.subscribers,
    )
    return {"status": told.status, "summary": told.summary}
