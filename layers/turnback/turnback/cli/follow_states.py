"""A run followed as a sequence of steps that begin and end, for a story told line by line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from turnback.errors import AwsError
from turnback.runs.watching.story import Story

if TYPE_CHECKING:
    from turnback.aws.executions import Executions

POLL_S = 0.1
# How long an upload may take to become a run.
BEGIN_S = 60.0
RUN_S = 300.0


@dataclass(frozen=True, slots=True)
class StepEvent:
    """A step that began or ended.

    Attributes:
        name: the state's name in the definition.
        seconds: how long it took; None when it only begins.
        error: the class of the error that it ended with, if it did.
        detail: that error's message and, where it is known, file and line.
    """

    name: str
    seconds: float | None = None
    error: str = ""
    detail: str = ""


def await_run(executions: Executions, known: set[str]) -> str:
    """The id of a run that is not yet known, as soon as there is one.

    Args:
        executions: the stack's runs.
        known: runs to leave out.

    Raises:
        AwsError: none was started in a minute.
    """
    deadline = time.monotonic() + BEGIN_S
    while time.monotonic() < deadline:
        for name in executions.names():
            if name not in known:
                return name
        time.sleep(POLL_S)
    raise AwsError("The upload started no run.", hint="The log of OnUploadFunction says why.")


def follow_steps(executions: Executions, run: str) -> Iterator[StepEvent]:
    """Each step as it begins and as it ends, until the run has ended.

    Args:
        executions: the stack's runs.
        run: the run's id.

    Raises:
        AwsError: it does not end in five minutes.
    """
    from turnback.aws.executions import Position

    deadline = time.monotonic() + RUN_S
    story, position = Story(), Position()
    begun = ended = 0
    while story.outcome is None:
        events, position = executions.events(run, position)
        for event in events:
            story.read([event])
            for number, step in enumerate(story.steps[ended:], ended):
                if number == begun:
                    begun += 1
                    yield StepEvent(step.name)
                if step.closed:
                    ended += 1
                    yield StepEvent(step.name, step.seconds or 0.0, step.error, step.detail)
        if time.monotonic() > deadline:
            raise AwsError(f"The run does not end: {run}.")
        time.sleep(POLL_S)
