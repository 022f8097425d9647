"""The final word of a run, an upload or a job of CodePipeline that could not be said before."""

import json
from typing import Any

from aws_lambda_powertools.utilities.data_classes.s3_event import S3Event
from turnback.runtime import Wiring, count, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    if "requestPayload" in wiring.event:
        return wiring.jobs.fail_unanswered(wiring.event).to_state()
    said = []
    for message in wiring.event["Records"]:
        event = json.loads(message["body"])
        if "Records" in event:
            said += wiring.final_words.of_uploads(S3Event(event))
        else:
            said.append(wiring.final_words.of_execution(event))
    count("final_words_said_late", sum(bool(one.status) for one in said))
    return {"said": [one.to_state() for one in said]}
