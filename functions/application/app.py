"""Stop the application before a rollback, and start it again."""

from datetime import UTC, datetime
from typing import Any

from turnback.runs.application import change_application
from turnback.runtime import Wiring, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    return change_application(
        wiring.event["do"],
        wiring.order,
        wiring.state,
        settings=wiring.recovery.application_settings,
        part=wiring.recovery.application_part,
        hook=wiring.recovery.emergency_hook,
        records=wiring.records,
        environment=wiring.policy.environment,
        now=datetime.now(UTC),
    )
