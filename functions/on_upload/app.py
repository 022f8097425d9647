"""S3 upload of an artifact: start its run."""

from typing import Any

from turnback.runs.upload import start_runs
from turnback.runtime import Wiring, count, entry, logger


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    result = start_runs(
        wiring.event,
        target=wiring.target,
        environment=wiring.policy.environment,
        machine=wiring.machine,
        channels=wiring.notifications.channels,
    )
    for refused in result["refused"]:
        logger.error("upload refused", **refused)
    count("uploads_refused", len(result["refused"]))
    return result
