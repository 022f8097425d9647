"""Stop the application before a rollback, and start it again; without a run, what one has left."""

from typing import Any

from turnback.runs.application import change_application, start_left
from turnback.runtime import Wiring, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    if "state" not in wiring.event:
        return start_left(wiring.application, wiring.policy.environment).to_state()
    return change_application(wiring.run, wiring.event["do"], wiring.application).to_state()
