"""One invocation of a function: its event, its time, and its settings."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from turnback.errors import ConfigurationError, TurnbackError
from turnback.runs.order import Order
from turnback.runs.records import Records
from turnback.runs.state import RunState
from turnback.settings import Policy, text

if TYPE_CHECKING:
    from turnback.aws.s3 import Bucket
    from turnback.aws.stepfunctions import StateMachine

# Seconds to spare before Lambda stops the function: enough to write the report and to answer.
RESERVE_S = 60.0


class Log(Protocol):
    """Where a function writes what it does."""

    def info(self, msg: object, **fields: Any) -> None: ...

    def warning(self, msg: object, **fields: Any) -> None: ...


class Invocation:
    """One invocation of a function."""

    def __init__(
        self, event: Mapping[str, Any], context: Any, environment: Mapping[str, str], log: Log
    ) -> None:
        """Take up an invocation.

        Args:
            event: with the state machine's ``state``, if it comes from there.
            context: Lambda's context.
            environment: the function's variables.
            log: the function's log.
        """
        self.event = event
        self.environment = environment
        self.log = log
        self._context = context
        self._asked = False
        self._buckets: dict[str, Bucket] = {}

    @functools.cached_property
    def order(self) -> Order:
        """The run's order.

        Raises:
            ConfigurationError: it is not an order, or the execution has another name than its
                run: it would overwrite the records of that run, and use its approvals.
        """
        order = Order.from_state(self.event.get("state", {}))
        if order.run != self.run_id:
            raise ConfigurationError(
                f"the execution is named {self.run_id!r}, its run {order.run!r}",
                hint="start it with the run as the execution's name",
            )
        return order

    @functools.cached_property
    def state(self) -> RunState:
        """What the steps before this one left in the state machine's state.

        Raises:
            VerificationFailed: it is not what they leave.
        """
        return RunState.from_state(self.event.get("state", {}))

    @property
    def run_id(self) -> str:
        """The run of this execution: its own name, whatever its input says."""
        ended = self.event.get("detail") or {}
        execution = str(self.event.get("execution") or ended.get("executionArn") or "")
        named = execution.rpartition(":")[2] if ":execution:" in execution else ""
        return named or str(self.event.get("run") or self.event.get("state", {}).get("run"))

    @property
    def target(self) -> str:
        """The only target that this stack releases to."""
        return text(self.environment, "TARGET")

    @property
    def policy(self) -> Policy:
        """What the environment demands."""
        return Policy.read(self.environment)

    @property
    def started_at(self) -> datetime:
        """When the run began."""
        return moment(self.event["started_at"])

    @property
    def records(self) -> Records:
        """The records of this run; an order without a usable run id has none."""
        return Records(self.bucket(), self.run_id)

    def warn(self, error: TurnbackError) -> None:
        """Log an error that does not concern the run itself."""
        self.log.warning(error.message, error=error.to_dict())

    def seconds_left(self) -> float:
        """Seconds until Lambda stops this invocation."""
        return float(self._context.get_remaining_time_in_millis()) / 1000

    def keep_going(self) -> bool:
        """Whether there is time for another migration; always for the first one.

        Otherwise a function with too short a limit would be called forever and do nothing.
        """
        first, self._asked = not self._asked, True
        return first or self.seconds_left() > RESERVE_S

    def invoke_again(self, event: Mapping[str, Any]) -> None:
        """Have this same function, in this version, invoked with another event.

        Raises:
            AwsError: Lambda did not accept the event.
        """
        from turnback.aws.functions import invoke_later

        invoke_later(self._context.invoked_function_arn, event)

    @property
    def machine(self) -> StateMachine:
        """The state machine that executes the runs."""
        from turnback.aws.stepfunctions import StateMachine

        return StateMachine(text(self.environment, "STATE_MACHINE_ARN"))

    def bucket(self, name: str | None = None) -> Bucket:
        """The stack's bucket, or another; each is opened once."""
        from turnback.aws.s3 import Bucket

        name = name or text(self.environment, "BUCKET")
        if name not in self._buckets:
            self._buckets[name] = Bucket(name)
        return self._buckets[name]


def moment(value: str | float) -> datetime:
    """The time that Step Functions (ISO 8601) or an emulator (seconds since 1970) gives."""
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, UTC)
    return datetime.fromisoformat(value)
