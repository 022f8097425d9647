"""A status of the topic, in Slack."""

from typing import Any

from turnback.runs.reporting.report import Report
from turnback.runtime import Wiring, entry, logger


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    report = Report.from_message(wiring.event["Records"][0]["Sns"]["Message"])
    logger.append_keys(run=report.run, target=report.target)
    return {"status": report.status, "done": wiring.notifications.chat.show(report)}
