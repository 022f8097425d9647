"""Checksums, order, drift: whether the release may run, and the plan of what it would do."""

from typing import Any

from turnback.runs.validate import validate
from turnback.runtime import Wiring, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    plan = validate(
        wiring.run, wiring.stack, wiring.approvals.gate, wiring.recovery.restore_obstacles
    )
    return plan.to_state()
