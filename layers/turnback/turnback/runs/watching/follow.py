"""Following a run: poll for news, pass it to a display, return how the run ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from turnback.errors import AwsError
from turnback.runs.record_types import RunReport
from turnback.runs.records import Records
from turnback.runs.reporting.execution import RunOutcome, RunStep, Story
from turnback.runs.reporting.progress import Progress, progress_key
from turnback.store import Store

POLL_S = 1.0
# A lost connection is retried for so long; the run continues anyway.
RETRY_S = 300.0
LONGEST_PAUSE_S = 15.0
# The history may lag behind the execution's status by so many polls.
LAG = 5
# The steps whose progress the engine reports.
_REPORTING = {"Apply", "RollBack"}


class Execution(Protocol):
    """An execution of the state machine."""

    @property
    def status(self) -> str: ...
    @property
    def stopped(self) -> datetime | None: ...
    @property
    def order(self) -> object: ...
    @property
    def error(self) -> str: ...
    @property
    def cause(self) -> str: ...


class Executions(Protocol):
    """The executions of a state machine."""

    def describe(self, name: str) -> Execution | None:
        """The execution of this name, or None."""

    def events(self, name: str, position: Any = None) -> tuple[list[dict[str, Any]], Any]:
        """The events since a position, oldest first, and the new position."""


@dataclass(frozen=True, slots=True)
class RunView:
    """What is known of a run at one moment.

    Attributes:
        run: its id.
        story: its steps so far.
        now: this moment.
        planned: the number of migrations in the plan; None before there is a plan.
        progress: the engine's progress in the current step; None if it is not working.
        done: the number of migrations that the current step has finished, over all its calls.
    """

    run: str
    story: Story
    now: datetime
    planned: int | None = None
    progress: Progress | None = None
    done: int = 0


class Display(Protocol):
    """Shows a run."""

    def show(self, view: RunView) -> None:
        """Show what is new."""

    def note(self, text: str) -> None:
        """Show a remark that is not about the run."""

    def close(self) -> None:
        """Remove what would be redrawn."""


@dataclass(slots=True)
class Follower:
    """Follows one run.

    Attributes:
        run: its id.
        executions: where it is executed.
        store: the bucket with its records.
        display: where it is shown.
        is_temporary: whether an error may go away by itself.
        clock: seconds of a monotonic clock.
        sleep: waits for so many seconds.
    """

    run: str
    executions: Executions
    store: Store
    display: Display
    is_temporary: Callable[[AwsError], bool] = lambda _: False
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    story: Story = field(default_factory=Story)
    execution: Execution | None = None
    _planned: int | None = None
    _unreadable: bool = False
    _silent: int = 0

    def follow(self) -> RunOutcome:
        """Show the run until it has ended.

        Raises:
            AwsError: AWS refuses us, or was unreachable for five minutes; the run continues.
        """
        position, lost_at, pause = None, None, POLL_S
        while True:
            try:
                # Before its events, so that they include how it ended.
                self.execution = self.executions.describe(self.run)
                events, position = self.executions.events(self.run, position)
                self.story.read(events)
                self._end_without_event(self.execution, bool(events))
                view = self._view()
            except AwsError as error:
                lost_at = self.clock() if lost_at is None else lost_at
                if not self.is_temporary(error) or self.clock() - lost_at > RETRY_S:
                    raise
                if pause == POLL_S:
                    self.display.note(f"{error.message}; the run continues, retrying")
                self.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)
                continue
            if lost_at is not None:
                self.display.note("connected again")
                lost_at, pause = None, POLL_S
            self.display.show(view)
            if self.story.outcome:
                return self.story.outcome
            self.sleep(POLL_S)

    def _end_without_event(self, execution: Execution | None, more: bool) -> None:
        """End the story if the execution has ended and no event says so."""
        if execution is None or execution.stopped is None or self.story.outcome or more:
            return
        self._silent += 1
        if self._silent > LAG:
            self.story.end(execution.status, execution.error, execution.cause, execution.stopped)

    def _view(self) -> RunView:
        step = self.story.current
        now = datetime.now(UTC)
        if step is None or step.name not in _REPORTING:
            return RunView(self.run, self.story, now)
        try:
            report, progress = self._records()
        except AwsError as error:
            if not self._unreadable:
                self._unreadable = True
                self.display.note(f"{error.message}; the progress of migrations is not shown")
            return RunView(self.run, self.story, now)
        down = _is_down(self.story, step)
        known = {row.version for row in (report.rolled_back if down else report.applied)}
        if progress:
            known |= set(progress.rolled_back if down else progress.applied)
        planned = self._planned if step.name == "Apply" else len(report.applied) or None
        return RunView(self.run, self.story, now, planned, _current(progress, step), len(known))

    def _records(self) -> tuple[RunReport, Progress | None]:
        records = Records(self.store, self.run)
        if self._planned is None:
            self._planned = len(records.plan().migrations) or None
        body = self.store.read(progress_key(self.run))
        return records.report(), Progress.from_json(body) if body else None


def _is_down(story: Story, step: RunStep) -> bool:
    return step.name == "RollBack" or story.state.down


def _current(progress: Progress | None, step: RunStep) -> Progress | None:
    """The progress, unless it belongs to an earlier step."""
    if progress is None or not progress.at or datetime.fromisoformat(progress.at) < step.began:
        return None
    return progress
