"""The final word of each upload: said here where the run itself could not say it.

EventBridge reports the end of every execution, and on_upload's dead letters are uploads that
started none. Both are in a queue that tries again for hours, so a final status arrives although
SNS was down when the run ended, and there is one of a run that was aborted, timed out, or failed
where its definition catches nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from turnback.errors import AwsError, ConfigurationError, TurnbackError
from turnback.runs.announce import Announcer, Publisher
from turnback.runs.order import Order, Starter
from turnback.runs.records import Records
from turnback.runs.reporting.execution import Story
from turnback.runs.reporting.report import Report
from turnback.runs.state import RunError, RunState
from turnback.runs.stated import Stated
from turnback.runs.upload import Refused, UploadEvent, orders, refusal
from turnback.store import Store

# The detail-type of Step Functions' events (its Developer Guide, "EventBridge").
ENDED = "Step Functions Execution Status Change"
ENDS = {"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"}


class Ended(Protocol):
    """An execution, as it ended."""

    @property
    def status(self) -> str: ...
    @property
    def started(self) -> datetime: ...
    @property
    def stopped(self) -> datetime | None: ...
    @property
    def order(self) -> Mapping[str, Any]: ...
    @property
    def error(self) -> str: ...
    @property
    def cause(self) -> str: ...


class Executions(Starter, Protocol):
    """The executions of the state machine."""

    def describe(self, name: str) -> Ended | None:
        """The execution of this name, or None."""

    def events(self, name: str, position: Any = None) -> tuple[list[dict[str, Any]], Any]:
        """The events since a position, oldest first, and the new position."""

    def execution_arn(self, name: str) -> str:
        """The ARN of an execution of this name."""


@dataclass(frozen=True, slots=True)
class FinalWord(Stated):
    """The final status that was published now; empty where it had been before, or is to come."""

    run: str
    status: str = ""


@dataclass(frozen=True, slots=True)
class FinalWords:
    """Says what a run, or an upload without a run, could not say itself.

    Attributes:
        machine: executes the runs.
        store: has their records.
        channels: where statuses are published.
        target: of the stack.
        environment: of the stack.
        warn: gets the error of each place, other than the status topic, that failed.
    """

    machine: Executions
    store: Store
    channels: Publisher
    target: str
    environment: str
    warn: Callable[[TurnbackError], None]

    def of_execution(self, event: Mapping[str, Any]) -> FinalWord:
        """Publish the final status of an execution that has ended, unless it has.

        Args:
            event: EventBridge's, of a status change.

        Raises:
            AwsError: SNS did not accept it, or the run cannot be read; to be tried again.
        """
        run = str(event.get("detail", {}).get("name"))
        records = Records(self.store, run)
        final = records.final()
        if final.published:
            return FinalWord(run)
        found = self.machine.describe(run)
        if found is None or found.status not in ENDS:
            # It was redriven since.
            return FinalWord(run)
        announcer = Announcer(
            records=records,
            channels=self.channels,
            environment=self.environment,
            execution_arn=self.machine.execution_arn(run),
            started_at=found.started,
            warn=self.warn,
        )
        if final.report:
            report = Report.from_state(final.report)
            announcer.publish(report)
            return FinalWord(run, report.status)
        return FinalWord(run, self._as_it_ended(run, found, announcer))

    def _as_it_ended(self, run: str, found: Ended, announcer: Announcer) -> str:
        story = Story()
        story.read(self.machine.events(run)[0])
        if story.outcome is None:
            # The history lags behind.
            story.end(found.status, found.error, found.cause, found.stopped or datetime.now(UTC))
        assert story.outcome is not None
        outcome = story.outcome
        order = RunState.from_state({**found.order, "run": run})
        state = replace(story.state, run=run) if story.state.target else order
        if state.error is None:
            said = RunError(found.status, f"the run {outcome.words}")
            state = replace(state, error=outcome.error or said)
        # A function of an aborted run may still be at work, and write into the report.
        return announcer.announce(outcome.status, state, checklist=False).status

    def of_uploads(self, event: UploadEvent) -> list[FinalWord]:
        """Start the runs of uploads that on_upload could not start, or say that there are none.

        Args:
            event: S3's, from the dead letters of on_upload.

        Raises:
            AwsError: SNS did not accept it; to be tried again.
        """
        return [self._of_upload(found) for found in orders(event, self.target)]

    def _of_upload(self, found: Order | Refused) -> FinalWord:
        if isinstance(found, Refused):
            return self._refuse(found)
        try:
            self.machine.start(found.run, found.to_state())
        except AwsError as error:
            reason = ConfigurationError(
                f"the upload started no run: {error.message}",
                hint=f"upload it again once the cause is gone. {error.hint or ''}".strip(),
            )
            return self._refuse(Refused(found, reason))
        return FinalWord(found.run)

    def _refuse(self, refused: Refused) -> FinalWord:
        report = refusal(refused, self.environment)
        for error in self.channels.publish(report):
            self.warn(error)
        return FinalWord(report.run, report.status)
