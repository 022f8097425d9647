"""One invocation: its event, its time, and what every function asks of them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from turnback.errors import ConfigurationError, RunCancelled, TurnbackError
from turnback.runs.order import Order
from turnback.runs.records import Records
from turnback.settings import Policy, text

if TYPE_CHECKING:
    from turnback.aws.s3 import Bucket

# Before the function is stopped: enough to write the report and to answer.
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
        self.state: Mapping[str, Any] = event.get("state", {})
        self.event = event
        self.environment = environment
        self.log = log
        self._context = context
        self._asked = False

    @functools.cached_property
    def order(self) -> Order:
        """The run's order.

        Raises:
            ConfigurationError: it is none, or the execution has another name than its run: it
                would write over the records of that one, and take its approvals for its own.
        """
        order = Order.from_state(self.state)
        if order.run != self.run:
            raise ConfigurationError(
                f"the execution is named {self.run!r}, its run {order.run!r}",
                hint="start it with the run as the execution's name",
            )
        return order

    @property
    def run(self) -> str:
        """The run of this execution: its own name, whatever its input says."""
        execution = str(self.event.get("execution") or "")
        named = execution.rpartition(":")[2] if ":execution:" in execution else ""
        return named or str(self.state.get("run"))

    @property
    def release(self) -> str:
        """The release, once it was validated."""
        return str((self.state.get("plan") or {}).get("release") or "")

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
        """The records of this run; of an order without a usable run id, none that exist."""
        return Records(self.bucket(), self.run)

    @property
    def artifacts(self) -> Bucket:
        """The bucket that this run's artifact is in."""
        location = self.order.artifact
        return self.bucket(location.bucket if location else None)

    def warn(self, error: TurnbackError) -> None:
        """Log what went wrong beside the run, and changes nothing of it."""
        self.log.warning(error.message, error=error.to_dict())

    def waited_s(self, step: str) -> int:
        """For how long the state machine waited before it called this step again, seconds."""
        return int((self.state.get(step) or {}).get("wait_seconds") or 0)

    def seconds_left(self) -> float:
        """Seconds until Lambda stops this invocation."""
        return float(self._context.get_remaining_time_in_millis()) / 1000

    def keep_going(self) -> bool:
        """Whether there is time for another migration; always for a first one.

        Without that, a function with too short a limit would be called for ever and do nothing.
        """
        first, self._asked = not self._asked, True
        return first or self.seconds_left() > RESERVE_S

    def bucket(self, name: str | None = None) -> Bucket:
        """The stack's bucket, or another."""
        from turnback.aws.s3 import Bucket

        return Bucket(name or text(self.environment, "BUCKET"))

    @property
    def live_order(self) -> Order:
        """The run's order, as long as nobody cancelled the run.

        Raises:
            RunCancelled: somebody did; nothing was changed so far.
        """
        order = self.order
        reason = self.records.cancelled()
        if reason:
            raise RunCancelled(
                f"{reason}; nothing was changed", hint="release again when you are ready"
            )
        return order


def moment(value: str | float) -> datetime:
    """The time that Step Functions (ISO 8601) or an emulator (seconds since 1970) gives."""
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, UTC)
    return datetime.fromisoformat(value)
