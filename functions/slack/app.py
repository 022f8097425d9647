"""A status event of the topic, in Slack."""

from typing import Any

from turnback.runs.status import read_status
from turnback.runtime import Wiring, entry, logger


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    status = read_status(wiring.event["Records"][0]["Sns"]["Message"])
    logger.append_keys(run=status["run"], target=status["target"])
    done = wiring.notifications.chat.show(status)
    return {"status": status["status"], "done": done}
