"""Following a run while it runs: asks what is new, hands it to a display, says how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from turnback.errors import AwsError
from turnback.runs.records import Records
from turnback.runs.watching.outcome import Outcome
from turnback.runs.watching.progress import Progress, progress_key
from turnback.runs.watching.story import Step, Story
from turnback.store import Store

if TYPE_CHECKING:
    from turnback.aws.stepfunctions import Execution, StateMachine

POLL_S = 1.0
# A laptop that was shut, a train in a tunnel: the run goes on all the same.
PATIENCE_S = 300.0
LONGEST_PAUSE_S = 15.0
# The history may lag behind the execution's status by so many looks.
SILENT = 5
# In which something goes on that the engine tells of.
_AT_WORK = {"Apply", "RollBack"}


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of a run at one moment.

    Attributes:
        run: its id.
        story: its steps so far.
        now: this moment.
        planned: how many migrations the plan has; None before there is one.
        progress: how far the engine is in the current step; None where it does not work.
        done: how many migrations the current step has finished, over all its calls.
    """

    run: str
    story: Story
    now: datetime
    planned: int | None = None
    progress: Progress | None = None
    done: int = 0


class Display(Protocol):
    """Where what is followed is shown."""

    def show(self, look: Look) -> None:
        """Show what is new."""

    def note(self, text: str) -> None:
        """Say something that is not of the run."""

    def close(self) -> None:
        """Leave the terminal as it is to stay."""


@dataclass(slots=True)
class Follower:
    """Follows one run.

    Attributes:
        run: its id.
        executions: where it is executed.
        store: the bucket with its records.
        display: where it is shown.
        clock: seconds of a clock that only goes forward.
        sleep: waits for so many seconds.
    """

    run: str
    executions: StateMachine
    store: Store
    display: Display
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    story: Story = field(default_factory=Story)
    execution: Execution | None = None
    _planned: int | None = None
    _unreadable: bool = False
    _silent: int = 0

    def follow(self) -> Outcome:
        """Show the run until it has ended.

        Raises:
            AwsError: AWS refuses us, or could not be reached for five minutes; the run goes on.
        """
        from turnback.aws.clients import may_pass
        from turnback.aws.stepfunctions import Position

        position, lost_at, pause = Position(), None, POLL_S
        while True:
            try:
                # Before its events: how it ended is then among them.
                self.execution = self.executions.describe(self.run)
                events, position = self.executions.events(self.run, position)
                self.story.read(events)
                self._end_without_event(self.execution, bool(events))
                look = self._look()
            except AwsError as error:
                lost_at = self.clock() if lost_at is None else lost_at
                if not may_pass(error) or self.clock() - lost_at > PATIENCE_S:
                    raise
                if pause == POLL_S:
                    self.display.note(f"{error.message}; the run goes on, asking again")
                self.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)
                continue
            if lost_at is not None:
                self.display.note("connected again")
                lost_at, pause = None, POLL_S
            self.display.show(look)
            if self.story.outcome:
                return self.story.outcome
            self.sleep(POLL_S)

    def _end_without_event(self, execution: Execution | None, more: bool) -> None:
        """Take an execution for ended that says so, when no event of it does."""
        if execution is None or execution.stopped is None or self.story.outcome or more:
            return
        self._silent += 1
        if self._silent > SILENT:
            self.story.end(execution.status, execution.error, execution.cause, execution.stopped)

    def _look(self) -> Look:
        step = self.story.current
        now = datetime.now(UTC)
        if step is None or step.name not in _AT_WORK:
            return Look(self.run, self.story, now)
        try:
            report, progress = self._records()
        except AwsError as error:
            if not self._unreadable:
                self._unreadable = True
                self.display.note(f"{error.message}; the progress of migrations is not shown")
            return Look(self.run, self.story, now)
        kind = "rolled_back" if _is_down(self.story, step) else "applied"
        known = {row["version"] for row in report.get(kind, [])}
        if progress:
            known |= set(getattr(progress, kind))
        planned = self._planned if step.name == "Apply" else len(report.get("applied", [])) or None
        return Look(self.run, self.story, now, planned, _fresh(progress, step), len(known))

    def _records(self) -> tuple[dict[str, Any], Progress | None]:
        records = Records(self.store, self.run)
        if self._planned is None:
            self._planned = len(records.plan().get("migrations", [])) or None
        body = self.store.read(progress_key(self.run))
        return records.report(), Progress.from_json(body) if body else None


def _is_down(story: Story, step: Step) -> bool:
    plan = story.output.get("plan") or {}
    return step.name == "RollBack" or plan.get("direction") == "down"


def _fresh(progress: Progress | None, step: Step) -> Progress | None:
    """The progress, unless it is of a step before."""
    if progress is None or not progress.at or datetime.fromisoformat(progress.at) < step.began:
        return None
    return progress
