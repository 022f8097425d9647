"""Executions for backfills that are not done: the first behind a run, and one after each end."""

from typing import Any

from turnback.runtime import Wiring, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    event, starter = wiring.event, wiring.backfills
    if "state" in event:
        return {"started": starter.begin(event["state"], event["execution"], event["started_at"])}
    return {"started": starter.look()}
