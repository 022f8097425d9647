"""Executions for backfills that are not done and have none; and what holds a backfill up."""

from typing import Any

from turnback.runs.backfills import look_at_balances
from turnback.runtime import Wiring, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    if wiring.event.get("do") == "balances":
        return look_at_balances(wiring.state, wiring.instance_metrics).to_state()
    return {"started": wiring.backfills.look()}
