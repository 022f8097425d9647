"""The runs of jobs: started, and looked at without reading their whole history."""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import ClientError

from turnback.aws.clients import client, code_of, telling
from turnback.aws.stepfunctions import StateMachine

# Of the newest events, enough to hold the beginning of a state that is being retried.
_EVENTS = 100


@dataclass(frozen=True, slots=True)
class JobRun:
    """An execution as Step Functions describes it; ``error`` and ``cause`` of one that failed."""

    arn: str
    status: str
    error: str | None = None
    cause: str | None = None


class JobRuns(StateMachine):
    """The state machine as a pipeline's job needs it: asked for one execution by its name."""

    def __init__(self, arn: str) -> None:
        super().__init__(arn)
        self._prefix = arn.replace(":stateMachine:", ":execution:")
        self._looking = client("stepfunctions")

    def execution_arn(self, name: str) -> str:
        """The ARN of the execution of this name, whether there is one or not."""
        return f"{self._prefix}:{name}"

    def execution(self, name: str) -> JobRun | None:
        """The execution of this name; None when there is none, or none to be seen yet.

        Raises:
            AwsError: Step Functions does not say.
        """
        arn = self.execution_arn(name)
        with telling(f"look at the run {name}"):
            try:
                found = self._looking.describe_execution(executionArn=arn)
            except ClientError as error:
                if code_of(error) == "ExecutionDoesNotExist":
                    return None
                raise
        return JobRun(arn, found["status"], found.get("error"), found.get("cause"))

    def last_state(self, name: str) -> str:
        """The state of the definition that it entered last; empty when it entered none.

        Raises:
            AwsError: Step Functions does not say.
        """
        with telling(f"look at the run {name}"):
            events = self._looking.get_execution_history(
                executionArn=self.execution_arn(name),
                reverseOrder=True,
                maxResults=_EVENTS,
                includeExecutionData=False,
            )["events"]
        entered = [event for event in events if "stateEnteredEventDetails" in event]
        if not entered:
            return ""
        newest = max(entered, key=lambda event: int(event["id"]))
        return str(newest["stateEnteredEventDetails"]["name"])
