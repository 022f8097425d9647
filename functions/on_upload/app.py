"""S3 upload of an artifact: start its run."""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.s3_event import S3Event
from turnback.runs.upload import start_runs
from turnback.runtime import Wiring, count, entry, logger


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    result = start_runs(
        S3Event(dict(wiring.event)),
        target=wiring.target,
        environment=wiring.policy.environment,
        machine=wiring.machine,
        channels=wiring.notifications.channels,
    )
    for refused in result.refused:
        logger.error("upload refused", **refused.to_state())
    count("uploads_refused", len(result.refused))
    return result.to_state()
