"""Events to a bus of EventBridge."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from turnback.aws.clients import aws_errors, client
from turnback.errors import AwsError

SOURCE = "turnback"
# PutEvents answers 200 and refuses the entry, which boto3 does not retry.
PASSING = {"ThrottlingException", "InternalException", "InternalFailure"}
PAUSES_S = (0.2, 0.6)


class EventBus:
    """One bus, by its name or ARN."""

    def __init__(self, name: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._name = name
        self._sleep = sleep
        self._events = client("events")

    def put(self, detail_type: str, detail: str, resources: Sequence[str] = ()) -> None:
        """Put one event with the source ``turnback``.

        Args:
            detail_type: what kind of event it is.
            detail: a JSON object.
            resources: ARNs that it concerns.

        Raises:
            AwsError: the bus did not accept it.
        """
        entry = {
            "Source": SOURCE,
            "DetailType": detail_type,
            "Detail": detail,
            "EventBusName": self._name,
            "Resources": list(resources),
        }
        for pause in (*PAUSES_S, None):
            with aws_errors(f"put the status on the event bus {self._name}"):
                (answer,) = self._events.put_events(Entries=[entry])["Entries"]
            if "ErrorCode" not in answer:
                return
            if pause is None or answer["ErrorCode"] not in PASSING:
                raise AwsError(
                    f"the event bus {self._name} did not accept the status: "
                    f"{answer['ErrorCode']}: {answer.get('ErrorMessage', '')}",
                    hint="see the parameter EventBus; the run goes on without it",
                )
            self._sleep(pause)
