"""Checksums, order, drift: whether the release may run, and the plan of what it would do.

With ``"only": "artifact"`` only whether the artifact can be read, which needs no database.
"""

from typing import Any

from turnback.runs.validate import check_artifact, validate
from turnback.runtime import Wiring, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    if wiring.event.get("only") == "artifact":
        check_artifact(wiring.run)
        return {}
    plan = validate(
        wiring.run, wiring.stack, wiring.approvals.gate, wiring.recovery.restore_obstacles
    )
    return plan.to_state()
