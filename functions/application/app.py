"""Stop the application before a rollback, and start it again."""

from typing import Any

from turnback.runs.application import change_application
from turnback.runtime import Wiring, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    return change_application(wiring.run, wiring.event["do"], wiring.application).to_state()
