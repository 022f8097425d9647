"""A person's answer: a button in Slack, a signed link, or the command line."""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.lambda_function_url_event import (
    LambdaFunctionUrlEvent,
)
from turnback.runtime import Wiring, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    return wiring.approvals.answers.respond(LambdaFunctionUrlEvent(dict(wiring.event)))
