"""The base of every Lambda function: logs, metrics, and errors as JSON.

The only module besides the functions that imports Powertools.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, overload

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from turnback.errors import TurnbackError, UnexpectedError
from turnback.settings import text
from turnback.wiring import Wiring

__all__ = ["Wiring", "count", "entry", "logger"]

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]
Handle = Callable[[Wiring], dict[str, Any]]
Failed = Callable[[Wiring, TurnbackError], dict[str, Any] | None]

# Step Functions keeps 32 KiB of a cause.
MESSAGE_LENGTH = 8000

logger = Logger(service="turnback")
metrics = Metrics(namespace="turnback", service="turnback")


@overload
def entry(handle: Handle) -> Handler: ...
@overload
def entry(*, failed: Failed) -> Callable[[Handle], Handler]: ...
def entry(handle: Handle | None = None, *, failed: Failed | None = None) -> Any:
    """Make a Lambda handler: a run id in every log line, our errors as JSON, metrics written.

    Everything that a function raises is caught here, once: it is logged, answered where somebody
    waits who does not see it, and raised again as one of our errors. Lambda reports an exception by
    its class and its text only, so the text is JSON, which brings file and line into the state
    machine. Events are never logged.

    Args:
        handle: what the function does.
        failed: answers whoever waits for more than the error. What it returns is the function's
            result; if that is None, the error is raised.
    """
    if handle is None:
        return functools.partial(entry, failed=failed)

    @functools.wraps(handle)
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        state = _state_in(event)
        logger.clear_state()
        logger.append_keys(
            run=state.get("run"),
            target=state.get("target"),
            function=context.function_name,
            request=context.aws_request_id,
        )
        wiring = Wiring(event, context, os.environ, logger)
        try:
            # Called only so that Lambda has it ready when something fails.
            if event.get("only") == "wake":
                return {"awake": True}
            result = handle(wiring)
        except Exception as raised:
            error = raised if isinstance(raised, TurnbackError) else UnexpectedError.of(raised)
            answer = _answer(failed, wiring, error)
            log = logger.warning if answer else logger.error
            unexpected = raised if error is not raised else None
            log(error.message, error=error.to_dict(), exc_info=unexpected)
            if answer:
                return answer
            error.message = error.message[:MESSAGE_LENGTH]
            raise error.machine_readable() from (unexpected or error.__cause__)
        finally:
            if metrics.metric_set:
                metrics.add_metadata(key="run", value=state.get("run"))
                metrics.flush_metrics()
        # The body of an HTTP answer is a page, which does not belong into a log.
        logged = {name: value for name, value in result.items() if name not in ("headers", "body")}
        logger.info("done", result=logged)
        return result

    return handler


def _state_in(event: object) -> dict[str, Any]:
    state = event.get("state") if isinstance(event, dict) else None
    return state if isinstance(state, dict) else {}


def _answer(failed: Failed | None, wiring: Wiring, error: TurnbackError) -> dict[str, Any] | None:
    try:
        return failed(wiring, error) if failed else None
    except Exception:
        # The error itself is what Lambda is to hear of.
        logger.exception("could not answer for an error")
        return None


def count(name: str, amount: float = 1, *, unit: MetricUnit = MetricUnit.Count) -> None:
    """Add to a metric of this target, in the namespace ``turnback``."""
    metrics.add_dimension("target", text(os.environ, "TARGET"))
    metrics.add_metric(name=name, unit=unit, value=amount)
