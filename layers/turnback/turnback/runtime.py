"""The base of every Lambda function: logs, metrics, and errors as JSON.

The only module besides the functions that imports Powertools.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from turnback.errors import TurnbackError
from turnback.settings import text
from turnback.wiring import Wiring

__all__ = ["Wiring", "count", "entry", "logger"]

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]

# Step Functions keeps 32 KiB of a cause.
MESSAGE_LENGTH = 8000

logger = Logger(service="turnback")
metrics = Metrics(namespace="turnback", service="turnback")


def entry(handle: Callable[[Wiring], dict[str, Any]]) -> Handler:
    """Make a Lambda handler: a run id in every log line, our errors as JSON, metrics written.

    Lambda reports an exception by its class and its text only, so the text of ours is JSON, which
    brings file and line into the state machine. Events are never logged.
    """

    @functools.wraps(handle)
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        state = event.get("state") or {}
        logger.clear_state()
        logger.append_keys(
            run=state.get("run"),
            target=state.get("target"),
            function=context.function_name,
            request=context.aws_request_id,
        )
        # Called only so that Lambda has it ready when something fails.
        if event.get("only") == "wake":
            return {"awake": True}
        try:
            result = handle(Wiring(event, context, os.environ, logger))
        except TurnbackError as error:
            logger.error(error.message, error=error.to_dict())
            error.message = error.message[:MESSAGE_LENGTH]
            raise error.machine_readable() from error.__cause__
        except Exception:
            logger.exception("not one of our errors")
            raise
        finally:
            if metrics.metric_set:
                metrics.add_metadata(key="run", value=state.get("run"))
                metrics.flush_metrics()
        # The body of an HTTP answer is a page, which does not belong into a log.
        logged = {name: value for name, value in result.items() if name not in ("headers", "body")}
        logger.info("done", result=logged)
        return result

    return handler


def count(name: str, amount: float = 1, *, unit: MetricUnit = MetricUnit.Count) -> None:
    """Add to a metric of this target, in the namespace ``turnback``."""
    metrics.add_dimension("target", text(os.environ, "TARGET"))
    metrics.add_metric(name=name, unit=unit, value=amount)
