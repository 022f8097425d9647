"""A status event of the topic, as a message in Slack."""

import json
from typing import Any

from turnback.runs.slack_message import slack_message
from turnback.runs.webhook import post
from turnback.runtime import Wiring, entry, logger


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    status = json.loads(wiring.event["Records"][0]["Sns"]["Message"])
    logger.append_keys(run=status["run"], target=status["target"])
    post(wiring.webhook, slack_message(status), seconds_left=wiring.seconds_left)
    return {"posted": status["status"]}
