"""A person's answer: a button in Slack, a signed link, or the command line."""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.lambda_function_url_event import (
    LambdaFunctionUrlEvent,
)
from turnback.runs.approvals.endpoint import failed_page
from turnback.runtime import Wiring, entry


@entry(failed=lambda wiring, error: failed_page(wiring.event, error))
def handler(wiring: Wiring) -> dict[str, Any]:
    return wiring.approvals.answers.respond(LambdaFunctionUrlEvent(dict(wiring.event)))
