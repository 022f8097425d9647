"""Executions for backfills: the first after a run, one after each end; and what holds them up."""

from typing import Any

from turnback.runs.backfills import look_at_balances
from turnback.runtime import Wiring, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    event = wiring.event
    if event.get("do") == "balances":
        return look_at_balances(wiring.state, wiring.instance_metrics).to_state()
    starter = wiring.backfills
    if "state" in event:
        return {"started": starter.begin(event["state"], event["execution"], event["started_at"])}
    return {"started": starter.look()}
